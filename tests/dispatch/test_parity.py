"""Our compiled application answers as the stock `connexion.FlaskApp` does, but where it is better.

Every probe is sent to both on equal state: after each, the database is put back as it was. Compared
are the HTTP status, the headers that mean something, and the envelope: `status_code` and `data`.
Not compared are `timestamp`, and `status_message`: stock words a refusal of its own validator in its
own way.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import contracts
import hypothesis
import pytest
import requests
import schemathesis
import stock
from examples import example
from nodes import ROOT, Network, Node, at_once, switch_to
from seeded_network import quiet_logs, stores
from surface import IDS, OPERATIONS, PARTY, PEER, Operation

from handlers.dispatch.app import create_app
from storage import access, commands
from workflows import startup

HEADERS = ("Content-Type", "Allow", "WWW-Authenticate", "Link", "X-Total-Count", "X-Limit", "Location")
TOKENS = ("registration", "callback", "peer", "operator", "another role's", "unknown", "none")
POSITIVE, NEGATIVE = 1, 2
"""Generated probes an operation, of data that the contract allows and of data that it does not."""
SCHEMA = schemathesis.openapi.from_dict(
    contracts.ocpi().document, config=schemathesis.Config.from_path(ROOT / "schemathesis.toml")
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


def probe(method: str, url: str, body: Any = None, **more: Any) -> Probe:
    """A probe of the back office, with a JSON body."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {} if raw is None else {"Content-Type": "application/json"}
    return Probe(method, url, **{"raw": raw, "headers": headers, **more})


def tariff(text: str, instead: str, **headers: str) -> Probe:
    """PUT of the example tariff with its JSON text changed."""
    raw = json.dumps(example("Tariff")).replace(text, instead, 1).encode()
    return Probe("PUT", TARIFF, raw=raw, headers={"Content-Type": "application/json", **headers})


def more(text: str) -> Probe:
    """PUT of the example tariff with a member that the contract does not name."""
    return tariff("{", '{"more": ' + text + ", ")


# Where ours is better


def _never(_asked: Probe) -> bool:
    return False


@dataclass(frozen=True)
class Difference:
    """What ours does otherwise and why; probes that show it, with the HTTP status of ours and of stock."""

    reason: str
    probes: tuple[tuple[Probe, int, int], ...]
    covers: Callable[[Probe], bool] = _never
    """Which generated probes it concerns."""


def _is_not_utf_8(asked: Probe) -> bool:
    try:
        (asked.raw or b"").decode()
    except UnicodeDecodeError:
        return True
    return False


JSON = {"Content-Type": "application/json"}
AUTHORIZE = "/ocpi/emsp/2.1.1/tokens/012345678/authorize"
NEWLINE = {"latitude": "51.047599\n", "longitude": "3.729944"}

