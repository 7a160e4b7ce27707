"""Every URL and every method of the router, for whose business it is not. Security S1, S2, S5, S10, S40."""

import contextlib
import copy
import http.client
import itertools
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import flask
import pytest
from crashable_node import is_sqlite
from inspection import contents, moved
from nodes import Client, Network, Node, at_once, one_database
from surface import OPERATIONS, PARTY, PEER, Operation
from victim import Victim, mark

from handlers.dispatch.app import create_app
from handlers.dispatch.gateway_api import GatewayApi
from handlers.dispatch.operations import ALL_METHODS, PathItemView
from storage import access, database

METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "TRACE", "PROPFIND", "DELETE")
ROLES = ("cpo", "emsp")
COINCIDENTAL = ("date", "content-length", "connection", "x-request-id")
"""Headers that depend on the moment: the time in the body has no fixed length."""
NOWHERE = "http://169.254.169.254/versions"
"""A URL that the address policy refuses, so that a registration ends before it changes anything."""
RESPONSE_URL = "http://127.0.0.1:9999/result"
STRANGERS = ("nobody", "unknown token", "Bearer", "gateway", "unregistered", "superseded")
"""Those whose credentials are good for nothing at all."""
INSIDERS = ("other role", "callback", "registrant", "other peer", "namesake", "other operator",
            "namesake operator")  # fmt: skip
"""Those who have a token for something else."""
SHARED = {"/cpo/2.1.1/tariffs/{country_code}/{party_id}/{tariff_id}"} | {
    f"/emsp/2.1.1/tokens/{tail}"
    for tail in (
        "{country_code}/{party_id}/{token_uid}",
        "{token_uid}",
        "{token_uid}/authorize",
        "{country_code}/{party_id}/{token_uid}/authorize",
    )
}
"""What a network shows to each of its peers."""


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    text: str
    headers: dict[str, str]

    def comparable(self, ids: dict[str, str]) -> tuple[Any, ...]:
        """All of it but its time (which has no fixed length), ids by their names."""
        text = self.text
        for name, value in ids.items():
            text = text.replace(value, f"<{name}>")
        body = json.loads(text) if text else {}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in COINCIDENTAL}
        return self.status, {k: v for k, v in body.items() if k != "timestamp"}, headers


@dataclass
class Intruder:
    """Somebody with a header to send; what he may change is his own."""

    name: str
    header: str | None
    kind: str = ""
    role: str = ""
    network_id: int = 0
    connection_id: int = 0
    party: tuple[str, str] = ("", "")
    sees: list[str] = field(default_factory=list)
    sent: int = 0

    def send(self, node: Node, method: str, path: str, body: Any) -> "Told":
        """Try it, over a connection of its own: what is refused unread may close it."""
        self.sent += 1
        headers = {} if self.header is None else {"Authorization": self.header}
        raw = None if method in ("GET", "HEAD", "OPTIONS", "DELETE") else json.dumps(body)
        connection = http.client.HTTPConnection(node.url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, raw, headers)
            answer = connection.getresponse()
            return Told(answer.status, answer.read().decode(), dict(answer.getheaders()))

    def owns(self, table: str, row: dict[str, Any]) -> bool:
        """Is it a row that he may move: of his connection, or of his party in his network."""
        if table == "ocpi_connections":
            return row["id"] == self.connection_id
        if row.get("connection_id") is not None:
            return bool(row["connection_id"] == self.connection_id)
        mine = (self.network_id, *self.party)
        return (row.get("network_id"), row.get("country_code"), row.get("party_id")) == mine


def stranger(victim: Victim, name: str) -> Intruder:
    """Somebody with nothing, or with what is worth nothing."""
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
    """The token of a peer that has left."""
    gone = victim.network.peer(("NL", "GON"))
    assert gone.delete("credentials").ok
    return str(gone.token)


def superseded(victim: Victim) -> str:
    """A token whose successor has been used."""
    peer = victim.network.peer(("NL", "OLD"))
    old = str(peer.token)
    with database.transaction() as connection:
        access.supersede(connection, victim.network.id, peer.connection_id, 60_000)
    peer.token = at_once(access.mint, access.PEER, victim.network.id, peer.connection_id)
    assert peer.get("credentials").ok
    return old


