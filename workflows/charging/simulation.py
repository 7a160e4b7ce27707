"""The clock of a network and how its virtual charge points behave, as testers set them. docs/charging.md."""

import errors
from generated.gateway_models import (
    ScenarioName,
    ScenarioRequest,
    ScenarioResponse,
    SimulationRequest,
    SimulationResponse,
)
from storage import cars, database, jobs, simulations, timestamps
from storage.database import Connection
from storage.networks import CPO, Network
from storage.simulations import Simulation
from workflows.charging import arrivals, locked_network
from workflows.charging.locked_network import LockedNetwork

_EARLIEST, _LATEST = timestamps.parse("2000-01-01T00:00:00Z"), timestamps.parse("2099-12-31T23:59:59Z")
_CLOCK = frozenset({"speed", "paused"})


def require_charge_points(network: Network) -> Network:
    """The network, which must be that of a CPO.

    Raises:
        errors.NotFound: it is that of an eMSP.
    """
    if network.role != CPO:
        raise errors.NotFound("An eMSP network has no charge points.")
    return network


def show(network: Network) -> SimulationResponse:
    """The clock and the settings of a network."""
    with database.connect() as connection:
        return _response(connection, simulations.get(connection, network))


def _response(connection: Connection, simulation: Simulation) -> SimulationResponse:
    return SimulationResponse(
        virtual_now=timestamps.authored(simulation.now()),
        speed=simulation.speed,
        paused=simulation.paused,
        sessions_per_hour=simulation.sessions_per_hour,
        seed=simulation.seed,
        plug_in_after=simulation.plug_in_after,
        all_evses=simulation.all_evses,
        running_sessions=cars.charging(connection, simulation.network_id),
        advance_job=simulation.advance_job,
    )


def change(network: Network, request: SimulationRequest) -> SimulationResponse:
    """Change what the request names.

    Raises:
        errors.Conflict: an advance of the clock runs, a session runs while the clock is set, or the clock
            cannot show that instant.
    """
    sent = request.model_fields_set
    with locked_network.locked(network) as locked:
        require_no_advance(locked)
        clock = request.model_dump(include=sent & _CLOCK)
        if "virtual_now" in sent:
            clock["virtual_at"] = _instant(locked, request.virtual_now)
        if clock:
            locked.move_clock(**clock)
        locked.change(**request.model_dump(include=sent - _CLOCK - {"virtual_now"}))
        if "sessions_per_hour" in sent:
            arrivals.restart(locked)
        return _response(locked.transaction, locked.simulation)


def _instant(locked: LockedNetwork, virtual_now: str) -> int:
    """The instant in milliseconds that the clock is to show."""
    if cars.charging(locked.transaction, locked.id):
        raise errors.Conflict("virtual_now: the clock cannot be set while sessions run; stop them first.")
    instant = timestamps.parse(virtual_now)
    if not _EARLIEST <= instant <= _LATEST:
        raise errors.Conflict("virtual_now: the clock shows the years 2000 to 2099.")
    return instant


def require_no_advance(locked: LockedNetwork) -> None:
    """Raise if a job moves the clock. A job that has ended without moving it further is forgotten.

    Raises:
        errors.Conflict: it does.
    """
    job_id = locked.simulation.advance_job
    if job_id is None:
        return
    job = jobs.get(locked.transaction, job_id)
    if job is not None and not job.ended:
        raise errors.Conflict(f"The job {job_id} moves the clock; wait until it has ended.")
    locked.move_clock(advance_job=None, advance_to=None)


def scenario(network: Network) -> ScenarioResponse:
    """The scenario of the next session."""
    with database.connect() as connection:
        name = simulations.get(connection, network).scenario
    return ScenarioResponse(next=None if name is None else ScenarioName(name))


def set_scenario(network: Network, request: ScenarioRequest) -> ScenarioResponse:
    """Replace the scenario of the next session."""
    with locked_network.locked(network) as locked:
        locked.change(scenario=None if request.next is None else request.next.value)
    return ScenarioResponse(next=request.next)
