"""Networks are ordered, made, shown. docs/gateway.md "Networks". Conformance 207, 208."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from gateway_orders import misfit, within_a_second
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Gateway, Node, at_once, outcome, refusal, switch_to

from storage import database, jobs, networks

ALICE = {
    "template": "small-urban-ac",
    "country_code": "FR",
    "party_id": "ABC",
    "name_prefix": "alice",
    "role": "cpo",
    "seed": 42,
    "ttl_seconds": 7200,
    "overrides": {"chargers_per_location": 3, "locations": 2},
}
"""The documented order (tests/data/gateway/samples.json) without its version of OCPI."""
SHORTEST = {name: ALICE[name] for name in ("template", "country_code", "party_id", "name_prefix")}
SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WITH_STORAGE = generated(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def instant(text: str) -> datetime:
    """An instant of an answer."""
    return datetime.fromisoformat(text)


def near(text: str, expected: datetime) -> bool:
    """Within the seconds that a slow machine may take."""
    return abs(instant(text) - expected) < timedelta(seconds=10)


# The order


@pytest.mark.ocpi(207)
@pytest.mark.parametrize("version", [{}, {"ocpi_version": "2.1.1"}], ids=["no version", "2.1.1"])
def test_the_documented_order_is_accepted_within_a_second(gateway: Gateway, version: dict[str, str]) -> None:
    response = within_a_second(lambda: gateway.post("/ocpi/cpos", {**ALICE, **version}))

    assert 202 == response.status_code, response.text
    accepted = response.json()
    cpo_id = accepted["cpo_id"]
    assert "" == misfit("CpoAcceptedResponse", accepted)
    assert {
        "cpo_id": cpo_id,
        "party": {"country_code": "FR", "party_id": "ABC", "role": "CPO"},
        "name_prefix": "alice",
        "template": "small-urban-ac",
        "template_version": 1,
        "ocpi_peer_url": f"{gateway.node.url}/ocpi/cpo/versions",
        "status": "PENDING",
        "status_url": f"/ocpi/cpos/{cpo_id}/status",
        "destroy_url": f"/ocpi/cpos/{cpo_id}",
    }.items() <= accepted.items()
    assert isinstance(accepted["workflow_run_id"], str)
    assert near(accepted["expires_at"], instant_now() + timedelta(hours=2))
    assert (accepted["token_a"][:2], accepted["operator_token"][:2]) == ("a_", "o_")
    assert (45, 45) == (len(accepted["token_a"]), len(accepted["operator_token"]))
    payload = accepted["roam_helper"]["credentials_payload"]
    assert (accepted["token_a"], accepted["ocpi_peer_url"]) == (payload["token"], payload["url"])
    assert f"'Authorization: Token {accepted['token_a']}'" in accepted["roam_helper"]["curl_snippet"]
    assert "topology" not in accepted
    assert "report_url" not in accepted


def instant_now() -> datetime:
    """By the clock of this machine, which is the program's."""
    return datetime.now().astimezone()


@pytest.mark.parametrize("version", ["2.2.1", "2.2", "2.1", "", "2.1.1 ", None, 2.1])
def test_another_version_of_ocpi_is_refused_and_ours_is_named(gateway: Gateway, version: Any) -> None:
    status, detail = refusal(gateway.post("/ocpi/cpos", {**ALICE, "ocpi_version": version}))

    assert (422, ["body", "ocpi_version"]) == (status, detail[0]["loc"])
    if isinstance(version, str):
        assert "2.1.1" in detail[0]["msg"]
    assert 0 == gateway.data("/ocpi/cpos")["total"]


@pytest.mark.parametrize(
    ("ttl", "seconds"), [({}, 3600), ({"ttl_seconds": 60}, 60), ({"ttl_seconds": 604800}, 604800)], ids=str
)
def test_a_network_ends_when_it_was_told_or_after_an_hour(
    gateway: Gateway, ttl: dict[str, int], seconds: int
) -> None:
    accepted = gateway.create(**ttl)
    shown = gateway.data(accepted["destroy_url"])

    assert accepted["expires_at"] == shown["expires_at"]
    assert near(shown["expires_at"], instant(shown["created_at"]) + timedelta(seconds=seconds))


