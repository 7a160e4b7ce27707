"""Which kinds of thing changed in a network since a cursor, for consoles and tests that poll.

Every kind has a mark that differs after a change: the highest id or instant of its rows. The cursor holds all
marks. A peer may state any instant, so a recorded write by a peer counts as a change of its module, too.

To add a kind, add it to `ChangeKind` in openapi/gateway/exchanges.yaml and its columns to `_MARKS`.
"""

from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, bindparam, func
from sqlmodel import SQLModel

from storage import database, exchanges
from storage.cdrs import CDRRow
from storage.connections import CONNECTIONS
from storage.database import Connection
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
_MARKS: dict[str, list[ColumnElement[Any]]] = {
    "network": [NETWORKS.c.updated_at],
    "jobs": [JOBS.c.updated_at],
    "connections": [CONNECTIONS.c.id, CONNECTIONS.c.updated_at],
    "exchanges": [exchanges.EXCHANGES.c.id],
    **{
        kind: [database.table(row).c.seq, database.table(row).c.last_updated]
        for kind, row in _DOCUMENTS.items()
    },
}


def _highest(column: Any) -> Any:
    """The highest value of a column in the network, as an expression of a SELECT."""
    key = column.table.c.id if column.table is NETWORKS else column.table.c.network_id
    highest = sqlalchemy.select(func.max(column)).where(key == bindparam("network_id"))
    return func.coalesce(highest.scalar_subquery(), 0)


_READ = sqlalchemy.select(*(_highest(column) for columns in _MARKS.values() for column in columns))


def since(connection: Connection, network_id: int, cursor: str | None) -> tuple[str, list[str]]:
    """The present cursor of a network, and the kinds that changed since *cursor*, which may be invalid."""
    values = iter(connection.execute(_READ, {"network_id": network_id}).one())
    marks = {kind: "-".join(str(next(values)) for _ in columns) for kind, columns in _MARKS.items()}
    before = dict(part.partition(".")[::2] for part in (cursor or "").split("~"))
    changed = {kind for kind, mark in marks.items() if before.get(kind) != mark}
    if "exchanges" in changed and before.get("exchanges", "").isdigit():
        first, last = int(before["exchanges"]), int(marks["exchanges"])
        changed |= exchanges.written_modules(connection, network_id, first, last) & _DOCUMENTS.keys()
    present = "~".join(f"{kind}.{mark}" for kind, mark in marks.items())
    return present, [kind for kind in _MARKS if kind in changed]
