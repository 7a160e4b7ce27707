"""The database: lines to it, transactions that lose no update, and the lock that start-up takes.

SQLite (WAL, synchronous FULL) or PostgreSQL. On SQLite a transaction begins IMMEDIATE, so two
read-modify-write transactions queue up; on PostgreSQL rows are read FOR UPDATE. Single statements
run outside any transaction: one round trip.

A `Line` is one open connection, kept for the next request. A `Query` is a statement built once,
compiled once, and run on the driver directly: a quarter of what the core's execution costs.
"""

import contextlib
import fcntl
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy import Connection, Engine, Executable, NullPool, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

import errors
from settings import Settings, settings

log = logging.getLogger("ocpi_gateway")

_LOCK_NUMBER = 0x0C9121  # any number of our own, for pg_advisory_lock
_WAIT_MS = 2_000
"""How long a request waits for a lock of the database."""

_JOB_WAIT_MS = 15_000
_BRIEF_SECONDS = 0.5
"""Nobody holds the write lock for so long while the database is well."""

_BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}
_FAILURES = (
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
"""What to do when a start fails, by a part of the reason."""

_TWINS = (sqlalchemy.exc.IntegrityError, sqlite3.IntegrityError, psycopg.IntegrityError)

Values = Mapping[str, Any]
Row = tuple[Any, ...]
Compiled = tuple[str, list[str] | None, dict[str, Any]]
"""SQL, the order of its parameters where they have no names, and those that are constant."""

Transaction = Connection
"""A transaction that somebody else has open: handed on, never looked into."""

Transactions = Engine
"""Where such transactions come from: handed on, never looked into."""

Outcome = tuple[list[Row], int]
"""The rows of a statement, and how many it changed."""


class Query:
    """A statement that is built once; a mapping where the dialects differ."""

    def __init__(self, statement: Executable | Mapping[str, Executable]) -> None:
        self._statement = statement
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, engine: Engine) -> Compiled:
        """The statement as the driver wants it."""
        name = engine.dialect.name
        if name not in self._compiled:
            statement = self._statement if isinstance(self._statement, Executable) else self._statement[name]
            made: Any = statement.compile(engine)  # type: ignore[attr-defined]
            constants = {key: value for key, value in made.params.items() if value is not None}
            self._compiled[name] = (made.string, made.positiontup, constants)
        return self._compiled[name]

    def rows(self, values: Values) -> list[Row]:
        """Run it; its rows. On a line of its own unless a transaction is open.

        Raises:
            errors.Unavailable: the database cannot be reached or stays locked.
        """
        return self._run(values)[0]

    def first(self, values: Values) -> Row | None:
        """Run it; the first row, or None."""
        rows = self.rows(values)
        return rows[0] if rows else None

    def count(self, values: Values) -> int:
        """Run it; how many rows it changed."""
        return self._run(values)[1]

    def _run(self, values: Values) -> Outcome:
        joined = _joined.get()
        if joined is not None:
            return joined.execute(self, values)
        reads = isinstance(self._statement, Executable) and self._statement.is_select
        with contextlib.nullcontext() if reads else _pool().writers.place(), _leased() as line:
            return line.execute(self, values)


class Line:
    """One open connection: as the core sees it, and as its driver does."""

    def __init__(self, core: Connection) -> None:
        self.engine = core.engine
        self.core = core
        self.driver: Any = core.connection.driver_connection

    def execute(self, query: Query, values: Values) -> Outcome:
        """Run *query*; every row, and how many were changed."""
        text, names, constants = query.compiled(self.engine)
        given = {**constants, **values} if constants else values
        parameters = given if names is None else [given[name] for name in names]
        cursor = self.driver.execute(text, parameters)
        return ([] if cursor.description is None else cursor.fetchall()), cursor.rowcount

    def say(self, text: str) -> None:
        """Run a command without rows."""
        self.driver.execute(text)


