"""The report: the results as Markdown, and the CPU ratios as SVG."""

import argparse
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import measurement
from bench_parts.load import CORES, Sample
from bench_parts.plan import (
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
    Row,
)


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
looks up the token and gives the same answers from the same database, without validation, exchanges and
log (`scripts/bench_parts/floor.py`). **Rival**:
`extrawest-ocpi` under uvicorn with a dictionary as storage (`scripts/bench_parts/rival.py`).

The servers have one core, the load generator and PostgreSQL the other. CPU is that of the server's own
processes. A ratio is taken within a round; the table has the median, and in brackets the least and the
greatest of all rounds. CPU ratios below 1 and rate ratios above 1 are in the program's favor.

![CPU ratios](benchmark.svg)

## Four operations ({few} locations)

{operations}

## Deep pages ({many:,} locations, pages of {limit}, one request at a time)

`{linked}` begins at offset {offset:,} and is reached by the Link of the page before it, `{jump}` by asking
for the offset; `{dated}` is the first page of a tenth of all locations. With SQLite the database's work is
in the server's CPU, with PostgreSQL in the wall time only.

{pages}
"""


def markdown(results: Results, options: argparse.Namespace, loads: Sequence[str]) -> str:
    """The results as Markdown."""
    return _HEAD.format(
        command=shlex.join(["scripts/bench", *sys.argv[1:]]),
        rounds=options.rounds,
        seconds=options.seconds,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=measurement.commit(),
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


def _versions() -> list[str]:
    names = ("waitress", "flask", "sqlalchemy", "psycopg", "orjson", "jsonschema-rs")
    return [f"{name} {version(name)}" for name in names]


def svg(results: Results) -> str:
    """The CPU ratios as bars, each with a line from the least to the greatest; as SVG."""
    panels = [(FLOOR, "#3b6ea8"), (THE_RIVAL, "#b5651d")]
    width, left, bar = 860, 290, 18
    parts: list[str] = []
    y = 10
    for below, color in panels:
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
                f'<path d="M{left} {middle}h{scale * median:.1f}" stroke="{color}" stroke-width="12"/>',
                f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222" stroke-width="1.5"/>',
                f'<text x="{max(high, left + scale * median) + 6:.1f}" y="{middle + 4}">{median:.2f}</text>',
            ]
        y += 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}"'
    style = ' font-family="sans-serif" font-size="11">'
    return "\n".join(
        [head + style, f'<rect width="{width}" height="{y}" fill="#fff"/>', *parts, "</svg>", ""]
    )