def insider(node: Node, victim: Victim, name: str) -> Intruder:
    """Somebody with a token for something else."""
    role = victim.role
    if name == "callback":
        token = at_once(access.mint, access.CALLBACK, victim.network.id, lives_ms=600_000)
        return Intruder(name, f"Token {token}", "callback", role)
    if name == "registrant":
        return Intruder(name, f"Token {victim.network.token_a()}", access.REGISTRATION, role)
    if name == "other peer":
        made = _as_peer(name, victim.network.peer(("NL", "XIN")), victim.network)
        made.sees = victim.shared
        return made
    if name in {"other role", "namesake"}:
        swapped = {"cpo": "emsp", "emsp": "cpo"}[role] if name == "other role" else role
        other = node.network(swapped.upper(), PARTY)
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
    def face(self) -> str:
        """Whose URL it is: `cpo`, `emsp`, `both`, `gateway`, or nobody's outside the contracts."""
        if not isinstance(self.view, PathItemView):
            return ""
        if isinstance(self.view.api, GatewayApi):
            return "gateway"
        segment = self.path.split("/")[2]
        return segment if segment in ROLES else "both"

    @property
    def names_an_object(self) -> bool:
        """Does the URL name an object."""
        return "<" in self.path and self.face in ROLES

    def allows(self, method: str, kind: str) -> bool:
        """May a token of that kind use that method here, as the router knows it."""
        operation = self.view.operations.get("GET" if method == "HEAD" else method)
        return operation is not None and kind in operation.callers

    def urls(self, ids: dict[str, str]) -> list[str]:
        """The URL with *ids*; in each of its meanings where it has two."""
        if self.face == "gateway":
            return [re.sub("<[a-z_]+>", "1", self.path)]
        if self.operation is None:
            return [self.path.replace("<name>", "ocpi").replace("<form>", "json").replace("<path:name>", "x")]
        made = [self.operation.url(**ids)]
        if "connector_or_location" in self.path:
            spots = (ids["location_id"], ids["evse_uid"], ids["connector_id"])
            made.append("/ocpi/cpo/2.1.1/locations/" + "/".join(spots))
        return made


@pytest.fixture(scope="module")
def routes(node: Node) -> list[Route]:
    """The router of an application built here from the same contract; whatever unregisters comes last."""
    assert node.url
    app: flask.Flask = create_app()
    known = {operation.path: operation for operation in OPERATIONS}
    made = [
        Route(rule.rule, app.view_functions[rule.endpoint], known.get(rule.endpoint))
        for rule in app.url_map.iter_rules()
    ]
    assert {route.path for route in made if route.face} == {
        "/ocpi" + path.replace("{", "<").replace("}", ">") for path in known
    } | {route.path for route in made if route.face and route.operation is None}
    return sorted(made, key=lambda route: (route.path.endswith("credentials"), route.path))


@pytest.fixture(scope="module", params=ROLES)
def victim(request: pytest.FixtureRequest, node: Node) -> Victim:
    """A victim in each role."""
    return Victim(node, request.param)


def body_for(route: Route, method: str, victim: Victim, ids: dict[str, str]) -> Any:
    """What a correct caller would send, naming the victim's objects and parties."""
    found = [
        o for o in OPERATIONS if (o.path, o.method) == (route.operation and route.operation.path, method)
    ]
    if not found or found[0].schema is None:
        return {}
    schema, body = str(found[0].schema), copy.deepcopy(found[0].body)
    if schema == "CredentialsIn":
        return {**body, "url": NOWHERE, "country_code": PEER[0], "party_id": victim.peer.party[1]}
    named = {"location_id": "location_id", "evse_uid": "evse_uid", "session_id": "session_id",
             "connector_id": "connector_id"}  # fmt: skip
    for member in named.keys() & body.keys():
        body[member] = ids[named[member]]
    if "response_url" in body:
        body["response_url"] = RESPONSE_URL
    keys = {"Location": "location_id", "EVSE": "evse_uid", "Connector": "connector_id", "Token": "token_uid",
            "Session": "session_id", "CDR": "cdr_id", "Tariff": "tariff_id"}  # fmt: skip
    stem = schema.removesuffix("In").removesuffix("Patch")
    if stem in keys and schema.endswith("In"):
        body["uid" if stem in ("Token", "EVSE") else "id"] = ids[keys[stem]]
    return body


@contextlib.contextmanager
def nothing_moves_but_what_is_his(who: Intruder) -> Iterator[None]:
    """Compare every row before and after."""
    before = contents()
    yield
    assert [] == [(table, row) for table, row in moved(before, contents()) if not who.owns(table, row)]


def expected(who: Intruder, route: Route, method: str) -> set[int]:
    """The statuses that *who* may get."""
    if not route.face:
        return {200, 404} if method in ("GET", "HEAD", "OPTIONS") else {405}
    if who.name in STRANGERS or route.face not in {"both", who.role}:
        return {401}
    if method == "OPTIONS":
        return {204}
    if not route.allows(method, who.kind):
        opened = any(who.kind in operation.callers for operation in route.view.operations.values())
        known = {401} if method in ALL_METHODS else {401, 405}
        return {405} if opened or who.kind in {access.PEER, access.OPERATOR} else known
    return reached(who, route, method)


