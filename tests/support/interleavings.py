"""Two of our networks, interleavings of their exchanges, and checks of the result.

`Model` runs in one process: a call to the peer goes straight into the application, and before and after
each call another operation may run as a whole. `Threads` runs the operations at the same time, over HTTP.
docs/architecture.md "Harnesses".
"""

import contextlib
import json
import secrets as random_names
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import flask
import orjson
import sqlalchemy
import werkzeug.test
from examples import example, model

import errors
from storage import (
    access,
    agenda,
    connections,
    database,
    ended_tokens,
    networks,
    secrets,
    tariffs,
    timestamps,
    tokens,
)
from storage.access import ACCESS, PEER, REGISTRATION
from storage.agenda import LaneRow
from storage.connections import REGISTERED, PeerConnection
from storage.networks import CPO, EMSP, NETWORKS
from storage.outbox import PUSH
from workflows.networks import ends
from workflows.peers import client, credentials_exchange, push, registration
from workflows.peers.push import PacedClient

PARTIES = {CPO: ("NL", "CPO"), EMSP: ("NL", "MSP")}
OPERATIONS = tuple(
    (name, role) for name in ("join", "rotate", "leave", "push", "delete", "expire") for role in (CPO, EMSP)
)
"""The operations of a side. A renewal is the other side's rotation; joining again registers again."""

AFTER_OVERLAP_MS = 120_000
_PUSHED = ("/tariffs/NL/CPO/12", "/tokens/NL/MSP/012345678")
"""The ends of the URLs of pushes."""

Operation = tuple[str, str]
"""A name and the role of the side that acts."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two networks."""

    network: networks.Network

    @property
    def id(self) -> int:
        """The network's id."""
        return self.network.id

    def link(self) -> PeerConnection | None:
        """The connection with the other side, as this side stores it."""
        other = PARTIES[EMSP if self.network.role == CPO else CPO]
        with database.connect() as connection:
            return connections.of_party(connection, self.id, other)

    def is_alive(self) -> bool:
        """Whether the network is alive."""
        with database.connect() as connection:
            return networks.get(connection, self.id) is not None

    def is_registered(self) -> bool:
        """Whether this side considers the other registered."""
        link = self.link()
        return link is not None and link.state == REGISTERED


