"""Measures pushes: their rate to one peer and to ten, how soon a change arrives, and idle CPU.

Real servers, one database after the other. The peers are threads of this process; each takes 5 ms to answer.
Rates are measured from the first push to the last. Writes docs/measurements/pushing.md.
"""

import argparse
import contextlib
import os
import platform
import statistics
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
from crashable_node import until  # noqa: E402
from examples import example, model  # noqa: E402
from nodes import Network, Node, free_port, postgres, switch_to  # noqa: E402
from peers import PeerServer, Reply, envelope  # noqa: E402

from storage import database, tariffs  # noqa: E402

RESULTS = ROOT / "docs" / "measurements" / "pushing.md"
DATABASES = ("SQLite", "PostgreSQL")
TAKES_SECONDS = 0.005
SILENT_SECONDS = 60.0
CONNECTIONS, HANGING = 100, 20
PARTIES = [f"{first}{second}0" for first in "ABCDEFGHIJ" for second in "ABCDEFGHIJKL"]
HEAD = """\
# Pushes

Written by `{command}`; nothing here is edited by hand. Commit {commit}.

A program with `PUSH_RATE=1000` and the shipped settings otherwise. Each peer answers after 5 ms; the
pushes are tariffs. **One peer**, **ten peers**: pushes a second from the first to the last of {objects} to
each. **Change**: from the response to a back office's PUT to the arrival at an idle peer, one change at a
time. **Beside hanging peers**: the same while {hanging} other peers of the network never answer. **Idle**:
CPU of the program with {connections} registered peers and nothing to do, in percent of a core.

| database | one peer | ten peers | change, median | 99 % | beside hanging peers, median | 99 % | idle |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


class Taker(PeerServer):
    """A peer that answers after 5 ms, or never, and notes when each request came."""

    def __init__(self, network: Network, party: tuple[str, str], *, hangs: bool = False) -> None:
        super().__init__(party)
        self.arrivals: list[float] = []
        self._hangs = hangs
        network.peer(party, self.versions_url, {"tariffs": f"{self.url}/tariffs"})

    def answer(self, request: dict[str, Any]) -> Reply:
        """Note the arrival, and succeed after a while."""
        del request
        self.arrivals.append(time.monotonic())
        self.seen.clear()
        time.sleep(SILENT_SECONDS if self._hangs else TAKES_SECONDS)
        return 200, envelope()


@dataclass
class Bench:
    """One database, with a node that is down between two measurements."""

    name: str
    environment: dict[str, str]

    @contextlib.contextmanager
    def running(self) -> Iterator[Node]:
        """The node while it runs."""
        with Node(self.environment) as node:
            yield node

    def rate(self, peers: int, objects: int) -> float:
        """Pushes a second to *peers* peers, of *objects* tariffs each that are due at the start."""
        with self.running() as node:
            network = node.network("CPO", ("NL", "DEM"))
        with contextlib.ExitStack() as stack:
            takers = [stack.enter_context(Taker(network, ("BE", party))) for party in PARTIES[:peers]]
            with database.transaction() as transaction:
                for number in range(objects):
                    body = example("Tariff", id=f"T{number}")
                    tariffs.put(transaction, network.id, ("NL", "DEM"), model("Tariff", body))
            with self.running():
                until(lambda: all(len(taker.arrivals) >= objects for taker in takers), 300)
            times = sorted(instant for taker in takers for instant in taker.arrivals)
            return (len(times) - 1) / (times[-1] - times[0])

    def delays(self, changes: int, hanging: int) -> list[float]:
        """The seconds from each response to a change to its arrival, beside *hanging* silent peers."""
        with self.running() as node, contextlib.ExitStack() as stack:
            network = node.network("CPO", ("NL", "DEM"))
            office = network.operator()
            for party in PARTIES[:hanging]:
                stack.enter_context(Taker(network, ("BE", party), hangs=True))
            taker = stack.enter_context(Taker(network, ("NL", "TNM")))
            delays = []
            for number in range(changes):
                response = office.put(f"tariffs/NL/DEM/T{number}", example("Tariff", id=f"T{number}"))
                answered = time.monotonic()
                response.raise_for_status()
                until(lambda: len(taker.arrivals) > number, 60)  # noqa: B023  (called before the next round)
                delays.append(max(0.0, taker.arrivals[number] - answered))
                time.sleep(0.2)
            return delays

    def idle(self, seconds: float) -> float:
        """The share of a core that the program uses with CONNECTIONS registered peers and nothing to do."""
        with self.running() as node:
            network = node.network("CPO", ("NL", "DEM"))
            for party in PARTIES[:CONNECTIONS]:
                network.peer(("BE", party), node.url, {"tariffs": node.url})
            time.sleep(3)
            before = cpu_seconds(node.pid)
            time.sleep(seconds)
            return (cpu_seconds(node.pid) - before) / seconds


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(bench: Bench, options: argparse.Namespace) -> str:
    """All measurements on one database; returns its row of the table."""
    with switch_to(bench.environment):
        idle = bench.idle(options.idle_seconds)  # first: later the silent peers are called again and again
        print(f"{bench.name}: {100 * idle:.1f} % of a core when idle", flush=True)
        one = statistics.median(bench.rate(1, options.objects) for _ in range(options.rounds))
        print(f"{bench.name}: {one:.0f} a second to one peer", flush=True)
        ten = statistics.median(bench.rate(10, options.objects // 2) for _ in range(options.rounds))
        print(f"{bench.name}: {ten:.0f} a second to ten peers", flush=True)
        alone, beside = bench.delays(options.changes, 0), bench.delays(options.changes, HANGING)
        print(f"{bench.name}: a change arrives after {statistics.median(alone):.3f} s", flush=True)
    times = " | ".join(f"{statistics.median(each):.3f} s | {p99(each):.3f} s" for each in (alone, beside))
    return f"| {bench.name} | **{one:.0f}** | **{ten:.0f}** | {times} | {100 * idle:.1f} % |"


def p99(values: list[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[min(len(values) - 1, round(0.99 * len(values)))]


def _benches(chosen: list[str], stack: contextlib.ExitStack) -> Iterator[Bench]:
    for name in chosen:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ocpi-pushing-", ignore_cleanup_errors=True)
        )
        url = f"sqlite:///{folder}/node.sqlite" if name == "SQLite" else stack.enter_context(postgres())
        environment = {
            "OCPI_GATEWAY_DATABASE_URL": url,
            "OCPI_GATEWAY_DATA_DIR": folder,
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_PUSH_RATE": "1000",
        }
        yield Bench(name, environment)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/pushing",
        description="The rate of pushes, how soon a change arrives, and what an idle program costs."
        " The table goes to docs/measurements/pushing.md.",
    )
    parser.add_argument("--objects", type=int, default=1000, help="tariffs for the rate (1000)")
    parser.add_argument("--changes", type=int, default=100, help="changes for the delay (100)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each rate; the median counts (3)")
    parser.add_argument("--idle-seconds", type=float, default=30, help="how long idle CPU is measured (30)")
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both", help="which (both)")
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write the page if both databases were measured."""
    options = _options()
    chosen = list(DATABASES) if options.database == "both" else [options.database]
    load = measurement.load()
    with contextlib.ExitStack() as stack:
        rows = [measure(bench, options) for bench in _benches(chosen, stack)]
    packages = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "psycopg", "requests"))
    after = measurement.load()
    head = HEAD.format(
        command=f"scripts/pushing --objects {options.objects} --changes {options.changes}"
        f" --rounds {options.rounds}",
        commit=measurement.commit(),
        objects=options.objects,
        hanging=HANGING,
        connections=CONNECTIONS,
    )
    machine = f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores; load average {load}"
    page = head + "\n".join(rows) + f"\n\n{machine} before, {after} after.\n"
    print("\n" + page)
    if options.database == "both":
        RESULTS.write_text(page)


if __name__ == "__main__":
    main()
