"""Our compiled application responds like the stock `connexion.FlaskApp`, except for listed improvements.

Every probe is sent to both applications, and the database is restored after each of them. The test
compares the HTTP status, the significant headers, and `status_code` and `data` of the envelope. It does
not compare `timestamp`, nor `status_message`, because stock words its own refusals differently.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import stock
from bad_values import VALUES
from examples import example
from nodes import Network, Node, in_transaction, switch_to
from seeded_network import quiet_logs, stores
from surface import IDS, OPERATIONS, PARTY, PEER, Operation, put_in

from handlers.dispatch.app import create_app
from storage import access, commands
from workflows import startup

HEADERS = ("Content-Type", "Allow", "WWW-Authenticate", "Link", "X-Total-Count", "X-Limit", "Location")
TOKENS = ("registration", "callback", "peer", "operator", "another role's", "unknown", "none")
BAD_QUERIES = ("limit=0", "offset=-1", "date_from=now", "date_to=2026-02-30T00:00:00Z", "type=FACE")
LOCATIONS = "/ocpi/cpo/2.1.1/locations"
LOCATION = "/ocpi/cpo/2.1.1/locations/NL/DEM/LOC1"
TARIFF = "/ocpi/cpo/2.1.1/tariffs/NL/DEM/12"
SESSION = "/ocpi/cpo/2.1.1/sessions/NL/DEM/101"


@dataclass(frozen=True)
class Probe:
    """One request; *token* is a kind of token, *role* is the role of its network."""

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
class Result:
    """The compared parts of a response."""

    status: int
    status_code: int | None
    data: Any
    headers: tuple[tuple[str, str | None], ...]


def probe(method: str, url: str, body: Any = None, **more: Any) -> Probe:
    """A probe with the operator token and a JSON body."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {} if raw is None else {"Content-Type": "application/json"}
    return Probe(method, url, **{"raw": raw, "headers": headers, **more})


def tariff(text: str, replacement: str, **headers: str) -> Probe:
    """PUT of the example tariff with *text* in its JSON replaced."""
    raw = json.dumps(example("Tariff")).replace(text, replacement, 1).encode()
    return Probe("PUT", TARIFF, raw=raw, headers={"Content-Type": "application/json", **headers})


def extension(text: str) -> Probe:
    """PUT of the example tariff with an extension member of the value *text*."""
    return tariff("{", '{"more": ' + text + ", ")


# Improvements


def _never(_probe: Probe) -> bool:
    return False


@dataclass(frozen=True)
class Difference:
    """One improvement: its reason, and probes with the HTTP status of ours and of stock."""

    reason: str
    probes: tuple[tuple[Probe, int, int], ...]
    covers: Callable[[Probe], bool] = _never
    """Whether a generated probe falls under this difference."""


