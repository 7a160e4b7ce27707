"""How a car comes to an EVSE after START_SESSION: it waits, is plugged in, or does not come."""

from typing import Any

import errors
from generated.ocpi_models import EVSE, AuthMethod, CommandResponseType, StartSession
from settings import settings
from storage import cars
from storage.cars import CarRow
from workflows.charging import evses, results, scenarios, sessions
from workflows.charging.locked_network import LockedNetwork, seconds_from_now

PLUG_IN, TIMEOUT = "plug_in", "timeout"
"""The kinds of entries of the agenda: a car is plugged in, a charge point has been silent for too long."""


def start(locked: LockedNetwork, uid: str, command: StartSession, candidates: list[EVSE]) -> None:
    """Carry out a START_SESSION whose direct response is ACCEPTED: its result follows now or later."""
    token = command.token.uid, command.token.type.value
    free = evses.free(locked, candidates, token)
    scenario = scenarios.take(locked, free[0].uid) if free else None
    if not free or scenario == scenarios.START_REJECTED:
        results.announce(locked.transaction, locked.id, uid, CommandResponseType.REJECTED)
        return
    evse, wait = free[0], locked.simulation.plug_in_after
    if scenario == scenarios.NO_CAR:
        wait = None
    deadline = seconds_from_now(settings().command_timeout_seconds)
    if scenario == scenarios.START_TIMEOUT:
        locked.schedule_in_real_time(TIMEOUT, uid, deadline)
        return
    car = CarRow(
        network_id=locked.id,
        evse_uid=evse.uid,
        location_id=command.location_id,
        connector_id=evse.connectors[0].id,
        command_uid=uid,
        auth_id=command.token.auth_id,
        auth_method=AuthMethod.AUTH_REQUEST.value,
        scenario=scenario,
    )
    if wait == 0:
        _plug_in(locked, car, locked.now(), command.token.uid)
        return
    cars.add(locked.transaction, car)
    locked.schedule_in_real_time(TIMEOUT, uid, deadline, evse.uid)
    if wait is not None:
        locked.schedule(PLUG_IN, evse.uid, locked.now() + wait * 1000, command.token.uid)


def plug_in(locked: LockedNetwork, entry: Any) -> None:
    """Plug in a car that has waited. If its EVSE is gone, the car leaves, and the result is TIMEOUT."""
    car = cars.get(locked.transaction, locked.id, entry.key)
    if car is not None and car.session_id is None:
        try:
            _plug_in(locked, car, entry.virtual_at, entry.payload)
        except errors.NotFound:
            cars.delete(locked.transaction, locked.id, car.evse_uid)


def _plug_in(locked: LockedNetwork, car: CarRow, at: int, token_uid: str) -> None:
    sessions.begin(locked, car, at)
    if car.command_uid is not None:
        locked.cancel(TIMEOUT, car.command_uid)
        after_ms = scenarios.SLOW_MS if token_uid == scenarios.MAGIC_SLOW else results.FIRST_MS
        accepted = CommandResponseType.ACCEPTED
        results.announce(locked.transaction, locked.id, car.command_uid, accepted, after_ms)


def time_out(locked: LockedNetwork, entry: Any) -> None:
    """Give up on a charge point that has been silent, or on a car that has not come. Conformance 189."""
    car = cars.get(locked.transaction, locked.id, entry.payload)
    if car is not None and car.command_uid == entry.key and car.session_id is None:
        cars.delete(locked.transaction, locked.id, car.evse_uid)
        locked.cancel(PLUG_IN, car.evse_uid)
    results.announce(locked.transaction, locked.id, entry.key, CommandResponseType.TIMEOUT)
