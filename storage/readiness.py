"""Readiness: whether the database accepts a write. docs/architecture.md "The server"."""

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, NullPool

from settings import settings
from storage import database

log = logging.getLogger("ocpi_gateway")

FRESH_SECONDS = 5.0
"""How long a result is reused."""
_LOCK_SECONDS = 1
_CONNECT_SECONDS = 2
_WRITE = sqlalchemy.text("UPDATE alembic_version SET version_num = version_num RETURNING version_num")


@dataclass(frozen=True, slots=True)
class Readiness:
    """*schema*: the revision of the newest migration; None while the database accepts no writes."""

    schema: str | None

    @property
    def is_ready(self) -> bool:
        """Whether the database accepts writes."""
        return self.schema is not None


class Probe:
    """Writes to the database at most once in `FRESH_SECONDS`, for all requests together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Readiness | None = None
        self._fresh_until = 0.0

    def check(self) -> Readiness:
        """The newest result. While another thread writes, it is the previous result, if there is one."""
        if self._last is not None and (time.monotonic() < self._fresh_until or self._lock.locked()):
            return self._last
        with self._lock:
            if self._last is None or time.monotonic() >= self._fresh_until:
                self._last = _write()
                self._fresh_until = time.monotonic() + FRESH_SECONDS
            return self._last


def _write() -> Readiness:
    """Write a page and commit it."""
    engine = _engine()
    try:
        with engine.connect() as connection:
            revisions = connection.execute(_WRITE).scalars().all()  # all: SQLite commits after the last row
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip()
        log.error("not_ready", extra={"reason": reason[:200]})  # noqa: TRY400  (the reason suffices)
        return Readiness(None)
    return Readiness(revisions[0] if revisions else None)


def _engine() -> Engine:
    """An engine with separate connections, which wait for less time than those of requests."""
    url = settings().database
    options: dict[str, Any] = {"poolclass": NullPool, "isolation_level": "AUTOCOMMIT"}
    if database.is_sqlite():
        file = Path(url.removeprefix("sqlite:///")).resolve().as_uri()
        return sqlalchemy.create_engine(
            url,
            creator=lambda: sqlite3.connect(f"{file}?mode=rw", uri=True, timeout=_LOCK_SECONDS),
            **options,
        )
    wait = f"-c lock_timeout={_LOCK_SECONDS}s -c statement_timeout={_CONNECT_SECONDS}s"
    connect = {"connect_timeout": _CONNECT_SECONDS, "options": wait}
    return sqlalchemy.create_engine(url, connect_args=connect, **options)