def _is_not_utf_8(sent: Probe) -> bool:
    try:
        (sent.raw or b"").decode()
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
        "one of the two routers of stock passes it on without validation, and a server error follows",
        ((probe("GET", f"{LOCATIONS}/LOC%0A1"), 400, 500), (probe("GET", f"{LOCATIONS}/LOC1%0A"), 400, 500)),
        covers=lambda sent: "%0A" in sent.url.partition("?")[0],
    ),
    "invalid UTF-8": Difference(
        "it is the client's mistake, not the server's",
        ((Probe("PUT", TARIFF, raw=b"\x1b\xdd", headers=JSON), 400, 500),),
        covers=_is_not_utf_8,
    ),
    "deep nesting": Difference(
        "nesting is limited to a depth that no OCPI object needs",
        ((extension("[" * 100_000 + "]" * 100_000), 400, 500), (extension("[" * 40 + "]" * 40), 400, 200)),
    ),
    "inexact numbers": Difference(
        "a price never changes silently, and NaN is not JSON",
        (
            (tariff('"price": 0.', '"price": 0.12345678901234567'), 400, 200),
            (extension("NaN"), 400, 200),
            (extension("9" * 5000), 400, 500),
        ),
    ),
    "lone surrogates": Difference(
        "they cannot be sent on to peers",
        ((extension('"\\ud800"'), 400, 500),),
        covers=lambda sent: b"\\ud" in (sent.raw or b"").lower(),
    ),
    "a duplicate member": Difference("it is ambiguous", ((extension('1, "more": 2'), 400, 200),)),
    "a duplicate parameter": Difference(
        "it is ambiguous", ((probe("GET", f"{LOCATIONS}?limit=1&limit=2"), 400, 200),)
    ),
    "integers in a query": Difference(
        "Python's int() accepts more than digits",
        tuple((probe("GET", f"{LOCATIONS}?limit={n}"), 400, 200) for n in ("1_0", "%205", "%2B5", "%D9%A5")),
    ),
    "chunked bodies": Difference(
        "stock loses the body: the model gets an empty object",
        ((tariff("", "", **{"Transfer-Encoding": "chunked"}), 200, 400),),
    ),
    "an absent optional body": Difference(
        "stock gives the model an empty object instead of none",
        ((probe("POST", AUTHORIZE, role="emsp", token="peer"), 200, 400),),
        covers=lambda sent: not sent.raw and sent.url.partition("?")[0].endswith("/authorize"),
    ),
    "encodings": Difference(
        "a compressed body, or one in another charset than UTF-8, is refused",
        (
            (tariff("", "", **{"Content-Encoding": "gzip"}), 415, 200),
            (tariff("", "", **{"Content-Type": "application/json; charset=latin-1"}), 415, 200),
        ),
    ),
    "Content-Type": Difference(
        "it may be absent or in capitals, and it does not matter without a body",
        (
            (tariff("", "", **{"Content-Type": "APPLICATION/JSON"}), 200, 500),
            (replace(tariff("", ""), headers={}), 200, 500),
            (Probe("PUT", TARIFF, raw=b"", headers={"Content-Type": "text/plain"}), 400, 415),
        ),
    ),
    "401 before 405": Difference(
        "an unknown caller learns nothing about the API",
        (
            (probe("DELETE", LOCATIONS, token="none"), 401, 405),
            (probe("TRACE", TARIFF, token="none"), 401, 405),
        ),
    ),
    "405 before 400": Difference(
        "a body is not read if the token may not use the method",
        ((probe("PUT", TARIFF, {"id": 1}, token="peer"), 405, 400),),
    ),
    "Allow": Difference(
        "it lists every method that the token may use; stock lists those of the first route",
        (
            (probe("DELETE", LOCATIONS), 405, 405),
            (probe("POST", TARIFF, example("Tariff")), 405, 405),
            (probe("PROPFIND", TARIFF), 405, 405),
        ),
    ),
    "OPTIONS": Difference("it is answered", ((probe("OPTIONS", TARIFF), 204, 405),)),
}

# Requests whose handling often differs

