"""The agenda: short work that is due at an instant. docs/architecture.md "The agenda".

An entry is written in the transaction that makes the work due. It is deleted with the effect of the work, or
after a peer has answered. A lane runs one entry at a time: first by rank, then by due instant. One process
owns a lane, by the number of its slot (storage/executor_lease.py). Instants are in milliseconds.
"""

import dataclasses
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Index, UniqueConstraint, bindparam, or_
from sqlmodel import Field, SQLModel

from storage import database, timestamps
from storage.database import Connection, Transaction
from storage.objects import AutoIncrement

NETWORKS_LANE = "networks"
"""The lane of the ends of networks."""

EXPIRY, ERASURE = "expiry", "erasure"
"""The kinds of its entries: a network ends; rows that were stored after its end are deleted."""

RESULT = "result"
"""The kind of the entry that posts the result of a command."""

_NETWORK, _RESULT_LANE_LENGTH = "network:", 24


class AgendaRow(SQLModel, table=True):
    """One entry. *parked*: it waits for a further change; *answer* says why, or why the last try failed.

    *network_id*: the network that it ends with, or None. *virtual_at*: the instant of the network's clock at
    which it is due, or None; *due_at* follows from it.
    """

    __tablename__ = "gw_agenda"
    __table_args__ = (
        UniqueConstraint("lane", "kind", "key"),
        Index("ix_gw_agenda_next", "lane", "parked", "rank", "due_at"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    network_id: int | None = Field(default=None, sa_type=BigInteger, index=True)
    lane: str = Field(max_length=32)
    kind: str = Field(max_length=8)
    key: str
    rank: int
    due_at: int = Field(sa_type=BigInteger)
    tries: int = 0
    revision: int = 1
    payload: str
    parked: bool = False
    answer: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    virtual_at: int | None = Field(default=None, sa_type=BigInteger)


class LaneRow(SQLModel, table=True):
    """A lane. *slot*: the process that runs it. *not_before*: it rests until then, after *failures*."""

    __tablename__ = "gw_lanes"

    name: str = Field(primary_key=True, max_length=32)
    network_id: int | None = Field(default=None, sa_type=BigInteger, index=True)
    slot: int | None = None
    not_before: int = Field(default=0, sa_type=BigInteger)
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Work to put on the agenda. (*lane*, *kind*, *key*) identifies it; the lowest *rank* is first."""

    network_id: int | None
    lane: str
    kind: str
    key: str
    payload: str = ""
    rank: int = 0
    due_at: int = 0
    virtual_at: int | None = None


AGENDA = database.table(AgendaRow)
LANES = database.table(LaneRow)

_a, _l = AGENDA.c, LANES.c
_IN_LANE = _a.lane == bindparam("lane")
_IS_DUE = (_a.parked.is_(False), _a.due_at <= bindparam("now"))
_OPEN = {
    name: insert.on_conflict_do_nothing(index_elements=["name"])
    for name, insert in database.dialect_inserts(LANES).items()
}
_CLEAR = sqlalchemy.delete(AGENDA).where(_IN_LANE)
_REST = (
    sqlalchemy.update(LANES)
    .where(_l.name == bindparam("lane"))
    .values(not_before=bindparam("until"), failures=bindparam("failures"))
)
_PUT = {
    name: insert.on_conflict_do_update(
        index_elements=["lane", "kind", "key"],
        set_={
            "payload": insert.excluded.payload,
            "rank": sqlalchemy.case((_a.rank < insert.excluded.rank, _a.rank), else_=insert.excluded.rank),
            "due_at": sqlalchemy.case(
                (_a.due_at < insert.excluded.due_at, _a.due_at), else_=insert.excluded.due_at
            ),
            "revision": _a.revision + 1,
            "parked": False,
        },
    )
    for name, insert in database.dialect_inserts(AGENDA).items()
}
_PAYLOADS = (
    sqlalchemy.select(_a.lane, _a.payload)
    .where(_a.lane.in_(bindparam("lanes", expanding=True)), _a.kind == bindparam("kind"))
    .where(_a.key == bindparam("key"))
    .with_for_update()
)
_DUE_LANES = sqlalchemy.select(_l.name).where(
    or_(_l.slot.is_(None), _l.slot == bindparam("slot")),
    _l.not_before <= bindparam("now"),
    sqlalchemy.exists().where(_a.lane == _l.name, *_IS_DUE),
)
_TAKE = (
    sqlalchemy.update(LANES)
    .where(_l.name == bindparam("lane"), or_(_l.slot.is_(None), _l.slot == bindparam("own")))
    .values(slot=bindparam("own"))
)
_OWNED = sqlalchemy.select(LANES).where(_l.name == bindparam("lane"), _l.slot == bindparam("own"))
_NEXT = (
    sqlalchemy.select(AGENDA)
    .where(_IN_LANE, *_IS_DUE)
    .order_by(_a.rank, _a.due_at, _a.id)
    .limit(1)
)  # fmt: skip
_DUE = (
    sqlalchemy.select(AGENDA)
    .where(_IN_LANE, *_IS_DUE)
    .order_by(_a.due_at, _a.virtual_at, _a.id)
    .limit(bindparam("limit"))
)
_DUE_BY = (
    sqlalchemy.select(AGENDA)
    .where(_IN_LANE, _a.virtual_at <= bindparam("virtual"), _a.parked.is_(False))
    .order_by(_a.virtual_at, _a.id)
    .limit(bindparam("limit"))
)
_OF_CLOCK = (_a.lane == bindparam("k_lane"), _a.virtual_at.is_not(None))
_HOLD = sqlalchemy.update(AGENDA).where(*_OF_CLOCK).values(due_at=bindparam("never"))
_RESCHEDULE = (
    sqlalchemy.update(AGENDA)
    .where(*_OF_CLOCK)
    .values(
        due_at=bindparam("real", type_=BigInteger)
        + (_a.virtual_at - bindparam("virtual", type_=BigInteger)) // bindparam("speed", type_=BigInteger)
    )
)
_REMOVE = sqlalchemy.delete(AGENDA).where(_IN_LANE, _a.kind == bindparam("kind"), _a.key == bindparam("key"))
_CLOSE = sqlalchemy.delete(LANES).where(_l.name == bindparam("lane"))
_SAME = (_a.id == bindparam("k_id"), _a.revision == bindparam("k_revision"))
_FINISH = sqlalchemy.delete(AGENDA).where(*_SAME)
_FAIL = (
    sqlalchemy.update(AGENDA)
    .where(*_SAME)
    .values(parked=bindparam("parked"), answer=bindparam("answer"), tries=_a.tries + 1)
)
_BACKLOGS = (
    sqlalchemy.select(
        _l.name,
        _l.not_before,
        _l.failures,
        sqlalchemy.func.count(_a.id).label("entries"),
        sqlalchemy.func.min(_a.created_at).label("since"),
    )
    .select_from(LANES.outerjoin(AGENDA, _a.lane == _l.name))
    .where(_l.name.in_(bindparam("lanes", expanding=True)))
    .group_by(_l.name, _l.not_before, _l.failures)
)
_PAGE = (
    sqlalchemy.select(AGENDA).where(_IN_LANE).order_by(_a.created_at, _a.id)
    .limit(bindparam("limit")).offset(bindparam("offset"))
)  # fmt: skip
_COUNT = sqlalchemy.select(sqlalchemy.func.count()).select_from(AGENDA).where(_IN_LANE)
_SLOTS = sqlalchemy.select(_l.slot).where(_l.slot.is_not(None)).distinct()
_RELEASE = sqlalchemy.update(LANES).where(_l.slot == bindparam("k_slot")).values(slot=None)

_due = threading.Event()


def connection_lane(connection_id: int) -> str:
    """The lane of the pushes to one peer."""
    return f"connection:{connection_id}"


def connection_of(lane: str) -> int:
    """The connection of such a lane."""
    return int(lane.partition(":")[2])


def network_lane(network_id: int) -> str:
    """The lane of the virtual charging of one network."""
    return f"{_NETWORK}{network_id}"


def result_lane(uid: str) -> str:
    """The lane of the result of one command."""
    return f"{RESULT}:{uid[:_RESULT_LANE_LENGTH]}"


def calls_peers(lane: str) -> bool:
    """Whether the entries of a lane call a peer."""
    return lane != NETWORKS_LANE and not lane.startswith(_NETWORK)


def open_lane(transaction: Transaction, lane: str, network_id: int) -> None:
    """Create the lane unless it exists."""
    row = {"name": lane, "network_id": network_id, "not_before": 0, "failures": 0}
    transaction.execute(_OPEN[transaction.dialect.name], row)


def clear_lane(transaction: Transaction, lane: str) -> None:
    """Delete the entries of a lane; it does not rest any more."""
    transaction.execute(_CLEAR, {"lane": lane})
    rest(transaction, lane, seconds=0, failures=0)


def close_lane(transaction: Transaction, lane: str) -> None:
    """Delete a lane with its entries."""
    transaction.execute(_CLEAR, {"lane": lane})
    transaction.execute(_CLOSE, {"lane": lane})


def remove(transaction: Transaction, lane: str, kind: str, key: str) -> None:
    """Delete an entry if it is there."""
    transaction.execute(_REMOVE, {"lane": lane, "kind": kind, "key": key})


def hold(transaction: Transaction, lane: str, never: int) -> None:
    """Let what is due on the clock of the lane's network wait until *never*."""
    transaction.execute(_HOLD, {"k_lane": lane, "never": never})


def reschedule(transaction: Transaction, lane: str, virtual: int, real: int, speed: int) -> None:
    """Let what is due on a clock be due when the clock shows it: *virtual* at *real*, at *speed*."""
    values = {"k_lane": lane, "virtual": virtual, "real": real, "speed": speed}
    transaction.execute(_RESCHEDULE, values)
    database.after_commit(transaction, announce)


def due(transaction: Transaction, lane: str, limit: int) -> list[Any]:
    """The first due entries of a lane, in the order of their instants."""
    values = {"lane": lane, "now": timestamps.now_ms(), "limit": limit}
    return list(transaction.execute(_DUE, values))


def due_by(transaction: Transaction, lane: str, virtual: int, limit: int) -> list[Any]:
    """The first entries of a lane that are due when the clock shows *virtual*."""
    return list(transaction.execute(_DUE_BY, {"lane": lane, "virtual": virtual, "limit": limit}))


def put(transaction: Transaction, entries: Sequence[Entry]) -> None:
    """Put *entries* on the agenda. An entry that is there already gets the payload and a new revision."""
    now = timestamps.now_ms()
    rows = [
        {
            **dataclasses.asdict(entry),
            "due_at": entry.due_at or now,
            "tries": 0,
            "revision": 1,
            "parked": False,
            "created_at": now,
        }
        for entry in entries
    ]
    if rows:
        transaction.execute(_PUT[transaction.dialect.name], rows)
        database.after_commit(transaction, announce)


def payloads(transaction: Transaction, lanes: Iterable[str], kind: str, key: str) -> dict[str, str]:
    """The payload of an entry by lane, locked until the transaction ends."""
    values = {"lanes": list(lanes), "kind": kind, "key": key}
    return {row.lane: row.payload for row in transaction.execute(_PAYLOADS, values)}


def announce() -> None:
    """Let the dispatcher of this process look at the agenda at once."""
    _due.set()


def wait(seconds: float) -> None:
    """Wait until something is announced, but at most *seconds*."""
    _due.wait(seconds)
    _due.clear()


def due_lanes(connection: Connection, slot: int) -> list[str]:
    """The lanes with due entries that the process with *slot* may run."""
    values = {"slot": slot, "now": timestamps.now_ms()}
    return list(connection.execute(_DUE_LANES, values).scalars())


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many entries a lane has, the oldest of them, and when it is tried again after a failure."""

    entries: int = 0
    since: int | None = None
    next_try_at: int | None = None


def backlogs(connection: Connection, lanes: Sequence[str]) -> dict[str, Backlog]:
    """The backlog of each of *lanes*."""
    rows = connection.execute(_BACKLOGS, {"lanes": lanes})
    return {
        row.name: Backlog(row.entries, row.since, row.not_before if row.failures else None) for row in rows
    }


def page(connection: Connection, lane: str, offset: int, limit: int) -> tuple[list[AgendaRow], int]:
    """The entries of a lane, oldest first, and how many there are."""
    values = {"lane": lane, "offset": offset, "limit": limit}
    total = int(connection.execute(_COUNT, {"lane": lane}).scalar_one())
    return database.rows(connection, AgendaRow, _PAGE, values), total


def owned(connection: Connection, lane: str, slot: int) -> LaneRow | None:
    """The lane, if the process with *slot* owns it."""
    rows = database.rows(connection, LaneRow, _OWNED, {"lane": lane, "own": slot})
    return rows[0] if rows else None


def take_lane(transaction: Transaction, lane: str, slot: int) -> bool:
    """Let the process with *slot* own the lane; False if another process owns it."""
    return transaction.execute(_TAKE, {"lane": lane, "own": slot}).rowcount == 1


def next_entry(connection: Connection, lane: str) -> AgendaRow | None:
    """The due entry of the lane that comes first, or None."""
    rows = database.rows(connection, AgendaRow, _NEXT, {"lane": lane, "now": timestamps.now_ms()})
    return rows[0] if rows else None


def finish(transaction: Transaction, entry: Any) -> None:
    """Delete the entry, unless it has changed since it was read."""
    transaction.execute(_FINISH, _same(entry))


def fail(transaction: Transaction, entry: AgendaRow, answer: str, *, parked: bool) -> None:
    """Record a failed try. A *parked* entry is not tried again until it changes."""
    transaction.execute(_FAIL, {**_same(entry), "parked": parked, "answer": answer})


def _same(entry: Any) -> dict[str, Any]:
    return {"k_id": entry.id, "k_revision": entry.revision}


def rest(transaction: Transaction, lane: str, *, seconds: float, failures: int) -> None:
    """Let a lane rest for some *seconds*, after a number of *failures* in a row."""
    until = timestamps.now_ms() + round(seconds * 1000)
    transaction.execute(_REST, {"lane": lane, "until": until, "failures": failures})


def rests(lane: LaneRow) -> bool:
    """Whether the lane rests now."""
    return lane.not_before > timestamps.now_ms()


def slots(connection: Connection) -> set[int]:
    """The slots that own lanes."""
    return set(connection.execute(_SLOTS).scalars())


def release(transaction: Transaction, slot: int) -> None:
    """Take its lanes from the process with *slot*, which has ended."""
    transaction.execute(_RELEASE, {"k_slot": slot})
