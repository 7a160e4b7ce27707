"""Slots: which process works at which durable jobs. docs/architecture.md "A job".

A process holds one slot as long as it lives: a locked file beside a SQLite database, an advisory lock
of PostgreSQL. The lock ends with the process, however it ends, so a slot that can be taken is one whose
jobs nobody works at.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import sqlalchemy
from sqlalchemy import NullPool

import errors
from settings import settings
from storage import database

MOST = 64
_CLASS = 0x0C91  # any number of our own, for pg_try_advisory_lock


class Slot:
    """One slot that is held."""

    def __init__(self, number: int, held: Any) -> None:
        self.number = number
        self._held = held

    def still_held(self) -> bool:
        """Is it ours; a lock of PostgreSQL ends when the server restarts, and is taken again here."""
        if not isinstance(self._held, sqlalchemy.Connection):
            return True
        with contextlib.suppress(sqlalchemy.exc.DBAPIError, psycopg.Error):
            self._held.exec_driver_sql("SELECT 1")
            return True
        fresh = _try(self.number)
        if fresh is not None:
            self._held = fresh
        return fresh is not None


def take() -> Slot:
    """The first slot that no process holds.

    Raises:
        errors.Unavailable: there are more processes than slots.
    """
    for number in range(MOST):
        held = _try(number)
        if held is not None:
            return Slot(number, held)
    raise errors.Unavailable(f"More than {MOST} processes share this database.")


@contextlib.contextmanager
def dead(number: int) -> Iterator[bool]:
    """Does no process hold the slot; if so, none can take it meanwhile."""
    held = _try(number)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.close()


def _try(number: int) -> Any:
    """The lock of a slot, or None if somebody holds it."""
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
    if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_CLASS}, {number:d})").scalar():
        return connection
    connection.close()
    return None
