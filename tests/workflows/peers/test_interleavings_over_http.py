"""Interleaved exchanges with a peer, with real threads and HTTP: the short form of scripts/interleavings."""

import random

from interleavings import OPERATIONS, Side, run_at_once
from nodes import Node, session

from storage import access

HISTORIES = 10


def test_concurrent_operations_over_http_are_safe(node: Node) -> None:
    draw = random.Random(7)

    def read_locations(side: Side, token: str) -> int:
        role = access.url_segment(side.network.role)
        url = f"{node.url}/ocpi/{role}/2.1.1/locations"
        return session().get(url, headers={"Authorization": f"Token {token}"}, timeout=30).status_code

    for _ in range(HISTORIES):
        operations = draw.choices(OPERATIONS, k=3)
        assert [] == run_at_once(operations, read_locations), operations
