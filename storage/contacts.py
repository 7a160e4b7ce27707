"""The last contacts with each peer: its requests, our calls that it answered, our calls that failed.

They are noted in memory and stored every few seconds, because a write for each request would cost more than
most requests. A crash loses the last seconds.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam

import errors
from storage import timestamps
from storage.connections import CONNECTIONS
from storage.database import Transaction

_ERROR_LENGTH = 500

_c = CONNECTIONS.c
_KEY = _c.id == bindparam("k_id")


def _later(column: str) -> Any:
    """Set an instant unless a later one is stored, which another process may have noted."""
    stored = _c[column]
    return (
        sqlalchemy.update(CONNECTIONS)
        .where(_KEY, sqlalchemy.or_(stored.is_(None), stored < bindparam("at")))
        .values({column: bindparam("at")})
    )


_STORE = {column: _later(column) for column in ("last_received_at", "last_sent_at", "last_error_at")}
_STORE["last_error_at"] = _STORE["last_error_at"].values(last_error=bindparam("message"))

_noted: dict[tuple[int, str], dict[str, Any]] = {}
_lock = threading.Lock()


def received(connection_id: int) -> None:
    """Note a request of the peer."""
    _note(connection_id, "last_received_at")


def sent(connection_id: int) -> None:
    """Note a call that the peer answered."""
    _note(connection_id, "last_sent_at")


def failed(connection_id: int, message: str) -> None:
    """Note a failed call to the peer; *message* says why."""
    printable = "".join(each if each.isprintable() else "?" for each in message[:_ERROR_LENGTH])
    _note(connection_id, "last_error_at", message=printable)


@contextlib.contextmanager
def calling(connection_id: int) -> Iterator[None]:
    """Note whether the peer answers the calls in this block."""
    try:
        yield
    except errors.PeerUnusable as refusal:
        failed(connection_id, refusal.message)
        raise
    sent(connection_id)


def _note(connection_id: int, column: str, **more: str) -> None:
    with _lock:
        _noted[connection_id, column] = {"k_id": connection_id, "at": timestamps.now_ms(), **more}


def take() -> list[tuple[str, dict[str, Any]]]:
    """Forget what was noted; returns it for `store`, in the order in which every process locks the rows."""
    with _lock:
        taken = sorted(_noted.items())
        _noted.clear()
    return [(column, values) for (_, column), values in taken]


def store(transaction: Transaction, taken: list[tuple[str, dict[str, Any]]]) -> None:
    """Store what `take` returned."""
    for column, values in taken:
        transaction.execute(_STORE[column], values)
