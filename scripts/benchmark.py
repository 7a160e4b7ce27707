"""The benchmark: the program beside the floor and a rival, in interleaved rounds.

The servers have one core, the load generator and PostgreSQL the other. What counts is the CPU time
of a server's own processes for one request, as a ratio within a round: ratios hold on a busy
machine, absolute numbers do not. The floor is bench_parts/floor.py, the rival bench_parts/rival.py.
Linux only.
"""

import argparse
import contextlib
import itertools
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

from bench_parts.load import CORES, Failed, Sample, Server, fetch, request  # noqa: E402  (the path first)

from storage import database, instants, networks  # noqa: E402
from storage.locations import LocationRow  # noqa: E402
from storage.objects import Shelf  # noqa: E402
from tests import nodes  # noqa: E402
from workflows import startup  # noqa: E402

PARTS = ROOT / "scripts" / "bench_parts"
RESULTS = ROOT / "docs" / "measurements"
RIVAL_HOME = ROOT / ".venv-rival"
RIVAL = ("extrawest-ocpi==2025.7.16", "uvicorn==0.54.0", "h11==0.14.0", "starlette==0.27.0")
RIVAL_TOKEN = "rival-token-c"  # noqa: S105  (of a server that lives for minutes on loopback)

PROGRAM, FLOOR, THE_RIVAL = "program", "floor", "rival"
OPERATIONS = ("page of 50", "GET location", "PUT location", "PATCH EVSE status")
FIRST, LINKED, JUMP, DATED = DEEP = (
    "first page",
    "page 1801 by Link",
    "page 1801 by offset",
    "page by dates",
)
LIMIT, FEW, MANY, WRITTEN, DEEP_OFFSET = 50, 500, 100_000, 100, 90_000
EPOCH = 1_760_000_000_000  # the first location's last_updated; each later one is a second younger
CPO_PARTY, PEER_PARTY = ("NL", "DEM"), ("NL", "TNM")

Row = dict[str, Sample]
Requests = dict[str, Iterator[bytes]]


@dataclass
class Results:
    """Every finished round: (place, operation) to one row a round."""

    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, place: str, operation: str, row: Row) -> None:
        """Keep a finished round of one operation."""
        self.rows.setdefault((place, operation), []).append(row)


# The servers


def _program(place: Mapping[str, str], threads: int) -> Server:
    port = str(nodes.free_port())
    settings = {**place, "OCPI_GATEWAY_PORT": port, "OCPI_GATEWAY_THREADS": str(threads), "BENCH_PORT": port}
    return Server(PROGRAM, [sys.executable, "-m", "handlers.serve"], ROOT, settings)


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
    command = [str(RIVAL_HOME / "bin" / "uvicorn"), "rival:app", "--host", "127.0.0.1", "--port", port]
    return Server(THE_RIVAL, command, PARTS, settings)


def make_rival_home() -> None:
    """The rival's environment, made once."""
    marker, wanted = RIVAL_HOME / "requirements.txt", "\n".join(RIVAL)
    if marker.exists() and marker.read_text() == wanted:
        return
    say("setting up .venv-rival (once)")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(RIVAL_HOME)], check=True, timeout=120)
    pip = [str(RIVAL_HOME / "bin" / "python"), "-m", "pip", "install", "-qq"]
    subprocess.run([*pip, "--disable-pip-version-check", *RIVAL], check=True, timeout=300)
    marker.write_text(wanted)


# What is stored


