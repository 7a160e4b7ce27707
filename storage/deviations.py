"""Tolerated deviations of peers: counted, with the latest example.

openapi/field_types.py names the kinds that models tolerate. A request collects its deviations while it is
served. They are stored with one write at its end, if there are any. Conformance 33, 48, 116.
"""

from contextvars import ContextVar
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

from storage import database, timestamps
from storage.database import Connection, Transaction

STALE = "update older than what is stored"
TOKEN_IN_BASE64 = "tokens in Base64"  # noqa: S105  (a kind)
_EXAMPLE_LENGTH = 200


class DeviationRow(SQLModel, table=True):
    """One kind of deviation of one peer in one operation; connection 0 is the back office."""

    __tablename__ = "ocpi_remarks"

    network_id: int = Field(sa_type=BigInteger, primary_key=True)
    connection_id: int = Field(sa_type=BigInteger, primary_key=True)
    operation: str = Field(primary_key=True, max_length=64)
    kind: str = Field(primary_key=True, max_length=64)
    count: int
    example: str = Field(max_length=_EXAMPLE_LENGTH)
    last_at: int = Field(sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Deviation:
    """What was tolerated, how often, and the latest example."""

    operation: str
    kind: str
    count: int
    example: str


_TABLE = database.table(DeviationRow)
_STORE = {
    name: insert.on_conflict_do_update(
        index_elements=["network_id", "connection_id", "operation", "kind"],
        set_={
            "count": _TABLE.c.count + insert.excluded["count"],
            "example": insert.excluded.example,
            "last_at": insert.excluded.last_at,
        },
    )
    for name, insert in database.dialect_inserts(_TABLE).items()
}
_LIST = (
    sqlalchemy.select(_TABLE.c.operation, _TABLE.c.kind, _TABLE.c.count, _TABLE.c.example)
    .where(
        _TABLE.c.network_id == bindparam("network_id"),
        _TABLE.c.connection_id == bindparam("connection_id"),
    )
    .order_by(_TABLE.c.operation, _TABLE.c.kind)
)
_collected: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("collected", default=())


def note(kind: str, example: str) -> None:
    """Note a deviation of the current request. *example* may come from a client and contain NUL."""
    printable = "".join(each if each.isprintable() else "?" for each in example[:_EXAMPLE_LENGTH])
    _collected.set((*_collected.get(), (kind, printable)))


def begin() -> None:
    """Forget the deviations of an earlier request on this thread."""
    if _collected.get():
        _collected.set(())


def collected() -> tuple[tuple[str, str], ...]:
    """The deviations of the current request: kinds with examples."""
    return _collected.get()


def store(transaction: Transaction, network_id: int, connection_id: int | None, operation: str) -> None:
    """Store the deviations of the current request."""
    collected = _collected.get()
    _collected.set(())
    kinds: dict[str, tuple[int, str]] = {}
    for kind, example in collected:
        kinds[kind] = (kinds.get(kind, (0, ""))[0] + 1, example)
    rows = [
        {
            "network_id": network_id,
            "connection_id": connection_id or 0,
            "operation": operation,
            "kind": kind,
            "count": count,
            "example": example,
            "last_at": timestamps.now_ms(),
        }
        for kind, (count, example) in sorted(kinds.items())
    ]
    for row in rows:
        transaction.execute(_STORE[transaction.dialect.name], row)


def of_peer(connection: Connection, network_id: int, connection_id: int | None) -> list[Deviation]:
    """The tolerated deviations of a peer; None for *connection_id* means the back office."""
    values = {"network_id": network_id, "connection_id": connection_id or 0}
    return [Deviation(*row) for row in connection.execute(_LIST, values)]
