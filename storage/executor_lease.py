"""Slots: each process that runs durable jobs holds one. docs/architecture.md "A job".

A slot is a locked file beside a SQLite database, or an advisory lock of PostgreSQL. The lock ends with the
process, however it ends, so no process runs the jobs of a free slot.
"""

import contextlib
import fcntl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import sqlalchemy
from sqlalchemy import NullPool

import errors
from settings import settings
from storage import database

MAX_SLOTS = 64
_LOCK_CLASS = 0x0C91  # arbitrary, for pg_try_advisory_lock


class Slot:
    """A held slot."""

    def __init__(self, number: int, lock: Any) -> None:
        self.number = number
        self._lock = lock

    def still_held(self) -> bool:
        """Whether this process holds the slot. A lock that PostgreSQL lost in a restart is taken again."""
        if not isinstance(self._lock, sqlalchemy.Connection):
            return True
        with contextlib.suppress(sqlalchemy.exc.DBAPIError, psycopg.Error):
            self._lock.exec_driver_sql("SELECT 1")
            return True
        lock = _try_lock(self.number)
        if lock is not None:
            self._lock = lock
        return lock is not None


def take() -> Slot:
    """Take the first free slot.

    Raises:
        errors.Unavailable: there are more processes than slots.
    """
    for number in range(MAX_SLOTS):
        lock = _try_lock(number)
        if lock is not None:
            return Slot(number, lock)
    raise errors.Unavailable(f"More than {MAX_SLOTS} processes share this database.")


@contextlib.contextmanager
def hold_if_free(number: int) -> Iterator[bool]:
    """Hold the slot if it is free; yields whether it was free."""
    lock = _try_lock(number)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.close()


class DeadSlots:
    """Finds the processes that have ended.

    A process counts as dead if it also looked dead the time before, because a restart of PostgreSQL releases
    every lock for a moment.
    """

    def __init__(self) -> None:
        self._suspects: set[int] = set()

    def among(self, numbers: Iterable[int]) -> Iterator[int]:
        """The slots of dead processes, each held while the caller takes over its work."""
        free = set()
        for number in numbers:
            with hold_if_free(number) as is_free:
                if is_free:
                    free.add(number)
                    if number in self._suspects:
                        yield number
        self._suspects = free


def _try_lock(number: int) -> Any:
    """The lock of a slot, or None if another process holds it."""
    return _try_file(number) if database.is_sqlite() else _try_advisory(number)


def _try_file(number: int) -> IO[str] | None:
    path = Path(settings().database.removeprefix("sqlite:///")).with_suffix(f".slot{number}")
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _try_advisory(number: int) -> sqlalchemy.Connection | None:
    engine = sqlalchemy.create_engine(settings().database, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    connection = engine.connect()
    if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK_CLASS}, {number:d})").scalar():
        return connection
    connection.close()
    return None
