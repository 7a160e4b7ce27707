"""The benchmark: the program, a minimal program (the floor) and a rival, in interleaved rounds.

The servers have one core, the load generator and PostgreSQL the other. What counts is the CPU time
of a server's own processes for one request, as a ratio within a round: ratios hold on a busy
machine, absolute numbers do not. The floor is bench_parts/floor.py, the rival bench_parts/rival.py.
Linux only.
"""

import argparse
import contextlib
import itertools
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import extrawest  # noqa: E402  (the path first)
import measurement  # noqa: E402
import nodes  # noqa: E402
from bench_parts import report  # noqa: E402  (the path first)
from bench_parts.load import CORES, Failed, Server, fetch, request  # noqa: E402
from bench_parts.plan import (  # noqa: E402
    DATED,
    DEEP,
    DEEP_OFFSET,
    FEW,
    FIRST,
    FLOOR,
    JUMP,
    LIMIT,
    LINKED,
    MANY,
    OPERATIONS,
    PROGRAM,
    THE_RIVAL,
    Results,
)
from bench_parts.site import EPOCH, PEER_PARTY, Site, keys_of, own, written  # noqa: E402

from storage import timestamps  # noqa: E402

PARTS = ROOT / "scripts" / "bench_parts"
RESULTS = ROOT / "docs" / "measurements"
RIVAL_TOKEN = "rival-token-c"  # noqa: S105  (of a server that lives for minutes on loopback)

Requests = dict[str, Iterator[bytes]]


# The servers


def _program(place: Mapping[str, str], threads: int) -> Server:
    port = str(nodes.free_port())
    settings = {**place, "OCPI_GATEWAY_PORT": port, "OCPI_GATEWAY_THREADS": str(threads), "BENCH_PORT": port}
    return Server(PROGRAM, [sys.executable, "-m", "handlers.dispatch.serve"], ROOT, settings)


def _floor(url: str, threads: int, cpo: int, emsp: int) -> Server:
    port = str(nodes.free_port())
    settings = {
        "BENCH_DATABASE_URL": url,
        "BENCH_PORT": port,
        "BENCH_CPO_NETWORK": str(cpo),
        "BENCH_EMSP_NETWORK": str(emsp),
    }
    return Server(FLOOR, [sys.executable, "floor.py", port, str(threads)], PARTS, settings)


def _rival(seed: Path) -> Server:
    port = str(nodes.free_port())
    settings = {"BENCH_PORT": port, "BENCH_SEED": str(seed), "BENCH_TOKEN": RIVAL_TOKEN}
    command = [str(extrawest.HOME / "bin" / "uvicorn"), "rival:app", "--host", "127.0.0.1", "--port", port]
    return Server(THE_RIVAL, command, PARTS, settings)


# The rounds


def questions(variant: str, cpo_token: str | None, emsp_token: str | None) -> Requests:
    """Endless streams of the requests of this variant, by operation."""
    slash = "/" if variant == THE_RIVAL else ""
    ours, theirs = "/ocpi/cpo/2.1.1/locations", f"/ocpi/emsp/2.1.1/locations/{'/'.join(PEER_PARTY)}"
    page, get, put, patch = OPERATIONS
    stamp = timestamps.text(EPOCH + 86_400_000)
    changes = [
        orjson.dumps({"status": status, "last_updated": stamp}) for status in ("CHARGING", "AVAILABLE")
    ]
    numbered = {body["id"]: orjson.dumps(body) for body in written(variant)}
    return {
        page: itertools.cycle([request("GET", f"{ours}{slash}?limit={LIMIT}", cpo_token)]),
        get: itertools.cycle([request("GET", f"{ours}/DEM{n:06}", cpo_token) for n in range(FEW)]),
        put: itertools.cycle(
            [request("PUT", f"{theirs}/{k}", emsp_token, numbered[k]) for k in keys_of(variant, put)]
        ),
        patch: itertools.cycle(
            [
                request("PATCH", f"{theirs}/{k}/{k}-1", emsp_token, change)
                for change in changes
                for k in keys_of(variant, patch)
            ]
        ),
    }


