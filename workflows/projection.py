"""The gateway's location becomes one of OCPI. Design section 10, "From gateway location to OCPI"."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from workflows.gallery import countries

Body = dict[str, Any]

NO_POSTAL_CODE = "-"
"""OCPI wants a postal code, the gateway does not."""

_SIX = Decimal("0.000001")
_UNKNOWN = "UNKNOWN"
_TYPES = {
    "ALONG_MOTORWAY": "OTHER",
    "ON_DRIVEWAY": "OTHER",
    "ON_STREET": "ON_STREET",
    "PARKING_GARAGE": "PARKING_GARAGE",
    "PARKING_LOT": "PARKING_LOT",
    "UNDERGROUND_GARAGE": "UNDERGROUND_GARAGE",
}

# The members of a Location in the order of the contract, in which every document is stored.
_ORDER = (
    "id", "type", "name", "address", "city", "postal_code", "country", "coordinates", "related_locations",
    "evses", "directions", "operator", "suboperator", "owner", "facilities", "time_zone", "opening_times",
    "charging_when_closed", "images", "energy_mix", "last_updated",
)  # fmt: skip


def degrees(value: float) -> str:
    """Degrees with exactly six decimals, half-even on the digits that were written."""
    made = Decimal(repr(value)).quantize(_SIX, ROUND_HALF_EVEN)
    return f"{abs(made) if made.is_zero() else made:f}"


def new_document(location_id: str, location: Body, **more: Any) -> Body:
    """A canonical Location without `last_updated`; *more* are members that only OCPI has."""
    empty = {"id": location_id, "type": _UNKNOWN, "postal_code": NO_POSTAL_CODE}
    return update_document({**empty, **{k: v for k, v in more.items() if v}}, location)


def update_document(document: Body, change: Body) -> Body:
    """*document* with the gateway's members in *change*; null clears what may be empty, else changes nothing.

    Members that no document has (`public`) are passed over; *document* itself stays as it was.
    """
    made = dict(document)
    for member, value in change.items():
        if member in _MEMBERS:
            _MEMBERS[member](made, value)
    return {member: made[member] for member in _ORDER if member in made}


def postal_code(document: Body) -> str | None:
    """The postal code, if the location has one."""
    code = document.get("postal_code", NO_POSTAL_CODE)
    return None if code == NO_POSTAL_CODE else str(code)


def _copied(member: str) -> Callable[[Body, Any], None]:
    def write(made: Body, value: Any) -> None:
        if value is not None:
            made[member] = value

    return write


def _country(made: Body, value: str | None) -> None:
    if value is not None:
        made["country"] = countries.alpha3(value)


def _coordinates(made: Body, value: Body | None) -> None:
    if value is not None:
        made["coordinates"] = {axis: degrees(value[axis]) for axis in ("latitude", "longitude")}


def _time_zone(made: Body, value: str | None) -> None:
    made.pop("time_zone", None)
    if value is not None:
        made["time_zone"] = value


def _operator(made: Body, value: str | None) -> None:
    """The name alone changes: web site and logo are the operator's own business."""
    known = made.pop("operator", {})
    if value is not None:
        made["operator"] = {**known, "name": value}


def _type(made: Body, value: str | None) -> None:
    made["type"] = _UNKNOWN if value is None else _TYPES[value]


def _postal_code(made: Body, value: str | None) -> None:
    made["postal_code"] = value or NO_POSTAL_CODE


_MEMBERS: dict[str, Callable[[Body, Any], None]] = {
    "name": _copied("name"),
    "address": _copied("address"),
    "city": _copied("city"),
    "country": _country,
    "coordinates": _coordinates,
    "timezone": _time_zone,
    "owner_name": _operator,
    "parking_type": _type,
    "postal_code": _postal_code,
}

CHANGEABLE = frozenset({*_MEMBERS, "public"})
"""What a PATCH of the gateway may name; `public` is no member of the document."""
