"""An instance of the program for crash tests, and queries of its database while it is down."""

import contextlib
import functools
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
import sqlalchemy
from nodes import ROOT, Node, free_port, until_served

ADMIN = "the-admin-of-the-killing"
PATIENCE_SECONDS = 60.0
"""A job without progress for so long is stuck."""

POLL_SECONDS = 0.05


class CrashableNode(Node):
    """An instance that tests kill."""

    def start_with_failpoint(self, point: str) -> None:
        """Start it with a failpoint at *point*, which may be reached before it is ready."""
        with contextlib.suppress(AssertionError):
            self.start(OCPI_GATEWAY_FAILPOINT=point)

    def wait_until_killed(self) -> None:
        """Wait until the failpoint has killed it."""
        assert self._process is not None
        self._process.wait(PATIENCE_SECONDS)
        assert -signal.SIGKILL == self._process.returncode, self.log[-3000:]
        self.kill()

    @property
    def database(self) -> str:
        """The URL of its database."""
        return self.environment["OCPI_GATEWAY_DATABASE_URL"]

    def read(self, path: str) -> Any:
        """GET of the gateway."""
        return self._called("GET", path)

    def order(self, path: str, body: Any) -> Any:
        """POST to the gateway."""
        return self._called("POST", path, json=body)

    def _called(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        response = until_served(
            lambda: requests.request(method, self.url + path, headers=headers, timeout=60, **more)
        )
        assert response.ok, response.text[:1000]
        return response.json() if response.content else None


def environment(database: str, place: str, broken: str = "") -> dict[str, str]:
    """Settings of an instance on *database*; *broken* names a broken variant."""
    more = (
        {"PYTHONPATH": f"{ROOT / 'tests' / 'support' / 'broken'}:{ROOT}", "BROKEN": broken} if broken else {}
    )
    return {
        "OCPI_GATEWAY_DATABASE_URL": database,
        "OCPI_GATEWAY_DATA_DIR": place,
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_ADMIN_TOKEN": ADMIN,
        "OCPI_GATEWAY_SECRET_KEY": "c2VjcmV0cyBvZiB0aGUga2lsbGluZywgMzIgYnl0ZXM=",
        "OCPI_GATEWAY_LOG_LEVEL": "INFO",
        **more,
    }


def until(holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait until the condition holds; returns the seconds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + seconds, "waited in vain"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


Ask = Callable[..., list[Any]]


@functools.cache
def _engine(database: str) -> sqlalchemy.Engine:
    """An engine without a pool, because `wait_until_idle` counts connections."""
    options: dict[str, Any] = {"poolclass": sqlalchemy.NullPool, "isolation_level": "REPEATABLE READ"}
    if is_sqlite(database):
        options |= {"creator": lambda: read_only(database), "isolation_level": "SERIALIZABLE"}
    return sqlalchemy.create_engine(database, **options)


@contextlib.contextmanager
def snapshot(database: str) -> Iterator[Ask]:
    """Query the database directly, in one snapshot. A SQLite file is opened read-only, so its WAL stays."""
    with _engine(database).connect() as connection:
        if is_sqlite(database):
            connection.exec_driver_sql("BEGIN")
        yield lambda text, **values: list(connection.execute(sqlalchemy.text(text), values).all())


def rows(database: str, text: str, **values: Any) -> list[Any]:
    """The rows of one query."""
    with snapshot(database) as ask:
        return ask(text, **values)


def wait_until_idle(database: str) -> None:
    """Wait until PostgreSQL has finished the statements of the killed process, such as a commit."""
    if not is_sqlite(database):
        others = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        until(lambda: not rows(database, others))


def is_sqlite(database: str) -> bool:
    return database.startswith("sqlite")


def read_only(database: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=30)