@dataclass
class NetworkPair:
    """A new pair of networks, the operations on them, and the errors."""

    sides: dict[str, Side]
    tokens: set[str] = field(default_factory=set)
    """Digests of every token minted."""
    dead: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    """The roles of the sides that have unregistered."""

    @classmethod
    def create(cls) -> "NetworkPair":
        """Two networks that are not connected yet."""
        with database.transaction() as transaction:
            organization = networks.organization(transaction, f"interleavings {random_names.token_hex(8)}")
            return cls(
                {
                    role: Side(networks.create(transaction, organization, role, party, role))
                    for role, party in PARTIES.items()
                }
            )

    def other(self, side: Side) -> Side:
        """The other side."""
        return self.sides[EMSP if side.network.role == CPO else CPO]

    def run(self, operation: Operation) -> None:
        """Run an operation of a side. A refusal is allowed; any other exception is an error."""
        name, role = operation
        self.operations.add(name)
        try:
            getattr(self, f"_{name}")(self.sides[role])
        except errors.ServerError as error:
            if type(error) in (errors.ServerError, errors.Unavailable):
                self.complaints.append(f"{operation}: {type(error).__name__}: {error.message}")
        except errors.Refusal:
            pass
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a complaint)
            self.complaints.append(f"{operation}: {type(error).__name__}: {error}")
        self.watch_tokens()

    def _join(self, side: Side) -> None:
        other = self.other(side)
        with database.transaction() as transaction:
            if not connections.lock(transaction, other.id):
                return
            token_a = access.mint(transaction, REGISTRATION, other.id)
        registration.join(side.network, credentials_exchange.versions_url(other.network.role), token_a)

    def _rotate(self, side: Side) -> None:
        link = side.link()
        if link is not None:
            registration.rotate(side.network, link)

    def _leave(self, side: Side) -> None:
        link = side.link()
        if link is not None:
            with contextlib.suppress(errors.PeerUnusable):
                registration.leave(link)
            self.left.add(side.network.role)

    def _push(self, side: Side) -> None:
        """Change an object of the side, and send it."""
        link = side.link()
        if link is None or not side.is_alive():
            return
        with database.transaction() as transaction:
            if side.network.role == CPO:
                tariffs.put(transaction, side.id, side.network.party, model("Tariff", example("Tariff")))
            else:
                tokens.put(transaction, side.id, side.network.party, model("Token", example("Token")))
        lane = LaneRow(name=agenda.connection_lane(link.id))
        with contextlib.closing(PacedClient()) as paced:
            with database.connect() as connection:
                entry = agenda.next_entry(connection, lane.name)
            if entry is not None:
                push.deliver(lane, entry, paced)

    def check_push(self, token: str) -> None:
        """Check at the beginning of a push that its token is one that a registered side presents."""
        links = [link for side in self.sides.values() if (link := side.link()) and side.is_registered()]
        if token not in {each for link in links for each in (link.token, link.former_token)}:
            self.complaints.append("a push began with an ended token")

    def _delete(self, side: Side) -> None:
        ends.end(side.id, ended_tokens.NETWORK_DELETED)

    def _expire(self, side: Side) -> None:
        now = timestamps.now_ms()
        statement = sqlalchemy.update(NETWORKS).where(NETWORKS.c.id == side.id)
        with database.transaction() as transaction:
            transaction.execute(statement.values(expires_at=now - 1))
            networks.schedule_end(transaction, side.id, now)

    def watch_tokens(self) -> None:
        """Check that no ended token works again."""
        live = {row.digest for row in self.live_tokens()}
        self.complaints += ["a token that ended works again"] * len(live & self.dead)
        self.dead |= self.tokens - live

    def live_tokens(self) -> list[Any]:
        """Digest, kind and network of every live token, without changing anything."""
        values = {"networks": [side.id for side in self.sides.values()], "now": timestamps.now_ms()}
        with database.connect() as connection:
            return list(connection.execute(_LIVE, values))

    def judge(self, call: Callable[[Side, str], int]) -> list[str]:
        """The errors after the last operation. `call(side, token)`: the HTTP status from *side*."""
        one, two = self.sides.values()
        for side in (one, two):
            if not side.is_registered() and self._entries(side):
                self.complaints.append("pushes to a peer that is not registered are waiting")
            live = [(row.kind, row.network_id) for row in self.live_tokens()].count((PEER, side.id))
            registered = side.is_alive() and side.is_registered()
            expected = (1, 2) if registered else (0,)
            if side.network.role in self.left and registered and "join" not in self.operations:
                self.complaints.append(f"{side.network.role} left and is registered again")
            if live not in expected:
                self.complaints.append(f"{side.network.role} has {live} live tokens, not {expected}")
        if one.is_alive() and two.is_alive():
            if one.is_registered() and two.is_registered():
                self._check_that_both_are_let_in(call)
            elif one.is_registered() != two.is_registered() and not self.operations >= {"join", "leave"}:
                # A side that unregisters before the other has read its response is not noticed.
                self.complaints.append("one side takes the other for registered, the other does not")
        self.watch_tokens()
        return self.complaints

    @staticmethod
    def _entries(side: Side) -> list[Any]:
        in_network = (agenda.AGENDA.c.network_id == side.id) & (agenda.AGENDA.c.kind == PUSH)
        with database.connect() as connection:
            return list(connection.execute(sqlalchemy.select(agenda.AGENDA).where(in_network)))

    def _check_that_both_are_let_in(self, call: Callable[[Side, str], int]) -> None:
        for side in self.sides.values():
            link, other = side.link(), self.other(side)
            assert link is not None

            def read_locations(token: str, other: Side = other) -> None:
                status = call(other, token)
                if status == 401:
                    raise client.PeerUnauthorized("401")
                if status != 200:
                    self.complaints.append(f"reading locations gave HTTP {status}")

            try:
                credentials_exchange.with_fallback(link, read_locations)
            except client.PeerUnauthorized:
                self.complaints.append(f"{side.network.role} is locked out")
        self.watch_tokens()


_c, _n = ACCESS.c, NETWORKS.c
_LIVE = (
    sqlalchemy.select(_c.digest, _c.kind, _c.network_id)
    .select_from(ACCESS.join(NETWORKS, _c.network_id == _n.id))
    .where(
        _c.network_id.in_(sqlalchemy.bindparam("networks", expanding=True)),
        sqlalchemy.or_(_c.expires_at.is_(None), _c.expires_at > sqlalchemy.bindparam("now")),
        sqlalchemy.or_(_n.expires_at.is_(None), _n.expires_at > sqlalchemy.bindparam("now")),
        _n.deleting.is_(False),
    )
)


