"""The database: lines to it, transactions that lose no update, and the lock that start-up takes.

SQLite (WAL, synchronous FULL) or PostgreSQL. On SQLite a transaction begins IMMEDIATE, so two
read-modify-write transactions queue up; on PostgreSQL rows are read FOR UPDATE. Single statements
run outside any transaction: one round trip.

A `Line` is one open connection, kept for the next request. A `Query` is a statement built once,
compiled once, and run on the driver directly: a quarter of what the core's execution costs.
"""

import contextlib
import fcntl
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy import Connection, Engine, Executable, NullPool, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import SQLModel

import errors
from settings import Settings, settings

_LOCK_NUMBER = 0x0C9121  # any number of our own, for pg_advisory_lock
_BUSY_MILLISECONDS = 15_000
_BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}
_FAILURES = (
    OperationalError,
    InterfaceError,
    sqlite3.OperationalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
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
        pool = _pool()
        line = pool.take()
        try:
            outcome = line.execute(self, values)
        except _FAILURES as error:
            pool.drop(line)
            raise errors.Unavailable("The database is unavailable; try again.") from error
        except BaseException:
            pool.drop(line)
            raise
        pool.give_back(line)
        return outcome


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


class _Pool:
    """The lines to one database that are idle now."""

    def __init__(self, given: Settings) -> None:
        self.settings = given
        url = given.database
        self.engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self.idle: deque[Line] = deque()
        if self.engine.dialect.name == "sqlite":
            Path(url.removeprefix("sqlite:///")).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            event.listen(self.engine, "connect", _prepare_sqlite)

    def take(self) -> Line:
        """An idle line, or a new one."""
        try:
            return self.idle.pop()
        except IndexError:
            pass
        try:
            return Line(self.engine.connect())
        except _FAILURES as error:
            raise errors.Unavailable("The database is unavailable; try again.") from error

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


def _prepare_sqlite(connection: Any, _record: object) -> None:
    for pragma in (
        f"busy_timeout={_BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


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
    """A connection for one statement, outside any transaction unless one is already open.

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
        errors.Unavailable: the database cannot be reached or stays locked.
    """
    joined = _joined.get()
    if joined is not None:
        yield joined.core
        return
    with _leased() as line:
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
        yield
    except _FAILURES as error:
        raise errors.Unavailable("The database is unavailable; try again.") from error
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
        event.listen(made, "connect", _prepare_sqlite_of_jobs)
    return made


def _prepare_sqlite_of_jobs(connection: Any, record: object) -> None:
    connection.isolation_level = "IMMEDIATE"
    _prepare_sqlite(connection, record)


@contextlib.contextmanager
def _leased() -> Iterator[Line]:
    """A line for a while; it is ended if the database fails on it."""
    pool = _pool()
    line = pool.take()
    try:
        yield line
    except _FAILURES as error:
        pool.drop(line)
        raise errors.Unavailable("The database is unavailable; try again.") from error
    except BaseException:
        pool.give_back(line)
        raise
    pool.give_back(line)


@contextlib.contextmanager
def startup_lock() -> Iterator[None]:
    """One starter at a time on one database: migrations, secret files, demo networks."""
    if not is_sqlite():
        with _leased() as line:
            line.say(f"SELECT pg_advisory_lock({_LOCK_NUMBER})")
            try:
                yield
            finally:
                line.say(f"SELECT pg_advisory_unlock({_LOCK_NUMBER})")
        return
    path = Path(settings().database.removeprefix("sqlite:///")).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_corrupt(error: BaseException) -> bool:
    """Whether an error says that the SQLite file is damaged."""
    cause = getattr(error, "orig", error)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
