"""Kill -9 of a first start, and of an upgrade from schema version 0001, once before each SQL statement.

Each kill has a database and a data folder of its own. The start that follows must succeed, and leave
the same schema and as many rows as a start that was never killed; an upgrade must keep every row.
In the end the same upgrade runs with migrations that commit each statement, which must be reported.
"""

import argparse
import contextlib
import os
import platform
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import measurement  # noqa: E402  (the path first)
import old_database  # noqa: E402  (the path first)
from crashable_node import rows  # noqa: E402
from nodes import disable_fsync, postgres  # noqa: E402
from starting import BROKEN, WITH_JOBS, Kills, Site  # noqa: E402

SETTINGS = {"OCPI_GATEWAY_DEMO": "1", WITH_JOBS: "1"}

MOST_UNREACHED = 10


@dataclass
class Result:
    """The result of one kind of start."""

    what: str
    statements: int
    unreached: int
    seconds: float
    wrong: list[str]

    @property
    def row(self) -> str:
        """A row of the page's table."""
        figures = (self.statements, self.unreached, len(self.wrong), f"{self.seconds:.0f} s")
        return f"| {self.what} | {' | '.join(map(str, figures))} |"


def enumerate_kills(what: str, new: Callable[[], Site], settings: dict[str, str], kept: bool) -> Result:  # noqa: FBT001  (one caller)
    """Kill at every statement."""
    began = time.monotonic()
    site = new()
    rows = {table: found for table, found in site.rows().items() if found} if kept else {}
    ended = site.start(**settings)
    if ended.code:
        raise SystemExit(f"An undisturbed start failed: {ended.message}")
    kills = Kills(new, site.described(), rows, settings, always=True)
    wrong: list[str] = []
    for number in range(1, ended.statements + 1):
        wrong += kills.at([number])
        if number % 20 == 0:
            print(f"{what}: {number} of {ended.statements} statements, {len(wrong)} complaints", flush=True)
    for complaint in wrong:
        print(f"{what}: {complaint[:300]}")
    return Result(what, ended.statements, len(kills.unreached), time.monotonic() - began, wrong)


def run(url: str, folder: Path) -> list[Result]:
    """A first start, an upgrade, and the control."""
    old = Site(url, folder)
    old_database.fill(old)

    def empty() -> Site:
        return Site(url, folder)

    def filled() -> Site:
        return Site(url, folder, old)

    broken = {**SETTINGS, BROKEN: "1"}
    return [
        enumerate_kills("first start", empty, SETTINGS, kept=False),
        enumerate_kills("upgrade from 0001", filled, SETTINGS, kept=True),
        enumerate_kills("control: upgrade that commits each statement", filled, broken, kept=True),
    ]


def render(results: list[Result], server: str, database: str) -> str:
    """The page."""
    rows = "\n".join(result.row for result in results)
    return f"""# Killed starts on {server.split(maxsplit=1)[0]}

Written by `scripts/killing_starts`; nothing here is edited by hand.

- command: `scripts/killing_starts --database {database}`
- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {measurement.commit()}
- versions: Python {platform.python_version()}, alembic {version("alembic")}, dbos {version("dbos")}, {server}
- machine: {os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}

Every SQL statement of the main thread counts: ours, those of Alembic, and those of the engine of jobs
(its migrations and its start). The start is killed before the statement, on a database of its own, and
started again. A complaint is a start that fails, a schema or a number of rows that differs from an
undisturbed start, or a row that an upgrade lost. The control must have complaints.

The start of the engine has a few statements more or fewer each time, so some kills come too late.

| start | statements, each to be a kill | came too late | complaints | duration |
| --- | ---: | ---: | ---: | ---: |
{rows}
"""


def main() -> int:
    """Run all; returns 1 if anything failed or the control was not caught."""
    parser = argparse.ArgumentParser(prog="scripts/killing_starts", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    database = parser.parse_args().database
    with (
        tempfile.TemporaryDirectory(prefix="ocpi-starts-", ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as stack,
    ):
        url, server = "sqlite:///", f"SQLite {sqlite3.sqlite_version}"
        if database == "postgresql":
            url = stack.enter_context(postgres())
            disable_fsync(url)
            server = f"PostgreSQL {rows(url, 'SHOW server_version')[0][0]}"
        results = run(url, Path(folder))
    page = render(results, server, database)
    (ROOT / "docs" / "measurements" / f"starts-{database}.md").write_text(page)
    print("\n" + page)
    *tried, control = results
    failed = any(result.wrong or result.unreached > MOST_UNREACHED for result in tried)
    return int(failed or not control.wrong)


if __name__ == "__main__":
    sys.exit(main())
