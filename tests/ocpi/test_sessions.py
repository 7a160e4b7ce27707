"""Sessions: peers push them to an eMSP, and list and read those of a CPO."""

import re
from datetime import datetime
from typing import Any

import pytest
from examples import example
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodes import Client, Network, Node, outcome, switch_to

OLD, STORED, NEW = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"
PERIODS = example("Session")["charging_periods"]


def running(**changes: Any) -> dict[str, Any]:
    """A session in progress."""
    fields = {"status": "ACTIVE", "end_datetime": None, "last_updated": STORED}
    return example("Session", **{**fields, **changes})


def push(peer: Client, session: dict[str, Any]) -> str:
    """Push *session* and return its URL."""
    url = peer.at("sessions", session["id"])
    assert (201, 1000) == outcome(peer.put(url, session))
    return url


def driver_of(cpo: Network, party: tuple[str, str], auth_id: str) -> Client:
    """A peer of *cpo* that pushed a token with *auth_id*."""
    peer = cpo.peer(party)
    peer.put(peer.at("tokens", auth_id), example("Token", uid=auth_id, auth_id=auth_id))
    return peer


@pytest.mark.ocpi(136)
def test_a_peer_lists_our_sessions_of_its_own_drivers(cpo: Network) -> None:
    operator = cpo.operator()
    peer, other = driver_of(cpo, ("NL", "TNM"), "ONE"), driver_of(cpo, ("NL", "OTH"), "TWO")
    mine, theirs = running(id="1", auth_id="ONE"), running(id="2", auth_id="TWO")
    for session in (mine, theirs):
        assert 201 == operator.put(f"sessions/NL/DEM/{session['id']}", session).status_code

    assert [mine] == peer.data("sessions")
    assert [theirs] == other.data("sessions")
    assert [mine, theirs] == operator.data("sessions")
    assert mine == peer.data("sessions/NL/DEM/1")
    assert (404, 2000) == outcome(peer.get("sessions/NL/DEM/2"))


@pytest.mark.ocpi(136)
def test_the_official_cpo_interface_has_no_single_session(cpo: Network) -> None:
    peer = driver_of(cpo, ("NL", "TNM"), "ONE")
    cpo.operator().put("sessions/NL/DEM/1", running(id="1", auth_id="ONE"))

    assert (404, 2000) == outcome(peer.get("sessions/1"))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = peer.request(method, "sessions", json={})
        assert ((405, 2000), "GET") == (outcome(refused), refused.headers["Allow"])


@pytest.mark.ocpi(136)
def test_a_session_follows_its_driver_when_auth_id_is_corrected(cpo: Network) -> None:
    peer, other = driver_of(cpo, ("NL", "TNM"), "ONE"), driver_of(cpo, ("NL", "OTH"), "TWO")
    operator = cpo.operator()
    operator.put("sessions/NL/DEM/1", running(id="1", auth_id="ONE"))

    assert (200, 1000) == outcome(operator.patch("sessions/NL/DEM/1", {"auth_id": "TWO"}))
    assert [] == peer.data("sessions")
    assert ["1"] == [session["id"] for session in other.data("sessions")]


@pytest.mark.ocpi(137)
def test_a_peer_puts_patches_and_gets_a_session(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, running())

    assert (200, 1000) == outcome(peer.put(url, running(kwh=21)))
    assert (200, 1000) == outcome(peer.patch(url, {"kwh": 22.5, "last_updated": NEW}))
    assert running(kwh=22.5, last_updated=NEW) == peer.data(url)
    assert [peer.data(url)] == peer.data("sessions")


@pytest.mark.ocpi(137)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_session_can_neither_be_posted_nor_deleted(emsp: Network, method: str) -> None:
    peer = emsp.peer()
    url = push(peer, running())
    response = peer.request(method, url, json=running())

    assert (405, 2000) == outcome(response)
    assert {"GET", "PUT", "PATCH"} == set(response.headers["Allow"].split(", "))
    assert running() == peer.data(url)


