"""Databases with the current schema and no rows: copies, because the migrations take half a second."""

import functools
import secrets
import shutil
import tempfile
from pathlib import Path

import sqlalchemy
from nodes import switch_to

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
    _create(whole, name, f'TEMPLATE "{_template(whole)}"')
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
    _create(server, name)
    _migrate(server.set(database=name).render_as_string(hide_password=False))
    return name


def _create(server: sqlalchemy.URL, name: str, more: str = "") -> None:
    engine_ = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine_.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" {more}')


def _migrate(url: str) -> None:
    with switch_to({"OCPI_GATEWAY_DATABASE_URL": url, "OCPI_GATEWAY_DATA_DIR": _FOLDER.name}):
        engine.migrate()
        schema.upgrade(None)
        database.dispose()
