"""Bulk jobs that are killed, in one process and in two: the short form of scripts/killing."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bulk import executor, judge, kinds, ordered, settled
from crashable_node import CrashableNode, environment, fresh_database, until
from killing import BETWEEN, RANDOM, STEP, STORED, KillPlan, KillSeries, Pair, kill_plans
from nodes import one_database

from workflows import maintenance

KILLS = 5
"""On each database, so ten in a run of the suite; long: scripts/killing."""
ROUNDS_SECONDS = 3 * (maintenance._TAKE_OVER_SECONDS + maintenance._ROUND_SECONDS) + 1
"""Longer than three rounds of the reaper take."""

ENDLESS = 10_000
"""Locations of a job that takes longer than that."""

Start = Callable[..., KillSeries]


@pytest.fixture
def killing(database_url: str, tmp_path: Path) -> Iterator[Start]:
    """Makes a killing on a fresh database; nothing of it is left running."""
    with contextlib.ExitStack() as stack:

        def make(size: int, broken: str = "") -> KillSeries:
            url = fresh_database(database_url, tmp_path)
            node = CrashableNode(environment(url, str(tmp_path), broken))
            stack.callback(node.kill)
            return KillSeries(node, size)

        yield make


@pytest.fixture(scope="module")
def pair(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two instances on one fresh database."""
    place = tmp_path_factory.mktemp("pair")
    made = Pair(fresh_database(database_url, place), place)
    yield made
    made.kill()


@pytest.mark.ocpi(208)
def test_a_job_that_is_killed_again_and_again_makes_every_location_once(killing: Start) -> None:
    killed = killing(900)

    killed.run(kill_plans(KILLS, seed=7))

    assert [] == killed.complaints
    assert {RANDOM: 3, STORED: 1, STEP: 1} == Counter(kill.blow.where for kill in killed.counted)
    assert 1 == killed.finished


@one_database
@pytest.mark.parametrize(("broken", "found"), [("effect first", "duplicate"), ("record first", "loss")])
def test_the_judge_sees_a_job_whose_effect_and_record_are_two_transactions(
    killing: Start, broken: str, found: str
) -> None:
    """Negative controls: a crash harness that does not fail on these proves nothing."""
    killed = killing(400, broken)

    killed.run([KillPlan(BETWEEN, times=2)] * 20, found)

    assert found in kinds(killed.complaints)


def test_the_job_of_a_process_that_lives_is_never_taken(pair: Pair) -> None:
    job = ordered(pair.first, ENDLESS)
    until(lambda: settled(pair.first, job))
    mine, deadline = executor(pair.first, job), time.monotonic() + ROUNDS_SECONDS

    seen = {executor(pair.first, job)}
    while time.monotonic() < deadline:
        seen.add(executor(pair.first, job))
        time.sleep(0.1)

    assert {mine} == seen
    assert 0 < settled(pair.first, job) < ENDLESS
    assert not [node for node in pair.nodes if "takes_over" in node.log]
    pair.first.destroy(f"/ocpi/cpos/{job.network_id}")


@pytest.mark.ocpi(208)
def test_a_process_finishes_the_job_of_one_that_was_killed(pair: Pair) -> None:
    job = ordered(pair.first, 600)
    until(lambda: settled(pair.first, job))

    slot, _ = executor(pair.first, job)

    _, survivor = pair.kill_executor(job)

    pair.goes_on(job)
    until(lambda: survivor.read(job.status_url)["status"] in {"READY", "FAILED"})
    assert [] == judge(survivor, job)
    assert slot != executor(survivor, job)[0]
    assert "takes_over" in survivor.log
