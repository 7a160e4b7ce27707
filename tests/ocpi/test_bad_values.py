"""Bad values in every kind of object and in list queries are refused, and nothing is stored.

They are refused before they reach storage, so one database is enough.
"""

import copy
from typing import Any

import pytest
from bad_values import VALUES
from examples import example
from inspection import rows
from nodes import Node, one_database, outcome
from surface import PARTY, PEER, Push, put_in

QUERIES = [
    "limit=", "limit=0", "limit=-1", "limit=1.0", "limit=1e2", "limit=%31x", "limit[]=1", "limit=+5",
    "offset=-1", "offset=", "offset=1.5", "offset=0x10", "offset=99999999999999999999", "cursor=", "cursor=x",
    "cursor=-1", "cursor=1.5", "cursor=%27%20OR%201=1--", "date_from=", "date_from=now",
    "date_from=2026-11-20", "date_from=2026-02-30T00:00:00Z", "date_from=%00", "date_from=1700000000",
    "date_to=", "date_to=2026-13-01T00:00:00Z", "date_to=2026-01-00T00:00:00Z", "date_to=%27",
    "date_from=2026-01-01T00:00:00Z&date_from=2026-01-02T00:00:00Z", "limit=1&limit=2", "offset=0&offset=0",
]  # fmt: skip
ACCEPTED = {"limit[]=1"}
"""A parameter of another name, which is ignored."""

pytestmark = one_database


@pytest.fixture(scope="module")
def push(node: Node) -> Push:
    """One sender for all tests."""
    return Push(node)


def stored_rows(push: Push) -> list[Any]:
    """Every object that is stored in the sender's networks."""
    ids = ", ".join(str(network.id) for network in push.networks.values())
    tables = ("locations", "tokens", "sessions", "tariffs", "cdrs")
    return [row for table in tables for row in rows(f"ocpi_{table}", f"network_id IN ({ids})")]


@pytest.mark.parametrize(
    ("schema", "path", "values"), [pytest.param(*case, id=".".join(case[:2])) for case in VALUES]
)
def test_a_bad_value_is_refused_and_nothing_is_stored(
    push: Push, schema: str, path: str, values: list[Any]
) -> None:
    peer, url = push.peer(schema), push.path(schema, example(schema))
    if schema in ("EVSE", "Connector"):
        push(schema, example(schema))
    before = stored_rows(push)

    for value in values:
        body = put_in(copy.deepcopy(example(schema)), path, value)

        response = peer.post("cdrs", body) if schema == "CDR" else peer.put(url, body)

        message = response.json().get("status_message", "")
        assert outcome(response) in {(400, 2001), (200, 2001)}, (value, message)
        assert len(message) < 600, value
    assert before == stored_rows(push)


@pytest.mark.parametrize("module", ["locations", "tokens"])
def test_a_bad_query_is_refused(node: Node, module: str) -> None:
    peer = node.network("CPO", PARTY).peer(PEER)

    for query in QUERIES:
        response = peer.get(f"{module}?{query}")

        assert ((200, 1000) if query in ACCEPTED else (400, 2001)) == outcome(response), (
            query,
            response.text,
        )
