"""Which kinds of thing changed in a network since a cursor, for consoles and tests that poll.

Every kind has a mark that differs after a change: the highest ids and instants of its rows, and their number
where rows are deleted. The cursor holds all marks. A peer may state any instant, so a recorded write by a
peer counts as a change of its module, too.

To add a kind, add it to `ChangeKind` in openapi/gateway/exchanges.yaml and to `_MARKS`.
"""

from typing import Any

import sqlalchemy
from sqlalchemy import Table, bindparam, func
from sqlmodel import SQLModel

from storage import database, exchanges
from storage.access import ACCESS, REGISTRATION
from storage.cdrs import CDRRow
from storage.connections import CONNECTIONS
from storage.database import Connection
from storage.exchanges import EXCHANGES
from storage.jobs import JOBS
from storage.locations import LocationRow
from storage.networks import NETWORKS
from storage.sessions import SessionRow
from storage.tariffs import TariffRow
from storage.tokens import TokenRow

_DOCUMENTS: dict[str, type[SQLModel]] = {
    "locations": LocationRow,
    "sessions": SessionRow,
    "cdrs": CDRRow,
    "tariffs": TariffRow,
    "tokens": TokenRow,
}


def _highest(column: Any, *conditions: Any) -> Any:
    """The highest value of a column in the network, 0 without rows."""
    return func.coalesce(_in_network(func.max(column), column.table, conditions), 0)


def _number(table: Table, *conditions: Any) -> Any:
    """The number of rows of the network."""
    return _in_network(func.count(), table, conditions)


def _in_network(value: Any, table: Table, conditions: tuple[Any, ...]) -> Any:
    key = table.c.id if table is NETWORKS else table.c.network_id
    rows = sqlalchemy.select(value).select_from(table).where(key == bindparam("network_id"), *conditions)
    return rows.scalar_subquery()


_IS_INVITATION = ACCESS.c.kind == REGISTRATION
_MARKS: dict[str, tuple[Any, ...]] = {
    "network": (_highest(NETWORKS.c.updated_at),),
    "jobs": (_highest(JOBS.c.updated_at),),
    "invitations": (_highest(ACCESS.c.created_at, _IS_INVITATION), _number(ACCESS, _IS_INVITATION)),
    "connections": (_highest(CONNECTIONS.c.updated_at), _number(CONNECTIONS)),
    "exchanges": (_highest(EXCHANGES.c.id),),
    **{
        kind: (_highest(database.table(row).c.seq), _highest(database.table(row).c.last_updated))
        for kind, row in _DOCUMENTS.items()
    },
}
_READ = sqlalchemy.select(*(value for values in _MARKS.values() for value in values))


def since(connection: Connection, network_id: int, cursor: str | None) -> tuple[str, list[str]]:
    """The present cursor of a network, and the kinds that changed since *cursor*, which may be invalid."""
    values = iter(connection.execute(_READ, {"network_id": network_id}).one())
    marks = {kind: "-".join(str(next(values)) for _ in mark) for kind, mark in _MARKS.items()}
    before = dict(part.partition(".")[::2] for part in (cursor or "").split("~"))
    changed = {kind for kind, mark in marks.items() if before.get(kind) != mark}
    first, last = before.get("exchanges", ""), int(marks["exchanges"])
    if first.isdigit() and int(first) < last:
        changed |= exchanges.written_modules(connection, network_id, int(first), last) & _DOCUMENTS.keys()
    present = "~".join(f"{kind}.{mark}" for kind, mark in marks.items())
    return present, [kind for kind in _MARKS if kind in changed]
