"""A database that version 0003 of the schema recorded: rows, tokens in the clear, and what it answered.

recorded_database.json was written by the program of commit 5461ced, the end of "Hardening". Peers
registered, renewed and left over HTTP, objects of every kind were stored, a bulk job ended, and another
was killed after two of its 24 locations. The `also` of one connection was set by hand.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from nodes import switch_to
from sqlalchemy import Connection, MetaData, Table
from starting import Site

from storage import database, schema, timestamps
from workflows import engine

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())
DOCUMENTS = ("ocpi_cdrs", "ocpi_locations", "ocpi_sessions", "ocpi_tariffs", "ocpi_tokens")
_KEPT_FOR_A_DAY = {"ocpi_ended_tokens": "ended_at", "gw_idempotency": "created_at"}


def settings_of(site: Site) -> dict[str, str]:
    """The settings with which the database was recorded, for a node of *site*."""
    return {
        **site.environment,
        "OCPI_GATEWAY_SECRET_KEY": RECORDED["secret_key"],
        "OCPI_GATEWAY_PUBLIC_URL": RECORDED["public_url"],
    }


def load(site: Site) -> None:
    """Store the recorded rows in an empty site, as if the rows that live for a day were written just now."""
    with switch_to(settings_of(site)):
        command.upgrade(schema.config(), "0003")
        engine.migrate()
        with database.transaction() as transaction:
            for table in _tables(transaction):
                rows = RECORDED["tables"][table.name]
                if table.name in _KEPT_FOR_A_DAY:
                    rows = [{**row, _KEPT_FOR_A_DAY[table.name]: timestamps.now_ms()} for row in rows]
                transaction.execute(sqlalchemy.insert(table), rows)
                _advance_sequence(transaction, table)
        database.dispose()


def _tables(connection: Connection) -> Iterator[Table]:
    """The recorded tables, those first that others refer to. PostgreSQL has the engine's in a schema."""
    found = MetaData()
    found.reflect(connection)
    if connection.dialect.name == "postgresql":
        found.reflect(connection, schema="dbos")
    return (table for table in found.sorted_tables if table.name in RECORDED["tables"])


def _advance_sequence(connection: Connection, table: Table) -> None:
    """Let PostgreSQL continue after the recorded keys; SQLite does so by itself."""
    if connection.dialect.name == "postgresql" and table.autoincrement_column is not None:
        column = table.autoincrement_column
        sequence = sqlalchemy.func.pg_get_serial_sequence(table.fullname, column.name)
        newest = sqlalchemy.select(sqlalchemy.func.max(column)).scalar_subquery()
        connection.execute(sqlalchemy.select(sqlalchemy.func.setval(sequence, newest)))


def documents(site: Site) -> dict[str, list[str]]:
    """The stored text of every recorded object, by table, in the order of creation."""
    found = {}
    reader = sqlalchemy.create_engine(site.url, poolclass=sqlalchemy.NullPool)
    with reader.connect() as connection:
        for name in DOCUMENTS:
            newest = max(row["seq"] for row in RECORDED["tables"][name])
            select = f"SELECT document FROM {name} WHERE seq <= {newest} ORDER BY seq"  # noqa: S608
            found[name] = list(connection.exec_driver_sql(select).scalars())
    return found