def location(key: str, number: int) -> dict[str, Any]:
    """A realistic location in canonical form: two EVSEs with two connectors each, about 1.8 kB."""
    stamp = instants.text(EPOCH + number * 1000)
    connectors = [
        {
            "id": str(index),
            "standard": "IEC_62196_T2_COMBO" if index == 1 else "CHADEMO",
            "format": "CABLE",
            "power_type": "DC",
            "voltage": 500,
            "amperage": 125,
            "tariff_id": "DC-PUBLIC-1",
            "terms_and_conditions": "https://charging.example.com/terms",
            "last_updated": stamp,
        }
        for index in (1, 2)
    ]
    evses = [
        {
            "uid": f"{key}-{index}",
            "evse_id": f"NL*DEM*E{key}*{index}",
            "status": "AVAILABLE",
            "capabilities": ["RFID_READER", "RESERVABLE", "REMOTE_START_STOP_CAPABLE"],
            "connectors": connectors,
            "floor_level": "-1",
            "physical_reference": str(index),
            "last_updated": stamp,
        }
        for index in (1, 2)
    ]
    return {
        "id": key,
        "type": "PARKING_LOT",
        "name": f"Station {number}",
        "address": f"Stationsplein {number % 999}",
        "city": "Utrecht",
        "postal_code": "3511 CE",
        "country": "NLD",
        "coordinates": {"latitude": f"52.{number % 10**6:06}", "longitude": f"5.{number % 10**6:06}"},
        "evses": evses,
        "operator": {"name": "Demo Charging", "website": "https://charging.example.com"},
        "facilities": ["SUPERMARKET", "WIFI"],
        "time_zone": "Europe/Amsterdam",
        "opening_times": {"twentyfourseven": True},
        "last_updated": stamp,
    }


def _keys(variant: str, operation: str) -> list[str]:
    """The locations that one variant writes with one operation; nobody else touches them."""
    return [f"{variant[0].upper()}{operation[:3]}{number:05}" for number in range(WRITTEN)]


def _written(variant: str) -> list[dict[str, Any]]:
    """What lies at those keys, and what a PUT sends again."""
    keys = (key for operation in OPERATIONS[2:] for key in _keys(variant, operation))
    return [location(key, number) for number, key in enumerate(keys)]


def _own(count: int) -> Iterator[dict[str, Any]]:
    return (location(f"DEM{number:06}", number) for number in range(count))


def _insert(network: int, party: tuple[str, str], locations: Iterable[dict[str, Any]]) -> None:
    """Store many locations at once, past the program."""
    statement = sqlalchemy.insert(database.table(LocationRow))
    rows = (
        Shelf.row(network, party, body, {"id": body["id"], "published": True}) | {"revision": 2}
        for body in locations
    )
    with database.transaction() as connection:
        while some := list(itertools.islice(rows, 5000)):
            connection.execute(statement, some)


@dataclass(frozen=True)
class Site:
    """One database with its networks, and the tokens of a peer that is registered with each."""

    name: str
    url: str
    settings: Mapping[str, str]
    cpo: int
    emsp: int
    many: int
    tokens: Mapping[int, str]

    @classmethod
    def make(cls, name: str, url: str, place: Path) -> "Site":
        """An up-to-date database with a CPO of 500 locations, an eMSP, and a CPO that is empty yet."""
        settings = {
            "OCPI_GATEWAY_DATA_DIR": str(place),
            "OCPI_GATEWAY_DATABASE_URL": url,
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_LOG_LEVEL": "INFO",
        }
        with nodes.switch_to(settings):
            startup.prepare()
            made = []
            for number, role in enumerate((networks.CPO, networks.EMSP, networks.CPO)):
                owner = networks.organization(f"bench-{number}")
                made.append(networks.create(owner, role, CPO_PARTY, "Bench"))
            node = nodes.Node({"OCPI_GATEWAY_PORT": "9"})
            tokens = {n.id: str(nodes.Network(node, n).peer(PEER_PARTY).token) for n in made}
            cpo, emsp, many = (network.id for network in made)
            _insert(cpo, CPO_PARTY, _own(FEW))
            for variant in (PROGRAM, FLOOR):
                _insert(emsp, PEER_PARTY, _written(variant))
        return cls(name, url, settings, cpo, emsp, many, tokens)

    def fill(self) -> None:
        """Give the empty CPO its 100,000 locations."""
        with nodes.switch_to(self.settings):
            _insert(self.many, CPO_PARTY, _own(MANY))
            if not database.is_sqlite():  # what autovacuum does within minutes
                with database.statement() as connection:
                    connection.exec_driver_sql("VACUUM ANALYZE ocpi_locations")

    def kept(self, key: str) -> tuple[int, int, str]:
        """A location as it is stored: revision, last_updated, and the document without its id."""
        c = database.table(LocationRow).c
        statement = sqlalchemy.select(c.revision, c.last_updated, c.document).where(c.id == key)
        with nodes.switch_to(self.settings), database.statement() as connection:
            row = connection.execute(statement).one()
        return row.revision, row.last_updated, row.document.replace(key, "KEY")


