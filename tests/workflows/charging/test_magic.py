"""Magic tokens and EVSEs, whose bad behavior needs no call. docs/magic.md."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from drivers import Driver, Site, shorten_deadlines
from nodes import Client, Gateway, Network, Node, in_transaction, one_database, outcome, switch_to
from receivers import until

from storage import networks

REFUSED = {"MAGIC-BLOCKED": "BLOCKED", "MAGIC-EXPIRED": "EXPIRED", "MAGIC-NO-CREDIT": "NO_CREDIT"}


def peer_of_drivers(gateway: Gateway) -> Client:
    """A CPO that is registered at a generated eMSP network."""
    accepted = gateway.ready(role="emsp", template="emsp-drivers")
    return Network(gateway.node, in_transaction(networks.get, int(accepted["cpo_id"]))).peer()


def authorize(peer: Client, uid: str) -> Any:
    """The response to the authorization of a magic token."""
    return peer.post(f"tokens/{uid}/authorize", type="OTHER")


def test_peers_and_the_gateway_see_the_location_magic(site: Site, driver: Driver) -> None:
    magic = driver.client.data("locations/MAGIC")
    assert ["MAGIC-REJECTS", "MAGIC-TIMEOUT", "MAGIC-INVALID"] == [evse["uid"] for evse in magic["evses"]]
    tariffs = {each["id"] for each in driver.client.data("tariffs")}
    assert {evse["connectors"][0]["tariff_id"] for evse in magic["evses"]} <= tariffs
    assert "MAGIC" == site.gateway.data(f"{site.url}/locations/MAGIC")["id"]
    assert {"locations": 1, "chargers": 3, "evses": 3, "connectors": 3} == site.gateway.data(site.url)[
        "topology"
    ]
    report = site.gateway.data(f"{site.url}/report")["markdown"]
    assert "- EVSE `MAGIC-INVALID`: the session becomes INVALID and gets no CDR" in report


@one_database
@pytest.mark.parametrize(
    ("evse_uid", "result", "sessions"),
    [
        ("MAGIC-REJECTS", "REJECTED", []),
        ("MAGIC-TIMEOUT", "TIMEOUT", []),
        ("MAGIC-INVALID", "ACCEPTED", ["INVALID"]),
    ],
)
def test_a_magic_evse_behaves_as_its_name_says(
    site: Site, driver: Driver, evse_uid: str, result: str, sessions: list[str]
) -> None:
    assert "ACCEPTED" == driver.send("START_SESSION", location_id="MAGIC", evse_uid=evse_uid)
    in_transaction(shorten_deadlines)
    assert [{"result": result}] == until(driver.results)
    site.advance(120)
    assert sessions == [each["status"] for each in site.office.data("sessions")]
    assert [] == site.office.data("cdrs")


def test_an_emsp_answers_what_its_magic_tokens_say(gateway: Gateway) -> None:
    peer = peer_of_drivers(gateway)
    answers = {uid: authorize(peer, uid).json()["data"]["allowed"] for uid in REFUSED}
    assert REFUSED == answers
    began = time.monotonic()
    assert "ALLOWED" == authorize(peer, "MAGIC-SLOW").json()["data"]["allowed"]
    assert time.monotonic() - began >= 5


def test_slow_authorizations_leave_a_thread_for_other_requests(another_node: Callable[..., Node]) -> None:
    node = another_node(threads="2", demo="0")
    with switch_to(node.environment), ThreadPoolExecutor(2) as pool:
        peer = peer_of_drivers(node.gateway())
        both = list(pool.map(lambda _: authorize(peer, "MAGIC-SLOW"), range(2)))
    assert [(200, 1000), (429, 2000)] == sorted(outcome(each) for each in both)
    assert {"1"} == {each.headers["Retry-After"] for each in both if each.status_code == 429}


@one_database
@pytest.mark.parametrize("uid", REFUSED)
def test_a_cpo_refuses_magic_tokens_whoever_owns_them(site: Site, driver: Driver, uid: str) -> None:
    driver.token = {**driver.token, "uid": uid, "auth_id": "MINE"}
    later = {"expiry_date": "2099-01-01T00:00:00Z", "reservation_id": 42}
    assert "REJECTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    assert "REJECTED" == driver.send("RESERVE_NOW", evse_uid=site.evse_uid, **later)
    body = {"location_id": site.location["id"], "evse_uid": site.evse_uid, "token_uid": uid}
    response = site.gateway.post(f"{site.url}/sessions", body)
    assert (409, f"token_uid: the magic token {uid} is {REFUSED[uid]}.") == (
        response.status_code,
        response.json()["detail"],
    )


@one_database
def test_the_result_for_a_slow_token_comes_late(site: Site, driver: Driver) -> None:
    driver.token = {**driver.token, "uid": "MAGIC-SLOW", "auth_id": "MINE"}
    began = time.monotonic()
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    assert [{"result": "ACCEPTED"}] == until(driver.results)
    assert time.monotonic() - began >= 5