def test_null_is_never(gateway: Gateway) -> None:
    accepted = gateway.create(ttl_seconds=None)

    assert None is accepted.get("expires_at")
    assert None is gateway.data(accepted["destroy_url"]).get("expires_at")


@pytest.mark.parametrize("field", SHORTEST)
def test_what_is_required_is_missed_by_name(gateway: Gateway, field: str) -> None:
    order = {name: value for name, value in SHORTEST.items() if name != field}

    status, detail = refusal(gateway.post("/ocpi/cpos", order))

    assert (422, [["body", field]]) == (status, [problem["loc"] for problem in detail])
    assert "missing" == detail[0]["type"]


def test_unknown_members_are_ignored(gateway: Gateway) -> None:
    gateway.create(surprise={"deep": [1]}, overrides={"moons": 5, "suns": None})


@pytest.mark.parametrize(
    "order",
    [
        {"template": "large-rural-ac"},
        {"template": "emsp-drivers"},
        {"template": "emsp-drivers", "role": "cpo"},
        {"template": "small-urban-ac", "role": "emsp"},
        {"template": "SMALL-URBAN-AC"},
    ],
    ids=str,
)
def test_an_unknown_template_or_one_of_the_other_role_is_404(gateway: Gateway, order: dict[str, str]) -> None:
    status, detail = refusal(gateway.post("/ocpi/cpos", {**SHORTEST, **order}))

    assert (404, True) == (status, order["template"] in detail)
    assert 0 == gateway.data("/ocpi/cpos")["total"]


@pytest.mark.parametrize(
    ("overrides", "topology"),
    [
        (None, (2, 6)),
        ({}, (2, 6)),
        ({"locations": 1}, (1, 3)),
        ({"chargers_per_location": 1, "locations": None}, (2, 2)),
        ({"locations": 3, "chargers_per_location": 4}, (3, 12)),
    ],
    ids=str,
)
def test_overrides_change_the_sizes(
    gateway: Gateway, overrides: dict[str, int | None] | None, topology: tuple[int, int]
) -> None:
    accepted = gateway.ready(overrides=overrides)
    held = gateway.data(accepted["destroy_url"])["topology"]

    assert topology == (held["locations"], held["chargers"])


# The party


@pytest.mark.parametrize(("country", "party"), [("fr", "abc"), ("FR", "A1c"), ("Fr", "000")])
def test_a_party_is_kept_in_upper_case(gateway: Gateway, country: str, party: str) -> None:
    accepted = gateway.create(country_code=country, party_id=party)

    assert (country.upper(), party.upper()) == (
        accepted["party"]["country_code"],
        accepted["party"]["party_id"],
    )


def test_parties_are_taken_within_one_organization_and_country(gateway: Gateway, stranger: Gateway) -> None:
    def taken(by: Gateway, **order: str) -> str:
        return str(by.create(**order)["party"]["party_id"])

    assert ["ABC", "AB0", "AB1"] == [taken(gateway) for _ in range(3)]
    assert "AB2" == taken(gateway, party_id="abc", role="emsp", template="emsp-drivers")
    assert "ABC" == taken(gateway, country_code="DE")
    assert "ABC" == taken(stranger)
    assert "AB3" == taken(gateway, party_id="AB0")


def test_a_party_is_free_again_when_its_network_is_gone(gateway: Gateway) -> None:
    first = gateway.create()
    gateway.delete(first["destroy_url"])

    assert "ABC" == gateway.create()["party"]["party_id"]


def take(gateway: Gateway, country: str, parties: set[str]) -> None:
    """Let networks of the organization hold *parties*."""
    with database.transaction() as transaction:
        for party in sorted(parties):
            networks.create(transaction, gateway.organization_id, "CPO", (country, party), "taken")