# The rounds


def questions(variant: str, cpo_token: str | None, emsp_token: str | None) -> Requests:
    """The four operations as this variant is asked for them, each without end."""
    slash = "/" if variant == THE_RIVAL else ""
    ours, theirs = "/ocpi/cpo/2.1.1/locations", f"/ocpi/emsp/2.1.1/locations/{'/'.join(PEER_PARTY)}"
    page, get, put, patch = OPERATIONS
    stamp = instants.text(EPOCH + 86_400_000)
    changes = [
        orjson.dumps({"status": status, "last_updated": stamp}) for status in ("CHARGING", "AVAILABLE")
    ]
    numbered = {body["id"]: orjson.dumps(body) for body in _written(variant)}
    return {
        page: itertools.cycle([request("GET", f"{ours}{slash}?limit={LIMIT}", cpo_token)]),
        get: itertools.cycle([request("GET", f"{ours}/DEM{n:06}", cpo_token) for n in range(FEW)]),
        put: itertools.cycle(
            [request("PUT", f"{theirs}/{k}", emsp_token, numbered[k]) for k in _keys(variant, put)]
        ),
        patch: itertools.cycle(
            [
                request("PATCH", f"{theirs}/{k}/{k}-1", emsp_token, change)
                for change in changes
                for k in _keys(variant, patch)
            ]
        ),
    }


def compare(site: Site, servers: Mapping[str, Server], asked: Mapping[str, Requests]) -> None:
    """Program and floor must answer the same, and store the same.

    Raises:
        Failed: they do not; then the comparison would mean nothing.
    """
    for operation in OPERATIONS:
        keys = [_keys(variant, operation)[0] for variant in (PROGRAM, FLOOR)]
        writes = operation in OPERATIONS[2:]
        before = [site.kept(key)[0] for key in keys] if writes else []
        answers = [_essence(servers[v].port, next(asked[v][operation])) for v in (PROGRAM, FLOOR)]
        if answers[0] != answers[1]:
            raise Failed(f"{operation}: program and floor differ: {str(answers)[:1500]}")
        if writes:
            kept = [site.kept(key) for key in keys]
            if kept[0][1:] != kept[1][1:] or [row[0] - 1 for row in kept] != before:
                raise Failed(f"{operation}: program and floor store differently: {kept}")


def _essence(port: int, asked: bytes) -> tuple[bytes, list[str], Any]:
    head, body = fetch(port, asked)
    names = sorted(line.partition(":")[0].lower() for line in head.decode().split("\r\n")[1:])
    return head[9:12], [name for name in names if name != "server"], {**orjson.loads(body), "timestamp": None}


def rounds(
    results: Results,
    place: str,
    servers: Mapping[str, Server],
    asked: Mapping[str, Requests],
    connections: int,
    given: argparse.Namespace,
) -> None:
    """Every operation against every variant, as often as asked, in an order that turns."""
    operations = next(iter(asked.values())).keys()
    for name, operation in itertools.product(servers, operations):
        servers[name].measure(asked[name][operation], connections, min(0.5, given.seconds))
    for number in range(given.rounds):
        order = list(servers) if number % 2 else list(servers)[::-1]
        say(f"{place}: round {number + 1} of {given.rounds}")
        for operation in operations:
            row = {
                name: servers[name].measure(asked[name][operation], connections, given.seconds)
                for name in order
            }
            results.add(place, operation, row)


def four_operations(results: Results, site: Site, seed: Path | None, given: argparse.Namespace) -> None:
    """The four operations, at 1 and at 4 threads."""
    for threads in (1, 4):
        with contextlib.ExitStack() as stack:
            running = [_program(site.settings, threads), _floor(site.url, threads, site.cpo, site.emsp)]
            running += [_rival(seed)] if seed else []
            servers = {server.name: stack.enter_context(server) for server in running}
            asked = {
                PROGRAM: questions(PROGRAM, site.tokens[site.cpo], site.tokens[site.emsp]),
                FLOOR: questions(FLOOR, None, None),
                THE_RIVAL: questions(THE_RIVAL, RIVAL_TOKEN, RIVAL_TOKEN),
            }
            asked = {name: asked[name] for name in servers}
            compare(site, servers, asked)
            threads_name = f"{threads} thread{'s' if threads > 1 else ''}"
            rounds(results, f"{site.name}, {threads_name}", servers, asked, threads, given)


