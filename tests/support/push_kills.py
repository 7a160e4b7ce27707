"""Repeated kill -9 while changes are pushed to two peers; do both end with the current state of everything?

A back office writes as fast as the program answers. Only productive kills count: something was delivered
since the kill before, and something is left. docs/architecture.md "Harnesses".
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
from crashable_node import CrashableNode, rows, until, wait_until_idle
from examples import example
from nodes import switch_to
from peers import PeerServer, Reply, envelope

Body = dict[str, Any]
MODULES = ("locations", "sessions", "cdrs", "tariffs", "tokens")
POINTS = ("push.read", "push.answered", "outbox.written")
"""Before a call, after its answer, and inside the transaction of a change."""

OBJECTS = 12
ANSWER_SECONDS = 0.003
_LONGEST_SECONDS = 0.8
_DRAIN_SECONDS = 120.0


class Store(PeerServer):
    """A peer that keeps what it is sent, as OCPI says. It outlives every kill."""

    def __init__(self, party: tuple[str, str]) -> None:
        super().__init__(party)
        self.objects: dict[str, Body] = {}
        self.cdrs: dict[str, Body] = {}
        self.taken = 0
        self._lock = threading.Lock()

    def answer(self, request: Body) -> Reply:
        time.sleep(ANSWER_SECONDS)
        self.seen.clear()
        with self._lock:
            reply = self._take(request["method"], request["path"].removeprefix("/"), request["body"])
            self.taken += reply[0] == 200
        return reply

    def _take(self, method: str, path: str, body: Body) -> Reply:
        if method == "POST":
            self.cdrs[body["id"]] = body
            return 200, envelope()
        module, country, party, object_id, *below = path.split("/")
        key = f"{module}/{country}/{party}/{object_id}"
        if method == "DELETE":
            return (200, envelope()) if self.objects.pop(key, None) else (404, envelope(status_code=2003))
        if method == "PUT" and not below:
            self.objects[key] = body
            return 200, envelope()
        if key not in self.objects:
            return 404, envelope(status_code=2003)
        if not below:
            self.objects[key] = _patched(self.objects[key], body)
            return 200, envelope()
        location = self.objects[key]
        evses = {evse["uid"]: evse for evse in location["evses"]}
        evses[below[0]] = body if method == "PUT" else _patched(evses[below[0]], body)
        latest = max(location["last_updated"], body["last_updated"])
        self.objects[key] = {**location, "evses": list(evses.values()), "last_updated": latest}
        return 200, envelope()


def _patched(body: Body, change: Body) -> Body:
    return {name: value for name, value in (body | change).items() if value is not None}


@dataclass
class PushKills:
    """Kills one instance repeatedly. Between two calls it is down."""

    node: CrashableNode
    stores: tuple[Store, Store]
    seed: int
    log: Callable[[str], None] = lambda _line: None
    counted: int = 0
    kills: int = 0
    complaints: list[str] = field(default_factory=list)
    _written: int = 0
    _cdrs: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        """Start the instance once, and register the peers at a new CPO network."""
        self._random = random.Random(self.seed)
        with switch_to(self.node.environment), self.node:
            network = self.node.network("CPO", ("NL", "DEM"))
            self._office = network.operator()
            for store in self.stores:
                endpoints = {module: f"{store.url}/{module}" for module in MODULES}
                self._peer = network.peer(store.party, store.versions_url, endpoints)

    def run(self, kills: int) -> None:
        """Kill until *kills* of them count, then let everything be delivered and compare."""
        while self.counted < kills and not self.complaints:
            assert self.kills < 4 * kills + 20, "too few kills count"
            self.kill_once(self._random.choice((None, None, *POINTS)))
        self.compare()

    def kill_once(self, point: str | None) -> None:
        """Start, write until the instance is killed, and see what is left.

        *point*: the failpoint that kills it; None for a random moment.
        """
        before = self._delivered
        if point is None:
            self.node.start()
            timer = threading.Timer(self._random.uniform(0.05, _LONGEST_SECONDS), self.node.kill)
            timer.start()
            self._write()
            timer.join()
        else:
            self.node.start_with_failpoint(f"{point}:{self._random.randint(5, 60)}")
            self._write()
            self.node.wait_until_killed()
        wait_until_idle(self.node.database)
        [[left]] = rows(self.node.database, "SELECT count(*) FROM gw_agenda WHERE kind = 'push'")
        delivered = self._delivered - before
        self.kills += 1
        self.counted += bool(delivered and left)
        self.log(f"{self.kills:4} at {point or 'a random moment'}: {delivered} delivered, {left} left")

    @property
    def _delivered(self) -> int:
        return sum(store.taken for store in self.stores)

    def _write(self) -> None:
        """Write until the instance does not answer any more."""
        with contextlib.suppress(requests.RequestException):
            self._put_token()
            while True:
                self._change()

    def _put_token(self) -> None:
        self._peer.put(self._peer.at("tokens", "T1"), example("Token", uid="T1", auth_id="A1"))

    def _change(self) -> None:
        """One change of the back office, each newer than the one before."""
        self._written += 1
        number = self._random.randrange(OBJECTS)
        last_updated = (
            f"2030-01-01T{self._written // 3600:02}:{self._written // 60 % 60:02}:{self._written % 60:02}Z"
        )
        changes: list[Callable[[], Any]] = [
            lambda: self._put("locations", "Location", f"L{number}", last_updated),
            lambda: self._patch_status(f"L{number}", last_updated),
            lambda: self._patch_status(f"L{number}", last_updated),
            lambda: self._put("tariffs", "Tariff", f"T{number}", last_updated),
            lambda: self._office.delete(f"tariffs/NL/DEM/T{number}"),
            lambda: self._put(
                "sessions", "Session", f"S{number}", last_updated, auth_id="A1", status="ACTIVE"
            ),
            lambda: self._post_cdr(last_updated),
        ]
        self._random.choice(changes)()

    def _put(self, module: str, schema: str, name: str, last_updated: str, **more: Any) -> None:
        texts = {"currency": self._random.choice(["EUR", "CHF"])} if schema == "Tariff" else {}
        body = example(schema, id=name, last_updated=last_updated, **texts, **more)
        assert self._office.put(f"{module}/NL/DEM/{name}", body).status_code in {200, 201, 503}

    def _patch_status(self, name: str, last_updated: str) -> None:
        status = self._random.choice(["AVAILABLE", "CHARGING", "BLOCKED"])
        evse = {"uid": "3256", "status": status, "last_updated": last_updated}
        self._office.patch(f"locations/NL/DEM/{name}", {"evses": [evse], "last_updated": last_updated})

    def _post_cdr(self, last_updated: str) -> None:
        name = f"C{self._written}"
        body = example("CDR", id=name, auth_id="A1", last_updated=last_updated)
        if self._office.post("cdrs", body).status_code == 201:
            self._cdrs.add(name)

    def compare(self) -> None:
        """Start, wait until nothing is due, and compare what the peers have with what they would read."""
        with self.node:
            for store in self.stores:
                self._wait_until_delivered()
                self._compare(store)

    def _wait_until_delivered(self) -> None:
        left = "SELECT count(*) FROM gw_agenda WHERE kind = 'push' AND NOT parked"
        until(lambda: rows(self.node.database, left)[0][0] == 0, _DRAIN_SECONDS)

    def _compare(self, store: Store) -> None:
        expected = {}
        for module in ("locations", "tariffs", *(["sessions"] if store is self.stores[-1] else [])):
            for body in self._peer.data(module, limit=100):
                expected[f"{module}/NL/DEM/{body['id']}"] = body
        self.complaints += [
            f"{'/'.join(store.party)}: {key} is {'missing' if key not in store.objects else 'not current'}"
            for key, body in expected.items()
            if store.objects.get(key) != body
        ]
        self.complaints += [f"{key} is deleted" for key in store.objects.keys() - expected.keys()]
        if store is self.stores[-1]:
            self.complaints += [f"CDR {name} is missing" for name in self._cdrs - store.cdrs.keys()]


@contextlib.contextmanager
def stores() -> Iterator[tuple[Store, Store]]:
    """Two peers. The sessions and CDRs are for the second."""
    with Store(("BE", "ONE")) as one, Store(("NL", "TNM")) as two:
        yield one, two
