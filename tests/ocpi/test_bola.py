"""Every URL and method of the router, called without permission. Security S1, S2, S5, S10, S40."""

import contextlib
import copy
import http.client
import itertools
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import flask
import pytest
from crashable_node import is_sqlite
from inspection import contents, moved
from nodes import Client, Network, Node, in_transaction, one_database
from surface import OPERATIONS, PARTY, PEER, Operation
from victim import Victim, mark

from handlers.dispatch.app import create_app
from handlers.dispatch.gateway_api import GatewayApi
from handlers.dispatch.operations import ALL_METHODS, PathItemView
from storage import access, connections, database

METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "TRACE", "PROPFIND", "DELETE")
HANDLED = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
"""The methods that some handler takes."""
ROLES = ("cpo", "emsp")
VARIABLE_HEADERS = ("date", "content-length", "connection", "x-request-id")
"""Headers that vary between equal answers: the time in the body has no fixed length."""
FORBIDDEN_URL = "http://169.254.169.254/versions"
"""A URL that the address policy refuses, so a registration fails before it changes anything."""
RESPONSE_URL = "http://127.0.0.1:9999/result"
STRANGERS = ("nobody", "unknown token", "Bearer", "gateway", "unregistered", "superseded")
"""Clients without valid credentials."""
INSIDERS = ("other role", "callback", "registrant", "other peer", "hub", "namesake", "other operator",
            "namesake operator")  # fmt: skip
"""Clients with a valid token for something else."""
LIKE_OTHERS = ("hub", "namesake", "namesake operator")
"""Insiders with a token of the same kind and role as an earlier one's."""
SHARED = {"/cpo/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}"} | {
    f"/emsp/2.1.1/tokens/{tail}"
    for tail in (
        "{country_code}/{party_id}/{token_uid}",
        "{token_uid}",
        "{token_uid}/authorize",
        "{country_code}/{party_id}/{token_uid}/authorize",
    )
}
"""Paths of objects that every peer of a network may read."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer to an intruder."""

    status: int
    text: str
    headers: dict[str, str]

    def comparable(self, ids: dict[str, str]) -> tuple[Any, ...]:
        """The answer without its time (which has no fixed length), with names in place of ids."""
        text = self.text
        for name, value in ids.items():
            text = text.replace(value, f"<{name}>")
        body = json.loads(text) if text else {}
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in VARIABLE_HEADERS
        }
        return self.status, {k: v for k, v in body.items() if k != "timestamp"}, headers


@dataclass
class Intruder:
    """A client that calls what it may not call; it may change only its own rows."""

    name: str
    header: str | None
    kind: str = ""
    role: str = ""
    network_id: int = 0
    connection_id: int = 0
    party: tuple[str, str] = ("", "")
    sees: list[str] = field(default_factory=list)
    sent: int = 0

    def send(self, node: Node, method: str, path: str, body: Any) -> HttpAnswer:
        """Send a request on a new connection, because a refusal with an unread body may close it."""
        self.sent += 1
        headers = {} if self.header is None else {"Authorization": self.header}
        raw = None if method in ("GET", "HEAD", "OPTIONS", "DELETE") else json.dumps(body)
        connection = http.client.HTTPConnection(node.url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, raw, headers)
            answer = connection.getresponse()
            return HttpAnswer(answer.status, answer.read().decode(), dict(answer.getheaders()))

    def owns(self, table: str, row: dict[str, Any]) -> bool:
        """Whether *row* belongs to the intruder's connection, or to its party in its network."""
        if table == "ocpi_connections":
            return row["id"] == self.connection_id
        if row.get("connection_id") is not None:
            return bool(row["connection_id"] == self.connection_id)
        own_key = (self.network_id, *self.party)
        return (row.get("network_id"), row.get("country_code"), row.get("party_id")) == own_key


def stranger(victim: Victim, name: str) -> Intruder:
    """A client without a valid token."""
    headers = {
        "nobody": lambda: None,
        "unknown token": lambda: f"Token {secrets.token_urlsafe(32)}",
        "Bearer": lambda: f"Bearer {victim.peer.token}",
        "gateway": lambda: f"Bearer gw_{secrets.token_urlsafe(32)}",
        "unregistered": lambda: f"Token {unregistered(victim)}",
        "superseded": lambda: f"Token {superseded(victim)}",
    }
    return Intruder(name, headers[name]())


