"""Repeated kill -9 of bulk jobs, on SQLite and PostgreSQL; does every location exist exactly once?

Half of the kills fall at random moments, half at a named point, inside the transaction of a step and
between two steps in turn; the first job is killed more often than the others. Then two processes share a
database and the one that runs the job is killed. In the end two broken variants are killed, to prove that
the checks detect errors.
"""

import argparse
import contextlib
import os
import platform
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")  # the packaged PostgreSQL asks for it

import measurement  # noqa: E402
from bulk import check_results, count_settled, kinds, order_job  # noqa: E402  (the path first)
from crashable_node import CrashableNode, environment, rows, until  # noqa: E402
from killing import (  # noqa: E402
    BETWEEN,
    RANDOM,
    RECOVERY,
    STEP,
    STORED,
    KillSeries,
    Pair,
    draw_plan,
    kill_plans,
)
from migrated import new_database  # noqa: E402
from nodes import postgres  # noqa: E402

RESULTS = ROOT / "docs/measurements/kills.md"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
BROKEN = {"effect first": "duplicate", "record first": "loss"}
LONGEST_JOB = 40
"""Kills of the first job; the others have half as many."""

LOCATIONS_A_KILL = 100
"""The size of a job, so that it runs long enough."""

CONTROL_KILLS = 20
TAKEN_OVER = 2000
"""Locations of a job of two processes."""

EXTRA_SHARE = 10
"""One extra kill per so many happens during recovery; it counts only if it settled items."""

HOW_TO_READ = """\
A kill is SIGKILL, followed by a start of the same program on the same database.
It counts when the job had settled an item since the kill before and had not ended. After every kill the
tables are compared with the request, and `PRAGMA integrity_check` is run on SQLite; when a job has ended,
its results, the peers' list and the gateway's list are compared as well. Named points: `provision.stored`
is inside the transaction of a step, after one of its locations; `provision.step` is between two steps.
SIGKILL keeps what the operating system has taken, so this shows atomicity, not survival of a power cut.
"""


@dataclass
class Control:
    """The errors found in a broken variant."""

    broken: str
    series: KillSeries

    def row(self, database: str) -> str:
        """Its row of the table."""
        expected_kind = BROKEN[self.broken]
        seen = [kill for kill in self.series.kills if expected_kind in kinds(kill.complaints)]
        complaint = next((c for c in self.series.complaints if expected_kind in kinds([c])), "")
        after = f"after kill {seen[0].number}" if seen else f"**not seen** in {len(self.series.kills)} kills"
        return f"| {database}, {self.broken} | {expected_kind} {after} | {complaint} |"

    @property
    def detected(self) -> bool:
        """Whether the error was found."""
        return BROKEN[self.broken] in kinds(self.series.complaints)