class Model:
    """Histories in one process: calls to peers go to the application itself."""

    def __init__(self, app: flask.Flask) -> None:
        self._client = werkzeug.test.Client(app)
        self._world: NetworkPair | None = None
        self._plan: list[tuple[int, Operation]] = []
        self._points = 0
        self._offset_ms = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Redirect calls to peers into the application, and make the clock adjustable."""
        mint, now_ms = access.mint, timestamps.now_ms

        def mint_and_watch(*arguments: Any, **more: Any) -> str:
            token = mint(*arguments, **more)
            if self._world is not None:
                self._world.tokens.add(secrets.digest(token))
            return token

        # Plain functions: a Mock remembers every call.
        def check_nothing(*_: Any) -> None:
            pass

        def moved_clock() -> int:
            return now_ms() + self._offset_ms

        with (
            mock.patch.object(client, "call", self._call),
            mock.patch.object(client, "check", check_nothing),
            mock.patch.object(access, "mint", mint_and_watch),
            mock.patch.object(timestamps, "now_ms", moved_clock),
        ):
            yield

    def run(self, first: Operation, *rest: tuple[int, Operation], registered: bool = True) -> "Outcome":
        """Run *first*, and at each numbered point the operation from *rest*."""
        self._offset_ms = 0
        self._world = world = NetworkPair.create()
        self._plan = []
        if registered:
            world.run(("join", CPO))
            world.operations.clear()
        self._plan, self._points = list(rest), 0
        world.run(first)
        left, points = self._plan, self._points
        self._plan = []
        complaints = world.judge(self._read_locations)
        self._offset_ms = AFTER_OVERLAP_MS
        if not complaints and all(side.is_alive() for side in world.sides.values()):
            complaints = world.judge(self._read_locations)
        self._world = None
        return Outcome((first, *rest), complaints, reached=not left, points=points)

    def _call(
        self, method: str, url: str, token: str, body: object = None, *_: Any, **_more: Any
    ) -> client.Answer:
        path = urllib.parse.urlsplit(url).path
        if self._world is not None and path.endswith(_PUSHED):
            self._world.check_push(token)
        self._pause()
        try:
            return self._deliver(method, path, token, body)
        finally:
            self._pause()

    def _pause(self) -> None:
        """A point at which another operation may run."""
        if self._plan and self._plan[0][0] == self._points:
            self._points += 1
            _, operation = self._plan.pop(0)
            assert self._world is not None
            self._world.run(operation)
        else:
            self._points += 1

    def _deliver(self, method: str, path: str, token: str, body: object) -> client.Answer:
        response = self._client.open(
            path,
            method=method,
            headers={"Authorization": f"Token {token}"},
            data=None if body is None else _text(body),
            content_type="application/json",
        )
        if response.status_code >= 500 and self._world is not None:
            self._world.complaints.append(f"{method} {path}: HTTP {response.status_code}")
        if response.status_code == 401:
            raise client.PeerUnauthorized(f"{method} {path}: HTTP 401")
        answer = json.loads(response.data)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return client.Answer(
            response.status_code,
            answer["status_code"],
            answer.get("status_message", ""),
            answer.get("data"),
            headers,
        )

    def _read_locations(self, side: Side, token: str) -> int:
        path = f"/ocpi/{access.url_segment(side.network.role)}/2.1.1/locations"
        return self._client.get(path, headers={"Authorization": f"Token {token}"}).status_code


def _text(body: Any) -> str:
    """The JSON text of a body: a model, or the fragment of a push."""
    return str(body.json_text()) if hasattr(body, "json_text") else orjson.dumps(body).decode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a history. *reached*: whether every operation ran; *points*: the number of points."""

    history: tuple[Any, ...]
    complaints: list[str]
    reached: bool
    points: int


def pairs(model: Model, step: int = 1) -> Iterator[Outcome]:
    """Every pair of operations, the second at every point of the first, or at each *step*-th."""
    for registered in (True, False):
        for first in OPERATIONS:
            for second in OPERATIONS:
                point = 0
                while (outcome := model.run(first, (point, second), registered=registered)).reached:
                    yield outcome
                    point += step
                yield outcome


@contextlib.contextmanager
def unchecked_exchanges() -> Iterator[None]:
    """The control: exchanges that store their result without checking again."""
    with (
        mock.patch.object(access, "require_live"),
        mock.patch.object(access, "registration_runs", return_value=False),
        mock.patch.object(connections, "is_registered", return_value=True),
        mock.patch.object(connections, "is_unchanged", return_value=True),
        mock.patch.object(connections, "exchange_runs", return_value=False),
    ):
        yield


def run_at_once(operations: list[Operation], call: Callable[[Side, str], int]) -> list[str]:
    """A history with real threads; *call* as in `NetworkPair.judge`."""
    world = NetworkPair.create()
    world.run(("join", CPO))
    barrier = threading.Barrier(len(operations))

    def act(operation: Operation) -> None:
        barrier.wait(10)
        world.run(operation)

    threads = [threading.Thread(target=act, args=(operation,)) for operation in operations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return world.judge(call)