def unregistered(victim: Victim) -> str:
    """The token of a peer that unregistered."""
    gone = victim.network.peer(("NL", "GON"))
    assert gone.delete("credentials").ok
    return str(gone.token)


def superseded(victim: Victim) -> str:
    """A token whose successor is in use."""
    peer = victim.network.peer(("NL", "OLD"))
    old = str(peer.token)
    with database.transaction() as connection:
        access.supersede(connection, victim.network.id, peer.connection_id, 60_000)
    peer.token = in_transaction(access.mint, access.PEER, victim.network.id, peer.connection_id)
    assert peer.get("credentials").ok
    return old


def insider(node: Node, victim: Victim, name: str) -> Intruder:
    """A client with a valid token for something else."""
    role = victim.role
    if name == "callback":
        token = in_transaction(access.mint, access.CALLBACK, victim.network.id, lives_ms=600_000)
        return Intruder(name, f"Token {token}", "callback", role)
    if name == "registrant":
        return Intruder(name, f"Token {victim.network.token_a()}", access.REGISTRATION, role)
    if name == "other peer":
        other_peer = _as_peer(name, victim.network.peer(("NL", "XIN")), victim.network)
        other_peer.sees = victim.shared
        return other_peer
    if name == "hub":  # it may write for any party that no other connection has
        hub = _as_peer(name, victim.network.peer(("NL", "HUB")), victim.network)
        hub.sees = victim.shared
        in_transaction(connections.assign, victim.network.network, hub.connection_id, None)
        return hub
    if name in {"other role", "namesake"}:
        network_role = {"cpo": "emsp", "emsp": "cpo"}[role] if name == "other role" else role
        other = node.network(network_role.upper(), PARTY)
        return _as_peer(name, other.peer(PEER), other)
    party = PARTY if name == "namesake operator" else ("NL", "EVL")
    other = node.network(role.upper(), party)
    token = f"Token {other.operator().token}"
    return Intruder(name, token, access.OPERATOR, role, other.id, 0, party)


def _as_peer(name: str, client: Client, network: Network) -> Intruder:
    token = f"Token {client.token}"
    return Intruder(name, token, access.PEER, network.role, network.id, client.connection_id, client.party)


@dataclass(frozen=True)
class Route:
    """One URL rule of the running router."""

    path: str
    view: Any
    operation: Operation | None

    @property
    def api(self) -> str:
        """The API of the URL: `cpo`, `emsp`, `both`, `gateway`, or "" outside the contracts."""
        if not isinstance(self.view, PathItemView):
            return ""
        if isinstance(self.view.api, GatewayApi):
            return "gateway"
        segment = self.path.split("/")[2]
        return segment if segment in ROLES else "both"

    @property
    def names_an_object(self) -> bool:
        """Whether the URL names an object."""
        return "<" in self.path and self.api in ROLES

    def allows(self, method: str, kind: str) -> bool:
        """Whether the router allows *method* on this URL for tokens of *kind*."""
        operation = self.view.operations.get("GET" if method == "HEAD" else method)
        return operation is not None and kind in operation.callers

    def declares(self, method: str) -> bool:
        """Whether a contract has an operation for *method* on this URL."""
        return bool(self.api) and method in self.view.operations

    def handles(self, method: str, intruder: Intruder) -> bool:
        """Whether a request of *intruder* reaches a handler."""
        return self.api in {"both", intruder.role} and self.allows(method, intruder.kind)

    def urls(self, ids: dict[str, str]) -> list[str]:
        """The URL with *ids*: one URL for each meaning of its segments."""
        if self.api == "gateway":
            return [re.sub("<[a-z_]+>", "1", self.path)]
        if self.operation is None:
            return [self.path.replace("<name>", "ocpi").replace("<form>", "json").replace("<path:name>", "x")]
        urls = [self.operation.url(**ids)]
        if "connector_or_location" in self.path:
            segments = (ids["location_id"], ids["evse_uid"], ids["connector_id"])
            urls.append("/ocpi/cpo/2.1.1/locations/" + "/".join(segments))
        return urls


