"""The database: one engine, transactions that lose no update, and the lock that start-up takes.

SQLite (WAL, synchronous FULL) or PostgreSQL. On SQLite a transaction begins IMMEDIATE, so two
read-modify-write transactions queue up; on PostgreSQL rows are read FOR UPDATE. Single statements
run outside any transaction: one round trip.
"""

import contextlib
import fcntl
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import SQLModel

import errors
from settings import settings

_LOCK_NUMBER = 0x0C9121  # any number of our own, for pg_advisory_lock
_BUSY_MILLISECONDS = 15_000

_open_lock = threading.Lock()
_engines: dict[str, tuple[Engine, Engine]] = {}
_joined: ContextVar[Connection | None] = ContextVar("joined", default=None)


def _engine_pair() -> tuple[Engine, Engine]:
    """The engine for transactions and the one for single statements."""
    url = settings().database
    if url not in _engines:
        with _open_lock:
            if url not in _engines:
                _engines[url] = _open(url)
    return _engines[url]


def _open(url: str) -> tuple[Engine, Engine]:
    if not url.startswith("sqlite"):
        engine = sqlalchemy.create_engine(url, pool_size=20, max_overflow=20, pool_pre_ping=False)
        single = sqlalchemy.create_engine(
            url,
            pool_size=20,
            max_overflow=20,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
        )
        return engine, single
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(url, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine, engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        f"busy_timeout={_BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def close() -> None:
    """Give back every connection; the next call opens new ones."""
    with _open_lock:
        for pair in _engines.values():
            for engine in pair:
                engine.dispose()
        _engines.clear()


def is_sqlite() -> bool:
    """Is the database a SQLite file."""
    return _engine_pair()[0].dialect.name == "sqlite"


def table(model: type[SQLModel]) -> Table:
    """The table behind *model*, for statements that are built once."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def insert_into(target: Table) -> dict[str, Any]:
    """An INSERT that knows ON CONFLICT, for each dialect."""
    return {"sqlite": sqlite.insert(target), "postgresql": postgresql.insert(target)}


def dialect() -> str:
    """`sqlite` or `postgresql`."""
    return _engine_pair()[0].dialect.name


@contextlib.contextmanager
def statement() -> Iterator[Connection]:
    """A connection for one statement, outside any transaction unless one is already open.

    Raises:
        errors.Unavailable: the database cannot be reached or stays locked.
    """
    joined = _joined.get()
    if joined is not None:
        yield joined
        return
    try:
        with _engine_pair()[1].connect() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise errors.Unavailable("The database is unavailable; try again.") from error


@contextlib.contextmanager
def transaction() -> Iterator[Connection]:
    """All or nothing; joins the transaction that is already open, if one is.

    Raises:
        errors.Unavailable: the database cannot be reached or stays locked.
    """
    joined = _joined.get()
    if joined is not None:
        yield joined
        return
    try:
        with _engine_pair()[0].connect() as connection, connection.begin():
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            mark = _joined.set(connection)
            try:
                yield connection
            finally:
                _joined.reset(mark)
    except (OperationalError, InterfaceError) as error:
        raise errors.Unavailable("The database is unavailable; try again.") from error


@contextlib.contextmanager
def startup_lock() -> Iterator[None]:
    """One starter at a time on one database: migrations, secret files, demo networks."""
    if not is_sqlite():
        with _engine_pair()[1].connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK_NUMBER})")
            try:
                yield
            finally:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_LOCK_NUMBER})")
        return
    path = Path(settings().database.removeprefix("sqlite:///")).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def answers() -> bool:
    """Does the database answer."""
    try:
        with statement() as connection:
            connection.exec_driver_sql("SELECT 1")
    except errors.Unavailable:
        return False
    return True
