"""Slow clients: they take nine tenths of the connections, then more than the limit. Are others served?

Others come on new connections at a fixed rate, and wait from the moment at which they were to come: a
stall is not hidden by the requests that it held back. Writes docs/measurements/slow.md; exit status 1
if others waited longer than the bound.
"""

import argparse
import contextlib
import itertools
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from crashable_node import until  # noqa: E402  (found by the line above)
from nodes import Node, free_port, in_transaction, switch_to  # noqa: E402
from peers import PeerServer, envelope  # noqa: E402
from slow import HABITS, Habit, SlowClients, answer_seconds  # noqa: E402

from storage import access, networks  # noqa: E402

LIMIT = 300
ABOVE, BELOW = 1.3, 0.85
"""Slow clients, as shares of the connection limit: more than all of it, and less than nine tenths."""
SECONDS = 20
PER_SECOND = 10
PATIENCE_SECONDS = 30.0
WORST_SECONDS = 5.0
BELOW_P99_SECONDS = 1.0

_SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_DATA_FRAME = b"\x00\x00\x08\x00\x00\x00\x00\x00\x01longbody"
HTTP_2 = Habit(
    "HTTP/2 frames with prior knowledge",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS_FRAME + _DATA_FRAME * 10,
    _DATA_FRAME,
)

