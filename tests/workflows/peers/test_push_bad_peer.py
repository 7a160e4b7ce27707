"""Pushes to bad peers: each harms only itself, and gets everything once it has recovered.

docs/architecture.md "A push".
"""

import itertools
import string
from collections.abc import Iterator

import pytest
from bad_peer import BEHAVIOURS, BadPeer
from examples import example
from nodes import Client, Network, one_database
from receivers import Receiver, until

from storage import agenda, database
from storage.agenda import Backlog

BAD = [
    path
    for path in BEHAVIOURS
    if not path.startswith("/ok") or path in {"/ok/2000", "/ok/3001", "/ok/400", "/ok/404", "/ok/405"}
]
HEAVY = {"/big", "/endless", "/endless/header", "/endless/headers", "/endless/extension", "/endless/trailer"}
"""They send without end, which the tests of calls cover; here they would only cost time."""

PARTIES = ("".join(letters) for letters in itertools.product(string.ascii_uppercase, repeat=3))


@pytest.fixture
def bad() -> Iterator[BadPeer]:
    with BadPeer() as server:
        yield server


def register(network: Network, bad: BadPeer, behavior: str) -> int:
    """Register a peer whose endpoint of tariffs behaves so; returns the id of the connection."""
    return network.peer(("BE", next(PARTIES)), bad.url("/ok"), {"tariffs": bad.url(behavior)}).connection_id


def backlogs(connection_ids: list[int]) -> list[Backlog]:
    lanes = [agenda.connection_lane(each) for each in connection_ids]
    with database.connect() as connection:
        return list(agenda.backlogs(connection, lanes).values())


def put_tariff(office: Client, currency: str, second: int) -> None:
    body = example("Tariff", id="T1", currency=currency, last_updated=f"2030-01-01T00:00:0{second}Z")
    assert office.put("tariffs/NL/DEM/T1", body).status_code in {200, 201}


@one_database
def test_bad_peers_delay_nobody_and_get_everything_once_they_have_recovered(
    cpo: Network, bad: BadPeer
) -> None:
    office = cpo.operator()
    behaviors = [path for path in BAD if path not in HEAVY]
    assert len(behaviors) >= 20
    connection_ids = [register(cpo, bad, path) for path in behaviors]
    with Receiver(cpo) as good:
        put_tariff(office, "EUR", 1)
        until(lambda: good.seen and not good.behind)

        def is_tried() -> bool:
            rows = [row for each in connection_ids for row in good.entries_of(each)]
            return len(rows) == len(behaviors) and all(row.tries > 0 for row in rows)

        until(is_tried)
        bad.has_recovered = True
        put_tariff(office, "CHF", 2)
        until(lambda: not any(each.entries for each in backlogs(connection_ids)))
    last = {seen.target: seen.body for seen in bad.requests}
    for path in behaviors:
        assert b"CHF" in last[f"{path}/NL/DEM/T1"], path
