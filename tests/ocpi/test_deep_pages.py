"""A page deep in a long list. docs/measurements/benchmark.md has figures for 100,000 locations."""

import time

import pytest
from examples import example, model
from nodes import Network

from storage import database, tariffs

MANY = 5_000
PARTY = ("NL", "DEM")


@pytest.mark.ocpi(100)
def test_a_deep_page_by_link_is_as_fast_as_the_first_page(cpo: Network) -> None:
    """The minimum of many interleaved tries counts, because a busy machine slows some of them."""
    tariff = model("Tariff", example("Tariff"))
    with database.transaction() as transaction:
        for number in range(MANY):
            tariffs.put(transaction, cpo.id, PARTY, tariff.model_copy(update={"id": f"T{number}"}))
    peer = cpo.peer()
    before = peer.get("tariffs", offset=MANY - 100, limit=50)
    deep = before.headers["Link"].partition("<")[2].partition(">")[0]

    def seconds(url: str, first: str) -> float:
        began = time.perf_counter()
        page = peer.get(url)
        assert (first, str(MANY)) == (page.json()["data"][0]["id"], page.headers["X-Total-Count"])
        return time.perf_counter() - began

    tries = [(seconds("tariffs?limit=50", "T0"), seconds(deep, f"T{MANY - 50}")) for _ in range(25)]

    assert min(deep_page for _, deep_page in tries) < 2 * min(first_page for first_page, _ in tries)
