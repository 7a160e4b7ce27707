"""Charge points to be: their rows, and the EVSEs and connectors that they are in OCPI."""

from dataclasses import dataclass
from typing import Any

from storage.sites import ChargePointPlan
from workflows import catalog, identities, price_book
from workflows.catalog import Model
from workflows.identities import Party

Body = dict[str, Any]

_STANDARDS = {
    catalog.TYPE_1: "IEC_62196_T1",
    catalog.TYPE_2: "IEC_62196_T2",
    catalog.CCS_2: "IEC_62196_T2_COMBO",
    catalog.CHADEMO: "CHADEMO",
}
_THREE_PHASES_FROM = 11  # kW; below that cars and sockets in Europe charge on one phase
_CHADEMO = (50.0, 400)  # kW and volt that the plug carries, whatever stands behind it
_REFERENCE = 16

_EVERY = ("REMOTE_START_STOP_CAPABLE", "RFID_READER", "RESERVABLE")
_SMART = "CHARGING_PROFILE_CAPABLE"
_TERMINAL = "CREDIT_CARD_PAYABLE"
_SOCKET = "UNLOCK_CAPABLE"


@dataclass(frozen=True, slots=True)
class Post:
    """A charge point before it has EVSEs. `kw` is the rating of one connector; `reference` what it wears."""

    identity: str
    model: Model
    connector_type: str
    ocpp_version: str
    kw: float
    reference: str
    name: str | None = None
    ws_url: str | None = None


def plan(post: Post, party: Party) -> ChargePointPlan:
    """The row of a charge point: each of its connectors is an EVSE of its own."""
    return ChargePointPlan(
        identity=post.identity,
        brand_slug=post.model.brand_slug,
        model_slug=post.model.slug,
        name=post.name,
        connector_type=post.connector_type,
        ocpp_version=post.ocpp_version,
        ws_url=post.ws_url,
        evses=identities.evses(post.identity, post.model.connector_count, party),
    )


def nominal_kw(model: Model, connector_type: str) -> float:
    """The highest rating in kW at one connector of that type."""
    highest = model.supported_kwh[-1]
    return min(highest, _CHADEMO[0]) if connector_type == catalog.CHADEMO else highest


def evses(
    post: Post, plan: ChargePointPlan, country: str, floor: str = "", restrictions: tuple[str, ...] = ()
) -> list[Body]:
    """The EVSEs without `last_updated`, all available; *country* (alpha-2) decides the tariff.

    *floor* and *restrictions* are OCPI's `floor_level` and `parking_restrictions`; left out when empty.
    """
    connector = {"id": "1", **_connector(post)}
    connector["tariff_id"] = price_book.tariff_id(connector["power_type"], post.kw, country)
    reference = post.reference[:_REFERENCE]
    return [
        {
            "uid": evse.uid,
            "evse_id": evse.evse_id,
            "status": "AVAILABLE",
            "capabilities": _capabilities(post),
            "connectors": [dict(connector)],
            **({"floor_level": floor} if floor else {}),
            "physical_reference": reference,
            **({"parking_restrictions": list(restrictions)} if restrictions else {}),
        }
        for evse in plan.evses
    ]


def _connector(post: Post) -> Body:
    power_type, volts, phases = _electricity(post)
    return {
        "standard": _STANDARDS[post.connector_type],
        "format": "CABLE" if catalog.sheet(post.model).tethered else "SOCKET",
        "power_type": power_type,
        "voltage": volts,
        "amperage": round(post.kw * 1000 / (volts * phases)),
    }


def _electricity(post: Post) -> tuple[str, int, int]:
    """OCPI PowerType, volt (between line and neutral where there are three phases), phases."""
    volts = catalog.sheet(post.model).volts
    if post.connector_type == catalog.CHADEMO:
        return "DC", _CHADEMO[1], 1
    if post.model.current_type == catalog.DC:
        return "DC", volts, 1
    if post.connector_type == catalog.TYPE_2 and post.kw >= _THREE_PHASES_FROM:
        return "AC_3_PHASE", volts, 3
    return "AC_1_PHASE", volts, 1


def _capabilities(post: Post) -> list[str]:
    made, sheet = list(_EVERY), catalog.sheet(post.model)
    if catalog.OCPP_2_0_1 in sheet.ocpp_versions:
        made.append(_SMART)
    if post.model.current_type == catalog.DC:
        made.append(_TERMINAL)
    elif not sheet.tethered:
        made.append(_SOCKET)
    return sorted(made)
