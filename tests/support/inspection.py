"""The contents of the database, for tests that nothing has changed or leaked."""

import operator
import time
from typing import Any

import sqlalchemy
from nodes import in_transaction

from storage import database, jobs, timestamps
from storage.networks import NETWORKS

Row = dict[str, Any]
HOUR_MS = 3_600_000
IGNORED_TABLES = {"ocpi_remarks", "ocpi_ended_tokens", "ocpi_exchanges", "gw_agenda", "gw_lanes"}
IGNORED_COLUMNS = {
    "ocpi_access": {"used_at"},
    "ocpi_connections": {"last_received_at", "last_sent_at", "last_error", "last_error_at"},
}
"""What any request may change."""


def tables() -> list[str]:
    """The names of our tables."""
    with database.connect() as connection:
        names = sqlalchemy.inspect(connection).get_table_names()
    return sorted(name for name in names if name.startswith(("gw_", "ocpi_")))


def rows(table: str, where: str = "true") -> list[Row]:
    """Every row of *table*, or those that fulfill a condition in SQL."""
    query = sqlalchemy.text(f"SELECT * FROM {table} WHERE {where}")  # noqa: S608
    with database.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _result(statement: sqlalchemy.Select[Any]) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(statement))


Contents = dict[str, tuple[tuple[str, ...], set[tuple[Any, ...]]]]
"""The columns and the rows of each table."""


def wait_until_idle() -> None:
    """Wait until no job runs and no network is ending, and postpone expirations.

    Jobs and ends of networks from earlier tests would change rows.
    """
    deadline = time.monotonic() + 60
    expires_at = NETWORKS.c.expires_at
    ended = sqlalchemy.select(NETWORKS.c.id).where(
        sqlalchemy.or_(NETWORKS.c.deleting.is_(True), expires_at <= timestamps.now_ms())
    )
    while in_transaction(jobs.unfinished) or _result(ended):
        assert time.monotonic() < deadline, "a job or the end of a network does not come to an end"
        time.sleep(0.1)
    postponed = sqlalchemy.update(NETWORKS).where(expires_at < timestamps.now_ms() + HOUR_MS)
    with database.transaction() as transaction:
        transaction.execute(postponed.values(expires_at=expires_at + 24 * HOUR_MS))


def contents() -> Contents:
    """Every row except noise."""
    wait_until_idle()
    found: Contents = {}
    with database.connect() as connection:
        for table in tables():
            if table in IGNORED_TABLES:
                continue
            ignored = IGNORED_COLUMNS.get(table, set())
            result = connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
            names = tuple(result.keys())
            kept = [number for number, name in enumerate(names) if name not in ignored]
            columns, row = tuple(names[n] for n in kept), operator.itemgetter(*kept)
            found[table] = columns, set(map(row, result))
    return found


def moved(before: Contents, after: Contents) -> list[tuple[str, Row]]:
    """The rows that were added, removed or changed, each with its table."""
    return [
        (table, dict(zip(columns, row, strict=True)))
        for table, (columns, rows_after) in after.items()
        for row in before[table][1] ^ rows_after
    ]


def texts() -> str:
    """Every text in every column of every table, one per line."""
    with database.connect() as connection:
        names = sqlalchemy.inspect(connection).get_table_names()
    every = (value for name in names for row in rows(name) for value in row.values())
    return "\n".join(value for value in every if isinstance(value, str))


def expire(cpo_id: str) -> None:
    """Move the expiry of a network into the past."""
    with database.transaction() as connection:
        then = timestamps.now_ms() - 1
        connection.execute(
            sqlalchemy.text("UPDATE gw_networks SET expires_at = :then WHERE id = :id"),
            {"then": then, "id": int(cpo_id)},
        )
        connection.execute(
            sqlalchemy.text("UPDATE gw_agenda SET due_at = :then WHERE kind = 'expiry' AND key = :id"),
            {"then": then, "id": cpo_id},
        )