DIFFERENCES = {
    "slashes": Difference(
        "`locations/`, as the specification writes it, and doubled slashes are served, not redirected",
        (
            (probe("GET", f"{LOCATIONS}/?limit=1"), 200, 307),
            (probe("PUT", f"{TARIFF}/", example("Tariff")), 200, 307),
            (probe("GET", "/ocpi//cpo/2.1.1/locations"), 200, 308),
            (probe("GET", "/ocpi"), 404, 307),
        ),
    ),
    "a line break in the path": Difference(
        "stock has two routers, of which one lets it through unjudged; it ends as a server error by luck",
        ((probe("GET", f"{LOCATIONS}/LOC%0A1"), 400, 500), (probe("GET", f"{LOCATIONS}/LOC1%0A"), 400, 500)),
        covers=lambda asked: "%0A" in asked.url.partition("?")[0],
    ),
    "invalid UTF-8": Difference(
        "the client's mistake, not the server's",
        ((Probe("PUT", TARIFF, raw=b"\x1b\xdd", headers=JSON), 400, 500),),
        covers=_is_not_utf_8,
    ),
    "deep nesting": Difference(
        "no recursion beyond a depth that no OCPI object has",
        ((more("[" * 100_000 + "]" * 100_000), 400, 500), (more("[" * 40 + "]" * 40), 400, 200)),
    ),
    "numbers that cannot be kept": Difference(
        "a price is never changed silently, and NaN is not JSON",
        (
            (tariff('"price": 0.', '"price": 0.12345678901234567'), 400, 200),
            (more("NaN"), 400, 200),
            (more("9" * 5000), 400, 500),
        ),
    ),
    "lone surrogates": Difference(
        "they could not be sent on",
        ((more('"\\ud800"'), 400, 500),),
        covers=lambda asked: b"\\ud" in (asked.raw or b"").lower(),
    ),
    "a member twice": Difference("which of the two is meant?", ((more('1, "more": 2'), 400, 200),)),
    "a parameter twice": Difference("likewise", ((probe("GET", f"{LOCATIONS}?limit=1&limit=2"), 400, 200),)),
    "integers in a query": Difference(
        "Python's int() reads more than digits",
        tuple((probe("GET", f"{LOCATIONS}?limit={n}"), 400, 200) for n in ("1_0", "%205", "%2B5", "%D9%A5")),
    ),
    "chunked bodies": Difference(
        "stock loses them: the model gets an empty object",
        ((tariff("", "", **{"Transfer-Encoding": "chunked"}), 200, 400),),
    ),
    "an optional body left out": Difference(
        "stock gives the model an empty object instead of none",
        ((probe("POST", AUTHORIZE, role="emsp", token="peer"), 200, 400),),
        covers=lambda asked: not asked.raw and asked.url.partition("?")[0].endswith("/authorize"),
    ),
    "encodings": Difference(
        "what is not read as it is meant is refused: compressed, or in another charset than UTF-8",
        (
            (tariff("", "", **{"Content-Encoding": "gzip"}), 415, 200),
            (tariff("", "", **{"Content-Type": "application/json; charset=latin-1"}), 415, 200),
        ),
    ),
    "Content-Type": Difference(
        "absent or in capitals it is JSON all the same, and no body has none",
        (
            (tariff("", "", **{"Content-Type": "APPLICATION/JSON"}), 200, 500),
            (replace(tariff("", ""), headers={}), 200, 500),
            (Probe("PUT", TARIFF, raw=b"", headers={"Content-Type": "text/plain"}), 400, 415),
        ),
    ),
    "401 before 405": Difference(
        "who is not known learns nothing",
        (
            (probe("DELETE", LOCATIONS, token="none"), 401, 405),
            (probe("TRACE", TARIFF, token="none"), 401, 405),
        ),
    ),
    "405 before 400": Difference(
        "what is not for this token is not read",
        ((probe("PUT", TARIFF, {"id": 1}, token="peer"), 405, 400),),
    ),
    "Allow": Difference(
        "every method that the token may use; stock names those of the first route alone",
        (
            (probe("DELETE", LOCATIONS), 405, 405),
            (probe("POST", TARIFF, example("Tariff")), 405, 405),
            (probe("PROPFIND", TARIFF), 405, 405),
        ),
    ),
    "OPTIONS": Difference("answered", ((probe("OPTIONS", TARIFF), 204, 405),)),
}

# Where it is easy to differ

ALIKE = [
    *(
        probe("GET", f"{LOCATIONS}?{query}")
        for query in ("limit=", "limit=null", "limit=0", "limit=-1", "more=1")
    ),
    *(
        probe("GET", f"{LOCATIONS}?{query}")
        for query in ("offset=99999999999999999999", "date_from=now", "limit=1")
    ),
    *(
        probe("GET", f"{LOCATIONS}/{segment}")
        for segment in ("LOC1%00", "%FF", "loc1", "LOC1", "nowhere", "%2E%2E")
    ),
    *(probe("HEAD", url) for url in (LOCATIONS, TARIFF, "/ocpi/nowhere")),
    *(probe("GET", url) for url in ("/ocpi/nowhere", "/ocpi/cpo/2.1.1/tariffs/nl/dem/12", SESSION)),
    *(probe("GET", "/ocpi/nowhere", token=token) for token in ("none", "unknown")),
    *(
        Probe("PUT", TARIFF, raw=raw, headers=JSON)
        for raw in (b"null", b"[]", b"{}", b"{}x", b"", b"  ", b"1")
    ),
    Probe("PUT", TARIFF, raw=b"\xef\xbb\xbf{}", headers=JSON),
    Probe("GET", LOCATIONS, raw=b"junk", headers=JSON),
    Probe("GET", LOCATIONS, token="none", headers={"Authorization": "Basic Zm9vOmJhcg=="}),
    Probe("POST", AUTHORIZE, "emsp", "peer", b"null", JSON),
    tariff("", "", **{"Content-Type": "application/json;charset=UTF-8"}),
    tariff("", "", **{"Content-Type": "text/plain"}),
    tariff('"step_size": ', '"step_size": true, "more": '),
    tariff('"price": ', '"price": 1E400, "more": '),
    tariff('"currency": "EUR"', '"currency": "EUR\\n"'),
    tariff('"id": "12"', '"id": "13"'),
    tariff('"currency": "EUR"', '"currency": null'),
    probe("PUT", LOCATION, example("Location", coordinates=NEWLINE)),
]


