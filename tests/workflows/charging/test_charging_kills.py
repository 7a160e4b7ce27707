"""Kills while cars charge: the short form of scripts/killing_charging."""

from pathlib import Path

import pytest
from charging_kills import ChargingKills, Driver
from crashable_node import CrashableNode, environment
from migrated import new_database
from nodes import one_database


@pytest.mark.ocpi(191)
def test_everything_comes_to_its_end_after_repeated_kills(database_url: str, tmp_path: Path) -> None:
    node = CrashableNode(environment(new_database(database_url, tmp_path), str(tmp_path)))
    with Driver() as driver:
        series = ChargingKills(node, driver, seed=5)
        series.prepare()
        series.run(3)
    assert [] == series.complaints
    assert 3 == series.counted


@one_database
def test_the_harness_notices_work_that_is_scheduled_after_the_commit(
    database_url: str, tmp_path: Path
) -> None:
    """The negative control."""
    url = new_database(database_url, tmp_path)
    node = CrashableNode(environment(url, str(tmp_path), "outbox late"))
    with Driver() as driver:
        series = ChargingKills(node, driver, seed=5)
        series.prepare()
        for _ in range(8):
            series.kill_once("command.decided")
        series.compare()
    assert series.complaints