class _Writers:
    """The writers of this process: at most *most* at once, so that readers always find a thread."""

    def __init__(self, most: int, *, in_turn: bool = False) -> None:
        """*in_turn*: let one write at a time, because SQLite's own waiting starves writers under load."""
        self._places = threading.BoundedSemaphore(most)
        self._turns = threading.Semaphore(1 if in_turn else most)
        self._began: dict[int, float] = {}

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take part. While all places are taken, wait briefly, unless the others have waited long.

        Raises:
            errors.Unavailable: no place became free.
        """
        began, writer = time.monotonic(), threading.get_ident()
        is_stuck = any(began - other > _BRIEF_SECONDS for other in list(self._began.values()))
        if not self._places.acquire(timeout=0 if is_stuck else _BRIEF_SECONDS):
            raise errors.Unavailable("Too many requests wait for the database; try again.")
        try:
            with self._turn():
                self._began[writer] = time.monotonic()
                try:
                    yield
                finally:
                    del self._began[writer]
        finally:
            self._places.release()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_WAIT_MS / 1000):
            raise errors.Unavailable("The database stays locked; try again.")
        try:
            yield
        finally:
            self._turns.release()


class _Pool:
    """The lines to one database that are idle now."""

    def __init__(self, given: Settings) -> None:
        self.settings = given
        url = given.database
        self.engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self.idle: deque[Line] = deque()
        is_sqlite = self.engine.dialect.name == "sqlite"
        self.writers = _Writers(max(1, given.threads - 2), in_turn=is_sqlite)
        if is_sqlite:
            Path(url.removeprefix("sqlite:///")).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prepare(self.engine, _WAIT_MS)

    def take(self) -> Line:
        """An idle line, or a new one."""
        try:
            return self.idle.pop()
        except IndexError:
            pass
        return Line(self.engine.connect())

    def give_back(self, line: Line) -> None:
        """Keep *line* for the next request."""
        self.idle.append(line)

    def drop(self, line: Line) -> None:
        """End *line*, and the idle ones, which may have failed with it."""
        for each in (line, *self._emptied()):
            with contextlib.suppress(Exception):
                each.core.invalidate()
                each.core.close()

    def _emptied(self) -> list[Line]:
        lines = []
        while self.idle:
            with contextlib.suppress(IndexError):
                lines.append(self.idle.pop())
        return lines

    def close(self) -> None:
        """End every idle line."""
        for line in self._emptied():
            line.core.close()
        self.engine.dispose()


_open_lock = threading.Lock()
_open: list[_Pool] = []
_joined: ContextVar[Line | None] = ContextVar("joined", default=None)


def _pool() -> _Pool:
    """The lines to the database of the settings in force."""
    given = settings()
    if _open and _open[0].settings is given:
        return _open[0]
    with _open_lock:
        if not _open or _open[0].settings is not given:
            for old in _open:
                old.close()
            _open[:] = [_Pool(given)]
        return _open[0]


def _prepare(engine: Engine, wait_ms: int) -> None:
    """Let the connections of *engine* wait for a lock no longer than *wait_ms*."""
    commands = [f"SET lock_timeout = {wait_ms}"]
    if engine.dialect.name == "sqlite":
        pragmas = (f"busy_timeout={wait_ms}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
        commands = [f"PRAGMA {pragma}" for pragma in pragmas]

    def prepare(connection: Any, _record: object) -> None:
        for command in commands:
            connection.execute(command)
        connection.commit()

    event.listen(engine, "connect", prepare)


def close() -> None:
    """End every line; the next call opens new ones."""
    with _open_lock:
        for pool in _open:
            pool.close()
        _open.clear()


def is_sqlite() -> bool:
    """Is the database a SQLite file."""
    return dialect() == "sqlite"


def table(model: type[SQLModel]) -> Table:
    """The table behind *model*, for statements that are built once."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def insert_into(target: Table) -> dict[str, Any]:
    """An INSERT that knows ON CONFLICT, for each dialect."""
    return {"sqlite": sqlite.insert(target), "postgresql": postgresql.insert(target)}