@pytest.fixture(scope="module")
def routes(node: Node) -> list[Route]:
    """The routes of an application with the same contract; the routes that unregister are last."""
    assert node.url
    app: flask.Flask = create_app()
    operations = {operation.path: operation for operation in OPERATIONS}
    found = [
        Route(rule.rule, app.view_functions[rule.endpoint], operations.get(rule.endpoint))
        for rule in app.url_map.iter_rules()
    ]
    assert {route.path for route in found if route.api} == {
        "/ocpi" + path.replace("{", "<").replace("}", ">") for path in operations
    } | {route.path for route in found if route.api and route.operation is None}
    return sorted(found, key=lambda route: (route.path.endswith("credentials"), route.path))


@pytest.fixture(scope="module", params=ROLES)
def victim(request: pytest.FixtureRequest, node: Node) -> Victim:
    """A victim, once in each role."""
    return Victim(node, request.param)


def body_for(route: Route, method: str, victim: Victim, ids: dict[str, str]) -> Any:
    """The body of a correct caller that names the victim's objects and parties."""
    found = [
        o for o in OPERATIONS if (o.path, o.method) == (route.operation and route.operation.path, method)
    ]
    if not found or found[0].schema is None:
        return {}
    schema, body = str(found[0].schema), copy.deepcopy(found[0].body)
    if schema == "CredentialsIn":
        return {**body, "url": FORBIDDEN_URL, "country_code": PEER[0], "party_id": victim.peer.party[1]}
    named = {"location_id": "location_id", "evse_uid": "evse_uid", "session_id": "session_id",
             "connector_id": "connector_id"}  # fmt: skip
    for member in named.keys() & body.keys():
        body[member] = ids[named[member]]
    if "response_url" in body:
        body["response_url"] = RESPONSE_URL
    keys = {"Location": "location_id", "EVSE": "evse_uid", "Connector": "connector_id", "Token": "token_uid",
            "Session": "session_id", "CDR": "cdr_id", "Tariff": "tariff_id"}  # fmt: skip
    object_name = schema.removesuffix("In").removesuffix("Patch")
    if object_name in keys and schema.endswith("In"):
        body["uid" if object_name in ("Token", "EVSE") else "id"] = ids[keys[object_name]]
    return body


@contextlib.contextmanager
def only_own_rows_change(intruder: Intruder) -> Iterator[None]:
    """Check that the code inside changes only rows of *intruder*."""
    before = contents()
    yield
    assert [] == [(table, row) for table, row in moved(before, contents()) if not intruder.owns(table, row)]


def expected(intruder: Intruder, route: Route, method: str) -> set[int]:
    """The statuses that *intruder* may receive."""
    if not route.api:
        return {200, 404} if method in ("GET", "HEAD", "OPTIONS") else {405}
    if intruder.name in STRANGERS or route.api not in {"both", intruder.role}:
        return {401}
    if method == "OPTIONS":
        return {204}
    if not route.allows(method, intruder.kind):
        is_allowed = any(intruder.kind in operation.callers for operation in route.view.operations.values())
        unknown_token = {401} if method in ALL_METHODS else {401, 405}
        return {405} if is_allowed or intruder.kind in {access.PEER, access.OPERATOR} else unknown_token
    return expected_for_its_kind(intruder, route, method)


def expected_for_its_kind(intruder: Intruder, route: Route, method: str) -> set[int]:
    """The statuses of an operation that tokens of the intruder's kind may call."""
    if not route.names_an_object:
        return {201} if method == "POST" and route.path.endswith("cdrs") else {200}
    if intruder.name in {"other peer", "hub"} and route.operation and route.operation.path in SHARED:
        return {200}
    two_meanings = {400} if "connector_or_location" in route.path and method in {"PUT", "PATCH"} else set()
    if intruder.name == "other role" or intruder.name.startswith("namesake"):
        return {200, 201, 404} | two_meanings  # the same names in another network
    return {404} | two_meanings


def attack(
    node: Node,
    routes: list[Route],
    victim: Victim,
    intruder: Intruder,
    sends: Callable[[Route, str], bool] = lambda _route, _method: True,
) -> None:
    """Send every method that *sends* selects to every URL with the victim's ids."""
    hidden = [secret for secret in victim.secrets if secret not in intruder.sees]
    ids = {**dict.fromkeys(("tariff_id", "token_uid"), victim.shared[0]), **victim.ids}
    with only_own_rows_change(intruder):
        for route, method in itertools.product(routes, METHODS):
            if not sends(route, method):
                continue
            body = body_for(route, method, victim, ids)
            for url in route.urls(ids):
                answer = intruder.send(node, method, url, body)
                request = (method, url, answer.status, answer.text[:300])

                assert answer.status in expected(intruder, route, method), request
                echoes = f"{url}{json.dumps(body)}" if answer.status in {200, 201, 400} else ""
                content = answer.text + str(answer.headers)
                assert [] == [s for s in hidden if s in content and s not in echoes], request