@pytest.mark.ocpi(138)
def test_a_session_has_start_datetime_and_not_start_date_time(emsp: Network) -> None:
    peer = emsp.peer()
    body = running(start_datetime=None, start_date_time=STORED)
    response = peer.put(peer.at("sessions", "101"), body)

    assert (400, 2001) == outcome(response)
    assert "start_datetime" in response.json()["status_message"]


@pytest.mark.ocpi(138)
def test_the_date_names_of_a_cdr_are_extension_members_of_a_session(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, running(end_datetime=NEW, end_date_time=OLD, stop_date_time=OLD))

    stored = peer.data(url)
    assert (NEW, OLD, OLD) == (stored["end_datetime"], stored["end_date_time"], stored["stop_date_time"])


@pytest.mark.ocpi(139)
def test_a_cost_of_zero_is_not_an_unknown_cost(emsp: Network) -> None:
    peer = emsp.peer()
    free = push(peer, running(id="free", total_cost=0.00))
    unknown = push(peer, running(id="unknown", total_cost=None))

    assert 0 == peer.data(free)["total_cost"]
    assert "total_cost" not in peer.data(unknown)
    assert (200, 1000) == outcome(peer.patch(unknown, {"total_cost": 0}))
    assert 0 == peer.data(unknown)["total_cost"]


@pytest.mark.ocpi(140)
def test_a_session_keeps_its_partial_location_and_does_not_change_the_stored_one(emsp: Network) -> None:
    peer = emsp.peer()
    whole = example("Location")
    peer.put(peer.at("locations", "LOC1"), whole)
    session = running()
    url = push(peer, session)

    assert ["1"] == [c["id"] for c in peer.data(url)["location"]["evses"][0]["connectors"]]
    assert session["location"] == peer.data(url)["location"]
    assert whole == peer.data(peer.at("locations", "LOC1"))


@pytest.mark.ocpi(140)
def test_a_session_may_have_an_unknown_location_which_is_not_stored(emsp: Network) -> None:
    peer = emsp.peer()
    push(peer, running(location=example("Location", id="NEVER-SEEN")))

    assert (404, 2000) == outcome(peer.get(peer.at("locations", "NEVER-SEEN")))


