"""A page deep in a long list; of 100,000 locations: docs/measurements/benchmark.md."""

import time

import pytest
from examples import example, model
from nodes import Network

from storage import database, tariffs

MANY = 5_000
PARTY = ("NL", "DEM")


@pytest.mark.ocpi(100)
def test_a_deep_page_by_link_costs_what_the_first_one_costs(cpo: Network) -> None:
    """The least of many interleaved tries counts: a busy machine lengthens some of them, not all."""
    with database.transaction() as transaction:
        for number in range(MANY):
            tariffs.put(transaction, cpo.id, PARTY, model("Tariff", example("Tariff", id=f"T{number}")))
    peer = cpo.peer()
    before = peer.get("tariffs", offset=MANY - 100, limit=50)
    deep = before.headers["Link"].partition("<")[2].partition(">")[0]

    def seconds(url: str, first: str) -> float:
        began = time.perf_counter()
        page = peer.get(url)
        assert (first, str(MANY)) == (page.json()["data"][0]["id"], page.headers["X-Total-Count"])
        return time.perf_counter() - began

    tries = [(seconds("tariffs?limit=50", "T0"), seconds(deep, f"T{MANY - 50}")) for _ in range(25)]

    assert min(late for _, late in tries) < 2 * min(early for early, _ in tries)
