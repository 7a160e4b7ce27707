"""Databases with the current schema and no rows: copies, because the migrations take half a second."""

import functools
import secrets
import shutil
import tempfile
from pathlib import Path

import sqlalchemy
from nodes import execute, switch_to

from storage import database, schema
from workflows import engine

_FOLDER = tempfile.TemporaryDirectory(prefix="ocpi-migrated-")


def new_database(url: str, folder: Path) -> str:
    """The URL of a new database of the same kind as *url*. A SQLite file is in *folder*."""
    name = f"node_{secrets.token_hex(4)}"
    if url.startswith("sqlite"):
        copy_sqlite(folder / f"{name}.sqlite")
        return f"sqlite:///{folder / name}.sqlite"
    whole = sqlalchemy.make_url(url)
    execute(whole, f'CREATE DATABASE "{name}" TEMPLATE "{_template(whole)}"')
    return whole.set(database=name).render_as_string(hide_password=False)


def copy_sqlite(path: Path) -> None:
    """Copy the SQLite file to *path*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_sqlite_file(), path)


@functools.cache
def _sqlite_file() -> Path:
    file = Path(_FOLDER.name) / "node.sqlite"
    _migrate(f"sqlite:///{file}")
    return file


@functools.cache
def _template(server: sqlalchemy.URL) -> str:
    name = f"migrated_{secrets.token_hex(4)}"
    execute(server, f'CREATE DATABASE "{name}"')
    _migrate(server.set(database=name).render_as_string(hide_password=False))
    return name


def _migrate(url: str) -> None:
    with switch_to({"OCPI_GATEWAY_DATABASE_URL": url, "OCPI_GATEWAY_DATA_DIR": _FOLDER.name}):
        engine.migrate()
        schema.upgrade(None)
        database.dispose()