EDGE_CASES = [
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
    """Both applications on one SQLite database, which is restored after each request that changes it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        startup.prepare()
        ours = create_app()
        self.ours = ours.test_client()
        self.stock = stock.create_app(ours).test_client(raise_server_exceptions=False)
        self.tokens: dict[tuple[str, str], str] = {}
        node = Node(environment)
        for role in ("cpo", "emsp"):
            self._store_objects(node.network(role.upper(), PARTY))
        self.file = sqlite3.connect(folder / "node.sqlite")
        self.pristine = sqlite3.connect(":memory:")
        self.file.backup(self.pristine)
        self.version = self._version()

    def _store_objects(self, network: Network) -> None:
        peer = network.peer(PEER)
        assert peer.token
        for kind in ("registration", "callback", "operator"):
            self.tokens[network.role, kind] = in_transaction(access.mint, kind, network.id)
        self.tokens[network.role, "peer"] = peer.token
        self.uid = in_transaction(
            commands.record, network.id, peer.connection_id, commands.SENT, IDS["command"], "{}"
        )
        for operation, kind, url, body in stores(network.role, PARTY):
            put = probe(operation.method, url, body, role=network.role, token=kind)
            result, text = self.send(put)
            assert 201 == result.status, f"{put}\n{text}"

    def _version(self) -> int:
        return int(self.file.execute("PRAGMA data_version").fetchone()[0])

    def _restore(self) -> None:
        if self._version() != self.version:
            self.pristine.backup(self.file)
            self.version = self._version()

    def _authorization(self, sent: Probe) -> dict[str, str]:
        other = {"cpo": "emsp", "emsp": "cpo"}[sent.role]
        tokens = {"unknown": "t" * 43, "another role's": self.tokens.get((other, "peer"), "t" * 43)}
        token = tokens.get(sent.token) or self.tokens.get((sent.role, sent.token))
        return {"Authorization": f"Token {token}"} if token else {}

    def send(self, sent: Probe) -> tuple[Result, str]:
        """The result and the text of our response."""
        headers = {**self._authorization(sent), **sent.headers}
        chunked = {"CONTENT_LENGTH": ""} if "Transfer-Encoding" in headers else {}
        response = self.ours.open(
            sent.url, method=sent.method, headers=headers, data=sent.raw, environ_overrides=chunked
        )
        text = response.get_data(as_text=True)
        return _result(response.status_code, response.headers, response.get_data()), text

    def send_to_stock(self, sent: Probe) -> tuple[Result, str]:
        """The result and the text of the response of stock."""
        headers = {**self._authorization(sent), **sent.headers}
        response = self.stock.request(
            sent.method, sent.url, headers=headers, content=sent.raw, follow_redirects=False
        )
        return _result(response.status_code, response.headers, response.content), response.text

    def results(self, sent: Probe) -> tuple[Result, Result, str]:
        """Both results, each for the same state of the database, and both texts."""
        ours, our_text = self.send(sent)
        self._restore()
        theirs, their_text = self.send_to_stock(sent)
        self._restore()
        return ours, theirs, f"  ours  {our_text[:300]}\n  stock {their_text[:300]}"

    def close(self) -> None:
        self.file.close()
        self.pristine.close()


def _result(status: int, headers: Any, raw: bytes) -> Result:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    chosen = tuple((name, headers.get(name)) for name in HEADERS)
    return Result(status, body.get("status_code"), body.get("data"), chosen)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("parity")
    environment = {
        "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{folder / 'node.sqlite'}",
        "OCPI_GATEWAY_DATA_DIR": str(folder),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
        "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "1",
        "OCPI_GATEWAY_PORT": "8080",
        "OCPI_GATEWAY_LOG_LEVEL": "CRITICAL",
    }
    with quiet_logs(), switch_to(environment):
        applications = Both(environment, folder)
        yield applications
        applications.close()


# Probes


def examples(operation: Operation, uid: str) -> list[Probe]:
    """Probes of *operation* with the example of the contract, one for each kind of token."""
    body = operation.body
    if operation.schema == "CredentialsIn":
        body = {**body, "url": "http://127.0.0.1:9/versions"}
    url = operation.url(uid=uid)
    return [probe(operation.method, url, body, role=operation.role, token=token) for token in TOKENS]


def caller(operation: Operation) -> str:
    """A kind of token that may use *operation*."""
    return next(kind for kind in ("peer", "operator", "registration") if kind in operation.callers)


def bad_urls(operation: Operation) -> list[Probe]:
    """Probes with a bad query, and with a bad id of each kind that the URL has."""
    url, names = operation.url(uid="unknown"), [name for name in IDS if f"{{{name}}}" in operation.path]
    bad = [f"{url}?{query}" for query in BAD_QUERIES if operation.method == "GET"]
    bad += [
        operation.url(**{"uid": "unknown", name: value})
        for name in names
        for value in ("x" * 50, "%E2%82%AC")
    ]
    more = {"role": operation.role, "token": caller(operation)}
    return [probe(operation.method, each, operation.body, **more) for each in bad]


def bad_bodies(operation: Operation) -> list[Probe]:
    """Probes with one bad value for each member that bad_values.py lists."""
    name = re.sub("(In|Patch)$", "", operation.schema or "")
    probes = []
    for number, (schema, path, values) in enumerate(VALUES):
        if schema == name:
            body, member = put_in(example(name), path, values[number % len(values)]), path.partition(".")[0]
            sent = {member: body[member]} if operation.method == "PATCH" else body
            more = {"role": operation.role, "token": caller(operation)}
            probes.append(probe(operation.method, operation.url(), sent, **more))
    return probes


def unexplained(both: Both, sent: list[Probe]) -> list[str]:
    """The probes whose results differ without a listed difference."""
    unexpected = []
    for each in sent:
        if any(difference.covers(each) for difference in DIFFERENCES.values()):
            continue
        ours, theirs, texts = both.results(each)
        if ours != theirs:
            unexpected.append(f"{each}\n{ours}\n{theirs}\n{texts}")
    return unexpected


# Tests


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_ours_responds_like_stock(both: Both, operation: Operation) -> None:
    sent = [*examples(operation, both.uid), *bad_urls(operation), *bad_bodies(operation)]

    assert [] == unexplained(both, sent)


@pytest.mark.parametrize("sent", EDGE_CASES, ids=str)
def test_ours_responds_like_stock_to_edge_cases(both: Both, sent: Probe) -> None:
    assert [] == unexplained(both, [sent])


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_listed_difference_occurs(both: Both, name: str) -> None:
    for sent, ours_status, stock_status in DIFFERENCES[name].probes:
        ours, theirs, texts = both.results(sent)

        assert (ours_status, stock_status) == (ours.status, theirs.status), f"{sent}\n{texts}"
        assert ours != theirs, f"{sent}: there is no difference any more"


def test_there_are_enough_probes() -> None:
    assert 200 <= len(OPERATIONS) * len(TOKENS) + len(EDGE_CASES)
    assert 200 <= sum(len(bad_urls(each)) + len(bad_bodies(each)) for each in OPERATIONS)
