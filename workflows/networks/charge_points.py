"""Charge points to be: their rows, and the EVSEs and connectors that they are in OCPI."""

from dataclasses import dataclass

from generated.ocpi_models import (
    EVSE,
    Connector,
    ConnectorFormat,
    KnownCapability,
    KnownConnectorType,
    ParkingRestriction,
    PowerType,
    Status,
)
from storage.sites import UNSTAMPED, ChargePointPlan
from workflows.networks import catalog, identities, price_book
from workflows.networks.catalog import Model
from workflows.networks.identities import Party

_STANDARDS = {
    catalog.TYPE_1: KnownConnectorType.IEC_62196_T1,
    catalog.TYPE_2: KnownConnectorType.IEC_62196_T2,
    catalog.CCS_2: KnownConnectorType.IEC_62196_T2_COMBO,
    catalog.CHADEMO: KnownConnectorType.CHADEMO,
}
_THREE_PHASES_FROM = 11  # kW; below that cars and sockets in Europe charge on one phase
_CHADEMO = (50.0, 400)  # kW and volt that the plug carries, whatever stands behind it
_REFERENCE = 16

_EVERY = (
    KnownCapability.REMOTE_START_STOP_CAPABLE,
    KnownCapability.RFID_READER,
    KnownCapability.RESERVABLE,
)
_SMART = KnownCapability.CHARGING_PROFILE_CAPABLE
_TERMINAL = KnownCapability.CREDIT_CARD_PAYABLE
_SOCKET = KnownCapability.UNLOCK_CAPABLE


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
) -> list[EVSE]:
    """The EVSEs, all available and not stamped yet; *country* (alpha-2) decides the tariff.

    *floor* and *restrictions* are OCPI's `floor_level` and `parking_restrictions`; absent when empty.
    """
    return [
        EVSE(
            uid=evse.uid,
            evse_id=evse.evse_id,
            status=Status.AVAILABLE,
            capabilities=list(_capabilities(post)),
            connectors=[_connector(post, country)],
            floor_level=floor or None,
            physical_reference=post.reference[:_REFERENCE],
            parking_restrictions=[ParkingRestriction(each) for each in restrictions] or None,
            last_updated=UNSTAMPED,
        )
        for evse in plan.evses
    ]


def _connector(post: Post, country: str) -> Connector:
    power_type, volts, phases = _electricity(post)
    return Connector(
        id="1",
        standard=_STANDARDS[post.connector_type],
        format=ConnectorFormat.CABLE if catalog.sheet(post.model).tethered else ConnectorFormat.SOCKET,
        power_type=power_type,
        voltage=volts,
        amperage=round(post.kw * 1000 / (volts * phases)),
        tariff_id=price_book.tariff_id(power_type, post.kw, country),
        last_updated=UNSTAMPED,
    )


def _electricity(post: Post) -> tuple[PowerType, int, int]:
    """OCPI PowerType, volt (between line and neutral where there are three phases), phases."""
    volts = catalog.sheet(post.model).volts
    if post.connector_type == catalog.CHADEMO:
        return PowerType.DC, _CHADEMO[1], 1
    if post.model.current_type == catalog.DC:
        return PowerType.DC, volts, 1
    if post.connector_type == catalog.TYPE_2 and post.kw >= _THREE_PHASES_FROM:
        return PowerType.AC_3_PHASE, volts, 3
    return PowerType.AC_1_PHASE, volts, 1


def _capabilities(post: Post) -> list[KnownCapability]:
    capabilities, sheet = list(_EVERY), catalog.sheet(post.model)
    if catalog.OCPP_2_0_1 in sheet.ocpp_versions:
        capabilities.append(_SMART)
    if post.model.current_type == catalog.DC:
        capabilities.append(_TERMINAL)
    elif not sheet.tethered:
        capabilities.append(_SOCKET)
    return sorted(capabilities)
