"""CDRs are posted once, can be read, and never change."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from examples import example
from nodes import Client, Network, outcome, switch_to, until_served

DIMENSIONS = ["ENERGY", "FLAT", "MAX_CURRENT", "MIN_CURRENT", "PARKING_TIME", "TIME"]


def post(peer: Client, cdr: dict[str, Any]) -> str:
    """Post *cdr* and return the URL in the Location header."""
    response = peer.post("cdrs", cdr)
    assert (201, 1000) == outcome(response)
    return response.headers["Location"]


@pytest.mark.ocpi(147)
def test_a_new_cdr_is_201(emsp: Network) -> None:
    peer = emsp.peer()

    assert (201, 1000) == outcome(peer.post("cdrs", example("CDR")))
    assert [example("CDR")] == peer.data("cdrs")
    assert [example("CDR")] == emsp.operator().data("cdrs")


@pytest.mark.ocpi(148)
@pytest.mark.parametrize("cdr_id", ["12345", "a b", "50%", "x?y#z", "R&D+1", "Ab-C"])
def test_the_location_header_is_the_absolute_url_of_the_cdr(emsp: Network, cdr_id: str) -> None:
    peer = emsp.peer()
    cdr = example("CDR", id=cdr_id)
    location = post(peer, cdr)

    assert location.startswith(f"{emsp.node.url}/ocpi/emsp/2.1.1/cdrs/NL/TNM/")
    assert location.isascii()
    assert " " not in location
    assert cdr == peer.data(location)


@pytest.mark.ocpi(148)
def test_the_location_header_begins_with_the_public_url(another_node: Any) -> None:
    node = another_node(public_url="https://ocpi.example.com/base/", demo="0")
    with switch_to(node.environment):
        peer = node.network("EMSP", ("NL", "DEP")).peer()
        response = requests.post(
            f"{peer.base}/cdrs",
            json=example("CDR"),
            headers={"Authorization": f"Token {peer.token}", "Host": "evil.example.com"},
            timeout=10,
        )

    assert "https://ocpi.example.com/base/ocpi/emsp/2.1.1/cdrs/NL/TNM/12345" == response.headers["Location"]


@pytest.mark.ocpi(149)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_cdr_can_be_neither_changed_nor_deleted(emsp: Network, method: str) -> None:
    peer = emsp.peer()
    location = post(peer, example("CDR"))
    at_module = peer.request(method, "cdrs", json=example("CDR"))
    at_object = peer.request(method, location, json=example("CDR", total_cost=0))

    assert (405, 2000) == outcome(at_module)
    assert {"GET", "POST"} == set(at_module.headers["Allow"].split(", "))
    assert ((405, 2000), "GET") == (outcome(at_object), at_object.headers["Allow"])
    assert example("CDR") == peer.data(location)


@pytest.mark.ocpi(150)
def test_the_same_cdr_again_is_200_with_the_same_location(emsp: Network) -> None:
    peer = emsp.peer()
    location = post(peer, example("CDR"))
    reordered = dict(reversed(example("CDR").items()))
    for again in (example("CDR"), reordered, {**reordered, "unknown": None}):
        response = peer.post("cdrs", again)
        assert (200, 1000) == outcome(response)
        assert location == response.headers["Location"]

    assert (200, 2001) == outcome(peer.post("cdrs", {**reordered, "unknown": 1}))
    assert [example("CDR")] == peer.data("cdrs")


@pytest.mark.ocpi(150)
def test_fifty_posts_of_one_cdr_at_once_store_one(emsp: Network) -> None:
    peer = emsp.peer()
    with ThreadPoolExecutor(8) as threads:
        responses = list(
            threads.map(lambda _: until_served(lambda: peer.post("cdrs", example("CDR"))), range(50))
        )

    assert [(200, 1000)] * 49 + [(201, 1000)] == sorted(map(outcome, responses))
    assert 1 == len({response.headers["Location"] for response in responses})
    assert [example("CDR")] == peer.data("cdrs")


@pytest.mark.ocpi(151)
@pytest.mark.parametrize(
    "change",
    [{"total_cost": 7.65}, {"remark": None}, {"last_updated": "2027-01-01T00:00:00Z"}],
    ids=["cost", "remark", "newer"],
)
def test_a_cdr_with_the_same_id_and_other_content_is_refused(emsp: Network, change: dict[str, Any]) -> None:
    peer = emsp.peer()
    location = post(peer, example("CDR"))
    response = peer.post("cdrs", example("CDR", **change))

    assert (200, 2001) == outcome(response)
    assert "immutable" in response.json()["status_message"]
    assert [example("CDR")] == peer.data("cdrs")
    assert example("CDR") == peer.data(location)


@pytest.mark.ocpi(150, 151)
def test_our_own_cdrs_are_immutable(cpo: Network) -> None:
    operator = cpo.operator()
    location = post(operator, example("CDR"))

    assert f"{operator.base}/cdrs/NL/DEM/12345" == location
    assert (200, 1000) == outcome(operator.post("cdrs", example("CDR")))
    assert (200, 2001) == outcome(operator.post("cdrs", example("CDR", total_cost=0)))
    assert example("CDR") == operator.data(location)


@pytest.mark.ocpi(39, 152)
def test_ids_are_compared_without_case_and_the_first_spelling_stays(emsp: Network) -> None:
    peer = emsp.peer()
    location = post(peer, example("CDR", id="aBc"))
    again = peer.post("cdrs", example("CDR", id="ABC"))

    assert (200, 2001) == outcome(peer.post("cdrs", example("CDR", id="ABC", total_cost=0)))
    assert (200, 1000) == outcome(again)
    assert location == again.headers["Location"]
    assert ["aBc"] == [cdr["id"] for cdr in peer.data("cdrs")]
    assert "aBc" == peer.data(peer.at("cdrs", "AbC"))["id"]


@pytest.mark.ocpi(152)
def test_two_cpos_may_use_the_same_id(emsp: Network) -> None:
    one, other = emsp.peer(("NL", "TNM")), emsp.peer(("NL", "OTH"))
    mine = post(one, example("CDR"))
    theirs = post(other, example("CDR", total_cost=1))

    assert mine != theirs
    assert 6.65 == one.data(mine)["total_cost"]
    assert 1 == other.data(theirs)["total_cost"]
    assert (404, 2000) == outcome(other.get(mine))


@pytest.mark.ocpi(153)
def test_end_date_time_in_a_cdr_is_read_as_stop_date_time(emsp: Network) -> None:
    peer = emsp.peer()
    cdr = example("CDR")
    renamed = {"end_date_time" if name == "stop_date_time" else name: cdr[name] for name in cdr}

    response = peer.post("cdrs", renamed)

    assert (201, 1000) == outcome(response)
    assert "converted: end_date_time to stop_date_time" in response.json()["status_message"]
    assert cdr == peer.data(response.headers["Location"])
    neither = {name: cdr[name] for name in cdr if name != "stop_date_time"}
    assert "stop_date_time" in peer.post("cdrs", neither).json()["status_message"]


@pytest.mark.ocpi(153)
def test_a_cdr_does_not_end_before_it_begins(emsp: Network) -> None:
    backwards = example("CDR", stop_date_time="2026-11-20T08:59:59Z")

    assert (200, 2001) == outcome(emsp.peer().post("cdrs", backwards))


@pytest.mark.ocpi(154)
@pytest.mark.parametrize("tariffs", [None, []], ids=["absent", "none"])
def test_a_cdr_needs_no_tariffs(emsp: Network, tariffs: list[Any] | None) -> None:
    peer = emsp.peer()
    cdr = example("CDR", tariffs=tariffs)

    assert cdr == peer.data(post(peer, cdr))


@pytest.mark.ocpi(154)
@pytest.mark.parametrize(
    "periods",
    [
        None,
        [],
        [{"start_date_time": "2026-11-20T09:00:00Z"}],
        [{"start_date_time": "2026-11-20T09:00:00Z", "dimensions": []}],
        [example("ChargingPeriod"), {"start_date_time": "2026-11-20T09:00:00Z", "dimensions": []}],
    ],
    ids=["absent", "none", "no dimensions", "empty dimensions", "second empty"],
)
def test_a_cdr_needs_a_period_and_each_period_a_dimension(emsp: Network, periods: list[Any] | None) -> None:
    peer = emsp.peer()

    assert (400, 2001) == outcome(peer.post("cdrs", example("CDR", charging_periods=periods)))
    assert [] == peer.data("cdrs")


@pytest.mark.ocpi(155)
@pytest.mark.parametrize("kind", DIMENSIONS)
def test_every_dimension_is_accepted(emsp: Network, kind: str) -> None:
    peer = emsp.peer()
    period = example("ChargingPeriod", dimensions=[{"type": kind, "volume": 1.5}])

    assert [period] == peer.data(post(peer, example("CDR", charging_periods=[period])))["charging_periods"]


@pytest.mark.parametrize("kind", ["POWER", "CURRENT", "RESERVATION_TIME", "STATE_OF_CHARGE"])
def test_dimensions_of_later_versions_are_kept(emsp: Network, kind: str) -> None:
    """Conformance 48: partners send values that 2.1.1 does not list."""
    peer = emsp.peer()
    period = example("ChargingPeriod", dimensions=[{"type": kind, "volume": 1.5}])

    assert [period] == peer.data(post(peer, example("CDR", charging_periods=[period])))["charging_periods"]


@pytest.mark.ocpi(155)
@pytest.mark.parametrize("kind", ["energy", "", "STATE OF CHARGE"])
def test_text_that_is_not_a_dimension_name_is_refused(emsp: Network, kind: str) -> None:
    period = example("ChargingPeriod", dimensions=[{"type": kind, "volume": 1.5}])

    assert (400, 2001) == outcome(emsp.peer().post("cdrs", example("CDR", charging_periods=[period])))


@pytest.mark.ocpi(156)
def test_an_emsp_lists_the_cdrs_of_its_own_drivers_by_their_last_change(cpo: Network) -> None:
    operator, own, other = cpo.operator(), cpo.peer(("NL", "TNM")), cpo.peer(("DE", "OTH"))
    for peer, uid, auth_id in ((own, "1", "NL-TNM-1"), (other, "2", "DE-OTH-2")):
        country, party = peer.party
        token = example("Token", uid=uid, auth_id=auth_id)
        assert (201, 1000) == outcome(peer.put(f"tokens/{country}/{party}/{uid}", token))
    for cdr_id, auth_id, day in (("A", "NL-TNM-1", 1), ("B", "NL-TNM-1", 2), ("C", "DE-OTH-2", 2)):
        changed = f"2036-01-0{day}T00:00:00Z"
        assert (201, 1000) == outcome(
            operator.post("cdrs", example("CDR", id=cdr_id, auth_id=auth_id, last_updated=changed))
        )

    def ids(peer: Client, query: str = "") -> list[str]:
        return [cdr["id"] for cdr in peer.data(f"cdrs{query}")]

    assert ["A", "B"] == ids(own)
    assert ["B"] == ids(own, "?date_from=2036-01-02T00:00:00Z")
    assert ["A"] == ids(own, "?date_to=2036-01-02T00:00:00Z")
    assert ["C"] == ids(other)
    assert [] == ids(other, "?date_to=2036-01-02T00:00:00Z")
    assert ["A", "B", "C"] == ids(operator)