@one_database
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_gets_401_everywhere_and_changes_nothing(
    node: Node, routes: list[Route], name: str
) -> None:
    """Security S10, S13: also with a token that has ended, or under another scheme.

    Without a token every method is sent, otherwise every operation of the contracts.
    """
    victim = Victim(node, "cpo")
    intruder = stranger(victim, name)

    attack(node, routes, victim, intruder, lambda route, method: name == "nobody" or route.declares(method))

    assert intruder.sent >= (len(routes) * len(METHODS) if name == "nobody" else 80)


@pytest.mark.parametrize("name", INSIDERS)
def test_a_token_cannot_read_or_change_objects_of_others(
    node: Node, routes: list[Route], victim: Victim, name: str
) -> None:
    """PostgreSQL gets only the requests that a handler takes: the others never reach the objects.

    On SQLite the first intruder with each kind of token sends the others too, and one of them every method.
    """
    intruder = insider(node, victim, name)
    is_first = name not in LIKE_OTHERS and is_sqlite(node.environment["OCPI_GATEWAY_DATABASE_URL"])
    methods = METHODS if name == "other peer" else HANDLED

    attack(
        node,
        routes,
        victim,
        intruder,
        lambda route, method: method in methods if is_first else route.handles(method, intruder),
    )

    assert intruder.sent >= (len(routes) * len(methods) if is_first else 1)
    assert 46 <= len(routes)


@one_database
@pytest.mark.parametrize("name", ["other peer", "other operator", "registrant"])
def test_a_foreign_object_gets_exactly_the_answer_of_a_missing_one(
    node: Node, routes: list[Route], victim: Victim, name: str
) -> None:
    """Security S5: the same status, body without its time, and headers except Date and the request id."""
    intruder = insider(node, victim, name)
    foreign_ids = {**dict.fromkeys(("tariff_id", "token_uid"), victim.shared[0]), **victim.ids}
    missing_ids = {key: mark("V") for key in foreign_ids}

    for route in routes:
        named = route.names_an_object or "/commands/" in route.path
        if not named or (name == "other peer" and route.operation and route.operation.path in SHARED):
            continue
        for method in METHODS:
            pairs = zip(route.urls(foreign_ids), route.urls(missing_ids), strict=True)
            for foreign_url, missing_url in pairs:
                foreign = intruder.send(
                    node, method, foreign_url, body_for(route, method, victim, foreign_ids)
                )
                missing = intruder.send(
                    node, method, missing_url, body_for(route, method, victim, missing_ids)
                )

                assert missing.comparable(missing_ids) == foreign.comparable(foreign_ids), (
                    method,
                    foreign_url,
                )


def test_a_list_does_not_count_objects_of_others(node: Node, routes: list[Route], victim: Victim) -> None:
    """Security S5: X-Total-Count, Link, and the pages, with every filter and every offset."""
    other = node.network(victim.role.upper(), PARTY)
    lists = [r for r in routes if r.api == victim.role and not r.names_an_object and r.allows("GET", "peer")]
    lists = [r for r in lists if r.path.rpartition("/")[2] in
             ("locations", "sessions", "cdrs", "tariffs", "tokens")]  # fmt: skip
    shared = "tariffs" if victim.role == "cpo" else "tokens"

    assert 5 == len(lists)
    for route in lists:
        peer_count = "1" if route.path.endswith(shared) else "0"
        for client, count in ((victim.network.peer(("NL", "YIN")), peer_count), (other.operator(), "0")):
            for query in ("", "?limit=1", "?offset=1", "?cursor=0", "?date_from=1970-01-01T00:00:00Z"):
                response = client.get(route.path + query)

                assert 200 == response.status_code
                assert count == response.headers["X-Total-Count"], (route.path, query)
                assert "Link" not in response.headers
                assert [] == [s for s in (*victim.ids.values(), victim.text) if s in response.text]