def deep_pages(results: Results, site: Site, given: argparse.Namespace) -> None:
    """Pages of a network of 100,000 locations, one thread."""
    say(f"{site.name}: storing {MANY:,} locations")
    site.fill()
    with (
        _program(site.settings, 1) as program,
        _floor(site.url, 1, site.many, site.emsp) as floor,
    ):
        servers = {PROGRAM: program, FLOOR: floor}
        tokens = {PROGRAM: site.tokens[site.many], FLOOR: None}
        asked = {name: _deep_questions(server.port, tokens[name]) for name, server in servers.items()}
        for operation in DEEP:
            answers = [_essence(servers[v].port, next(asked[v][operation])) for v in (PROGRAM, FLOOR)]
            if answers[0] != answers[1] or len(answers[0][2]["data"]) != LIMIT:
                raise Failed(f"{operation}: program and floor differ: {str(answers)[:1500]}")
        rounds(results, f"{site.name}, {MANY:,}", servers, asked, 1, given)


def _deep_questions(port: int, token: str | None) -> Requests:
    path = "/ocpi/cpo/2.1.1/locations"
    head, _ = fetch(port, request("GET", f"{path}?offset={DEEP_OFFSET - LIMIT}&limit={LIMIT}", token))
    link = re.search(rb"(?im)^link: *<https?://[^/]+([^>]+)>", head)
    if link is None:
        raise Failed("a page that is not the last has no Link")
    dates = [instants.text(EPOCH + MANY * share) for share in (500, 600)]  # a tenth of them
    queries = {
        FIRST: f"{path}?limit={LIMIT}",
        LINKED: link[1].decode(),
        JUMP: f"{path}?offset={DEEP_OFFSET}&limit={LIMIT}",
        DATED: f"{path}?limit={LIMIT}&date_from={dates[0]}&date_to={dates[1]}",
    }
    return {name: itertools.cycle([request("GET", query, token)]) for name, query in queries.items()}


def run(results: Results, given: argparse.Namespace) -> None:
    """Everything that is asked for; *results* holds what is finished at any time."""
    seed = None
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if not given.quick:
            make_rival_home()
            results.versions += RIVAL[:2]
            seed = place / "rival.json"
            seed.write_bytes(orjson.dumps({"CPO": list(_own(FEW)), "EMSP": _written(THE_RIVAL)}))
        results.versions.append(f"SQLite {_sqlite_version()}")
        for name in ("SQLite",) if given.quick else ("SQLite", "PostgreSQL"):
            say(f"{name}: preparing")
            home = place / name
            home.mkdir()
            url = f"sqlite:///{home / 'bench.sqlite'}"
            if name == "PostgreSQL":
                url = stack.enter_context(nodes.postgres(home / "server"))
                results.versions.append(f"PostgreSQL {_postgres_version(url)}")
            site = Site.make(name, url, home)
            four_operations(results, site, seed, given)
            deep_pages(results, site, given)


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


# The report


def ratios(rows: Sequence[Row], below: str, of: Callable[[Sample], float]) -> list[float]:
    """Program over *below*, round by round."""
    return [of(row[PROGRAM]) / of(row[below]) for row in rows if below in row]


def _cell(values: Sequence[float]) -> str:
    """The median and what it lies between."""
    if not values:
        return "-"
    return f"**{statistics.median(values):.2f}** ({min(values):.2f} to {max(values):.2f})"


def _median(rows: Sequence[Row], name: str, of: Callable[[Sample], float], factor: float) -> str:
    values = [of(row[name]) * factor for row in rows if name in row]
    return f"{statistics.median(values):,.{0 if factor > 1e4 else 2}f}" if values else "-"  # noqa: PLR2004