def dialect() -> str:
    """`sqlite` or `postgresql`."""
    return _pool().engine.dialect.name


@contextlib.contextmanager
def statement() -> Iterator[Connection]:
    """A connection for reading, outside any transaction unless one is already open.

    Raises:
        errors.Unavailable: the database cannot be reached or stays locked.
    """
    joined = _joined.get()
    if joined is not None:
        yield joined.core
        return
    with _leased() as line:
        yield line.core


@contextlib.contextmanager
def transaction() -> Iterator[Connection]:
    """All or nothing; joins the transaction that is already open, if one is.

    Raises:
        errors.Unavailable: the database cannot be reached or stays locked, or too many wait for it.
    """
    joined = _joined.get()
    if joined is not None:
        yield joined.core
        return
    with _pool().writers.place(), _leased() as line:
        line.say(_BEGIN[line.engine.dialect.name])
        mark = _joined.set(line)
        try:
            yield line.core
            line.say("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):
                line.say("ROLLBACK")
            raise
        finally:
            _joined.reset(mark)


@contextlib.contextmanager
def joining(opened: Transaction) -> Iterator[None]:
    """Let storage work inside a transaction that the engine of the jobs has open.

    Raises:
        errors.Unavailable: the database cannot be reached or stays locked.
        errors.Conflict: what is stored is there already.
    """
    mark = _joined.set(Line(opened))
    try:
        with _translated():
            yield
    except _TWINS as error:
        raise errors.Conflict("It is there already.") from error
    finally:
        _joined.reset(mark)


def engine_of_jobs() -> Transactions:
    """Where the engine of the jobs opens its transactions: the same database, lines of its own."""
    made = sqlalchemy.create_engine(
        settings().database, pool_size=20, max_overflow=0, pool_pre_ping=not is_sqlite()
    )
    if is_sqlite():
        event.listen(made, "connect", _begin_immediate)
    _prepare(made, _JOB_WAIT_MS)
    return made


def _begin_immediate(connection: Any, _record: object) -> None:
    connection.isolation_level = "IMMEDIATE"


@contextlib.contextmanager
def _leased() -> Iterator[Line]:
    """A line for a while; it is ended if the database fails on it."""
    pool = _pool()
    with _translated():
        line = pool.take()
        try:
            yield line
        except BaseException as error:
            if _is_outage(error):
                pool.drop(line)
            else:
                pool.give_back(line)
            raise
        pool.give_back(line)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn failures of the database into errors.Unavailable, and log the reason."""
    try:
        yield
    except Exception as error:
        if not _is_outage(error):
            raise
        log.error("database_failed", extra={"reason": _reason(error)})  # noqa: TRY400  (the reason is enough)
        raise errors.Unavailable("The database is unavailable; try again.") from error


def _is_outage(error: BaseException) -> bool:
    """Does the database fail, and not the statement. For a damaged file sqlite3 raises the base class."""
    cause = getattr(error, "orig", error)
    return isinstance(cause, _FAILURES) or type(cause) is sqlite3.DatabaseError


def _reason(error: BaseException) -> str:
    """The driver's first line, without statement and parameters."""
    return str(getattr(error, "orig", error)).partition("\n")[0]


@contextlib.contextmanager
def startup_lock() -> Iterator[None]:
    """One starter at a time on one database: migrations, secret files, demo networks.

    Raises:
        errors.CannotStart: the database, or a file that a start needs, cannot be used.
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
    path = Path(settings().database.removeprefix("sqlite:///")).with_suffix(".lock")
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _advisory_lock() -> Iterator[None]:
    """Held by a connection of its own, which waits as long as it takes."""
    engine = sqlalchemy.create_engine(settings().database, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK_NUMBER})")
        yield