def compare(site: Site, servers: Mapping[str, Server], request_streams: Mapping[str, Requests]) -> None:
    """Check that program and floor return and store the same.

    Raises:
        Failed: they do not; then the comparison would mean nothing.
    """
    for operation in OPERATIONS:
        keys = [keys_of(variant, operation)[0] for variant in (PROGRAM, FLOOR)]
        writes = operation in OPERATIONS[2:]
        before = [site.kept(key)[0] for key in keys] if writes else []
        answers = [_essence(servers[v].port, next(request_streams[v][operation])) for v in (PROGRAM, FLOOR)]
        if answers[0] != answers[1]:
            raise Failed(f"{operation}: program and floor differ: {str(answers)[:1500]}")
        if writes:
            kept = [site.kept(key) for key in keys]
            if kept[0][1:] != kept[1][1:] or [row[0] - 1 for row in kept] != before:
                raise Failed(f"{operation}: program and floor store differently: {kept}")


def _essence(port: int, request: bytes) -> tuple[bytes, list[str], Any]:
    head, body = fetch(port, request)
    names = sorted(line.partition(":")[0].lower() for line in head.decode().split("\r\n")[1:])
    return head[9:12], [name for name in names if name != "server"], {**orjson.loads(body), "timestamp": None}


def rounds(
    results: Results,
    place: str,
    servers: Mapping[str, Server],
    request_streams: Mapping[str, Requests],
    connections: int,
    options: argparse.Namespace,
) -> None:
    """Measure every operation against every variant, in a rotating order."""
    operations = next(iter(request_streams.values())).keys()
    for name, operation in itertools.product(servers, operations):
        servers[name].measure(request_streams[name][operation], connections, min(0.5, options.seconds))
    for number in range(options.rounds):
        order = list(servers) if number % 2 else list(servers)[::-1]
        say(f"{place}: round {number + 1} of {options.rounds}")
        for operation in operations:
            row = {
                name: servers[name].measure(request_streams[name][operation], connections, options.seconds)
                for name in order
            }
            results.add(place, operation, row)


def four_operations(results: Results, site: Site, seed: Path | None, options: argparse.Namespace) -> None:
    """The four operations, at 2 and at 8 threads."""
    for threads in (2, 8):
        with contextlib.ExitStack() as stack:
            running = [_program(site.settings, threads), _floor(site.url, threads, site.cpo, site.emsp)]
            running += [_rival(seed)] if seed else []
            servers = {server.name: stack.enter_context(server) for server in running}
            request_streams = {
                PROGRAM: questions(PROGRAM, site.tokens[site.cpo], site.tokens[site.emsp]),
                FLOOR: questions(FLOOR, site.tokens[site.cpo], site.tokens[site.emsp]),
                THE_RIVAL: questions(THE_RIVAL, RIVAL_TOKEN, RIVAL_TOKEN),
            }
            request_streams = {name: request_streams[name] for name in servers}
            compare(site, servers, request_streams)
            rounds(results, f"{site.name}, {threads} threads", servers, request_streams, threads, options)


def deep_pages(results: Results, site: Site, options: argparse.Namespace) -> None:
    """Pages of a network of 100,000 locations, one request at a time."""
    say(f"{site.name}: storing {MANY:,} locations")
    site.fill()
    with (
        _program(site.settings, 2) as program,
        _floor(site.url, 2, site.many, site.emsp) as floor,
    ):
        servers = {PROGRAM: program, FLOOR: floor}
        token = site.tokens[site.many]
        request_streams = {name: _deep_questions(server.port, token) for name, server in servers.items()}
        for operation in DEEP:
            answers = [
                _essence(servers[v].port, next(request_streams[v][operation])) for v in (PROGRAM, FLOOR)
            ]
            if answers[0] != answers[1] or len(answers[0][2]["data"]) != LIMIT:
                raise Failed(f"{operation}: program and floor differ: {str(answers)[:1500]}")
        rounds(results, f"{site.name}, {MANY:,}", servers, request_streams, 1, options)