LAST = st.sets(st.sampled_from(SIGNS)).map(lambda signs: {f"AB{sign}" for sign in signs})
WHOLE = {f"AB{sign}" for sign in SIGNS}


@WITH_STORAGE
@given(
    taken=st.one_of(
        LAST, LAST.map(WHOLE.union), st.sets(st.sampled_from(["A00", "A01", "AC0"])).map(WHOLE.union)
    )
)
def test_a_party_that_is_taken_changes_its_last_sign_then_its_last_two(node: Node, taken: set[str]) -> None:
    gateway = node.gateway()
    take(gateway, "FR", taken)
    ways = ["ABC", *(f"AB{last}" for last in SIGNS), *(f"A{m}{n}" for m in SIGNS for n in SIGNS)]

    party = gateway.create()["party"]["party_id"]

    assert next(way for way in ways if way not in taken) == party


def test_when_every_party_is_taken_it_is_409_and_nothing_is_made(gateway: Gateway) -> None:
    take(gateway, "FR", {f"A{m}{n}" for m in SIGNS for n in SIGNS})
    before = gateway.data("/ocpi/cpos")["total"]

    status, detail = refusal(gateway.post("/ocpi/cpos", SHORTEST))

    assert (409, True) == (status, "party_space_exhausted" in detail)
    assert 36 * 36 == before == gateway.data("/ocpi/cpos")["total"]
    assert "BBC" == gateway.create(party_id="BBC")["party"]["party_id"]
    assert "ABC" == gateway.create(country_code="DE")["party"]["party_id"]


def test_a_crowd_that_wants_one_party_gets_as_many(gateway: Gateway) -> None:
    crowd = [Gateway(gateway.node, gateway.key) for _ in range(6)]

    with ThreadPoolExecutor(len(crowd)) as pool:
        taken = list(pool.map(lambda one: one.create()["party"]["party_id"], crowd))

    assert ["AB0", "AB1", "AB2", "AB3", "AB4", "ABC"] == sorted(taken)


# The making


@pytest.mark.ocpi(208)
def test_a_status_only_goes_forward_and_tells_how_far(gateway: Gateway) -> None:
    accepted = gateway.create(overrides={"locations": 20})
    seen = [accepted]
    while seen[-1]["status"] not in ("READY", "FAILED"):
        seen.append(gateway.data(accepted["status_url"]))

    states = [status["status"] for status in seen]
    order = ["PENDING", "PROVISIONING", "READY"]
    assert sorted(states, key=order.index) == states
    assert "PENDING" == states[0]
    assert "READY" == states[-1]
    done = [status["progress"]["locations_done"] for status in seen[1:] if status.get("progress")]
    assert sorted(done) == done
    assert {20} == {s["progress"]["locations_total"] for s in seen[1:] if s.get("progress")}
    last = seen[-1]
    assert "" == misfit("CpoStatusResponse", last)
    assert (accepted["cpo_id"], accepted["status_url"], accepted["workflow_run_id"]) == (
        last["cpo_id"],
        last["status_url"],
        last["workflow_run_id"],
    )
    assert last["created_at"] <= last["provisioned_at"]
    assert instant(last["provisioned_at"]) <= instant_now()
    assert None is last.get("error")
    assert all(None is status.get("provisioned_at") for status in seen[:-1])


