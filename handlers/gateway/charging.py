"""Virtual charging: the clock and scenarios. docs/charging.md."""

from generated.gateway_models import (
    ClockAdvanceRequest,
    JobAcceptedResponse,
    ScenarioRequest,
    ScenarioResponse,
    SimulationRequest,
    SimulationResponse,
)
from storage.keys import Member
from storage.networks import Network
from workflows.charging import advancing, simulation
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


def _network(user: Member, cpo_id: str) -> Network:
    return simulation.require_charge_points(orders.network_of(user, cpo_id))
