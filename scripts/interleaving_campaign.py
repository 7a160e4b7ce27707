"""Registrations, renewals, unregistrations and ends of networks, interleaved at every call to a peer.

All pairs of operations, the second at every point of the first; sampled triples; then histories with real
threads over HTTP, on SQLite and on PostgreSQL. Two networks of ours are each other's peer. In the end the
rules are taken out, to see that the model finds what they prevent. Exit status 1 if anything was wrong.
"""

import argparse
import contextlib
import multiprocessing
import os
import platform
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

from interleavings import OPERATIONS, Model, Side, pairs, run_at_once, unchecked_exchanges  # noqa: E402  (the path first)
from nodes import Node, free_port, postgres, session, switch_to  # noqa: E402

from handlers.dispatch.app import create_app  # noqa: E402
from storage import access, schema  # noqa: E402

MEMORY = Path("/dev/shm")  # noqa: S108  (only for a new folder in it)
PROCESSES = 2
HEAD = """\
# Interleaved exchanges

Command: `scripts/interleavings`. The operations are join, rotate, leave, delete the network and let it
expire, each by either side. A side joins again where it is registered, and a renewal is the other side's
rotation. What must hold: a token that ended never works again; a registered side has one live Token C, or two
during the overlap; neither side is locked out, before and after the overlap; a side that left stays out; no
5xx.

| what | histories | wrong |
| --- | ---: | ---: |
"""

Wrong = list[tuple[object, list[str]]]


def main() -> int:
    """Run everything, write the results, and say whether they are right."""
    parser = argparse.ArgumentParser(prog="scripts/interleavings", description=__doc__)
    parser.add_argument("--triples", type=int, default=20_000)
    parser.add_argument("--histories", type=int, default=1000, help="with real threads, on each database")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measurements/interleavings.md")
    options = parser.parse_args()
    began = time.monotonic()
    rows: list[tuple[str, int, Wrong]] = []

    def note(what: str, count: int, wrong: Wrong) -> None:
        rows.append((what, count, wrong))
        print(f"{what}: {count}, {len(wrong)} wrong", *wrong[:5], sep="\n  ", flush=True)

    note("all pairs, the second at every point of the first", *run_pairs())
    note("triples, drawn", *run_triples(options.triples, options.seed))
    for database in (sqlite, postgres):
        with database() as url:
            wrong = run_histories(url, options.histories, options.seed)
            note(f"three operations at once over HTTP, {url.partition(':')[0]}", options.histories, wrong)
    count, caught = run_pairs(rules=False)
    print(f"control: {len(caught)} of {count}", flush=True)
    kinds = Counter(text for _, complaints in caught for text in complaints)
    lines = [f"| {what} | {count:,} | {len(wrong)} |" for what, count, wrong in rows]
    lines += ["", "The control, all pairs without the second look at token, connection and exchange:", ""]
    lines += [f"- {text}: {number} times" for text, number in kinds.most_common()]
    minutes = (time.monotonic() - began) / 60
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    lines += ["", f"{datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes, seed {options.seed}, {machine}."]
    options.out.write_text(HEAD + "\n".join(lines) + "\n")
    return 0 if caught and not any(wrong for _, _, wrong in rows) else 1


@contextlib.contextmanager
def model() -> Iterator[Model]:
    """A model on a new database, in memory if the machine has such a folder."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        environment = {"OCPI_GATEWAY_DATA_DIR": place, "OCPI_GATEWAY_SECRET_KEY": "model"}
        with switch_to(environment):
            schema.upgrade(None)
            model = Model(create_app())
            with model.installed():
                yield model


def run_pairs(*, rules: bool = True) -> tuple[int, Wrong]:
    """Every pair; returns the number of histories and the wrong ones. *rules*: False for the control."""
    with model() as running, contextlib.nullcontext() if rules else unchecked_exchanges():
        outcomes = list(pairs(running))
    return len(outcomes), [(each.history, each.complaints) for each in outcomes if each.complaints]


def run_triples(count: int, seed: int) -> tuple[int, Wrong]:
    """Random triples, in several processes."""
    share = count // PROCESSES
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        found = pool.map(_triples, [share] * PROCESSES, [seed + number for number in range(PROCESSES)])
        return share * PROCESSES, [wrong for each in found for wrong in each]


def _triples(count: int, seed: int) -> Wrong:
    """Triples until *count* of them ran to the third operation."""
    draw, wrong = random.Random(seed), []  # noqa: S311  (reproducible)
    with model() as running:
        points = {
            (operation, registered): running.run(operation, registered=registered).points
            for operation in OPERATIONS
            for registered in (True, False)
        }
        starts = [start for start, number in points.items() if number]
        reached = 0
        while reached < count:
            first, registered = draw.choice(starts)
            second, third = draw.choices(OPERATIONS, k=2)
            one = draw.randrange(points[first, registered])
            two = draw.randint(one + 1, points[first, registered] + points[second, True])
            outcome = running.run(first, (one, second), (two, third), registered=registered)
            reached += outcome.reached
            if outcome.complaints:
                wrong.append((outcome.history, outcome.complaints))
    return wrong


@contextlib.contextmanager
def sqlite() -> Iterator[str]:
    """The URL of an empty SQLite database."""
    with tempfile.TemporaryDirectory() as place:
        yield f"sqlite:///{place}/node.sqlite"


def run_histories(url: str, count: int, seed: int) -> Wrong:
    """Three operations at the same time, repeatedly."""
    draw, wrong = random.Random(seed), []  # noqa: S311  (reproducible)
    with tempfile.TemporaryDirectory() as place:
        environment = {
            "OCPI_GATEWAY_DATABASE_URL": url,
            "OCPI_GATEWAY_DATA_DIR": place,
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_THREADS": "8",
            "OCPI_GATEWAY_LOG_LEVEL": "WARNING",
        }
        with switch_to(environment), Node(environment) as node:
            for _ in range(count):
                operations = draw.choices(OPERATIONS, k=3)
                complaints = run_at_once(operations, reader(node))
                if complaints:
                    wrong.append((operations, complaints))
    return wrong


def reader(node: Node) -> Callable[[Side, str], int]:
    """Read the locations of a side; returns the HTTP status."""

    def read(side: Side, token: str) -> int:
        url = f"{node.url}/ocpi/{access.url_segment(side.network.role)}/2.1.1/locations"
        return session().get(url, headers={"Authorization": f"Token {token}"}, timeout=30).status_code

    return read


if __name__ == "__main__":
    sys.exit(main())