@pytest.mark.ocpi(208)
def test_jobs_survive_a_restart(another_node: Callable[..., Node]) -> None:
    """Power is cut while both kinds of job run: each location is there once afterwards."""
    other = another_node(demo="0")
    with switch_to(other.environment):
        gateway = other.gateway()
        small = gateway.ready()
        url = f"{small['destroy_url']}/locations"
        bulk = gateway.create(url, locations=[{"template": "residential-ac-single"}] * 400)
        accepted = gateway.create(overrides={"locations": 100, "chargers_per_location": 20})
        while not gateway.data(accepted["destroy_url"])["topology"]["locations"]:
            time.sleep(0.02)
        other.kill()
        torn = [at_once(jobs.get, each["workflow_run_id"]) for each in (accepted, bulk)]
        other.start()

        assert [False, False] == [job is None or job.ended for job in torn]
        assert "READY" == gateway.wait_until_ready(accepted["status_url"], 120)["status"]
        ended = gateway.wait_until_ready(bulk["status_url"], 120)

        assert ("READY", 400, 0) == (
            ended["status"],
            ended["results"]["created_count"],
            ended["results"]["failed_count"],
        )
        assert 400 == len({made["id"] for made in ended["results"]["created"]})
        held = gateway.data(accepted["destroy_url"])["topology"]
        assert (100, 2000) == (held["locations"], held["chargers"])
        assert 402 == gateway.data(url)["total"]


def test_a_finished_network_is_shown_as_documented(gateway: Gateway) -> None:
    accepted = gateway.ready(**ALICE)
    shown = gateway.data(accepted["destroy_url"])

    assert "" == misfit("CpoResponse", shown)
    told = ("cpo_id", "party", "name_prefix", "template", "template_version", "ocpi_peer_url", "expires_at")
    assert [accepted[name] for name in told] == [shown[name] for name in told]
    assert {"locations": 2, "chargers": 6, "evses": 6, "connectors": 6} == shown["topology"]
    assert f"/ocpi/cpos/{shown['cpo_id']}/report" == shown["report_url"]
    assert accepted["destroy_url"] == shown["destroy_url"]
    assert instant(shown["created_at"]) <= instant(shown["updated_at"]) <= instant_now()
    assert None is shown.get("token_a")
    assert None is shown.get("roam_helper")
    assert {"data": [shown], "total": 1, "page": 1, "limit": 50} == gateway.data("/ocpi/cpos")


def test_a_network_is_shown_and_listed_while_it_is_being_made(gateway: Gateway) -> None:
    accepted = gateway.create(overrides={"locations": 40})
    shown, listed = gateway.data(accepted["destroy_url"]), gateway.data("/ocpi/cpos")
    report = gateway.data(f"{accepted['destroy_url']}/report")

    assert "READY" != gateway.data(accepted["status_url"])["status"]
    assert 40 > shown["topology"]["locations"]
    assert [accepted["cpo_id"]] == [each["cpo_id"] for each in listed["data"]]
    assert "" == misfit("CpoReportResponse", report)


def test_the_topology_is_what_peers_see(gateway: Gateway) -> None:
    accepted = gateway.ready(template="mixed-depot")
    seen = gateway.operator(accepted).data("locations")
    evses = [evse for location in seen for evse in location["evses"]]

    held = gateway.data(accepted["destroy_url"])["topology"]

    assert {"locations": len(seen), "evses": len(evses), "connectors": len(evses), "chargers": 6} == held
    assert {1} == {len(evse["connectors"]) for evse in evses}


def test_token_a_and_the_operator_token_work_before_the_network_is_ready(gateway: Gateway, peer: Any) -> None:
    accepted = gateway.create(overrides={"locations": 60})
    registrant = gateway.node.client(accepted["token_a"], "cpo")
    registered = registrant.post("credentials", peer.credentials())

    assert (200, 1000) == outcome(registered)
    client = gateway.node.client(registered.json()["data"]["token"], "cpo")
    assert (200, 1000) == outcome(client.get("locations"))
    assert (200, 1000) == outcome(gateway.operator(accepted).get("locations"))
    assert "READY" != gateway.data(accepted["status_url"])["status"]


def test_the_answer_comes_from_a_plain_request_too(gateway: Gateway) -> None:
    """No session, no keep-alive: what a person's curl does."""
    response = requests.get(
        f"{gateway.node.url}/ocpi/cpos", headers={"Authorization": f"bearer {gateway.key}"}, timeout=10
    )

    assert {"data": [], "total": 0, "page": 1, "limit": 50} == response.json()