@dataclass
class Campaign:
    """The results on one database."""

    name: str
    series: KillSeries | None = None
    takeovers: list[float] = field(default_factory=list)
    raced: int = 0
    pair_complaints: list[str] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether the program or the check failed."""
        wrong = self.series.complaints if self.series else []
        return bool(wrong or self.pair_complaints or not all(each.detected for each in self.controls))


# The runs


def chunks(kills: int) -> Iterator[int]:
    """The number of kills per job."""
    size = LONGEST_JOB
    while kills > 0:
        yield min(size, kills)
        kills -= size
        size = LONGEST_JOB // 2


def kill_jobs(series: KillSeries, kills: int, seed: int) -> None:
    """All kills, job by job."""
    rng = random.Random(seed)  # noqa: S311  (reproducible)
    for number, count in enumerate(chunks(kills)):
        series.size = LOCATIONS_A_KILL * max(count, 5)
        plans = kill_plans(count, seed + number)
        for _ in range(count // EXTRA_SHARE):
            plans.insert(rng.randrange(1, len(plans) + 1), draw_plan(RECOVERY, rng))
        series.run(plans)


def take_over(campaign: Campaign, url: str, folder: Path, times: int) -> None:
    """Two processes: kill the one that runs a job; the other finishes it.

    In every second job the killed one restarts at once, and either may resume the job.
    """
    pair = Pair(url, folder)
    try:
        for number in range(2 * times):
            job = order_job(pair.first, TAKEN_OVER)
            until(lambda: count_settled(pair.first, job) > 0)  # noqa: B023  (called before the next round)
            dead, survivor = pair.kill_executor(job)
            if number % 2:
                campaign.raced += 1
                print("     one was killed and restarted at once", flush=True)
            else:
                campaign.takeovers.append(pair.wait_for_progress(job))
                print(f"     the other continued after {campaign.takeovers[-1]:.1f} s", flush=True)
            dead.start()
            until(lambda: survivor.read(job.status_url)["status"] in {"READY", "FAILED"}, 300)  # noqa: B023
            campaign.pair_complaints += check_results(dead, job)
    finally:
        pair.kill()


def run(campaign: Campaign, url: str, folder: Path, options: argparse.Namespace) -> None:
    """Run everything on one database."""
    with contextlib.ExitStack() as stack:

        def new_series(broken: str, size: int) -> KillSeries:
            home = folder / (broken.replace(" ", "-") or "sound")
            home.mkdir()
            node = CrashableNode(environment(new_database(url, home), str(home), broken))
            stack.callback(node.kill)
            return KillSeries(node, size, lambda line: print(line, flush=True))

        print(f"{NAMES[campaign.name]}: {options.kills} kills", flush=True)
        campaign.series = new_series("", 0)
        kill_jobs(campaign.series, options.kills, options.seed)
        print(f"{NAMES[campaign.name]}: two processes, {options.takeovers} takeovers", flush=True)
        home = folder / "pair"
        home.mkdir()
        take_over(campaign, new_database(url, home), home, options.takeovers)
        for broken, found in BROKEN.items():
            print(f"{NAMES[campaign.name]}: broken, {broken}", flush=True)
            control = Control(broken, new_series(broken, LOCATIONS_A_KILL * CONTROL_KILLS))
            campaign.controls.append(control)
            control.series.run(kill_plans(CONTROL_KILLS, options.seed, (BETWEEN,)), found)


# The report


def render(campaigns: list[Campaign], options: argparse.Namespace, load: str) -> str:
    """The page in docs/measurements."""
    packages = [f"{name} {version(name)}" for name in ("dbos", "waitress", "sqlalchemy", "psycopg")]
    packages.insert(0, f"Python {platform.python_version()}")
    return "\n".join(
        [
            "# Kills",
            "",
            "Written by `scripts/killing`; nothing here is edited by hand.",
            "",
            f"- command: `{_command(options)}`",
            f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {measurement.commit()}",
            f"- versions: {', '.join([*packages, *options.servers])}",
            f"- machine: {os.cpu_count()} cores, load average {load} before, {measurement.load()} after",
            "",
            HOW_TO_READ,
            table(campaigns),
            "",
        ]
    )


def table(campaigns: list[Campaign]) -> str:
    """The results so far."""
    head = (
        "| database | kills that count | random | in a step | between steps | not counted | jobs ended"
        " | most on one job | locations | lost | double | other complaints | back at work |"
    )
    lines = [head, "|---|" + "---:|" * 12]
    lines += [_row(campaign) for campaign in campaigns if campaign.series]
    lines += [
        "",
        "Two processes on one database; the one that works at the job is killed:",
    ]
    lines += [
        "",
        "| database | takeovers | the other goes on after | started again at once | complaints |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {NAMES[each.name]} | {len(each.takeovers)} | {_seconds(each.takeovers)} | {each.raced} "
        f"| {len(each.pair_complaints)} |"
        for each in campaigns
        if each.takeovers
    ]
    lines += [
        "",
        f"Broken on purpose, {CONTROL_KILLS} kills at most, half of them between the two transactions:",
        "",
    ]
    lines += ["| variant | reported | as |", "|---|---|---|"]
    lines += [control.row(NAMES[each.name]) for each in campaigns for control in each.controls]
    wrong = [
        f"- {NAMES[each.name]}: {complaint}"
        for each in campaigns
        for complaint in [*(each.series.complaints if each.series else []), *each.pair_complaints]
    ]
    return "\n".join(lines + (["", "Complaints:", "", *wrong[:50]] if wrong else []))


def _row(campaign: Campaign) -> str:
    series = campaign.series
    if series is None:
        return ""
    counted = Counter(kill.plan.where for kill in series.counted)
    a_job = Counter(kill.job for kill in series.counted)
    locations = sum({kill.job: kill.of for kill in series.kills}.values())
    found = Counter(each.partition(":")[0] for each in series.complaints)
    other = sum(found.values()) - found["loss"] - found["duplicate"]
    return (
        f"| {NAMES[campaign.name]} | {len(series.counted)} | {counted[RANDOM] + counted[RECOVERY]}"
        f" | {counted[STORED]} | {counted[STEP]} | {len(series.kills) - len(series.counted)}"
        f" | {series.finished} | {max(a_job.values(), default=0)} | {locations} | {found['loss']}"
        f" | {found['duplicate']} | {other} | {_seconds([k.recovery for k in series.kills if k.recovery])} |"
    )


def _seconds(taken: list[float]) -> str:
    return f"{statistics.median(taken):.1f} s, at most {max(taken):.1f} s" if taken else "-"


def _command(options: argparse.Namespace) -> str:
    words = ["scripts/killing", f"--kills {options.kills}", f"--seed {options.seed}"]
    return " ".join([*words, f"--database {options.database}", f"--takeovers {options.takeovers}"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/killing",
        description="Kill -9 of bulk jobs, each followed by a restart; is every location stored exactly once?"
        " The table goes to docs/measurements/kills.md. Exit code 1: something is lost, double or half,"
        " or a broken variant was not noticed. Ctrl-C prints what was seen so far and writes nothing.",
    )
    parser.add_argument("--kills", type=int, default=100, help="counted kills per database (100)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    parser.add_argument("--database", choices=[*NAMES, "both"], default="both", help="which (both)")
    parser.add_argument(
        "--takeovers", type=int, default=5, help="kills of one of two processes, of each kind (5)"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the table")
    return parser.parse_args()


def main() -> int:
    """Run all; returns 1 if anything failed."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for background jobs
    chosen = list(NAMES) if options.database == "both" else [options.database]
    options.servers = []
    campaigns: list[Campaign] = []
    load = measurement.load()
    try:
        for name in chosen:
            with (
                tempfile.TemporaryDirectory(prefix="ocpi-kills-", ignore_cleanup_errors=True) as folder,
                contextlib.ExitStack() as stack,
            ):
                url = f"sqlite:///{folder}/x.sqlite"
                options.servers.append(f"SQLite {sqlite3.sqlite_version}")
                if name == "postgresql":
                    url = stack.enter_context(postgres())
                    options.servers[-1] = f"PostgreSQL {rows(url, 'SHOW server_version')[0][0]}"
                campaigns.append(Campaign(name))
                run(campaigns[-1], url, Path(folder), options)
    except KeyboardInterrupt:
        print("\nInterrupted; what was started has been ended.\n" + table(campaigns))
        return 130
    except AssertionError as error:
        print(f"\nThe campaign cannot go on: {error}\n" + table(campaigns))
        return 1
    page = render(campaigns, options, load)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page)
    print("\n" + page)
    return int(any(campaign.failed for campaign in campaigns))


if __name__ == "__main__":
    sys.exit(main())
