"""Database access: engines, connections, transactions, error translation and the start-up lock.

SQLite (WAL, synchronous=FULL) or PostgreSQL, through SQLAlchemy Core. Every storage function takes the
connection it works on as its first argument, so the caller decides which calls belong together:

    with database.connect() as connection:
        document = tokens.get(connection, ...)

    with database.transaction() as transaction:
        tokens.put(transaction, ...)

A function that writes takes a `Transaction`: mypy rejects a plain `Connection` there, and the database
rejects a write on it. Do not open a second connection while a transaction is open: a transaction waits
on SQLite for the write lock that its own caller holds, and a plain connection does not see what the
caller wrote.
"""

import contextlib
import fcntl
import functools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NewType, TypeVar

import psycopg
import sqlalchemy
import sqlalchemy.orm
from sqlalchemy import Engine, ExceptionContext, NullPool, Select, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

import errors
from settings import settings

log = logging.getLogger("ocpi_gateway")

Connection = sqlalchemy.Connection
"""A database connection. Unless it is a `Transaction`, it only reads."""

Transaction = NewType("Transaction", Connection)
"""A connection with an open transaction: all of its statements commit together, or none does."""

Row = TypeVar("Row", bound=SQLModel)

_REQUEST_WAIT_MS = 2_000
_JOB_WAIT_MS = 15_000
"""How long a request and a job wait for a lock of the database."""

_SLOT_WAIT_SECONDS = 0.5
"""A healthy database never holds the write lock for so long."""

_AFTER_COMMIT = "after_commit"
_STARTUP_LOCK_ID = 0x0C9121  # arbitrary, for pg_advisory_lock
_OUTAGES = (
    sqlite3.OperationalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.DataCorrupted,
    psycopg.errors.IndexCorrupted,
)
_HINTS = {
    "malformed": "Restore a backup of the file, or move it away to start with an empty one.",
    "not a database": "Restore a backup of the file, or move it away to start with an empty one.",
    "full": "Free space on the disk, then start again.",
    "disk I/O error": "Look at the disk and at the space on it, then start again.",
    "No space left": "Free space on the disk, then start again.",
}
"""What to do after a failed start, by a part of the error message."""


def connect() -> Connection:
    """Open a connection for reading: each statement is a transaction of its own.

    Raises:
        errors.Unavailable: the database cannot be reached.
    """
    return _reading_engine().connect()


@contextlib.contextmanager
def transaction() -> Iterator[Transaction]:
    """Begin a transaction; the block's end commits it, an exception rolls it back.

    On SQLite it holds the write lock from the start (BEGIN IMMEDIATE), so read-modify-write is safe.
    On PostgreSQL the rows to be changed must be read FOR UPDATE.

    Raises:
        errors.Unavailable: the database cannot be reached or stays locked, or too many wait for it.
    """
    with _writers().slot(), _writing_engine().begin() as connection:
        connection.info.pop(_AFTER_COMMIT, None)
        yield Transaction(connection)
        action = connection.info.pop(_AFTER_COMMIT, None)
    if action is not None:
        action()


def after_commit(transaction: Transaction, action: Callable[[], None]) -> None:
    """Call *action* when `transaction()` has committed. A transaction has one action, the last one."""
    transaction.info[_AFTER_COMMIT] = action


@contextlib.contextmanager
def job_turn() -> Iterator[None]:
    """Let a step of a job take turns with requests, because it would starve them on SQLite.

    Raises:
        errors.Unavailable: the step got no turn in time.
    """
    with _writers().turn(_JOB_WAIT_MS) if is_sqlite() else contextlib.nullcontext():
        yield