def cpu(sample: Sample) -> float:
    """CPU seconds a request."""
    return sample.cpu


def wall(sample: Sample) -> float:
    """Seconds a request."""
    return sample.wall


def rate(sample: Sample) -> float:
    """Requests a second."""
    return 1 / sample.wall


_HEAD = """# Measurements

Written by `scripts/bench`; nothing here is edited by hand.

- command: `{command}` ({rounds} rounds, {seconds:g} s a batch)
- date: {date}, commit {commit}
- versions: Python {python}, {versions}
- machine: {cores} cores, load average {before} before, {after} after
- remarks: {remarks}

**Program**: as it is served, authentication and validation on. **Floor**: the smallest Flask program that
gives the same answers from the same database without either (`scripts/bench_parts/floor.py`). **Rival**:
`extrawest-ocpi` under uvicorn with a dictionary as storage (`scripts/bench_parts/rival.py`).

The servers have one core, the load generator and PostgreSQL the other. CPU is that of the server's own
processes. A ratio is taken within a round; the table has the median, and in brackets the least and the
greatest of all rounds. CPU ratios below 1 and rate ratios above 1 are in the program's favour.

![CPU ratios](benchmark.svg)

## Four operations ({few} locations)

{operations}

## Deep pages ({many:,} locations, pages of {limit}, one thread)

`{linked}` begins at offset {offset:,} and is reached by the Link of the page before it, `{jump}` by asking
for the offset; `{dated}` is the first page of a tenth of all locations. With SQLite the database's work is
in the server's CPU, with PostgreSQL in the wall time only.

{pages}
"""


def report(results: Results, given: argparse.Namespace, loads: Sequence[str]) -> str:
    """The results as Markdown."""
    return _HEAD.format(
        command=shlex.join(["scripts/bench", *sys.argv[1:]]),
        rounds=given.rounds,
        seconds=given.seconds,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=_commit(),
        python=platform.python_version(),
        versions=", ".join([*_versions(), *results.versions]),
        cores=len(CORES),
        before=loads[0],
        after=loads[1],
        remarks="; ".join(results.remarks) or "none",
        few=FEW,
        many=MANY,
        limit=LIMIT,
        offset=DEEP_OFFSET,
        linked=LINKED,
        jump=JUMP,
        dated=DATED,
        operations=_table(_OPERATION_COLUMNS, _operations(results)),
        pages=_table(_PAGE_COLUMNS, _pages(results)),
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---:" if "µs" in name or "ms" in name else "---" for name in columns]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))


_OPERATION_COLUMNS = (
    "database",
    "operation",
    "program µs",
    "floor µs",
    "rival µs",
    "CPU program/floor",
    "rate program/floor",
    "CPU program/rival",
    "rate program/rival",
)
_PAGE_COLUMNS = (
    "database",
    "page",
    "program CPU ms",
    "floor CPU ms",
    "CPU program/floor",
    "program wall ms",
    "floor wall ms",
    "CPU by first page",
    "wall by first page",
)


def _operations(results: Results) -> Iterator[Sequence[str]]:
    for (place, operation), rows in results.rows.items():
        if operation in OPERATIONS:
            microseconds = [_median(rows, name, cpu, 1e6) for name in (PROGRAM, FLOOR, THE_RIVAL)]
            cells = [_cell(ratios(rows, name, of)) for name in (FLOOR, THE_RIVAL) for of in (cpu, rate)]
            yield place, operation, *microseconds, *cells


def _pages(results: Results) -> Iterator[Sequence[str]]:
    for (place, operation), rows in results.rows.items():
        if operation in DEEP:
            firsts = results.rows[place, FIRST]
            yield (
                place.partition(",")[0],
                operation,
                _median(rows, PROGRAM, cpu, 1e3),
                _median(rows, FLOOR, cpu, 1e3),
                _cell(ratios(rows, FLOOR, cpu)),
                _median(rows, PROGRAM, wall, 1e3),
                _median(rows, FLOOR, wall, 1e3),
                _by_first(rows, firsts, cpu),
                _by_first(rows, firsts, wall),
            )


def _by_first(rows: Sequence[Row], firsts: Sequence[Row], of: Callable[[Sample], float]) -> str:
    """The program's page over its own first page, round by round."""
    pairs = zip(rows, firsts, strict=False)  # an interrupted round has a first page only
    return _cell([of(row[PROGRAM]) / of(first[PROGRAM]) for row, first in pairs])


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)
    return found.stdout.strip() or "unknown"


