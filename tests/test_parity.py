"""Our compiled application answers as the stock `connexion.FlaskApp` does, but where it is better.

Every probe is sent to both on equal state: after each, the database is put back as it was. Compared
are the HTTP status, the headers that mean something, and the envelope: `status_code` and `data`.
Not compared are `timestamp`, and `status_message`: stock words a refusal of its own validator in its
own way.
"""

import json
import logging
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
import stock
from examples import example
from nodes import ROOT, Client, Network, Node, switch_to
from surface import IDS, OPERATIONS, PARTY, PEER, Operation

from handlers import contract
from handlers.app import create_app
from storage import access, commands

HEADERS = ("Content-Type", "Allow", "WWW-Authenticate", "Link", "X-Total-Count", "X-Limit", "Location")
TOKENS = ("registration", "callback", "peer", "operator", "another role's", "unknown", "none")
POSITIVE, NEGATIVE = 2, 3
"""Generated probes an operation, of data that the contract allows and of data that it does not."""
SCHEMA = schemathesis.openapi.from_dict(
    contract.ocpi().document, config=schemathesis.Config.from_path(ROOT / "schemathesis.toml")
)
LOCATIONS = "/ocpi/cpo/2.1.1/locations"
LOCATION = "/ocpi/cpo/2.1.1/locations/NL/DEM/LOC1"
TARIFF = "/ocpi/cpo/2.1.1/tariffs/NL/DEM/12"
SESSION = "/ocpi/cpo/2.1.1/sessions/NL/DEM/101"


@dataclass(frozen=True)
class Probe:
    """One request; *token* is a kind of token, *role* the network that it is for."""

    method: str
    url: str
    role: str = "cpo"
    token: str = "operator"
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        body = "" if self.raw is None else f" {self.raw[:300]!r}"
        return f"{self.method} {self.url} [{self.role} {self.token}] {self.headers}{body}"


@dataclass(frozen=True)
class Answer:
    """What is compared of an answer."""

    status: int
    status_code: int | None
    data: Any
    headers: tuple[tuple[str, str | None], ...]

    @property
    def allow(self) -> set[str]:
        return set((dict(self.headers)["Allow"] or "").split(", "))


