"""A network whose virtual charging is locked until the transaction ends.

Commands, drivers and what is due on the network's clock change cars, reservations and sessions under this
lock, one after the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from storage import agenda, database, simulations, timestamps
from storage.agenda import Entry
from storage.database import Transaction
from storage.networks import Network
from storage.objects import Party
from storage.simulations import Simulation


@dataclass
class LockedNetwork:
    """The network, its transaction and its simulation."""

    transaction: Transaction
    network: Network
    simulation: Simulation

    @property
    def id(self) -> int:
        """The id of the network."""
        return self.network.id

    @property
    def party(self) -> Party:
        """The party of the network."""
        return self.network.party

    def now(self) -> int:
        """The instant that the clock shows, in milliseconds."""
        return self.simulation.now()

    def change(self, **changes: Any) -> None:
        """Change the simulation, but not its clock."""
        self.simulation = replace(self.simulation, **changes)
        simulations.store(self.transaction, self.simulation)

    def move_clock(self, **changes: Any) -> None:
        """Change the clock, and move what is due on it."""
        self.simulation = simulations.move_clock(self.transaction, self.simulation, **changes)

    def schedule(self, kind: str, key: str, virtual: int, payload: str = "") -> None:
        """Put an entry on the agenda that is due when the clock shows *virtual*."""
        entry = Entry(
            self.id, agenda.network_lane(self.id), kind, key, payload,
            due_at=self.simulation.due_at(virtual), virtual_at=virtual,
        )  # fmt: skip
        agenda.put(self.transaction, [entry])

    def schedule_in_real_time(self, kind: str, key: str, due_at: int, payload: str = "") -> None:
        """Put an entry on the agenda that is due at a real instant."""
        lane = agenda.network_lane(self.id)
        agenda.open_lane(self.transaction, lane, self.id)
        agenda.put(self.transaction, [Entry(self.id, lane, kind, key, payload, due_at=due_at)])

    def cancel(self, kind: str, key: str) -> None:
        """Remove an entry from the agenda."""
        agenda.remove(self.transaction, agenda.network_lane(self.id), kind, key)


def lock(transaction: Transaction, network: Network) -> LockedNetwork:
    """Lock the virtual charging of *network*.

    Raises:
        errors.NotFound: the network has ended.
    """
    simulation = simulations.lock(transaction, network)
    return LockedNetwork(transaction, network, simulation)


@contextmanager
def locked(network: Network) -> Iterator[LockedNetwork]:
    """A transaction that has locked the virtual charging of *network*.

    Raises:
        errors.NotFound: the network has ended.
    """
    with database.transaction() as transaction:
        yield lock(transaction, network)


def whole_second(instant: int) -> int:
    """An instant in milliseconds without its fraction of a second."""
    return instant // 1000 * 1000


def seconds_from_now(seconds: float) -> int:
    """A real instant, in milliseconds."""
    return timestamps.now_ms() + round(seconds * 1000)