HEAD = f"""\
# Slow clients

Command: `scripts/slow`. One node with `CONNECTION_LIMIT` {LIMIT} and nothing in front. Slow clients hold
connections and open each one again as soon as the server closes it. Meanwhile {PER_SECOND} others a second
come on new connections, each with a token, and ask for the versions. They wait from the moment at which
they were to come. The bound is {WORST_SECONDS:.0f} s at worst, and {BELOW_P99_SECONDS:.0f} s for 99 of
100 while fewer than nine tenths of the connections are in use.

| slow clients | connections | opened | others answered | median | 99 of 100 | at worst |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


@dataclass(frozen=True)
class Scenario:
    """Slow clients of one habit; a scenario of another kind needs `name`, `count` and `clients`."""

    habit: Habit
    count: int

    @property
    def name(self) -> str:
        """The name in the table."""
        return self.habit.name

    def clients(self, address: tuple[str, int]) -> SlowClients:
        """Run the slow clients while the context is open."""
        return SlowClients(address, self.habit, self.count)


class SlowPeers:
    """Repeated registrations with peers that respond after 9 s, several at a time."""

    name = "registrations with peers that answer after 9 s"
    count = 4

    @contextlib.contextmanager
    def clients(self, address: tuple[str, int]) -> Iterator["SlowPeers"]:
        """Run the registrations while the context is open."""
        self.opened, is_over = 0, threading.Event()
        network = in_transaction(networks.of_party, ("NL", "DEM"))[0]

        def answer(_: object) -> tuple[int, object]:
            is_over.wait(9)
            return 200, envelope([])

        def register(peer: PeerServer) -> None:
            while not is_over.is_set():
                headers = {
                    "Authorization": f"Token {in_transaction(access.mint, access.REGISTRATION, network.id)}"
                }
                url = f"http://{address[0]}:{address[1]}/ocpi/cpo/2.1.1/credentials"
                self.opened += 1
                with contextlib.suppress(requests.RequestException):
                    requests.post(url, json=peer.credentials(), headers=headers, timeout=60)

        with PeerServer() as peer, ThreadPoolExecutor(self.count) as pool:
            peer.answers["/versions"] = answer
            for _ in range(self.count):
                pool.submit(register, peer)
            try:
                yield self
            finally:
                is_over.set()


SCENARIOS: list[Any] = [
    *(Scenario(habit, round(LIMIT * share)) for share in (BELOW, ABOVE) for habit in HABITS),
    Scenario(HTTP_2, 4),
    SlowPeers(),
]
"""Each runs against the same node, one after the other."""


def main() -> int:
    """Measure, write the results, and say whether they are within the bound."""
    parser = argparse.ArgumentParser(prog="scripts/slow", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measurements/slow.md")
    out = parser.parse_args().out
    lines, complaints = [], []
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as (node, token):
        for scenario in SCENARIOS:
            print(f"{scenario.count} x {scenario.name} ...", file=sys.stderr, flush=True)
            opened, waits = measure(node, scenario, token)
            lines.append(row(scenario, opened, waits))
            complaints += judge(scenario, waits)
            print(lines[-1], file=sys.stderr, flush=True)
        idle = cpu_share(node)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    versions = f"Python {platform.python_version()}, waitress {version('waitress')}"
    lines += [
        "",
        f"After the last of them the idle node uses {idle:.0%} of a core.",
        "",
        f"{versions}, {os.cpu_count()} cores; load average {load}.",
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(HEAD + "\n".join(lines) + "\n")
    print(out.read_text(), *complaints, sep="\n")
    return 1 if complaints else 0


@contextlib.contextmanager
def running(place: Path) -> Iterator[tuple[Node, str]]:
    """A node, and the token of a peer."""
    environment = {
        "OCPI_GATEWAY_DATA_DIR": str(place),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_CONNECTION_LIMIT": str(LIMIT),
    }
    with switch_to(environment), Node(environment) as node:
        yield node, str(node.network("CPO", ("NL", "DEM")).peer().token)


def measure(node: Node, scenario: Any, token: str) -> tuple[int, list[float | None]]:
    """The number of connections of slow clients, and the waiting times of others."""
    url = f"{node.url}/ocpi/cpo/versions"
    address = ("127.0.0.1", int(node.environment["OCPI_GATEWAY_PORT"]))
    with scenario.clients(address) as slow, ThreadPoolExecutor(PER_SECOND * int(PATIENCE_SECONDS)) as pool:
        until(lambda: slow.opened >= scenario.count)
        began = time.monotonic()
        waits = []
        for number in itertools.count():
            due = began + number / PER_SECOND
            if due > began + SECONDS:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            waits.append(pool.submit(waited, url, token, due))
        found = [each.result() for each in waits]
        return slow.opened, found


def waited(url: str, token: str, due: float) -> float | None:
    """Seconds from *due* to the response, or None without a response."""
    seconds = answer_seconds(url, PATIENCE_SECONDS, {"Authorization": f"Token {token}"})
    return None if seconds is None else time.monotonic() - due


def p99(waits: list[float | None]) -> float:
    """The 99th percentile of the waiting times; a missing response counts as infinite."""
    ordered = sorted(float("inf") if wait is None else wait for wait in waits)
    return ordered[max(0, round(len(ordered) * 0.99) - 1)]


def row(scenario: Any, opened: int, waits: list[float | None]) -> str:
    """A line of the table."""
    answered = [wait for wait in waits if wait is not None]
    median = statistics.median(answered) if answered else float("inf")
    figures = " | ".join(
        f"{value:.2f} s" for value in (median, p99(waits), max(answered, default=float("inf")))
    )
    return (
        f"| {scenario.name} | {scenario.count} | {opened:,} | {len(answered)} of {len(waits)} | {figures} |"
    )


def judge(scenario: Any, waits: list[float | None]) -> list[str]:
    """The violations of the bound."""
    complaints = []
    if None in waits or max(wait or 0 for wait in waits) > WORST_SECONDS:
        complaints.append(
            f"{scenario.count} x {scenario.name}: a client waited longer than {WORST_SECONDS} s"
        )
    if scenario.count < LIMIT * 0.9 and p99(waits) > BELOW_P99_SECONDS:
        complaints.append(f"{scenario.count} x {scenario.name}: p99 is {p99(waits):.2f} s")
    return complaints


def cpu_share(node: Node) -> float:
    """The share of a core that an idle node uses."""

    def used() -> float:
        fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(2)
    before, began = used(), time.monotonic()
    time.sleep(5)
    return (used() - before) / (time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
