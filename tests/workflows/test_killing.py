"""Kills of bulk jobs in one process and in two: the short form of scripts/killing."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bulk import check_results, count_settled, executor, kinds, order_job
from crashable_node import CrashableNode, environment, fresh_database, until
from killing import BETWEEN, RANDOM, STEP, STORED, KillPlan, KillSeries, Pair, kill_plans
from nodes import one_database

from workflows import maintenance

KILLS = 5
"""Kills on each database; scripts/killing does more."""
ROUNDS_SECONDS = 3 * (maintenance._TAKE_OVER_SECONDS + maintenance._ROUND_SECONDS) + 1
"""Longer than three rounds of the background duties."""

ENDLESS = 10_000
"""Locations of a job that takes longer than ROUNDS_SECONDS."""

NewSeries = Callable[..., KillSeries]


@pytest.fixture
def new_series(database_url: str, tmp_path: Path) -> Iterator[NewSeries]:
    """A function that creates a series of kills on a fresh database; its node is killed at the end."""
    with contextlib.ExitStack() as stack:

        def create(size: int, broken: str = "") -> KillSeries:
            url = fresh_database(database_url, tmp_path)
            node = CrashableNode(environment(url, str(tmp_path), broken))
            stack.callback(node.kill)
            return KillSeries(node, size)

        yield create


@pytest.fixture(scope="module")
def pair(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two instances on one fresh database."""
    folder = tmp_path_factory.mktemp("pair")
    instances = Pair(fresh_database(database_url, folder), folder)
    yield instances
    instances.kill()


@pytest.mark.ocpi(208)
def test_a_job_that_is_killed_repeatedly_creates_every_location_once(new_series: NewSeries) -> None:
    series = new_series(900)

    series.run(kill_plans(KILLS, seed=7))

    assert [] == series.complaints
    assert {RANDOM: 3, STORED: 1, STEP: 1} == Counter(kill.plan.where for kill in series.counted)
    assert 1 == series.finished


@one_database
@pytest.mark.parametrize(("broken", "found"), [("effect first", "duplicate"), ("record first", "loss")])
def test_the_checks_detect_a_job_whose_effect_and_record_are_two_transactions(
    new_series: NewSeries, broken: str, found: str
) -> None:
    """Negative controls: a crash harness that does not fail on these proves nothing."""
    series = new_series(400, broken)

    series.run([KillPlan(BETWEEN, times=2)] * 20, found)

    assert found in kinds(series.complaints)


def test_the_job_of_a_live_process_is_never_taken_over(pair: Pair) -> None:
    job = order_job(pair.first, ENDLESS)
    until(lambda: count_settled(pair.first, job))
    owner, deadline = executor(pair.first, job), time.monotonic() + ROUNDS_SECONDS

    seen = {executor(pair.first, job)}
    while time.monotonic() < deadline:
        seen.add(executor(pair.first, job))
        time.sleep(0.1)

    assert {owner} == seen
    assert 0 < count_settled(pair.first, job) < ENDLESS
    assert not [node for node in pair.nodes if "takes_over" in node.log]
    pair.first.destroy(f"/ocpi/cpos/{job.network_id}")


@pytest.mark.ocpi(208)
def test_a_process_finishes_the_job_of_a_killed_one(pair: Pair) -> None:
    job = order_job(pair.first, 600)
    until(lambda: count_settled(pair.first, job))

    slot, _ = executor(pair.first, job)
    _, survivor = pair.kill_executor(job)

    pair.wait_for_progress(job)
    until(lambda: survivor.read(job.status_url)["status"] in {"READY", "FAILED"})
    assert [] == check_results(survivor, job)
    assert slot != executor(survivor, job)[0]
    assert "takes_over" in survivor.log
