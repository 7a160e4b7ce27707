"""What is due in the lane of a network: on its clock, or in real time. docs/charging.md "The clock"."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import errors
from storage import agenda, database, failpoints, networks
from storage.agenda import AgendaRow, LaneRow
from storage.networks import Network
from workflows.charging import arrivals, locked_network, plugging_in, reserving, sessions
from workflows.charging.locked_network import LockedNetwork
from workflows.peers.push import PacedClient

log = logging.getLogger("ocpi_gateway")

WORK: dict[str, Callable[[LockedNetwork, Any], None]] = {
    sessions.TICK: sessions.tick,
    sessions.LATE_CDR: sessions.store_late_cdr,
    sessions.REPAIR: sessions.repair,
    plugging_in.PLUG_IN: plugging_in.plug_in,
    plugging_in.TIMEOUT: plugging_in.time_out,
    reserving.EXPIRE: reserving.expire,
    arrivals.ARRIVAL: arrivals.arrive,
}
"""What each kind of entry does."""

_TOGETHER = 20
"""How many entries share a transaction."""

_TRIES = 3
"""After how many tries an entry that fails is left alone, so that the others of its network go on."""


def run(lane: LaneRow, entry: AgendaRow, _paced: PacedClient) -> None:
    """Run the first due entries of the lane of a network, in one transaction.

    If one of them fails, only the first is run, until the one that fails is the first.
    """
    with database.connect() as connection:
        network = networks.get(connection, lane.network_id or 0)
    if network is None:
        with database.transaction() as transaction:
            agenda.finish(transaction, entry)
        return
    try:
        _run(network, _TOGETHER)
    except errors.Unavailable:
        raise
    except Exception:  # noqa: BLE001  (the first is run again alone, which logs)
        _run_first(network)


def _run(network: Network, limit: int) -> None:
    with locked_network.locked(network) as locked:
        for entry in agenda.due(locked.transaction, agenda.network_lane(network.id), limit):
            _run_entry(locked, entry)


def _run_first(network: Network) -> None:
    """Run the first due entry. If it fails, it is tried again, but not forever."""
    lane = agenda.network_lane(network.id)
    with database.transaction() as transaction:
        first = agenda.due(transaction, lane, 1)
    try:
        _run(network, 1)
    except errors.Unavailable:
        raise
    except Exception as error:
        log.exception("work_failed", extra={"lane": lane})
        with database.transaction() as transaction:
            for entry in first:
                is_last = entry.tries + 1 >= _TRIES
                agenda.fail(transaction, entry, f"unexpected: {type(error).__name__}", parked=is_last)


def run_until(locked: LockedNetwork, virtual: int, limit: int) -> bool:
    """Run some of what is due until the stopped clock shows *virtual*; False if nothing is left.

    The clock shows the instant of each entry while it runs.
    """
    entries = agenda.due_by(locked.transaction, agenda.network_lane(locked.id), virtual, limit)
    for entry in entries:
        at = max(locked.simulation.virtual_at, entry.virtual_at)
        locked.simulation = replace(locked.simulation, virtual_at=at)
        _run_entry(locked, entry)
    return bool(entries)


def _run_entry(locked: LockedNetwork, entry: Any) -> None:
    agenda.finish(locked.transaction, entry)
    WORK[entry.kind](locked, entry)
    failpoints.reach("charging.worked")
