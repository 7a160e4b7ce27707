"""Migrations, run at start; Alembic sees our tables only."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlmodel import SQLModel

from settings import settings
from storage import (  # noqa: F401  (importing a module registers its tables)
    access,
    cdrs,
    commands,
    connections,
    ended_tokens,
    idempotency,
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


def migrate() -> None:
    """Bring the database to the newest schema. Call it under `database.startup_lock()`."""
    command.upgrade(config(), "head")


def config() -> Config:
    """Alembic's settings for our migrations."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.set_main_option("sqlalchemy.url", settings().database.replace("%", "%%"))
    return made
