"""Drivers who come by themselves to a network with `sessions_per_hour`. docs/charging.md."""

import random
from typing import Any

from generated.ocpi_models import AuthMethod, Token, WhitelistType
from storage import plugs, tokens
from storage.cars import CarRow
from workflows.charging import evses, scenarios, sessions
from workflows.charging.locked_network import LockedNetwork

ARRIVAL = "arrival"
"""The kind of the entry of the agenda at which the next driver comes."""

_HOUR_MS = 3_600_000
_LATE_MS = 60_000
"""How late a driver may come. After a longer outage the drivers of that time do not come any more."""

_TRIES = 10
"""How many tokens and how many EVSEs are looked at before nobody comes."""

_NEEDS_NO_QUESTION = frozenset({WhitelistType.ALWAYS, WhitelistType.ALLOWED})


def restart(locked: LockedNetwork) -> None:
    """Let the next driver come at the rate of the simulation, or nobody at a rate of 0."""
    locked.cancel(ARRIVAL, "")
    if locked.simulation.sessions_per_hour:
        _schedule(locked, locked.now())


def _schedule(locked: LockedNetwork, after: int) -> None:
    randomness = _randomness(locked, after)
    milliseconds = randomness.expovariate(locked.simulation.sessions_per_hour) * _HOUR_MS
    locked.schedule(ARRIVAL, "", after + max(1000, round(milliseconds)))


def _randomness(locked: LockedNetwork, at: int) -> random.Random:
    simulation = locked.simulation
    return random.Random(f"{simulation.seed}:{simulation.counter}:{at}")  # noqa: S311  (must be repeatable)


def arrive(locked: LockedNetwork, entry: Any) -> None:
    """Let a driver come, if there is a free EVSE and a usable token; then the next one is due."""
    at = max(entry.virtual_at, locked.now() - _LATE_MS)
    _schedule(locked, at)
    randomness = _randomness(locked, at + 1)
    token = _token(locked, randomness)
    place = _free_evse(locked, randomness) if token else None
    if token is None or place is None:
        return
    location_id, evse_uid, connector_id = place
    scenario = scenarios.take(locked, evse_uid)
    if scenario in scenarios.NO_SESSION:
        return
    car = CarRow(
        network_id=locked.id,
        evse_uid=evse_uid,
        location_id=location_id,
        connector_id=connector_id,
        auth_id=token.auth_id,
        auth_method=AuthMethod.WHITELIST.value,
        scenario=scenario,
    )
    sessions.begin(locked, car, at)


def _token(locked: LockedNetwork, randomness: random.Random) -> Token | None:
    """A token that a peer has pushed and that needs no question, or None."""
    count = tokens.count_received(locked.transaction, locked.id, locked.party)
    for _ in range(_TRIES if count else 0):
        number = randomness.randrange(count)
        document = tokens.received(locked.transaction, locked.id, locked.party, number)
        token = Token.model_validate_json(document.text) if document else None
        if (
            token
            and token.valid
            and token.whitelist in _NEEDS_NO_QUESTION
            and not scenarios.refuses(token.uid)
        ):
            return token
    return None


def _free_evse(locked: LockedNetwork, randomness: random.Random) -> tuple[str, str, str] | None:
    """The location, EVSE and connector of a free virtual EVSE that peers see, or None."""
    count = plugs.count(locked.transaction, locked.id)
    for _ in range(_TRIES if count else 0):
        location_id, evse_uid = plugs.nth(locked.transaction, locked.id, randomness.randrange(count))
        place = evses.location(locked.transaction, locked.network, location_id, published=True)
        some = [evse for evse in evses.present(place) if evse.uid == evse_uid] if place else []
        for evse in evses.free(locked, some):
            return location_id, evse_uid, evse.connectors[0].id
    return None
