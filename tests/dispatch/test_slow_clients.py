"""More slow clients than connections: other clients still get responses. The short form of scripts/slow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from crashable_node import until
from nodes import ROOT, Node, free_port
from slow import HABITS, Habit, SlowClients, answer_seconds

LIMIT = 100
CLIENTS = 130
PATIENCE_SECONDS = 15
"""Shorter than the limit for an incomplete request, which closes the first slow clients anyway."""
BLOCKED_SECONDS = 6
"""For how long the control waits in vain. With the early close an answer takes about two seconds."""


@contextmanager
def crowded_node(folder: Path, habit: Habit, broken: str = "") -> Iterator[Node]:
    """A node all of whose connections are held by slow clients."""
    more = (
        {"PYTHONPATH": f"{ROOT / 'tests' / 'support' / 'broken'}:{ROOT}", "BROKEN": broken} if broken else {}
    )
    port = free_port()
    environment = {
        "OCPI_GATEWAY_DATA_DIR": str(folder / "data"),
        "OCPI_GATEWAY_PORT": str(port),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_CONNECTION_LIMIT": str(LIMIT),
        **more,
    }
    with Node(environment) as node, SlowClients(("127.0.0.1", port), habit, CLIENTS):
        until(lambda: "reached the connection limit" in node.log)
        yield node


@pytest.mark.parametrize("habit", HABITS, ids=[habit.name for habit in HABITS])
def test_other_clients_get_responses_despite_more_slow_clients_than_connections(
    tmp_path: Path, habit: Habit
) -> None:
    """Security S26."""
    with crowded_node(tmp_path, habit) as node:
        seconds = [answer_seconds(f"{node.url}/health", PATIENCE_SECONDS) for _ in range(2)]

        assert None not in seconds
        assert "Traceback" not in node.log


def test_without_the_early_close_no_client_gets_a_response(tmp_path: Path) -> None:
    """Negative control: the slow clients of these tests do block other clients."""
    (habit,) = [habit for habit in HABITS if habit.name == "a byte of a body every four seconds"]

    with crowded_node(tmp_path, habit, broken="never crowded") as node:
        assert None is answer_seconds(f"{node.url}/health", BLOCKED_SECONDS)