def reached(who: Intruder, route: Route, method: str) -> set[int]:
    """The statuses of an operation that is for tokens like that of *who*."""
    if not route.names_an_object:
        return {201} if method == "POST" and route.path.endswith("cdrs") else {200}
    if who.name == "other peer" and route.operation and route.operation.path in SHARED:
        return {200}
    two_meanings = {400} if "connector_or_location" in route.path and method in {"PUT", "PATCH"} else set()
    if who.name == "other role" or who.name.startswith("namesake"):
        return {200, 201, 404} | two_meanings  # the same names in a network of his own
    return {404} | two_meanings


def assail(
    node: Node, routes: list[Route], victim: Victim, who: Intruder, *, handled_only: bool = False
) -> None:
    """Send every method to every URL, naming what is the victim's; or only what a handler takes."""
    hidden = [secret for secret in victim.secrets if secret not in who.sees]
    ids = {**dict.fromkeys(("tariff_id", "token_uid"), victim.shared[0]), **victim.ids}
    with nothing_moves_but_what_is_his(who):
        for route, method in itertools.product(routes, METHODS):
            if handled_only and not (route.face in {"both", who.role} and route.allows(method, who.kind)):
                continue
            body = body_for(route, method, victim, ids)
            for url in route.urls(ids):
                answer = who.send(node, method, url, body)
                where = (method, url, answer.status, answer.text[:300])

                assert answer.status in expected(who, route, method), where
                echoes = f"{url}{json.dumps(body)}" if answer.status in {200, 201, 400} else ""
                held = answer.text + str(answer.headers)
                assert [] == [s for s in hidden if s in held and s not in echoes], where


@one_database
@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_gets_401_everywhere_and_changes_nothing(
    node: Node, routes: list[Route], name: str
) -> None:
    """Security S10, S13: also with what was a token, or is one under another scheme."""
    victim = Victim(node, "cpo")
    who = stranger(victim, name)

    assail(node, routes, victim, who)

    assert len(routes) * len(METHODS) <= who.sent


@pytest.mark.parametrize("name", INSIDERS)
def test_a_token_gets_at_nothing_that_is_somebody_elses(
    node: Node, routes: list[Route], victim: Victim, name: str
) -> None:
    """On PostgreSQL only what a handler takes: the rest is decided without the objects' tables."""
    who = insider(node, victim, name)
    everything = is_sqlite(node.environment["OCPI_GATEWAY_DATABASE_URL"])

    assail(node, routes, victim, who, handled_only=not everything)

    assert who.sent >= (len(routes) * len(METHODS) if everything else 1)
    assert 46 <= len(routes)
    assert 1000 <= len(METHODS) * len(routes) * (len(STRANGERS) + len(INSIDERS) * len(ROLES))


@pytest.mark.parametrize("name", ["other peer", "other operator", "registrant"])
def test_what_is_somebody_elses_is_told_exactly_as_what_does_not_exist(
    node: Node, routes: list[Route], victim: Victim, name: str
) -> None:
    """Security S5: status, body but its time, and every header but Date and the id of the request."""
    who = insider(node, victim, name)
    theirs = {**dict.fromkeys(("tariff_id", "token_uid"), victim.shared[0]), **victim.ids}
    missing = {key: mark("V") for key in theirs}

    for route in routes:
        named = route.names_an_object or "/commands/" in route.path
        if not named or (name == "other peer" and route.operation and route.operation.path in SHARED):
            continue
        for method in METHODS:
            pairs = zip(route.urls(theirs), route.urls(missing), strict=True)
            for theirs_at, missing_at in pairs:
                foreign = who.send(node, method, theirs_at, body_for(route, method, victim, theirs))
                nothing = who.send(node, method, missing_at, body_for(route, method, victim, missing))

                assert nothing.comparable(missing) == foreign.comparable(theirs), (method, theirs_at)


def test_a_list_counts_nothing_that_is_somebody_elses(
    node: Node, routes: list[Route], victim: Victim
) -> None:
    """Security S5: X-Total-Count, Link and the pages, with every filter and however far one pages."""
    other = node.network(victim.role.upper(), PARTY)
    lists = [r for r in routes if r.face == victim.role and not r.names_an_object and r.allows("GET", "peer")]
    lists = [r for r in lists if r.path.rpartition("/")[2] in
             ("locations", "sessions", "cdrs", "tariffs", "tokens")]  # fmt: skip
    shared = "tariffs" if victim.role == "cpo" else "tokens"

    assert 5 == len(lists)
    for route in lists:
        insider = "1" if route.path.endswith(shared) else "0"
        for who, count in ((victim.network.peer(("NL", "YIN")), insider), (other.operator(), "0")):
            for query in ("", "?limit=1", "?offset=1", "?cursor=0", "?date_from=1970-01-01T00:00:00Z"):
                response = who.get(route.path + query)

                assert 200 == response.status_code
                assert count == response.headers["X-Total-Count"], (route.path, query)
                assert "Link" not in response.headers
                assert [] == [s for s in (*victim.ids.values(), victim.text) if s in response.text]
