"""Measures what charging costs: many sessions at once, on a slow and on a fast clock, with a registered eMSP.

Real servers, one database after the other. The eMSP is a thread of this process. Meanwhile a peer reads a
location ten times a second. Writes docs/measurements/charging.md.
"""

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import measurement  # noqa: E402  (the path first)
from crashable_node import ADMIN  # noqa: E402
from examples import example  # noqa: E402
from nodes import Gateway, Network, Node, free_port, in_transaction, postgres, switch_to  # noqa: E402
from peers import PeerServer, Reply, envelope  # noqa: E402
from push_rate import DATABASES, cpu_seconds, p99  # noqa: E402

from storage import networks  # noqa: E402

RESULTS = ROOT / "docs" / "measurements" / "charging.md"
LOADS = ((1000, 1), (100, 60))
"""How many sessions run, and how fast the clock."""

CHARGE_POINTS, READS_PER_SECOND = 20, 10
HEAD = """\
# Charging

Written by `{command}`; nothing here is edited by hand. Commit {commit}.

A network with a registered eMSP, whose drivers have plugged in. **CPU** of the program in percent of a core
while the sessions run, for {seconds:.0f} s, with and without pushes to the eMSP. **GET**: a peer reads a
location ten times a second meanwhile.

| database | sessions | speed | CPU | CPU without pushes | pushes a second | GET, median | 99 % |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


class Emsp(PeerServer):
    """An eMSP that takes everything at once, and counts."""

    taken = 0

    def answer(self, request: dict[str, Any]) -> Reply:
        """Succeed."""
        del request
        self.seen.clear()
        self.taken += 1
        return 200, envelope()


@dataclass
class Load:
    """A network with sessions that run."""

    gateway: Gateway
    emsp: Emsp
    sessions: int
    speed: int

    def prepare(self) -> None:
        """Create the network, register the eMSP, and let the drivers plug in."""
        sizes = {"locations": -(-self.sessions // CHARGE_POINTS), "chargers_per_location": CHARGE_POINTS}
        cpo = self.gateway.ready(country_code="NL", template="city-network", seed=1, overrides=sizes)
        self.url = f"/ocpi/cpos/{cpo['cpo_id']}"
        self.network = Network(self.gateway.node, in_transaction(networks.get, int(cpo["cpo_id"])))
        endpoints = {module: f"{self.emsp.url}/{module}" for module in ("sessions", "cdrs")}
        self.peer = self.network.peer(self.emsp.party, self.emsp.versions_url, endpoints)
        token = example("Token", uid="T1", auth_id="A1", valid=True, whitelist="ALWAYS")
        self.peer.put(self.peer.at("tokens", "T1"), token).raise_for_status()
        places = [
            (location["id"], evse["uid"])
            for offset in range(0, sizes["locations"], 50)
            for location in self.network.operator().data("locations", offset=offset, limit=50)
            for evse in location["evses"]
        ]
        self.location_id = places[0][0]
        for location_id, evse_uid in places[: self.sessions]:
            body = {"location_id": location_id, "evse_uid": evse_uid, "token_uid": "T1", "minutes": 10_000}
            self.gateway.post(f"{self.url}/sessions", body).raise_for_status()
        self._set("PUT", f"{self.url}/simulation", {"speed": self.speed})

    def switch_pushes(self, *, on: bool) -> None:
        """Switch the pushes to the eMSP."""
        path = f"{self.url}/connections/{self.peer.connection_id}"
        self._set("PATCH", path, {"push": on})

    def _set(self, method: str, path: str, body: dict[str, Any]) -> None:
        self.gateway.request(method, path, json=body).raise_for_status()

    def measure(self, seconds: float) -> tuple[float, float, list[float]]:
        """CPU as a part of a core, pushes a second, and the seconds of each GET."""
        time.sleep(5)
        pid, taken = self.gateway.node.pid, self.emsp.taken
        before, began, times = cpu_seconds(pid), time.monotonic(), []
        while time.monotonic() < began + seconds:
            at = time.monotonic()
            self.peer.data(f"locations/{self.location_id}")
            times.append(time.monotonic() - at)
            time.sleep(max(0.0, 1 / READS_PER_SECOND - times[-1]))
        passed = time.monotonic() - began
        reading = self._cost_of_reading(len(times))
        cpu = cpu_seconds(pid) - before - reading
        return cpu / passed, (self.emsp.taken - taken) / passed, times

    def _cost_of_reading(self, reads: int) -> float:
        """The CPU of *reads* reads, from a burst."""
        pid, burst = self.gateway.node.pid, 100
        before = cpu_seconds(pid)
        for _ in range(burst):
            self.peer.data(f"locations/{self.location_id}")
        return (cpu_seconds(pid) - before) / burst * reads


def measure(name: str, environment: dict[str, str], seconds: float) -> Iterator[str]:
    """The rows of one database."""
    for sessions, speed in LOADS:
        with switch_to(environment), Node(environment) as node, Emsp(("NL", "TNM")) as emsp:
            load = Load(Gateway(node, ADMIN), emsp, sessions, speed)
            load.prepare()
            cpu, rate, times = load.measure(seconds)
            load.switch_pushes(on=False)
            quiet, _, _ = load.measure(seconds)
        median = sorted(times)[len(times) // 2]
        row = f"| {name} | {sessions:,} | {speed} | **{100 * cpu:.1f} %** | {100 * quiet:.1f} %"
        row += f" | {rate:.0f} | {median * 1000:.0f} ms | {p99(times) * 1000:.0f} ms |"
        print(row, flush=True)
        yield row


def _environments(chosen: list[str], stack: contextlib.ExitStack) -> Iterator[tuple[str, dict[str, str]]]:
    for name in chosen:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ocpi-charging-", ignore_cleanup_errors=True)
        )
        url = f"sqlite:///{folder}/node.sqlite" if name == "SQLite" else stack.enter_context(postgres())
        yield (
            name,
            {
                "OCPI_GATEWAY_DATABASE_URL": url,
                "OCPI_GATEWAY_DATA_DIR": folder,
                "OCPI_GATEWAY_PORT": str(free_port()),
                "OCPI_GATEWAY_DEMO": "0",
                "OCPI_GATEWAY_ADMIN_TOKEN": ADMIN,
            },
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/loading_charging",
        description="What charging costs. The table goes to docs/measurements/charging.md.",
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long each load is measured (60)")
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both", help="which (both)")
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write the page if both databases were measured."""
    options = _options()
    chosen = list(DATABASES) if options.database == "both" else [options.database]
    load = measurement.load()
    with contextlib.ExitStack() as stack:
        rows = [row for each in _environments(chosen, stack) for row in measure(*each, options.seconds)]
    packages = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "psycopg", "requests"))
    head = HEAD.format(
        command=f"scripts/loading_charging --seconds {options.seconds:.0f}",
        commit=measurement.commit(),
        seconds=options.seconds,
    )
    machine = f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores; load average {load}"
    page = head + "\n".join(rows) + f"\n\n{machine} before, {measurement.load()} after.\n"
    print("\n" + page)
    if options.database == "both":
        RESULTS.write_text(page)


if __name__ == "__main__":
    main()
