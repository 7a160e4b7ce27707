"""The two networks of a first start: something to look at and to register against."""

from typing import Any

from storage import instants, locations, networks, tariffs, tokens
from storage.networks import CPO, EMSP, Network

_CHARGING = ("NL", "DEM")
_DRIVERS = ("NL", "DEP")
_CAPABILITIES = ["REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER", "UNLOCK_CAPABLE"]

_AC = {
    "standard": "IEC_62196_T2",
    "format": "SOCKET",
    "power_type": "AC_3_PHASE",
    "voltage": 230,
    "amperage": 16,
}
_DC = {
    "standard": "IEC_62196_T2_COMBO",
    "format": "CABLE",
    "power_type": "DC",
    "voltage": 920,
    "amperage": 375,
}
_RESTRICTED, _EXPIRED, _WITHOUT_CREDIT, _BLOCKED = 7, 8, 9, 10

Body = dict[str, Any]


def charging_network(organization_id: str) -> Network:
    """CPO NL/DEM: two locations with six EVSEs, and two tariffs."""
    network = networks.create(organization_id, CPO, _CHARGING, "Demo Charging", "https://demo.example.com")
    now = instants.now()
    for tariff in _tariffs(now):
        tariffs.put(network.id, _CHARGING, tariff)
    for location in _locations(now):
        locations.put(network.id, _CHARGING, location)
    return network


def driver_network(organization_id: str) -> Network:
    """EMSP NL/DEP: ten tokens in every standing; the first is valid everywhere."""
    network = networks.create(organization_id, EMSP, _DRIVERS, "Demo Drivers", "https://demo.example.com")
    now = instants.now()
    for number in range(1, _BLOCKED + 1):
        tokens.put(network.id, _DRIVERS, _token(number, now))
    for number, standing in ((_EXPIRED, "EXPIRED"), (_WITHOUT_CREDIT, "NO_CREDIT")):
        tokens.judge(network.id, _DRIVERS, _uid(number), tokens.RFID, standing, None)
    tokens.judge(network.id, _DRIVERS, _uid(_RESTRICTED), tokens.RFID, None, ["DEM-UTRECHT"])
    return network


def _tariffs(now: str) -> list[Body]:
    return [
        {
            "id": "AC",
            "currency": "EUR",
            "tariff_alt_text": [{"language": "en", "text": "0.35 euro per kWh"}],
            "elements": [{"price_components": [{"type": "ENERGY", "price": 0.35, "step_size": 1}]}],
            "last_updated": now,
        },
        {
            "id": "DC",
            "currency": "EUR",
            "tariff_alt_text": [{"language": "en", "text": "0.59 euro per kWh, 1 euro to start"}],
            "elements": [
                {
                    "price_components": [
                        {"type": "FLAT", "price": 1.0, "step_size": 1},
                        {"type": "ENERGY", "price": 0.59, "step_size": 1},
                    ]
                }
            ],
            "last_updated": now,
        },
    ]


def _locations(now: str) -> list[Body]:
    return [
        {
            "id": "DEM-UTRECHT",
            "type": "ON_STREET",
            "name": "Catharijnesingel",
            "address": "Catharijnesingel 55",
            "city": "Utrecht",
            "postal_code": "3511 GD",
            "country": "NLD",
            "coordinates": {"latitude": "52.086300", "longitude": "5.115800"},
            "evses": [_evse(f"DEM-U{n}", "AC", now) for n in range(1, 5)],
            "operator": {"name": "Demo Charging", "website": "https://demo.example.com"},
            "time_zone": "Europe/Amsterdam",
            "opening_times": {"twentyfourseven": True},
            "last_updated": now,
        },
        {
            "id": "DEM-LUNETTEN",
            "type": "PARKING_LOT",
            "name": "Knooppunt Lunetten",
            "address": "Rijksweg A27 72",
            "city": "Utrecht",
            "postal_code": "3584 AA",
            "country": "NLD",
            "coordinates": {"latitude": "52.064800", "longitude": "5.144600"},
            "evses": [_evse(f"DEM-L{n}", "DC", now) for n in range(1, 3)],
            "operator": {"name": "Demo Charging", "website": "https://demo.example.com"},
            "facilities": ["RESTAURANT", "WIFI"],
            "time_zone": "Europe/Amsterdam",
            "opening_times": {"twentyfourseven": True},
            "last_updated": now,
        },
    ]


def _evse(uid: str, tariff_id: str, now: str) -> Body:
    power = _AC if tariff_id == "AC" else _DC
    return {
        "uid": uid,
        "evse_id": f"NL*DEM*E{uid.replace('-', '')}",
        "status": "AVAILABLE",
        "capabilities": _CAPABILITIES,
        "connectors": [{"id": "1", **power, "tariff_id": tariff_id, "last_updated": now}],
        "physical_reference": uid[-1],
        "last_updated": now,
    }


def _uid(number: int) -> str:
    return f"DEP{number:05d}"


def _token(number: int, now: str) -> Body:
    return {
        "uid": _uid(number),
        "type": "RFID",
        "auth_id": f"NL-DEP-C{number:08d}",
        "visual_number": f"NL-DEP-{number:05d}",
        "issuer": "Demo Drivers",
        "valid": number != _BLOCKED,
        "whitelist": ("ALLOWED", "ALWAYS", "ALLOWED_OFFLINE", "NEVER")[(number - 1) % 4],
        "language": "nl",
        "last_updated": now,
    }