def probe(method: str, url: str, body: Any = None, **more: Any) -> Probe:
    """A probe of the back office, with a JSON body."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {} if raw is None else {"Content-Type": "application/json"}
    return Probe(method, url, **{"raw": raw, "headers": headers, **more})


# Where ours is better


@dataclass(frozen=True)
class Difference:
    """Something that ours does otherwise, why, and a probe that shows it: HTTP status of ours, of stock."""

    name: str
    reason: str
    probe: Probe
    ours: int
    stock: int
    explains: Callable[[Probe, Answer, Answer], bool] = lambda *_: False
    """Does it explain a difference that a generated probe met."""


DIFFERENCES: list[Difference] = []


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Let the programs configure logging without taking pytest's away."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


class Both:
    """Ours and stock on one SQLite database, which is put back after each request that changed it."""

    def __init__(self, place: Path) -> None:
        environment = {
            "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{place / 'node.sqlite'}",
            "OCPI_GATEWAY_DATA_DIR": str(place),
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
            "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "1",
            "OCPI_GATEWAY_PORT": "8080",
            "OCPI_GATEWAY_LOG_LEVEL": "CRITICAL",
        }
        self.settings = switch_to(environment)
        self.settings.__enter__()
        ours = create_app()
        self.ours = ours.test_client()
        self.stock = stock.create_app(ours).test_client(raise_server_exceptions=False)
        self.tokens: dict[tuple[str, str], str] = {}
        node = Node(environment)
        for role in ("cpo", "emsp"):
            self._furnish(node.network(role.upper(), PARTY))
        self.file = sqlite3.connect(place / "node.sqlite")
        self.pristine = sqlite3.connect(":memory:")
        self.file.backup(self.pristine)
        self.version = self._version()

    def _furnish(self, network: Network) -> None:
        peer = network.peer(PEER)
        assert peer.token
        for kind in ("registration", "callback", "operator"):
            self.tokens[network.role, kind] = access.mint(kind, network.id)
        self.tokens[network.role, "peer"] = peer.token
        self.uid = commands.record(network.id, peer.connection_id, commands.SENT, IDS["command"], {})
        stores = {o.schema: o for o in OPERATIONS if o.role == network.role and o.method in ("PUT", "POST")}
        for name in ("Token", "Tariff", "Location", "Session", "CDR"):
            operation = stores[f"{name}In"]
            kind = "peer" if "peer" in operation.callers else "operator"
            stored = probe(operation.method, operation.url(), example(name), role=network.role, token=kind)
            answer, text = self.ask(stored)
            assert 201 == answer.status, f"{stored}\n{text}"

    def _version(self) -> int:
        return int(self.file.execute("PRAGMA data_version").fetchone()[0])

    def _put_back(self) -> None:
        if self._version() != self.version:
            self.pristine.backup(self.file)
            self.version = self._version()

    def _authorization(self, asked: Probe) -> dict[str, str]:
        other = {"cpo": "emsp", "emsp": "cpo"}[asked.role]
        known = {"unknown": "t" * 43, "another role's": self.tokens.get((other, "peer"), "t" * 43)}
        token = known.get(asked.token) or self.tokens.get((asked.role, asked.token))
        return {"Authorization": f"Token {token}"} if token else {}

    def ask(self, asked: Probe) -> tuple[Answer, str]:
        """What ours answers."""
        headers = {**self._authorization(asked), **asked.headers}
        response = self.ours.open(asked.url, method=asked.method, headers=headers, data=asked.raw)
        return _answer(response.status_code, response.headers, response.get_data()), response.get_data(as_text=True)

    def ask_stock(self, asked: Probe) -> tuple[Answer, str]:
        """What stock answers."""
        headers = {**self._authorization(asked), **asked.headers}
        response = self.stock.request(
            asked.method, asked.url, headers=headers, content=asked.raw, follow_redirects=False
        )
        return _answer(response.status_code, response.headers, response.content), response.text

    def answers(self, asked: Probe) -> tuple[Answer, Answer, str]:
        """What both answer, each on the same state, and the texts."""
        ours, our_text = self.ask(asked)
        self._put_back()
        theirs, their_text = self.ask_stock(asked)
        self._put_back()
        return ours, theirs, f"  ours  {our_text[:300]}\n  stock {their_text[:300]}"

    def close(self) -> None:
        self.file.close()
        self.pristine.close()
        self.settings.__exit__(None, None, None)


def _answer(status: int, headers: Any, raw: bytes) -> Answer:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    chosen = tuple((name, headers.get(name)) for name in HEADERS)
    return Answer(status, body.get("status_code"), body.get("data"), chosen)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with quiet_logs():
        made = Both(tmp_path_factory.mktemp("parity"))
        yield made
        made.close()


# Probes


def examples(uid: str) -> list[Probe]:
    """Every operation with the contract's example, with every kind of token."""
    made = []
    for operation in OPERATIONS:
        body = operation.body
        if operation.schema == "CredentialsIn":
            body = {**body, "url": "http://127.0.0.1:9/versions"}
        for token in TOKENS:
            made.append(probe(operation.method, operation.url(uid=uid), body, role=operation.role, token=token))
    return made


def generated(operation: Operation, mode: schemathesis.GenerationMode, count: int) -> list[Probe]:
    """What Schemathesis makes for *operation*, always the same."""
    strategy = SCHEMA[operation.path][operation.method].as_strategy(generation_mode=mode)
    token = next(kind for kind in ("peer", "operator", "registration") if kind in operation.callers)
    made: list[Probe] = []

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(case: schemathesis.Case) -> None:
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://localhost/ocpi")).prepare()
        raw = sent.body.encode() if isinstance(sent.body, str) else sent.body
        if b"http" in (raw or b"") and "credentials" in operation.path:
            return
        headers = {"Content-Type": sent.headers["Content-Type"]} if "Content-Type" in sent.headers else {}
        made.append(Probe(str(sent.method), sent.path_url, operation.role, token, raw, headers))

    collect()
    return made


