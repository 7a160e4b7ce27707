"""Kills while changes are pushed: the short form of scripts/killing_pushes."""

from pathlib import Path

from crashable_node import CrashableNode, environment
from migrated import new_database
from nodes import one_database
from push_kills import PushKills, stores


def test_peers_end_with_the_current_state_after_repeated_kills(database_url: str, tmp_path: Path) -> None:
    node = CrashableNode(environment(new_database(database_url, tmp_path), str(tmp_path)))
    with stores() as both:
        series = PushKills(node, both, seed=5)
        series.prepare()
        series.run(3)
    assert [] == series.complaints
    assert 3 == series.counted


@one_database
def test_the_comparison_detects_an_outbox_that_is_written_after_the_commit(
    database_url: str, tmp_path: Path
) -> None:
    """The negative control."""
    url = new_database(database_url, tmp_path)
    node = CrashableNode(environment(url, str(tmp_path), "outbox late"))
    with stores() as both:
        series = PushKills(node, both, seed=5)
        series.prepare()
        for _ in range(20):
            series.kill_once(None)
            series.compare()
            if series.complaints:
                break
    assert series.complaints
