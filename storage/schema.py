"""Migrations, which run at start. Alembic sees only our tables."""

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData
from sqlmodel import SQLModel

import errors
from settings import settings
from storage import (  # noqa: F401  (importing a module registers its tables)
    access,
    agenda,
    cars,
    cdrs,
    commands,
    connections,
    deviations,
    ended_tokens,
    exchanges,
    idempotency,
    installation,
    jobs,
    keys,
    locations,
    networks,
    parties,
    reservations,
    sessions,
    simulations,
    sites,
    tariffs,
    tokens,
)
from storage.database import Connection, Transaction

METADATA = SQLModel.metadata
OURS = ("gw_", "ocpi_")
"""The prefixes of our tables."""


def version(connection: Connection) -> str | None:
    """The schema version of the database; None before its first migration has ended."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """The schema version of this program."""
    return ScriptDirectory.from_config(config()).get_current_head()


def drop_empty_tables(transaction: Transaction) -> None:
    """Drop our empty tables in a database without a version, which an interrupted first start left.

    Raises:
        errors.CannotStart: one of them holds data.
    """
    names = [name for name in sqlalchemy.inspect(transaction).get_table_names() if name.startswith(OURS)]
    leftovers = MetaData()
    leftovers.reflect(transaction, only=names)
    for table in leftovers.sorted_tables:
        if transaction.execute(sqlalchemy.select(sqlalchemy.literal(1)).select_from(table)).first():
            raise errors.CannotStart(
                f"The database has no schema version, but its table {table.name} holds data. "
                "Restore a backup, or let DATABASE_URL name an empty database."
            )
    leftovers.drop_all(transaction)


def upgrade(from_version: str | None) -> None:
    """Run the migrations after *from_version*, on connections that Alembic opens.

    Call it under `database.startup_lock()`, outside any transaction.

    Raises:
        errors.CannotStart: a newer program has written the database.
    """
    scripts = ScriptDirectory.from_config(config()).walk_revisions()
    if from_version not in (None, *(script.revision for script in scripts)):
        raise errors.CannotStart(
            f"The database has schema version {from_version}, which this version of the program does not "
            "know. Start the version that last used the database, or newer."
        )
    command.upgrade(config(), "head")


def config() -> Config:
    """Alembic's settings for our migrations."""
    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    alembic.set_main_option("sqlalchemy.url", settings().database.replace("%", "%%"))
    return alembic