@pytest.mark.ocpi(141)
@pytest.mark.parametrize(
    "statuses",
    [
        ["PENDING", "ACTIVE", "COMPLETED"],
        ["PENDING", "INVALID"],
        ["PENDING", "COMPLETED"],
        ["ACTIVE", "INVALID"],
        ["ACTIVE", "PENDING", "ACTIVE"],
        ["COMPLETED"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_session_passes_through_its_statuses(emsp: Network, statuses: list[str], method: str) -> None:
    peer = emsp.peer()
    url = push(peer, running(status=statuses[0]))
    for month, status in enumerate(statuses[1:], 7):
        change = {"status": status, "last_updated": f"2026-{month:02}-01T00:00:00Z"}
        body = change if method == "PATCH" else running(**change)
        assert (200, 1000) == outcome(peer.request(method, url, json=body))
        assert status == peer.data(url)["status"]


@pytest.mark.ocpi(142)
@pytest.mark.parametrize("final", ["COMPLETED", "INVALID"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("stamp", [OLD, STORED], ids=["older", "equal"])
def test_a_late_change_of_an_ended_session_is_ignored(
    emsp: Network, final: str, method: str, stamp: str
) -> None:
    peer = emsp.peer()
    ended = running(status=final)
    url = push(peer, ended)
    change = {"status": "ACTIVE", "kwh": 99, "last_updated": stamp}
    body = change if method == "PATCH" else running(**change)

    assert (200, 1000) == outcome(peer.request(method, url, json=body))
    assert ended == peer.data(url)


@pytest.mark.ocpi(142)
@pytest.mark.parametrize("final", ["COMPLETED", "INVALID"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("status", ["ACTIVE", "PENDING"])
def test_an_ended_session_cannot_start_again(emsp: Network, final: str, method: str, status: str) -> None:
    peer = emsp.peer()
    ended = running(status=final)
    url = push(peer, ended)
    change = {"status": status, "last_updated": NEW}
    response = peer.request(method, url, json=change if method == "PATCH" else running(**change))

    assert (200, 2001) == outcome(response)
    assert "status" in response.json()["status_message"]
    assert ended == peer.data(url)


@pytest.mark.ocpi(142)
def test_the_last_message_of_an_ended_session_may_be_repeated(emsp: Network) -> None:
    peer = emsp.peer()
    ended = running(status="COMPLETED")
    url = push(peer, ended)

    assert (200, 1000) == outcome(peer.put(url, ended))
    assert (200, 1000) == outcome(peer.patch(url, {"status": "COMPLETED", "last_updated": STORED}))
    assert ended == peer.data(url)


@pytest.mark.ocpi(143)
def test_charging_periods_in_a_patch_replace_the_list(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, running(charging_periods=PERIODS[:1]))

    assert (200, 1000) == outcome(peer.patch(url, {"charging_periods": PERIODS[1:]}))
    assert PERIODS[1:] == peer.data(url)["charging_periods"]


@pytest.mark.ocpi(143)
def test_a_setting_makes_charging_periods_append(another_node: Any) -> None:
    node: Node = another_node(append_charging_periods="1", demo="0")
    with switch_to(node.environment):
        peer = node.network("EMSP", ("NL", "DEP")).peer()
        url = push(peer, running(charging_periods=PERIODS[:1]))

        assert (200, 1000) == outcome(peer.patch(url, {"charging_periods": PERIODS[1:]}))
        assert PERIODS == peer.data(url)["charging_periods"]


ids = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/"), min_size=1, max_size=36
)
numbers = st.integers(0, 10**9).map(lambda n: n / 10**4) | st.integers(0, 10**6)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40)
timestamps = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(  # noqa: DTZ001  (Z is added)
    lambda t: f"{t.replace(microsecond=0).isoformat()}Z"
) | st.just("2026-02-28T23:59:59.125Z")
periods = st.fixed_dictionaries(
    {
        "start_date_time": timestamps,
        "dimensions": st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["ENERGY", "TIME", "FLAT"]), "volume": numbers}),
            min_size=1,
            max_size=3,
        ),
    }
)
documents = st.fixed_dictionaries(
    {
        "id": ids.filter(lambda text: text not in (".", "..") and not re.search("%[0-9A-Fa-f]{2}", text)),
        "start_datetime": timestamps,
        "kwh": numbers,
        "auth_id": ids,
        "auth_method": st.sampled_from(["AUTH_REQUEST", "WHITELIST"]),
        "location": st.just(example("Session")["location"]),
        "currency": st.sampled_from(["EUR", "GBP"]),
        "status": st.sampled_from(["ACTIVE", "COMPLETED", "INVALID", "PENDING"]),
        "last_updated": timestamps,
    },
    optional={
        "end_datetime": timestamps,
        "meter_id": texts,
        "charging_periods": st.lists(periods, max_size=3),
        "total_cost": numbers,
    },
)


@pytest.mark.ocpi(144)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(session=documents)
def test_a_pushed_session_is_read_back_equal(node: Node, session: dict[str, Any]) -> None:
    peer = node.network("EMSP", ("NL", "DEP")).peer()
    url = push(peer, session)

    assert session == peer.data(url)
    assert [session] == peer.data("sessions")


@pytest.mark.ocpi(144)
def test_a_list_and_a_single_read_contain_the_same_text(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, running(kwh=0.1, total_cost=12345678.1234))
    single, listed = peer.get(url).text, peer.get("sessions").text

    assert '"kwh":0.1,' in single
    assert '"total_cost":12345678.1234,' in single
    assert single.partition('"data":')[2].partition(',"status_code"')[0] in listed
