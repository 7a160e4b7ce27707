"""The clock of a network and the settings of its virtual charging. docs/charging.md "The clock".

A network without a row has the defaults: its clock shows the real time. Instants are in milliseconds.
"""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

import errors
from storage import agenda, database, timestamps
from storage.database import Connection, Transaction
from storage.networks import ALIVE, NETWORKS, Network

NEVER = 253_402_300_799_000
"""The due instant of what waits for a stopped clock: the end of the year 9999."""


class SimulationRow(SQLModel, table=True):
    """One network's clock: it showed *virtual_at* at the real instant *real_at*.

    *plug_in_after*: seconds of the clock from a command to the plug, None for never. *counter*: how many
    sessions the network has begun. *advance_job*: the job that moves the clock, to *advance_to*.
    """

    __tablename__ = "gw_simulations"

    network_id: int = Field(primary_key=True, sa_type=BigInteger)
    virtual_at: int = Field(default=0, sa_type=BigInteger)
    real_at: int = Field(default=0, sa_type=BigInteger)
    speed: int = 1
    paused: bool = False
    sessions_per_hour: int = 0
    seed: int = Field(default=0, sa_type=BigInteger)
    plug_in_after: int | None = 0
    all_evses: bool = False
    counter: int = 0
    scenario: str | None = Field(default=None, max_length=20)
    advance_job: str | None = Field(default=None, max_length=36)
    advance_to: int | None = Field(default=None, sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The same as a value."""

    network_id: int
    virtual_at: int = 0
    real_at: int = 0
    speed: int = 1
    paused: bool = False
    sessions_per_hour: int = 0
    seed: int = 0
    plug_in_after: int | None = 0
    all_evses: bool = False
    counter: int = 0
    scenario: str | None = None
    advance_job: str | None = None
    advance_to: int | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the clock is stopped: it is paused, or a job moves it."""
        return self.paused or self.advance_job is not None

    def now(self) -> int:
        """The instant that the clock shows."""
        if self.is_stopped:
            return self.virtual_at
        return self.virtual_at + (timestamps.now_ms() - self.real_at) * self.speed

    def due_at(self, virtual: int) -> int:
        """The real instant at which the clock shows *virtual*; `NEVER` while it is stopped."""
        if self.is_stopped:
            return NEVER
        return self.real_at - (self.virtual_at - virtual) // self.speed


SIMULATIONS = database.table(SimulationRow)

_c = SIMULATIONS.c
_GET = sqlalchemy.select(SIMULATIONS).where(_c.network_id == bindparam("network_id"))
_LOCK = (
    sqlalchemy.select(NETWORKS.c.id)
    .where(NETWORKS.c.id == bindparam("network_id"), *ALIVE)
    .with_for_update(key_share=True)  # which writers of the network's objects need not wait for
)
_PUT = {
    name: insert.on_conflict_do_update(
        index_elements=["network_id"],
        set_={column.name: insert.excluded[column.name] for column in _c if column.name != "network_id"},
    )
    for name, insert in database.dialect_inserts(SIMULATIONS).items()
}


def get(connection: Connection, network: Network) -> Simulation:
    """The simulation of a network."""
    row = connection.execute(_GET, {"network_id": network.id}).mappings().first()
    return Simulation(network.id, seed=network.seed) if row is None else Simulation(**row)


def lock(transaction: Transaction, network: Network) -> Simulation:
    """Lock the network with all of its virtual charging until the transaction ends.

    Raises:
        errors.NotFound: the network has ended.
    """
    values = {"network_id": network.id, "now": timestamps.now_ms()}
    if transaction.execute(_LOCK, values).first() is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return get(transaction, network)


def store(transaction: Transaction, simulation: Simulation) -> None:
    """Store a locked simulation, and open the lane of its network. What is due on its clock does not move."""
    agenda.open_lane(transaction, agenda.network_lane(simulation.network_id), simulation.network_id)
    values = {name: getattr(simulation, name) for name in Simulation.__slots__}
    transaction.execute(_PUT[transaction.dialect.name], values)


def move_clock(transaction: Transaction, simulation: Simulation, **changes: Any) -> Simulation:
    """Store a locked simulation with *changes* of its clock, and move what is due on the clock.

    The changes take effect now. Without a *virtual_at* among them the clock goes on from what it shows.
    """
    now = {"virtual_at": simulation.now(), "real_at": timestamps.now_ms()}
    moved = replace(simulation, **{**now, **changes})
    store(transaction, moved)
    lane = agenda.network_lane(moved.network_id)
    if moved.is_stopped:
        agenda.hold(transaction, lane, NEVER)
    else:
        agenda.reschedule(transaction, lane, moved.virtual_at, moved.real_at, moved.speed)
    return moved
