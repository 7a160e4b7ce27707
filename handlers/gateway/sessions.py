"""Charging sessions of a network, and drivers that plug in. docs/gateway.md "Objects", docs/charging.md."""

from generated.gateway_models import (
    DriverSessionRequest,
    DriverSessionResponse,
    DriverSessionStatus,
    ObjectEntry,
    ObjectListResponse,
    ObjectOwner,
)
from handlers.dispatch import object_presenters
from storage import database, owned
from storage.keys import Member
from storage.networks import Network
from storage.owned import Kind
from workflows.charging import drivers, simulation
from workflows.networks import orders


def list_sessions(
    user: Member, cpo_id: str, owner: ObjectOwner | None, connection_id: str | None, page: int, limit: int
) -> ObjectListResponse:
    """The sessions that match, oldest first."""
    network = orders.network_of(user, cpo_id)
    wanted = object_presenters.wanted(owner, connection_id)
    with database.connect() as connection:
        some, total = owned.page(connection, network, Kind.SESSIONS, wanted, (page - 1) * limit, limit)
    data = [object_presenters.entry(each) for each in some]
    return ObjectListResponse(data=data, total=total, page=page, limit=limit)


def get_session(
    user: Member, cpo_id: str, session_id: str, country_code: str | None, party_id: str | None
) -> ObjectEntry:
    """One session."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found = owned.find(connection, network, Kind.SESSIONS, session_id, country_code, party_id)
    return object_presenters.entry(found)


def start_driver_session(user: Member, cpo_id: str, body: DriverSessionRequest) -> DriverSessionResponse:
    """Let a driver plug in."""
    network = simulation.require_charge_points(orders.network_of(user, cpo_id))
    return _session(network, drivers.plug_in(network, body), DriverSessionStatus.ACTIVE)


def stop_driver_session(user: Member, cpo_id: str, session_id: str) -> DriverSessionResponse:
    """Let a driver unplug."""
    network = simulation.require_charge_points(orders.network_of(user, cpo_id))
    drivers.unplug(network, session_id)
    return _session(network, session_id, DriverSessionStatus.COMPLETED)


def _session(network: Network, session_id: str, status: DriverSessionStatus) -> DriverSessionResponse:
    url = f"/ocpi/cpos/{network.id}/sessions/{session_id}"
    return DriverSessionResponse(session_id=session_id, status=status, url=url)