class Both:
    """Ours and stock on one SQLite database, which is put back after each request that changed it."""

    def __init__(self, environment: dict[str, str], place: Path) -> None:
        startup.prepare()
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
            self.tokens[network.role, kind] = at_once(access.mint, kind, network.id)
        self.tokens[network.role, "peer"] = peer.token
        self.uid = at_once(
            commands.record, network.id, peer.connection_id, commands.SENT, IDS["command"], "{}"
        )
        for operation, kind, url, body in stores(network.role, PARTY):
            stored = probe(operation.method, url, body, role=network.role, token=kind)
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
        chunked = {"CONTENT_LENGTH": ""} if "Transfer-Encoding" in headers else {}
        response = self.ours.open(
            asked.url, method=asked.method, headers=headers, data=asked.raw, environ_overrides=chunked
        )
        text = response.get_data(as_text=True)
        return _answer(response.status_code, response.headers, response.get_data()), text

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


def _answer(status: int, headers: Any, raw: bytes) -> Answer:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    chosen = tuple((name, headers.get(name)) for name in HEADERS)
    return Answer(status, body.get("status_code"), body.get("data"), chosen)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    place = tmp_path_factory.mktemp("parity")
    environment = {
        "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{place / 'node.sqlite'}",
        "OCPI_GATEWAY_DATA_DIR": str(place),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
        "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "1",
        "OCPI_GATEWAY_PORT": "8080",
        "OCPI_GATEWAY_LOG_LEVEL": "CRITICAL",
    }
    with quiet_logs(), switch_to(environment):
        made = Both(environment, place)
        yield made
        made.close()


# Probes


def examples(operation: Operation, uid: str) -> list[Probe]:
    """*operation* with the contract's example, with every kind of token."""
    body = operation.body
    if operation.schema == "CredentialsIn":
        body = {**body, "url": "http://127.0.0.1:9/versions"}
    url = operation.url(uid=uid)
    return [probe(operation.method, url, body, role=operation.role, token=token) for token in TOKENS]


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


def unexplained(both: Both, asked: list[Probe]) -> list[str]:
    """The probes that are answered otherwise, for no reason that is written down."""
    wrong = []
    for each in asked:
        if any(difference.covers(each) for difference in DIFFERENCES.values()):
            continue
        ours, theirs, texts = both.answers(each)
        if ours != theirs:
            wrong.append(f"{each}\n{ours}\n{theirs}\n{texts}")
    return wrong


# Tests


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_ours_answers_as_stock_does(both: Both, operation: Operation) -> None:
    good = generated(operation, schemathesis.GenerationMode.POSITIVE, POSITIVE)
    bad = generated(operation, schemathesis.GenerationMode.NEGATIVE, NEGATIVE)

    assert [] == unexplained(both, [*examples(operation, both.uid), *good, *bad])


@pytest.mark.parametrize("asked", ALIKE, ids=str)
def test_ours_answers_as_stock_does_where_it_is_easy_to_differ(both: Both, asked: Probe) -> None:
    assert [] == unexplained(both, [asked])


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_that_is_written_down_occurs(both: Both, name: str) -> None:
    for asked, ours_status, stock_status in DIFFERENCES[name].probes:
        ours, theirs, texts = both.answers(asked)

        assert (ours_status, stock_status) == (ours.status, theirs.status), f"{asked}\n{texts}"
        assert ours != theirs, f"{asked}: nothing differs any more"


def test_there_are_enough_probes() -> None:
    assert 200 <= len(OPERATIONS) * len(TOKENS) + len(ALIKE)
