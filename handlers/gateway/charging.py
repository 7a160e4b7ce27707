"""Virtual charging: the clock, scenarios, and drivers. docs/charging.md."""

from generated.gateway_models import (
    ClockAdvanceRequest,
    DriverSessionRequest,
    DriverSessionResponse,
    DriverSessionStatus,
    JobAcceptedResponse,
    ScenarioRequest,
    ScenarioResponse,
    SimulationRequest,
    SimulationResponse,
)
from storage.keys import Member
from storage.networks import Network
from workflows.charging import advancing, drivers, simulation
from workflows.networks import orders


def get_simulation(user: Member, cpo_id: str) -> SimulationResponse:
    """The clock and the settings of virtual charging."""
    return simulation.show(_network(user, cpo_id))


def put_simulation(user: Member, cpo_id: str, body: SimulationRequest) -> SimulationResponse:
    """Change the clock or the settings of virtual charging."""
    return simulation.change(_network(user, cpo_id), body)


def advance_clock(user: Member, cpo_id: str, body: ClockAdvanceRequest) -> JobAcceptedResponse:
    """Move the clock forward, as a durable job."""
    return advancing.order(user, _network(user, cpo_id), body)


def get_scenario(user: Member, cpo_id: str) -> ScenarioResponse:
    """What goes wrong with the next session."""
    return simulation.scenario(_network(user, cpo_id))


def put_scenario(user: Member, cpo_id: str, body: ScenarioRequest) -> ScenarioResponse:
    """Set what goes wrong with the next session."""
    return simulation.set_scenario(_network(user, cpo_id), body)


def start_driver_session(user: Member, cpo_id: str, body: DriverSessionRequest) -> DriverSessionResponse:
    """Let a driver plug in."""
    network = _network(user, cpo_id)
    return _session(network, drivers.plug_in(network, body), DriverSessionStatus.ACTIVE)


def stop_driver_session(user: Member, cpo_id: str, session_id: str) -> DriverSessionResponse:
    """Let a driver unplug."""
    network = _network(user, cpo_id)
    drivers.unplug(network, session_id)
    return _session(network, session_id, DriverSessionStatus.COMPLETED)


def _network(user: Member, cpo_id: str) -> Network:
    return simulation.require_charge_points(orders.network_of(user, cpo_id))


def _session(network: Network, session_id: str, status: DriverSessionStatus) -> DriverSessionResponse:
    url = f"/ocpi/cpos/{network.id}/sessions/{session_id}"
    return DriverSessionResponse(session_id=session_id, status=status, url=url)
