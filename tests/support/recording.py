"""Records what each test receives and stores, so that two versions of the program can be compared.

`RECORD_TO=folder pytest` writes one JSON line a test; scripts/compare_recordings.py compares two folders.
What differs between two runs of one version is replaced by a placeholder: times near the present,
random ids and tokens, ports. `status_message`, `timestamp`, `progress` and the order of members are left out.
"""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy

_LEFT_OUT = frozenset({"status_message", "timestamp", "progress"})
_NEAR = timedelta(hours=36)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_RANDOM = [
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+", "<port>"),
        (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<uuid>"),
        (r"(?<=/cpos/)\d+", "<network>"),
        (r"\b(?:dep|top)-\d+", "<row>"),
        (r"\bloc-[0-9a-f]{12}\b", "<location>"),
        (r"-[0-9a-f]{8}\b", "-<slug>"),
        (r"\b[A-Za-z0-9_-]{40,}(?:={0,2})", "<token>"),
        (r"(?<=# CPO )\d+", "<network>"),
        (r"`…[A-Za-z0-9_-]{4}`", "<token>"),
        (r"(?<=cursor=)[^&\s\"]+|(?<=offset=)\d+", "<offset>"),
    )
]
_ID_MEMBERS = frozenset({"cpo_id", "token", "operator_token", "key", "expires_at"})


class Recorder:
    """A pytest plugin that records responses to the running test, and the documents of its networks."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.file = (folder / f"{worker}.jsonl").open("w")
        self.databases: dict[str, str] = {}
        """The database of each node, by the node's host and port."""
        self.received: list[str] = []
        self.touched: set[str] = set()
        self._module = ""
        self._floors: dict[str, int] = {}
        self._seen: dict[tuple[str, str, int], str] = {}

    def answered(self, method: str, url: str, status: int, body: bytes) -> None:
        """Record a response of a node; other servers are ignored."""
        parts = urlsplit(url)
        if parts.netloc not in self.databases or parts.path == "/health":
            return
        self.touched.add(self.databases[parts.netloc])
        query = f"?{parts.query}" if parts.query else ""
        path = _normal_text(f"{parts.path}{query}")
        self.received.append(f"{method} {path} {status} {_normal_body(body)}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Forget the documents of the last module's networks."""
        module = item.nodeid.partition("::")[0]
        if module != self._module:
            self._module = module
            self._seen.clear()
            self._floors = {url: _last_network(url) for url in {*self.databases.values()} if _exists(url)}
        self.received.clear()
        self.touched.clear()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Write the line of a test while its nodes still run."""
        if mine := os.environ.get("OCPI_GATEWAY_DATABASE_URL"):
            self.touched.add(mine)
        stored = [text for url in sorted(self.touched) for text in self._stored(url)]
        line = {
            "test": item.nodeid,
            "received": sorted(set(self.received)),
            "stored": sorted(set(stored)),
        }
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        return (yield)

    def _stored(self, url: str) -> Iterator[str]:
        """The documents that were stored or changed since the last test of this module."""
        if not _exists(url):
            return
        for table, row in _documents(url, self._floors.get(url, 0)):
            key = (url, table, row.seq)
            if self._seen.get(key) != row.document:
                self._seen[key] = row.document
                yield f"{table} {row.country_code} {row.party_id} {_normal_body(row.document)}"


RECORDER = Recorder(Path(os.environ["RECORD_TO"])) if "RECORD_TO" in os.environ else None


def listen(session: requests.Session) -> requests.Session:
    """*session*, with its responses recorded."""
    if RECORDER is not None:
        session.hooks["response"].append(_hear)
    return session


def node_started(url: str, database_url: str) -> None:
    """Register a node at *url* with the database at *database_url*."""
    if RECORDER is not None:
        RECORDER.databases[urlsplit(url).netloc] = database_url


def _hear(response: requests.Response, **_: object) -> None:
    if RECORDER is not None:
        method = response.request.method or ""
        RECORDER.answered(method, response.url, response.status_code, response.content)


def _normal_body(body: bytes | str) -> str:
    """JSON with sorted members and placeholders; other text with placeholders."""
    try:
        return json.dumps(_normal(json.loads(body)), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return _normal_text(body if isinstance(body, str) else body.decode("utf-8", "replace"))


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<id>" if key in _ID_MEMBERS else _normal(member)
            for key, member in value.items()
            if key not in _LEFT_OUT
        }
    if isinstance(value, list):
        return [_normal(item) for item in value]
    return _normal_text(value) if isinstance(value, str) else value


def _normal_text(text: str) -> str:
    text = _TIME.sub(lambda match: "<now>" if _is_near(match[0]) else match[0], text)
    for pattern, placeholder in _RANDOM:
        text = pattern.sub(placeholder, text)
    return text


def _is_near(time: str) -> bool:
    """Whether *time* is so recent that a clock and not a test has written it."""
    try:
        instant = datetime.fromisoformat(time)
    except ValueError:
        return False
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return abs(instant - datetime.now(UTC)) < _NEAR


# The schema is read from the database: the tables of this version need not be those of the next.


@cache
def _engine(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)


def _exists(url: str) -> bool:
    """Whether the database exists; a test may have removed it."""
    database = sqlalchemy.make_url(url)
    if database.get_backend_name() == "sqlite":
        return Path(database.database or "").exists()
    try:
        _engine(url).connect().close()
    except sqlalchemy.exc.OperationalError:
        return False
    return True


def _tables(engine: sqlalchemy.Engine) -> list[sqlalchemy.Table]:
    """The tables that hold documents of a network."""
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    return [
        table for table in metadata.sorted_tables if {"network_id", "document", "seq"} <= {*table.c.keys()}
    ]


def _documents(url: str, floor: int) -> Iterator[tuple[str, Any]]:
    engine = _engine(url)
    with engine.connect() as connection:
        for table in _tables(engine):
            for row in connection.execute(sqlalchemy.select(table).where(table.c.network_id > floor)):
                yield table.name, row


def _last_network(url: str) -> int:
    engine = _engine(url)
    with engine.connect() as connection:
        found = [
            connection.execute(sqlalchemy.select(sqlalchemy.func.max(table.c.network_id))).scalar() or 0
            for table in _tables(engine)
        ]
    return max(found, default=0)
