"""Plans of charge points: their rows, and their EVSEs and connectors in OCPI."""

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
_CHADEMO = (50.0, 400)  # kW and volts that the plug carries, whatever the charge point can deliver
_REFERENCE_LENGTH = 16

_COMMON_CAPABILITIES = (
    KnownCapability.REMOTE_START_STOP_CAPABLE,
    KnownCapability.RFID_READER,
    KnownCapability.RESERVABLE,
)
_SMART_CHARGING = KnownCapability.CHARGING_PROFILE_CAPABLE
_CARD_TERMINAL = KnownCapability.CREDIT_CARD_PAYABLE
_UNLOCKABLE = KnownCapability.UNLOCK_CAPABLE


@dataclass(frozen=True, slots=True)
class ChargePointSpec:
    """A charge point before it has EVSEs.

    `kw` is the rating of one connector, `reference` the number on the charge point.
    """

    identity: str
    model: Model
    connector_type: str
    ocpp_version: str
    kw: float
    reference: str
    name: str | None = None
    ws_url: str | None = None


def plan(spec: ChargePointSpec, party: Party) -> ChargePointPlan:
    """The plan of a charge point: each connector is a separate EVSE."""
    return ChargePointPlan(
        identity=spec.identity,
        brand_slug=spec.model.brand_slug,
        model_slug=spec.model.slug,
        name=spec.name,
        connector_type=spec.connector_type,
        ocpp_version=spec.ocpp_version,
        ws_url=spec.ws_url,
        evses=identities.evses(spec.identity, spec.model.connector_count, party),
    )


def nominal_kw(model: Model, connector_type: str) -> float:
    """The highest rating of one connector of that type, in kW."""
    highest = model.supported_kwh[-1]
    return min(highest, _CHADEMO[0]) if connector_type == catalog.CHADEMO else highest


def evses(
    spec: ChargePointSpec,
    plan: ChargePointPlan,
    country: str,
    floor: str = "",
    restrictions: tuple[str, ...] = (),
) -> list[EVSE]:
    """The EVSEs, all available and not stamped yet. *country* (alpha-2) decides the tariff.

    *floor* and *restrictions* are OCPI's `floor_level` and `parking_restrictions`, absent if empty.
    """
    return [
        EVSE(
            uid=evse.uid,
            evse_id=evse.evse_id,
            status=Status.AVAILABLE,
            capabilities=list(_capabilities(spec)),
            connectors=[_connector(spec, country)],
            floor_level=floor or None,
            physical_reference=spec.reference[:_REFERENCE_LENGTH],
            parking_restrictions=[ParkingRestriction(each) for each in restrictions] or None,
            last_updated=UNSTAMPED,
        )
        for evse in plan.evses
    ]


def _connector(spec: ChargePointSpec, country: str) -> Connector:
    power_type, volts, phases = _electricity(spec)
    return Connector(
        id="1",
        standard=_STANDARDS[spec.connector_type],
        format=ConnectorFormat.CABLE if catalog.data_sheet(spec.model).tethered else ConnectorFormat.SOCKET,
        power_type=power_type,
        voltage=volts,
        amperage=round(spec.kw * 1000 / (volts * phases)),
        tariff_id=price_book.tariff_id(power_type, spec.kw, country),
        last_updated=UNSTAMPED,
    )


def _electricity(spec: ChargePointSpec) -> tuple[PowerType, int, int]:
    """OCPI PowerType, volts (between line and neutral for three phases), phases."""
    volts = catalog.data_sheet(spec.model).volts
    if spec.connector_type == catalog.CHADEMO:
        return PowerType.DC, _CHADEMO[1], 1
    if spec.model.current_type == catalog.DC:
        return PowerType.DC, volts, 1
    if spec.connector_type == catalog.TYPE_2 and spec.kw >= _THREE_PHASES_FROM:
        return PowerType.AC_3_PHASE, volts, 3
    return PowerType.AC_1_PHASE, volts, 1


def _capabilities(spec: ChargePointSpec) -> list[KnownCapability]:
    capabilities, sheet = list(_COMMON_CAPABILITIES), catalog.data_sheet(spec.model)
    if catalog.OCPP_2_0_1 in sheet.ocpp_versions:
        capabilities.append(_SMART_CHARGING)
    if spec.model.current_type == catalog.DC:
        capabilities.append(_CARD_TERMINAL)
    elif not sheet.tethered:
        capabilities.append(_UNLOCKABLE)
    return sorted(capabilities)
