"""The dispatcher of due work, with two processes on one database. docs/architecture.md "The agenda"."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples import example
from killing import Pair
from migrated import new_database
from nodes import Client, switch_to
from peers import Reply, envelope
from receivers import Receiver, until

from storage.agenda import LaneRow
from workflows import dispatcher


@pytest.fixture
def pair(database_url: str, tmp_path: Path) -> Iterator[Pair]:
    """Two instances on one fresh database."""
    instances = Pair(new_database(database_url, tmp_path), tmp_path)
    with switch_to(instances.first.environment):
        yield instances
    instances.kill()


class OneAtATime:
    """A reply that notes how many requests run at once."""

    def __init__(self) -> None:
        self.most = self._running = 0
        self._lock = threading.Lock()

    def __call__(self, _request: dict[str, Any]) -> Reply:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(0.01)
        with self._lock:
            self._running -= 1
        return 200, envelope()


def owner(receiver: Receiver) -> int:
    """The slot of the process that owns the lane of *receiver*."""
    lane: LaneRow = until(lambda: lane if (lane := receiver.lane).slot is not None else None)
    assert lane.slot is not None
    return lane.slot


def test_a_lane_runs_in_one_process_at_a_time_and_the_other_takes_it_over(pair: Pair) -> None:
    network = pair.first.network("CPO", ("NL", "DEM"))
    token = network.operator().token
    offices = [Client(node.url, token, "cpo") for node in pair.nodes]
    reply = OneAtATime()
    with Receiver(network) as receiver:
        receiver.reply = reply
        for number in range(20):
            for office in offices:
                office.put(f"tariffs/NL/DEM/T{number}", example("Tariff", id=f"T{number}"))
        until(lambda: not receiver.behind)
        assert 1 == reply.most

        dead = owner(receiver)
        pair.nodes[dead].kill()
        offices[1 - dead].put("tariffs/NL/DEM/LAST", example("Tariff", id="LAST"))
        until(lambda: not receiver.behind, seconds=10)
        assert 1 - dead == owner(receiver)
        assert "takes_over" in pair.nodes[1 - dead].log


def test_a_lane_that_cannot_be_read_is_not_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(dispatcher.time, "sleep", pauses.append)
    monkeypatch.setattr(dispatcher.agenda, "owned", lambda *_: 1 // 0)

    dispatcher.Dispatcher(0)._run_lane("connection:1")

    assert [dispatcher._POLL_SECONDS] == pauses
