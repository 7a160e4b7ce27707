"""Tariffs: peers push them to an eMSP and list those of a CPO."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Network, outcome

from storage import timestamps

STORED, NEW = "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"


def push(peer: Client, tariff: dict[str, Any]) -> str:
    """Push *tariff* and return its URL."""
    url = peer.at("tariffs", tariff["id"])
    assert (201, 1000) == outcome(peer.put(url, tariff))
    return url


def one_element(*components: dict[str, Any], **restrictions: Any) -> list[dict[str, Any]]:
    """The elements of a tariff: one element with *components* and *restrictions*."""
    element: dict[str, Any] = {"price_components": list(components)}
    return [{**element, "restrictions": restrictions} if restrictions else element]


@pytest.mark.ocpi(158)
def test_a_peer_lists_our_tariffs_and_cannot_change_them(cpo: Network) -> None:
    cpo.operator().put("tariffs/NL/DEM/12", example("Tariff"))
    peer = cpo.peer()

    assert [example("Tariff")] == peer.data("tariffs")
    for path in ("tariffs", "tariffs/NL/DEM/12"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = peer.request(method, path, json=example("Tariff"))
            assert ((405, 2000), "GET") == (outcome(refused), refused.headers["Allow"])
    assert [example("Tariff")] == peer.data("tariffs")


@pytest.mark.ocpi(159)
def test_a_peer_gets_puts_patches_and_deletes_a_tariff(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, example("Tariff"))
    replaced = example("Tariff", tariff_alt_url=None, last_updated=STORED)

    assert example("Tariff") == peer.data(url)
    newer = {**replaced, "last_updated": NEW}
    assert (200, 1000) == outcome(peer.put(url, newer))
    assert (200, 1000) == outcome(peer.patch(url, {"currency": "GBP", "last_updated": NEW}))
    assert {**newer, "currency": "GBP"} == peer.data(url)
    assert (200, 1000) == outcome(peer.delete(url))


@pytest.mark.ocpi(160)
def test_a_deleted_tariff_is_404(emsp: Network) -> None:
    peer = emsp.peer()
    url, other = push(peer, example("Tariff")), push(peer, example("Tariff", id="13"))

    assert (200, 1000) == outcome(peer.delete(url))
    assert (404, 2000) == outcome(peer.get(url))
    assert (404, 2000) == outcome(peer.delete(url))
    assert (404, 2000) == outcome(peer.patch(url, {"currency": "GBP"}))
    assert ["13"] == [tariff["id"] for tariff in peer.data("tariffs")]
    assert (200, 1000) == outcome(peer.get(other))
    assert (201, 1000) == outcome(peer.put(url, example("Tariff")))


@pytest.mark.ocpi(160)
def test_our_own_deleted_tariff_is_no_longer_listed(cpo: Network) -> None:
    operator = cpo.operator()
    operator.put("tariffs/NL/DEM/12", example("Tariff"))

    assert (200, 1000) == outcome(operator.delete("tariffs/NL/DEM/12"))
    assert [] == cpo.peer().data("tariffs")
    assert (404, 2000) == outcome(operator.delete("tariffs/NL/DEM/12"))


@pytest.mark.ocpi(161)
@pytest.mark.parametrize("sent", [{}, {"last_updated": None}], ids=["absent", "null"])
def test_a_tariff_without_last_updated_gets_the_current_time(emsp: Network, sent: dict[str, Any]) -> None:
    peer = emsp.peer()
    bare = example("Tariff", last_updated=None)
    before = timestamps.now()
    stored = peer.data(push(peer, {**bare, **sent}))

    assert before <= stored.pop("last_updated") <= timestamps.now()
    assert bare == stored


@pytest.mark.ocpi(162)
def test_elements_in_a_patch_replace_all_of_them(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, example("Tariff", last_updated=STORED))
    elements = one_element({"type": "TIME", "price": 1.5, "step_size": 60})

    assert 2 == len(peer.data(url)["elements"])
    assert (200, 1000) == outcome(peer.patch(url, {"elements": elements, "last_updated": NEW}))
    assert example("Tariff", elements=elements, last_updated=NEW) == peer.data(url)


@pytest.mark.ocpi(163)
@pytest.mark.parametrize("price", [0, 0.00, "0.00"])
def test_a_tariff_may_be_free(emsp: Network, price: Any) -> None:
    peer = emsp.peer()
    free = example("Tariff", elements=one_element({"type": "FLAT", "price": price, "step_size": 0}))

    assert (
        one_element({"type": "FLAT", "price": 0, "step_size": 0}) == peer.data(push(peer, free))["elements"]
    )


@pytest.mark.ocpi(164)
@pytest.mark.parametrize("kind", ["ENERGY", "FLAT", "PARKING_TIME", "TIME"])
def test_every_dimension_is_accepted_without_restrictions(emsp: Network, kind: str) -> None:
    peer = emsp.peer()
    elements = one_element({"type": kind, "price": 0.25, "step_size": 1})

    assert elements == peer.data(push(peer, example("Tariff", elements=elements)))["elements"]


@pytest.mark.parametrize("kind", ["MAX_CURRENT", "RESERVATION", "SESSION_TIME"])
def test_dimensions_that_the_specification_does_not_list_are_kept(emsp: Network, kind: str) -> None:
    elements = one_element({"type": kind, "price": 0.25, "step_size": 1})
    peer = emsp.peer()

    assert elements == peer.data(push(peer, example("Tariff", elements=elements)))["elements"]


@pytest.mark.ocpi(164)
@pytest.mark.parametrize("kind", ["energy", "", "MAX CURRENT"])
def test_text_that_is_not_a_dimension_name_is_refused(emsp: Network, kind: str) -> None:
    elements = one_element({"type": kind, "price": 0.25, "step_size": 1})
    peer = emsp.peer()

    assert (400, 2001) == outcome(peer.put(peer.at("tariffs", "12"), example("Tariff", elements=elements)))


@pytest.mark.ocpi(164)
def test_restrictions_come_back_unchanged(emsp: Network) -> None:
    """`end_date` is a date without a time: the first day on which the element no longer applies."""
    peer = emsp.peer()
    component = {"type": "ENERGY", "price": 0.25, "step_size": 1}
    elements = [
        *one_element(component, **example("TariffRestrictions")),
        *one_element(component, start_date="2026-12-24", end_date="2026-12-25"),
    ]

    assert elements == peer.data(push(peer, example("Tariff", elements=elements)))["elements"]


@pytest.mark.ocpi(164)
@pytest.mark.parametrize("end", ["2026-12-25T00:00:00Z", "2026-02-30", "25-12-2026", ""])
def test_an_end_date_that_is_not_a_date_is_refused(emsp: Network, end: str) -> None:
    peer = emsp.peer()
    elements = one_element({"type": "ENERGY", "price": 0.25, "step_size": 1}, end_date=end)

    assert (400, 2001) == outcome(peer.put(peer.at("tariffs", "12"), example("Tariff", elements=elements)))


@pytest.mark.ocpi(165)
@pytest.mark.parametrize("time", ["00:00", "18:00", "23:59"])
def test_times_of_day_stay_local(emsp: Network, time: str) -> None:
    peer = emsp.peer()
    elements = one_element({"type": "ENERGY", "price": 1, "step_size": 1}, start_time=time, end_time="06:30")
    stored = peer.data(push(peer, example("Tariff", elements=elements)))

    assert {"start_time": time, "end_time": "06:30"} == stored["elements"][0]["restrictions"]


@pytest.mark.ocpi(165)
@pytest.mark.parametrize("time", ["18:00Z", "18:00+01:00", "24:00", "7:00", "18:00:00"])
def test_times_of_day_have_no_zone(emsp: Network, time: str) -> None:
    peer = emsp.peer()
    elements = one_element({"type": "ENERGY", "price": 1, "step_size": 1}, start_time=time)

    assert (400, 2001) == outcome(peer.put(peer.at("tariffs", "12"), example("Tariff", elements=elements)))
