"""Kills of bulk jobs in one process and in two: the short form of scripts/killing."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bulk import ENDED, check_results, count_settled, executor, kinds, order_job
from crashable_node import CrashableNode, environment, until
from killing import BETWEEN, RANDOM, STEP, STORED, KillPlan, KillSeries, Pair
from migrated import new_database
from nodes import one_database

from workflows import maintenance
from workflows.networks.provisioning import STEP_LOCATIONS

KILLS = (
    KillPlan(RANDOM, seconds=0.1),
    KillPlan(STORED, times=STEP_LOCATIONS + 10),
    KillPlan(STEP, times=2),
)
"""The kills on each database; scripts/killing draws many more."""
ROUNDS_SECONDS = 2 * (maintenance._TAKE_OVER_SECONDS + maintenance._ROUND_SECONDS) + 0.5
"""Longer than two rounds of the background duties: a process that looks dead in both is taken over."""

NewSeries = Callable[..., KillSeries]


@pytest.fixture
def new_series(database_url: str, tmp_path: Path) -> Iterator[NewSeries]:
    """A function that creates a series of kills on a fresh database; its node is killed at the end."""
    with contextlib.ExitStack() as stack:

        def create(size: int, broken: str = "") -> KillSeries:
            url = new_database(database_url, tmp_path)
            node = CrashableNode(environment(url, str(tmp_path), broken))
            stack.callback(node.kill)
            return KillSeries(node, size)

        yield create


@pytest.fixture(scope="module")
def pair(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two instances on one fresh database."""
    folder = tmp_path_factory.mktemp("pair")
    instances = Pair(new_database(database_url, folder), folder)
    yield instances
    instances.kill()


@pytest.mark.ocpi(208)
def test_a_job_that_is_killed_repeatedly_creates_every_location_once(new_series: NewSeries) -> None:
    series = new_series(450)

    series.run(KILLS)

    assert [] == series.complaints
    assert list(KILLS) == [kill.plan for kill in series.counted]
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
    """The process is stopped: it does nothing, like a dead one, but it holds its slot."""
    job = order_job(pair.first, 300)
    until(lambda: count_settled(pair.first, job))

    with pair.freeze_executor(job) as slot:
        before = count_settled(pair.first, job)
        time.sleep(ROUNDS_SECONDS)
        assert (slot, before) == (executor(pair.first, job)[0], count_settled(pair.first, job))

    assert 0 < before < 300
    until(lambda: pair.first.read(job.status_url)["status"] in ENDED)
    assert [] == check_results(pair.first, job)
    assert slot == executor(pair.first, job)[0]
    assert not [node for node in pair.nodes if "takes_over" in node.log]


@pytest.mark.ocpi(208)
def test_a_process_finishes_the_job_of_a_killed_one(pair: Pair) -> None:
    job = order_job(pair.first, 300)
    until(lambda: count_settled(pair.first, job))

    slot, _ = executor(pair.first, job)
    _, survivor = pair.kill_executor(job)

    pair.wait_for_progress(job)
    until(lambda: survivor.read(job.status_url)["status"] in ENDED)
    assert [] == check_results(survivor, job)
    assert slot != executor(survivor, job)[0]
    assert "takes_over" in survivor.log
