"""A campaign of kill -9 on SQLite and PostgreSQL, with a control, and its page in docs/measurements.

push_kill_campaign.py and charging_kill_campaign.py say what runs meanwhile.
"""

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import measurement  # noqa: E402  (the path first)
from crashable_node import CrashableNode, environment  # noqa: E402
from migrated import new_database  # noqa: E402
from nodes import postgres  # noqa: E402

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
BROKEN = "outbox late"
CONTROL_KILLS = 20
_ORIGIN = """\
Written by `scripts/{program} --kills {kills} --seed {seed}` on {date} UTC, commit {commit}; nothing
here is edited by hand. Python {python}, {packages}; {cores} cores.
"""
_TABLE = """\
The control puts work on the agenda after the commit instead of inside it; it must be noticed within {control}
kills.

| database | kills that count | not counted | {measure} | complaints | control |
| --- | ---: | ---: | ---: | ---: | --- |
"""


@dataclass(frozen=True)
class Campaign:
    """What runs while an instance is killed.

    *begin*: a context manager with the series of kills, from the node, the seed and a log. *count*: how much
    of *measure* a series has seen.
    """

    program: str
    title: str
    text: str
    page: str
    measure: str
    begin: Callable[[CrashableNode, int, Callable[[str], None]], Any]
    count: Callable[[Any], int]


def _series(campaign: Campaign, url: str, folder: Path, broken: str, options: argparse.Namespace) -> Any:
    """Kill an instance on a fresh database; returns the series."""
    home = folder / (broken.replace(" ", "-") or "sound")
    home.mkdir()
    node = CrashableNode(environment(new_database(url, home), str(home), broken))
    with campaign.begin(node, options.seed, lambda line: print(line, flush=True)) as series:
        series.prepare()
        if broken:
            while series.kills < CONTROL_KILLS and not series.complaints:
                series.kill_once(None)
                series.compare()
        else:
            series.run(options.kills)
    return series


def _measure(
    campaign: Campaign, name: str, url: str, folder: Path, options: argparse.Namespace
) -> tuple[str, bool]:
    """The row of one database, and whether everything was as it should be."""
    print(f"{NAMES[name]}: {options.kills} kills", flush=True)
    sound = _series(campaign, url, folder, "", options)
    print(f"{NAMES[name]}: broken, {BROKEN}", flush=True)
    broken = _series(campaign, url, folder, BROKEN, options)
    for complaint in sound.complaints[:20]:
        print(f"    {complaint}", flush=True)
    found = f"kill {broken.kills}: {broken.complaints[0]}" if broken.complaints else "**not seen**"
    not_counted, amount = sound.kills - sound.counted, campaign.count(sound)
    counts = f"{sound.counted} | {not_counted} | {amount} | {len(sound.complaints)}"
    return f"| {NAMES[name]} | {counts} | {found} |", bool(broken.complaints and not sound.complaints)


def _options(campaign: Campaign) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"scripts/{campaign.program}",
        description=f"{campaign.title}, each followed by a restart. The table goes to"
        f" docs/measurements/{campaign.page}. Exit code 1: something was lost, or the control was not.",
    )
    parser.add_argument("--kills", type=int, default=50, help="counted kills per database (50)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    parser.add_argument("--database", choices=[*NAMES, "both"], default="both", help="which (both)")
    return parser.parse_args()


def main(campaign: Campaign) -> int:
    """Run all; returns 1 if anything failed."""
    options = _options(campaign)
    chosen = list(NAMES) if options.database == "both" else [options.database]
    rows = []
    for name in chosen:
        with (
            tempfile.TemporaryDirectory(prefix="ocpi-kills-", ignore_cleanup_errors=True) as folder,
            contextlib.ExitStack() as stack,
        ):
            url = stack.enter_context(postgres()) if name == "postgresql" else f"sqlite:///{folder}/x.sqlite"
            rows.append(_measure(campaign, name, url, Path(folder), options))
    page = _head(campaign, options) + "\n".join(row for row, _ in rows) + "\n"
    print("\n" + page)
    if options.database == "both":
        (ROOT / "docs" / "measurements" / campaign.page).write_text(page)
    return int(not all(is_right for _, is_right in rows))


def _head(campaign: Campaign, options: argparse.Namespace) -> str:
    origin = _ORIGIN.format(
        program=campaign.program,
        kills=options.kills,
        seed=options.seed,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        commit=measurement.commit(),
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "psycopg", "requests")),
        cores=os.cpu_count(),
    )
    table = _TABLE.format(control=CONTROL_KILLS, measure=campaign.measure)
    return f"# {campaign.title}\n\n{origin}\n{campaign.text}\n{table}"
