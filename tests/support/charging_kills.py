"""Repeated kill -9 with commands, reservations and sessions in flight; is everything brought to its end?

An eMSP sends commands as fast as the program answers, on a fast clock. Only productive kills count: a command
was accepted since the kill before, and something is left to do. docs/architecture.md "Harnesses".
"""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from crashable_node import ADMIN, CrashableNode, rows, until, wait_until_idle
from examples import example
from nodes import Gateway, Network, in_transaction, switch_to
from peers import PeerServer, Reply, envelope

from storage import networks

Body = dict[str, Any]
POINTS = ("result.answered", "push.answered", "charging.worked", "command.decided")
"""After the answer to a result or a push, and inside the transaction of due work or of a command."""

SPEED = 600
_CHARGE_POINTS = 4
_LONGEST_SECONDS = 1.5
_DRAIN_SECONDS = 120.0
_MODULES = ("locations", "sessions", "cdrs", "tariffs")


class Driver(PeerServer):
    """An eMSP that notes the ids of CDRs, the last state of each session, and results by their URL."""

    def __init__(self, party: tuple[str, str] = ("NL", "TNM")) -> None:
        super().__init__(party)
        self.cdrs: set[str] = set()
        self.sessions: dict[str, Body] = {}
        self.results: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def answer(self, request: Body) -> Reply:
        self.seen.clear()
        module, *below = request["path"].removeprefix("/").split("/")
        with self._lock:
            if module == "results":
                self.results.setdefault(below[0], set()).add(request["body"]["result"])
            elif module == "cdrs":
                self.cdrs.add(request["body"]["id"])
            elif module == "sessions":
                earlier = {} if request["method"] == "PUT" else self.sessions.get(below[-1], {})
                self.sessions[below[-1]] = earlier | request["body"]
        return 200, envelope()


