"""Shared fixtures: a running node on each database, networks, clients and a peer.

Every test with the fixture `node` runs twice: on SQLite and on a real PostgreSQL.
"""

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import fork_server
import hypothesis
import migrated
import pytest
import recording
from conformance import Census
from nodes import Gateway, Network, Node, disable_fsync, free_port, postgres, switch_to
from peers import PeerServer

import settings as settings_module

hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
# The gate is deterministic; `--hypothesis-profile default` searches at random.
hypothesis.settings.load_profile("gate")


def pytest_configure(config: pytest.Config) -> None:
    """Register the conformance census, and start the process that forks nodes."""
    config.pluginmanager.register(Census(), "conformance-census")
    if recording.RECORDER is not None:
        config.pluginmanager.register(recording.RECORDER, "recorder")
    if fork_server.IS_AVAILABLE:
        Node.fork = staticmethod(fork_server.FORK_SERVER.fork)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Switch the garbage collector off during collection, and exempt the collected tests from it later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'node.sqlite'}"
        return
    with postgres() as url:
        disable_fsync(url)
        yield url


@pytest.fixture(scope="session")
def node(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The running program; storage in the test process uses its database."""
    environment = {
        "OCPI_GATEWAY_DATABASE_URL": database_url,
        "OCPI_GATEWAY_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
        "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "3",
    }
    with switch_to(environment), Node(environment) as running:
        yield running


@pytest.fixture(scope="module")
def verbose_node(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Another instance on the same database, with log level DEBUG."""
    place = tmp_path_factory.mktemp("verbose_node")
    shutil.copy(Path(node.environment["OCPI_GATEWAY_DATA_DIR"]) / "secret.key", place)
    environment = {
        **node.environment,
        "OCPI_GATEWAY_DATA_DIR": str(place),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_LOG_LEVEL": "DEBUG",
    }
    with switch_to(environment), Node(environment) as running:
        yield running


@pytest.fixture
def cpo(node: Node) -> Network:
    """A new CPO network NL/DEM."""
    return node.network("CPO", ("NL", "DEM"))


@pytest.fixture
def emsp(node: Node) -> Network:
    """A new eMSP network NL/DEP."""
    return node.network("EMSP", ("NL", "DEP"))


@pytest.fixture
def gateway(node: Node) -> Gateway:
    """The gateway API with a user key of a new organization."""
    return node.gateway()


@pytest.fixture
def stranger(node: Node) -> Gateway:
    """The gateway API with a user key of another organization."""
    return node.gateway()


@pytest.fixture
def admin(node: Node) -> Gateway:
    """The gateway API with an admin key of a third organization."""
    return node.gateway("admin")


@pytest.fixture
def another_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts further instances of the program, each with its own SQLite database and settings."""
    running: list[Node] = []

    def start(**changes: str) -> Node:
        place = tmp_path / f"node{len(running)}"
        migrated.copy_sqlite(place / "node.sqlite")
        environment = {
            "OCPI_GATEWAY_DATA_DIR": str(place),
            "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{place / 'node.sqlite'}",
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
            "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "3",
            **{f"OCPI_GATEWAY_{name.upper()}": value for name, value in changes.items()},
        }
        running.append(Node(environment).start())
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def peer() -> Iterator[PeerServer]:
    """An OCPI peer with its own server."""
    with PeerServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _own_settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests from writing into the working folder."""
    if "OCPI_GATEWAY_DATA_DIR" not in os.environ:
        monkeypatch.setenv("OCPI_GATEWAY_DATA_DIR", str(request.getfixturevalue("tmp_path")))
        settings_module.settings.cache_clear()