def _versions() -> list[str]:
    names = ("granian", "flask", "sqlalchemy", "psycopg", "orjson", "jsonschema-rs")
    return [f"{name} {version(name)}" for name in names]


def plot(results: Results) -> str:
    """The CPU ratios as bars, each with a line from the least to the greatest; as SVG."""
    panels = [(FLOOR, "#3b6ea8"), (THE_RIVAL, "#b5651d")]
    width, left, bar = 860, 290, 18
    parts: list[str] = []
    y = 10
    for below, colour in panels:
        kept = [(*key, ratios(rows, below, cpu)) for key, rows in results.rows.items()]
        bars = [(f"{place}: {operation}", values) for place, operation, values in kept if values]
        if not bars:
            continue
        scale = (width - left - 60) / max(1.0, *(max(values) for _, values in bars))
        y += 24
        parts.append(f'<text x="10" y="{y - 6}" font-weight="bold">CPU a request, program / {below}</text>')
        one, end = left + scale, y + len(bars) * bar
        parts.append(f'<path d="M{one:.1f} {y}V{end}" stroke="#999" stroke-dasharray="3 3"/>')
        parts.append(f'<text x="{one:.1f}" y="{end + 12}" text-anchor="middle" fill="#666">1</text>')
        for label, values in bars:
            middle, y = y + bar / 2, y + bar
            median = statistics.median(values)
            low, high = (left + scale * value for value in (min(values), max(values)))
            parts += [
                f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{label}</text>',
                f'<path d="M{left} {middle}h{scale * median:.1f}" stroke="{colour}" stroke-width="12"/>',
                f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222" stroke-width="1.5"/>',
                f'<text x="{max(high, left + scale * median) + 6:.1f}" y="{middle + 4}">{median:.2f}</text>',
            ]
        y += 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}"'
    style = ' font-family="sans-serif" font-size="11">'
    return "\n".join(
        [head + style, f'<rect width="{width}" height="{y}" fill="#fff"/>', *parts, "</svg>", ""]
    )


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def _load() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the program beside a bare Flask program (the floor) and extrawest-ocpi (the"
        " rival): CPU and requests per second on SQLite and PostgreSQL, and pages of a large network."
        " About ten minutes; wants two quiet cores.",
    )
    parser.add_argument("--quick", action="store_true", help="two short rounds, SQLite only, no rival")
    parser.add_argument("--rounds", type=int, help="how many rounds (7; quick: 2)")
    parser.add_argument("--seconds", type=float, help="how long a batch lasts (0.8; quick: 0.4)")
    parser.add_argument("--out", type=Path, help="folder of the results (docs/measurements; quick: none)")
    given = parser.parse_args()
    given.rounds = given.rounds or (2 if given.quick else 7)
    given.seconds = given.seconds or (0.4 if given.quick else 0.8)
    given.out = given.out or (None if given.quick else RESULTS)
    return given


def main() -> int:
    """Measure, and write down what was measured whatever happens."""
    given = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    before = _load()
    results = Results()
    if len(CORES) == 1:
        results.remarks.append("one core for all: rates mean little")
    os.sched_setaffinity(0, {CORES[-1]})
    code = 1
    try:
        run(results, given)
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Failed as failure:
        say(str(failure))
    finally:
        if code:
            results.remarks.append("interrupted, so not all rounds are there")
        if results.rows:
            _keep(results, given, (before, _load()))
    return code


def _end(*_: object) -> None:
    """End once; a second signal does not disturb what is being ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _keep(results: Results, given: argparse.Namespace, loads: Sequence[str]) -> None:
    """Print the report, and write it down if there is a folder for it."""
    text = report(results, given, loads)
    print(text)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "benchmark.md").write_text(text)
        (given.out / "benchmark.svg").write_text(plot(results))


if __name__ == "__main__":
    sys.exit(main())
