"""Repeated kill -9 while changes are pushed to two peers, on SQLite and PostgreSQL.

Do both peers end with the current state of every object, and with every CDR? Half of the kills or more fall
at named points. In the end the broken variant, which writes the outbox after the commit, must lose something.
"""

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import measurement  # noqa: E402  (the path first)
from crashable_node import CrashableNode, environment, fresh_database  # noqa: E402
from nodes import postgres  # noqa: E402
from push_kills import PushKills, stores  # noqa: E402

RESULTS = ROOT / "docs" / "measurements" / "kills-pushes.md"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
CONTROL_KILLS = 20
HEAD = """\
# Kills while changes are pushed

Written by `scripts/killing_pushes --kills {kills} --seed {seed}` on {date} UTC, commit {commit}; nothing
here is edited by hand. Python {python}, {packages}; {cores} cores.

A back office changes locations, EVSE status, tariffs, sessions and CDRs of a network with two registered
peers, as fast as the program answers, until SIGKILL: at a random moment, before a push (`push.read`), after
its answer (`push.answered`) or inside the transaction of a change (`outbox.written`). A kill counts when
something was delivered since the kill before and something was left. In the end each peer's objects are
compared with what it would read, and the CDRs with those that were acknowledged. The control writes the
outbox after the commit instead of inside it; it must lose something within {control} kills.

| database | kills that count | not counted | delivered | complaints | control |
| --- | ---: | ---: | ---: | ---: | --- |
"""


def series_on(url: str, folder: Path, broken: str, seed: int, kills: int) -> PushKills:
    """Kill an instance on a fresh database; returns the series."""
    home = folder / (broken.replace(" ", "-") or "sound")
    home.mkdir()
    node = CrashableNode(environment(fresh_database(url, home), str(home), broken))
    with stores() as both:
        series = PushKills(node, both, seed, lambda line: print(line, flush=True))
        series.prepare()
        if broken:
            while series.kills < CONTROL_KILLS and not series.complaints:
                series.kill_once(None)
                series.compare()
        else:
            series.run(kills)
    return series


def measure(name: str, url: str, folder: Path, options: argparse.Namespace) -> tuple[str, bool]:
    """The row of one database, and whether everything was as it should be."""
    print(f"{NAMES[name]}: {options.kills} kills", flush=True)
    sound = series_on(url, folder, "", options.seed, options.kills)
    print(f"{NAMES[name]}: broken, outbox late", flush=True)
    broken = series_on(url, folder, "outbox late", options.seed, options.kills)
    for complaint in sound.complaints[:20]:
        print(f"    {complaint}", flush=True)
    found = f"kill {broken.kills}: {broken.complaints[0]}" if broken.complaints else "**not seen**"
    delivered = sum(store.taken for store in sound.stores)
    counts = f"{sound.counted} | {sound.kills - sound.counted} | {delivered} | {len(sound.complaints)}"
    return f"| {NAMES[name]} | {counts} | {found} |", bool(broken.complaints and not sound.complaints)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/killing_pushes",
        description="Kill -9 while changes are pushed, each followed by a restart. The table goes to"
        " docs/measurements/kills-pushes.md. Exit code 1: a peer lost something, or the control did not.",
    )
    parser.add_argument("--kills", type=int, default=50, help="counted kills per database (50)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    parser.add_argument("--database", choices=[*NAMES, "both"], default="both", help="which (both)")
    return parser.parse_args()


def main() -> int:
    """Run all; returns 1 if anything failed."""
    options = _options()
    chosen = list(NAMES) if options.database == "both" else [options.database]
    rows = []
    for name in chosen:
        with (
            tempfile.TemporaryDirectory(prefix="ocpi-kills-", ignore_cleanup_errors=True) as folder,
            contextlib.ExitStack() as stack,
        ):
            url = stack.enter_context(postgres()) if name == "postgresql" else f"sqlite:///{folder}/x.sqlite"
            rows.append(measure(name, url, Path(folder), options))
    head = HEAD.format(
        kills=options.kills,
        seed=options.seed,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        commit=measurement.commit(),
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", "psycopg", "requests")),
        cores=os.cpu_count(),
        control=CONTROL_KILLS,
    )
    page = head + "\n".join(row for row, _ in rows) + "\n"
    print("\n" + page)
    if options.database == "both":
        RESULTS.write_text(page)
    return int(not all(is_right for _, is_right in rows))


if __name__ == "__main__":
    sys.exit(main())
