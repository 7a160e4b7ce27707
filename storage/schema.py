"""Migrations, run at start; Alembic sees our tables only."""

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
    cdrs,
    commands,
    connections,
    database,
    ended_tokens,
    idempotency,
    installation,
    jobs,
    keys,
    locations,
    networks,
    remarks,
    sessions,
    sites,
    tariffs,
    tokens,
)

METADATA = SQLModel.metadata
OURS = ("gw_", "ocpi_")
"""What the names of our tables begin with."""


def migrate() -> None:
    """Bring the database to the newest schema. Call it under `database.startup_lock()`.

    A database that is up to date is only read. Tables without a recorded version are what an
    interrupted first start left behind: they are dropped if they are empty.

    Raises:
        errors.CannotStart: this program cannot tell what the database holds.
    """
    scripts = ScriptDirectory.from_config(config())
    with database.statement() as connection:
        version = MigrationContext.configure(connection).get_current_revision()
        tables = [name for name in sqlalchemy.inspect(connection).get_table_names() if name.startswith(OURS)]
    if version == scripts.get_current_head():
        return
    if version is None and tables:
        _drop_empty(tables)
    elif version not in (None, *(script.revision for script in scripts.walk_revisions())):
        raise errors.CannotStart(
            f"The database has schema version {version}, which this version of the program does not know. "
            "Start the version that last used the database, or newer."
        )
    command.upgrade(config(), "head")


def _drop_empty(tables: list[str]) -> None:
    found = MetaData()
    with database.transaction() as connection:
        found.reflect(connection, only=tables)
        for table in found.sorted_tables:
            if connection.execute(sqlalchemy.select(sqlalchemy.literal(1)).select_from(table)).first():
                raise errors.CannotStart(
                    f"The database has no schema version, but its table {table.name} holds data. "
                    "Restore a backup, or let DATABASE_URL name an empty database."
                )
        found.drop_all(connection)


def config() -> Config:
    """Alembic's settings for our migrations."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.set_main_option("sqlalchemy.url", settings().database.replace("%", "%%"))
    return made