class _Writers:
    """Limits the concurrent writers of this process to *limit*, so that readers always get a thread."""

    def __init__(self, limit: int, *, in_turn: bool = False) -> None:
        """*in_turn*: one writer at a time, because SQLite's locking starves some writers under load."""
        self._slots = threading.BoundedSemaphore(limit)
        self._turns = threading.Semaphore(1 if in_turn else limit)
        self._next = threading.Lock()  # makes turns fair: the next writer holds it while it waits
        self._began: dict[int, float] = {}

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot. If none is free, wait briefly, but not if a writer has been busy for long.

        Raises:
            errors.Unavailable: no slot became free.
        """
        began, writer = time.monotonic(), threading.get_ident()
        is_stuck = any(began - other > _SLOT_WAIT_SECONDS for other in list(self._began.values()))
        if not self._slots.acquire(timeout=0 if is_stuck else _SLOT_WAIT_SECONDS):
            raise errors.Unavailable("Too many requests wait for the database; try again.")
        try:
            with self.turn(_REQUEST_WAIT_MS):
                self._began[writer] = time.monotonic()
                try:
                    yield
                finally:
                    del self._began[writer]
        finally:
            self._slots.release()

    @contextlib.contextmanager
    def turn(self, wait_ms: int) -> Iterator[None]:
        """Hold the turn, after waiting for at most *wait_ms*.

        Raises:
            errors.Unavailable: the turn did not become free in time.
        """
        deadline = time.monotonic() + wait_ms / 1000
        is_next = self._next.acquire(timeout=wait_ms / 1000)
        try:
            if not is_next or not self._turns.acquire(timeout=max(0, deadline - time.monotonic())):
                raise errors.Unavailable("The database stays locked; try again.")
        finally:
            if is_next:
                self._next.release()
        try:
            yield
        finally:
            self._turns.release()


@functools.cache
def _writers() -> _Writers:
    return _Writers(max(1, settings().threads - 2), in_turn=is_sqlite())


@functools.cache
def _reading_engine() -> Engine:
    read_only = "PRAGMA query_only = ON" if is_sqlite() else "SET default_transaction_read_only = on"
    return _create_engine(read_only, isolation_level="AUTOCOMMIT")


@functools.cache
def _writing_engine() -> Engine:
    engine = _create_engine()
    if is_sqlite():
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _create_engine(*commands: str, **options: Any) -> Engine:
    """An engine whose pool is unbounded: the number of threads bounds the number of connections."""
    engine = sqlalchemy.create_engine(settings().database, pool_size=20, max_overflow=-1, **options)
    event.listen(engine, "handle_error", _translate_error)
    if is_sqlite():
        sqlite_path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _configure_connections(engine, _REQUEST_WAIT_MS, None, *commands)
    return engine


def _configure_connections(
    engine: Engine, wait_ms: int, sqlite_isolation: str | None, *commands: str
) -> None:
    """Let each new connection wait for a lock no longer than *wait_ms*, and run *commands* on it.

    *sqlite_isolation*: the transaction that the sqlite3 driver begins implicitly; None for none.
    """
    waiting = [f"SET lock_timeout = {wait_ms}"]
    if is_sqlite():
        pragmas = (f"busy_timeout={wait_ms}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
        waiting = [f"PRAGMA {pragma}" for pragma in pragmas]

    def configure(connection: Any, _record: object) -> None:
        if is_sqlite():
            connection.isolation_level = sqlite_isolation
        for command in (*waiting, *commands):
            connection.execute(command)
        connection.commit()

    event.listen(engine, "connect", configure)


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, because upgrading a transaction from reading to writing can fail."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _translate_error(context: ExceptionContext) -> errors.Unavailable | None:
    """Log an outage of the database and raise errors.Unavailable for it. Other errors are unchanged."""
    error = context.original_exception
    # For a damaged file sqlite3 raises the base class itself.
    if isinstance(error, _OUTAGES) or type(error) is sqlite3.DatabaseError:
        log.error("database_failed", extra={"reason": _reason(error)})
        return errors.Unavailable("The database is unavailable; try again.")
    return None


def _reason(error: BaseException) -> str:
    """The driver's first line, without statement and parameters."""
    return str(getattr(error, "orig", error)).partition("\n")[0]


@functools.cache
def dbos_engine() -> Engine:
    """The engine for DBOS, without error translation: DBOS retries by SQLAlchemy's exceptions.

    On SQLite the driver begins a transaction before the first write, as in the engines that DBOS creates.
    """
    engine = sqlalchemy.create_engine(
        settings().database, pool_size=20, max_overflow=0, pool_pre_ping=not is_sqlite()
    )
    _configure_connections(engine, _JOB_WAIT_MS, "IMMEDIATE")
    return engine


def dispose() -> None:
    """Close all pooled connections. Call it before a fork and when the settings have changed."""
    for engine in (_reading_engine, _writing_engine, dbos_engine):
        if engine.cache_info().currsize:
            engine().dispose()
            engine.cache_clear()
    _writers.cache_clear()


def dialect() -> str:
    """The SQLAlchemy dialect name: `sqlite` or `postgresql`."""
    return sqlalchemy.make_url(settings().database).get_backend_name()


def is_sqlite() -> bool:
    """Whether the database is SQLite."""
    return dialect() == "sqlite"


def sqlite_path() -> Path:
    """The path of the SQLite database file."""
    return Path(settings().database.removeprefix("sqlite:///"))


def table(model: type[SQLModel]) -> Table:
    """The table of *model*, for Core statements."""
    sqlalchemy.orm.configure_mappers()  # without it the objects of `rows` have no attributes
    return SQLModel.metadata.tables[str(model.__tablename__)]


def rows(
    connection: Connection, model: type[Row], statement: Select[Any], values: Mapping[str, Any]
) -> list[Row]:
    """The rows of a SELECT of the table of *model*, as objects of that model, only to be read."""
    construct: Any = model.model_construct  # its stub loses the class
    return [construct(**row._mapping) for row in connection.execute(statement, values)]  # noqa: SLF001  (public, by its documentation)


def dialect_inserts(target: Table) -> dict[str, Any]:
    """INSERT constructs that support ON CONFLICT, by dialect name; both have the same methods."""
    return {"sqlite": sqlite.insert(target), "postgresql": postgresql.insert(target)}


@contextlib.contextmanager
def startup_lock() -> Iterator[None]:
    """Let one process at a time start on this database.

    Raises:
        errors.CannotStart: the database or a required file cannot be used.
    """
    try:
        with _file_lock() if is_sqlite() else _advisory_lock():
            yield
    except (errors.Unavailable, sqlalchemy.exc.DBAPIError, psycopg.Error, OSError) as error:
        reason = _reason(error.__cause__ or error)
        hint = next((hint for sign, hint in _HINTS.items() if sign in reason), "")
        raise errors.CannotStart(f"The program cannot start: {reason.rstrip('.')}. {hint}".strip()) from error


@contextlib.contextmanager
def _file_lock() -> Iterator[None]:
    path = sqlite_path().with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _advisory_lock() -> Iterator[None]:
    """Hold the lock with a separate connection, which waits without a limit."""
    engine = sqlalchemy.create_engine(settings().database, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_STARTUP_LOCK_ID})")
        yield
