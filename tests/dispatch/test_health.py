"""`/health`: the process is alive; `/ready`: it can write. docs/architecture.md "The server"."""

import contextlib
import json
import resource
import sqlite3
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy
from crashable_node import is_sqlite, rows, until
from examples import example
from migrated import new_database
from nodes import ROOT, Node, free_port, one_database, outcome, switch_to

from storage.readiness import FRESH_SECONDS


@pytest.fixture
def own_node(database_url: str, tmp_path: Path) -> Iterator[Node]:
    """A node whose database a test may damage."""
    node = Node(
        {
            "OCPI_GATEWAY_DATABASE_URL": new_database(database_url, tmp_path),
            "OCPI_GATEWAY_DATA_DIR": str(tmp_path / "data"),
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_DEMO": "0",
        }
    )
    with node:
        yield node


def url_of(node: Node) -> str:
    """The URL of a node's database."""
    return node.environment["OCPI_GATEWAY_DATABASE_URL"]


def ready(node: Node) -> tuple[int, dict[str, Any]]:
    """The status code and the body of `/ready`."""
    response = requests.get(f"{node.url}/ready", timeout=30)
    body: dict[str, Any] = response.json()
    assert {"status", "version", "schema", "database"} == body.keys()
    return response.status_code, body


def await_status(node: Node, status: int) -> dict[str, Any]:
    """Wait until `/ready` responds with *status*; returns its body. `/health` stays 200."""
    until(lambda: ready(node)[0] == status)
    health = requests.get(f"{node.url}/health", timeout=30)
    assert (200, {"status": "ok"}) == (health.status_code, health.json())
    return ready(node)[1]


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Another transaction holds the lock that a write needs."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        lock = "BEGIN IMMEDIATE" if is_sqlite(url) else "BEGIN; LOCK TABLE alembic_version"
        connection.exec_driver_sql(lock)
        yield
        connection.exec_driver_sql("ROLLBACK")
    engine.dispose()


def test_a_node_that_can_write_is_ready(node: Node) -> None:
    status, body = ready(node)

    (revision,) = rows(url_of(node), "SELECT version_num FROM alembic_version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    expected = {"status": "ready", "version": version, "schema": revision[0], "database": "sqlite"}
    if not is_sqlite(url_of(node)):
        expected["database"] = "postgresql"
    assert (200, expected) == (status, body)


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_no_token_is_needed_and_a_wrong_one_is_ignored(node: Node, path: str) -> None:
    for headers in ({}, {"Authorization": "Token wrong"}, {"Authorization": "Bearer wrong"}):
        assert 200 == requests.get(f"{node.url}{path}", headers=headers, timeout=30).status_code
    assert 405 == requests.post(f"{node.url}{path}", timeout=30).status_code


def test_a_node_whose_database_is_locked_is_not_ready(own_node: Node) -> None:
    await_status(own_node, 200)

    with locked(url_of(own_node)):
        body = await_status(own_node, 503)
        check_that_callers_share_one_write(own_node)

    assert ("unavailable", None) == (body["status"], body["schema"])
    assert "lock" in own_node.log
    await_status(own_node, 200)


def check_that_callers_share_one_write(node: Node) -> None:
    """The program writes at most once in FRESH_SECONDS, however often `/ready` is called."""
    lines = node.log.count("not_ready")
    seconds = sum(requests.get(f"{node.url}/ready", timeout=30).elapsed.total_seconds() for _ in range(50))
    attempts = node.log.count("not_ready") - lines

    assert attempts <= 1 + seconds / FRESH_SECONDS


@one_database
def test_a_node_whose_disk_is_full_is_not_ready_and_can_still_read(own_node: Node) -> None:
    """A limit on the size of files simulates a full disk: every write beyond it fails, including logs."""
    with switch_to(own_node.environment):
        operator = own_node.network("CPO", ("NL", "DEM")).operator()
        assert (200, 1000) == outcome(operator.get("locations"))
        unlimited = resource.prlimit(own_node.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(own_node.pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))

        await_status(own_node, 503)
        assert (200, 1000) == outcome(operator.get("locations"))
        location = example("Location", id="FULL")
        refused = operator.put(operator.at("locations", "FULL", party=("NL", "DEM")), location)
        assert (503, 3000) == outcome(refused)

        resource.prlimit(own_node.pid, resource.RLIMIT_FSIZE, unlimited)
        await_status(own_node, 200)
        assert (201, 1000) == outcome(
            operator.put(operator.at("locations", "FULL", party=("NL", "DEM")), location)
        )


@one_database
def test_a_damaged_database_is_503_and_is_logged(own_node: Node) -> None:
    with switch_to(own_node.environment):
        operator = own_node.network("CPO", ("NL", "DEM")).operator()
    damage(own_node, "ocpi_locations", "alembic_version")

    body = await_status(own_node, 503)
    refused = operator.get("locations")

    assert "unavailable" == body["status"]
    assert (503, 3000) == outcome(refused)
    assert "1" == refused.headers["Retry-After"]
    lines = [json.loads(line) for line in own_node.log.splitlines() if line.startswith("{")]
    reasons = {line["what"]: line["reason"] for line in lines if "malformed" in line.get("reason", "")}
    assert {"not_ready", "database_failed"} == reasons.keys()
    assert "Traceback" not in own_node.log


def damage(node: Node, *tables: str) -> None:
    """Overwrite the first page of tables and of their indexes, like a broken disk."""
    path = url_of(node).removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        until(lambda: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        pages = [
            page
            for table in tables
            for (page,) in connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE tbl_name = ?", (table,)
            )
        ]
    with Path(path).open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