def _deep_questions(port: int, token: str) -> Requests:
    path = "/ocpi/cpo/2.1.1/locations"
    head, _ = fetch(port, request("GET", f"{path}?offset={DEEP_OFFSET - LIMIT}&limit={LIMIT}", token))
    link = re.search(rb"(?im)^link: *<https?://[^/]+([^>]+)>", head)
    if link is None:
        raise Failed("a page that is not the last has no Link")
    dates = [timestamps.text(EPOCH + MANY * share) for share in (500, 600)]  # a tenth of them
    queries = {
        FIRST: f"{path}?limit={LIMIT}",
        LINKED: link[1].decode(),
        JUMP: f"{path}?offset={DEEP_OFFSET}&limit={LIMIT}",
        DATED: f"{path}?limit={LIMIT}&date_from={dates[0]}&date_to={dates[1]}",
    }
    return {name: itertools.cycle([request("GET", query, token)]) for name, query in queries.items()}


def run(results: Results, options: argparse.Namespace) -> None:
    """Run the requested measurements; *results* always has the finished ones."""
    seed = None
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if not options.quick:
            extrawest.install()
            results.versions += extrawest.PACKAGES[:2]
            seed = place / "rival.json"
            seed.write_bytes(orjson.dumps({"CPO": list(own(FEW)), "EMSP": written(THE_RIVAL)}))
        results.versions.append(f"SQLite {_sqlite_version()}")
        for name in ("SQLite",) if options.quick else ("SQLite", "PostgreSQL"):
            say(f"{name}: preparing")
            home = place / name
            home.mkdir()
            url = f"sqlite:///{home / 'bench.sqlite'}"
            if name == "PostgreSQL":
                url = stack.enter_context(nodes.postgres())
                results.versions.append(f"PostgreSQL {_postgres_version(url)}")
            site = Site.make(name, url, home)
            four_operations(results, site, seed, options)
            deep_pages(results, site, options)


def _sqlite_version() -> str:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SELECT sqlite_version()").scalar_one())


def _postgres_version(url: str) -> str:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        found = str(connection.exec_driver_sql("SHOW server_version").scalar_one())
    engine.dispose()
    return found.split(maxsplit=1)[0]


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Compare the program with a bare Flask program (the floor) and extrawest-ocpi (the"
        " rival): CPU and requests per second on SQLite and PostgreSQL, and pages of a large network."
        " About ten minutes; wants two quiet cores.",
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds, SQLite only, no rival")
    parser.add_argument("--rounds", type=int, help="number of rounds (7; quick: 2)")
    parser.add_argument("--seconds", type=float, help="seconds per batch (0.8; quick: 0.4)")
    parser.add_argument("--out", type=Path, help="folder of the results (docs/measurements; quick: none)")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 7)
    options.seconds = options.seconds or (0.4 if options.quick else 0.8)
    options.out = options.out or (None if options.quick else RESULTS)
    return options


def main() -> int:
    """Measure, and write the report even after a failure."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    before = measurement.load()
    results = Results()
    if len(CORES) == 1:
        results.remarks.append("one core for all: rates mean little")
    os.sched_setaffinity(0, {CORES[-1]})
    code = 1
    try:
        run(results, options)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Failed as failure:
        say(str(failure))
    finally:
        if code:
            results.remarks.append("interrupted, so not all rounds are there")
        if results.rows:
            _keep(results, options, (before, measurement.load()))
    return code


def _end(*_: object) -> None:
    """End once; ignore a second signal meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _keep(results: Results, options: argparse.Namespace, loads: Sequence[str]) -> None:
    """Print the report, and write it if there is a folder for it."""
    text = report.markdown(results, options, loads)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "benchmark.md").write_text(text)
        (options.out / "benchmark.svg").write_text(report.svg(results))


if __name__ == "__main__":
    sys.exit(main())