@dataclass
class ChargingKills:
    """Kills one instance repeatedly. Between two calls it is down."""

    node: CrashableNode
    driver: Driver
    seed: int
    log: Callable[[str], None] = lambda _line: None
    counted: int = 0
    kills: int = 0
    complaints: list[str] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    _names: Any = field(default_factory=lambda: itertools.count(1))

    def prepare(self) -> None:
        """Start the instance once: a network with a fast clock, at which the driver's eMSP is registered."""
        self._random = random.Random(self.seed)
        with switch_to(self.node.environment), self.node:
            gateway = Gateway(self.node, ADMIN)
            sizes = {"locations": 1, "chargers_per_location": _CHARGE_POINTS}
            cpo = gateway.ready(country_code="NL", seed=self.seed, overrides=sizes)
            self.url = f"/ocpi/cpos/{cpo['cpo_id']}"
            network = Network(self.node, in_transaction(networks.get, int(cpo["cpo_id"])))
            self._office = network.operator()
            [self._location, _] = self._office.data("locations")
            endpoints = {module: f"{self.driver.url}/{module}" for module in _MODULES}
            self._peer = network.peer(self.driver.party, self.driver.versions_url, endpoints)
            self._token = example("Token", uid="T1", auth_id="A1", valid=True, whitelist="ALWAYS")
            assert self._peer.put(self._peer.at("tokens", "T1"), self._token).ok
            speed = gateway.request("PUT", f"{self.url}/simulation", json={"speed": SPEED})
            assert speed.ok, speed.text
            self._gateway = gateway

    def run(self, kills: int) -> None:
        """Kill until *kills* of them count, then let everything come to its end and look."""
        while self.counted < kills:
            assert self.kills < 4 * kills + 20, "too few kills count"
            self.kill_once(self._random.choice((None, None, *POINTS)))
        self.compare()

    def kill_once(self, point: str | None) -> None:
        """Start, send commands until the instance is killed, and see what is left.

        *point*: the failpoint that kills it; None for a random moment.
        """
        before = len(self.accepted)
        if point is None:
            self.node.start()
            timer = threading.Timer(self._random.uniform(0.1, _LONGEST_SECONDS), self.node.kill)
            timer.start()
            self._send_commands()
            timer.join()
        else:
            self.node.start_with_failpoint(f"{point}:{self._random.randint(2, 20)}")
            self._send_commands()
            self.node.wait_until_killed()
        wait_until_idle(self.node.database)
        [[left]] = rows(self.node.database, "SELECT count(*) FROM gw_agenda WHERE kind <> 'expiry'")
        accepted = len(self.accepted) - before
        self.kills += 1
        self.counted += bool(accepted and left)
        self.log(f"{self.kills:4} at {point or 'a random moment'}: {accepted} accepted, {left} left")

    def _send_commands(self) -> None:
        """Send commands until the instance does not answer any more."""
        with contextlib.suppress(requests.RequestException):
            while True:
                self._random.choice((self._start, self._start, self._stop, self._reserve, self._plug_in))()
                time.sleep(0.01)

    def _send(self, name: str, **fields: Any) -> None:
        result = f"R{next(self._names)}"
        body = {"response_url": f"{self.driver.url}/results/{result}", **fields}
        response = self._peer.post(f"commands/{name}", body)
        if response.status_code == 200 and response.json()["data"] == {"result": "ACCEPTED"}:
            self.accepted.add(result)

    def _start(self) -> None:
        self._send("START_SESSION", token=self._token, location_id=self._location["id"])

    def _stop(self) -> None:
        running = [name for name, each in self.driver.sessions.items() if each.get("status") == "ACTIVE"]
        if running:
            self._send("STOP_SESSION", session_id=self._random.choice(sorted(running)))

    def _reserve(self) -> None:
        expiry = datetime.now(UTC) + timedelta(seconds=self._random.randint(2, 5))
        self._send(
            "RESERVE_NOW",
            token=self._token,
            location_id=self._location["id"],
            expiry_date=f"{expiry:%Y-%m-%dT%H:%M:%SZ}",
            reservation_id=self._random.randint(1, 3),
        )

    def _plug_in(self) -> None:
        evse = self._random.choice(self._location["evses"])
        body = {
            "location_id": self._location["id"],
            "evse_uid": evse["uid"],
            "token_uid": "T1",
            "minutes": 20,
        }
        self._gateway.post(f"{self.url}/sessions", body)

    def compare(self) -> None:
        """Start, wait until nothing is due any more, and look at what became of everything."""
        left = "SELECT count(*) FROM gw_agenda WHERE kind <> 'expiry'"
        with self.node:
            self._gateway.request("PUT", f"{self.url}/simulation", json={"speed": 3600})
            try:
                until(lambda: rows(self.node.database, left)[0][0] == 0, _DRAIN_SECONDS)
            except AssertionError:
                self.complaints += [f"{kind} is left" for [kind] in rows(self.node.database, _LEFT)]
            evses = self._office.data(f"locations/{self._location['id']}")["evses"]
            sessions = self._office.data("sessions", limit=100)
        self._look_at_sessions(sessions)
        self._look_at_commands()
        self.complaints += [
            f"EVSE {evse['uid']} is {evse['status']}" for evse in evses if evse["status"] != "AVAILABLE"
        ]
        self.complaints += [
            f"{table} has rows"
            for table in ("gw_cars", "gw_reservations")
            if rows(self.node.database, f"SELECT 1 FROM {table}")  # noqa: S608  (a name from above)
        ]

    def _look_at_sessions(self, sessions: list[Body]) -> None:
        stored = rows(self.node.database, "SELECT id, document FROM ocpi_sessions")
        ids = {row[0] for row in stored}
        self.complaints += [
            f"session {each['id']} is {each['status']}" for each in sessions if each["status"] != "COMPLETED"
        ]
        expected = {f"C{name[1:]}" for name in ids}
        self.complaints += [f"CDR {name} is missing" for name in expected - self.driver.cdrs]
        self.complaints += [f"CDR {name} has no session" for name in self.driver.cdrs - expected]
        self.complaints += [
            f"the peer has session {name} as {self.driver.sessions.get(name, {}).get('status')}"
            for name in ids
            if self.driver.sessions.get(name, {}).get("status") != "COMPLETED"
        ]

    def _look_at_commands(self) -> None:
        for uid, result, delivered, gave_up in rows(self.node.database, _COMMANDS):
            if result is None or (delivered is None) == (gave_up is None):
                self.complaints.append(f"command {uid}: result {result}, neither delivered nor given up")
        self.complaints += [f"{name} has no result" for name in self.accepted - self.driver.results.keys()]
        self.complaints += [
            f"{name} has the results {results}"
            for name, results in self.driver.results.items()
            if len(results) > 1
        ]


_LEFT = "SELECT DISTINCT kind FROM gw_agenda WHERE kind <> 'expiry'"
_COMMANDS = "SELECT uid, result, delivered_at, gave_up_at FROM ocpi_commands WHERE response = 'ACCEPTED'"
