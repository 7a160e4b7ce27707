"""Creation, provisioning and presentation of networks. docs/gateway.md "Networks". Conformance 207, 208."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from gateway_orders import validation_error, within_a_second
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Gateway, Node, in_transaction, one_database, outcome, refusal, switch_to

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
"""The documented request (tests/data/gateway/samples.json) without its version of OCPI."""
MINIMAL = {name: ALICE[name] for name in ("template", "country_code", "party_id", "name_prefix")}
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WITH_STORAGE = generated(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def parsed(text: str) -> datetime:
    """A timestamp of a response."""
    return datetime.fromisoformat(text)


def near(text: str, expected: datetime) -> bool:
    """Whether the times differ by less than 10 seconds, which a slow machine may need."""
    return abs(parsed(text) - expected) < timedelta(seconds=10)


# The request


@pytest.mark.ocpi(207)
@pytest.mark.parametrize("version", [{}, {"ocpi_version": "2.1.1"}], ids=["no version", "2.1.1"])
def test_the_documented_request_is_accepted_within_a_second(
    gateway: Gateway, version: dict[str, str]
) -> None:
    response = within_a_second(lambda: gateway.post("/ocpi/cpos", {**ALICE, **version}))

    assert 202 == response.status_code, response.text
    accepted = response.json()
    cpo_id = accepted["cpo_id"]
    assert "" == validation_error("CpoAcceptedResponse", accepted)
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
    assert near(accepted["expires_at"], now() + timedelta(hours=2))
    assert (accepted["token_a"][:2], accepted["operator_token"][:2]) == ("a_", "o_")
    assert (45, 45) == (len(accepted["token_a"]), len(accepted["operator_token"]))
    payload = accepted["roam_helper"]["credentials_payload"]
    assert (accepted["token_a"], accepted["ocpi_peer_url"]) == (payload["token"], payload["url"])
    assert f"'Authorization: Token {accepted['token_a']}'" in accepted["roam_helper"]["curl_snippet"]
    assert "topology" not in accepted
    assert "report_url" not in accepted


def now() -> datetime:
    """The current time of this machine, whose clock the program uses."""
    return datetime.now().astimezone()


@one_database
@pytest.mark.parametrize("version", ["2.2.1", "2.2", "2.1", "", "2.1.1 ", None, 2.1])
def test_another_version_of_ocpi_is_refused_and_the_supported_one_is_named(
    gateway: Gateway, version: Any
) -> None:
    status, detail = refusal(gateway.post("/ocpi/cpos", {**ALICE, "ocpi_version": version}))

    assert (422, ["body", "ocpi_version"]) == (status, detail[0]["loc"])
    if isinstance(version, str):
        assert "2.1.1" in detail[0]["msg"]
    assert 0 == gateway.data("/ocpi/cpos")["total"]


@pytest.mark.parametrize(
    ("ttl", "seconds"), [({}, 3600), ({"ttl_seconds": 60}, 60), ({"ttl_seconds": 604800}, 604800)], ids=str
)
def test_a_network_expires_after_its_ttl_or_an_hour(
    gateway: Gateway, ttl: dict[str, int], seconds: int
) -> None:
    accepted = gateway.create(**ttl)
    shown = gateway.data(accepted["destroy_url"])

    assert accepted["expires_at"] == shown["expires_at"]
    assert near(shown["expires_at"], parsed(shown["created_at"]) + timedelta(seconds=seconds))


def test_a_network_with_the_ttl_null_never_expires(gateway: Gateway) -> None:
    accepted = gateway.create(ttl_seconds=None)

    assert None is accepted.get("expires_at")
    assert None is gateway.data(accepted["destroy_url"]).get("expires_at")


@pytest.mark.parametrize("field", MINIMAL)
def test_a_missing_member_is_named(gateway: Gateway, field: str) -> None:
    order = {name: value for name, value in MINIMAL.items() if name != field}

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
    status, detail = refusal(gateway.post("/ocpi/cpos", {**MINIMAL, **order}))

    assert (404, True) == (status, order["template"] in detail)
    assert 0 == gateway.data("/ocpi/cpos")["total"]


@one_database
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
def test_a_party_is_stored_in_upper_case(gateway: Gateway, country: str, party: str) -> None:
    accepted = gateway.create(country_code=country, party_id=party)

    assert (country.upper(), party.upper()) == (
        accepted["party"]["country_code"],
        accepted["party"]["party_id"],
    )


def test_party_ids_are_unique_in_an_organization_and_country(gateway: Gateway, stranger: Gateway) -> None:
    def party_of(client: Gateway, **order: str) -> str:
        return str(client.create(**order)["party"]["party_id"])

    assert ["ABC", "AB0", "AB1"] == [party_of(gateway) for _ in range(3)]
    assert "AB2" == party_of(gateway, party_id="abc", role="emsp", template="emsp-drivers")
    assert "ABC" == party_of(gateway, country_code="DE")
    assert "ABC" == party_of(stranger)
    assert "AB3" == party_of(gateway, party_id="AB0")


def test_a_party_id_is_free_again_after_its_network_is_deleted(gateway: Gateway) -> None:
    first = gateway.create()
    gateway.delete(first["destroy_url"])

    assert "ABC" == gateway.create()["party"]["party_id"]


def occupy(gateway: Gateway, country: str, parties: set[str]) -> None:
    """Create networks of the organization with the ids *parties*."""
    with database.transaction() as transaction:
        for party in sorted(parties):
            networks.create(transaction, gateway.organization_id, "CPO", (country, party), "taken")


SOME = st.sets(st.sampled_from(CHARACTERS)).map(lambda characters: {f"AB{last}" for last in characters})
ALL = {f"AB{last}" for last in CHARACTERS}


@WITH_STORAGE
@given(
    taken=st.one_of(SOME, SOME.map(ALL.union), st.sets(st.sampled_from(["A00", "A01", "AC0"])).map(ALL.union))
)
def test_a_taken_party_id_changes_its_last_character_then_its_last_two(node: Node, taken: set[str]) -> None:
    gateway = node.gateway()
    occupy(gateway, "FR", taken)
    candidates = [
        "ABC",
        *(f"AB{last}" for last in CHARACTERS),
        *(f"A{m}{n}" for m in CHARACTERS for n in CHARACTERS),
    ]

    party = gateway.create()["party"]["party_id"]

    assert next(candidate for candidate in candidates if candidate not in taken) == party


def test_if_every_party_id_is_taken_the_response_is_409_and_nothing_is_created(gateway: Gateway) -> None:
    occupy(gateway, "FR", {f"A{m}{n}" for m in CHARACTERS for n in CHARACTERS})
    before = gateway.data("/ocpi/cpos")["total"]

    status, detail = refusal(gateway.post("/ocpi/cpos", MINIMAL))

    assert (409, True) == (status, "party_space_exhausted" in detail)
    assert 36 * 36 == before == gateway.data("/ocpi/cpos")["total"]
    assert "BBC" == gateway.create(party_id="BBC")["party"]["party_id"]
    assert "ABC" == gateway.create(country_code="DE")["party"]["party_id"]


def test_concurrent_requests_for_one_party_id_get_different_ones(gateway: Gateway) -> None:
    clients = [Gateway(gateway.node, gateway.key) for _ in range(6)]

    with ThreadPoolExecutor(len(clients)) as pool:
        taken = list(pool.map(lambda client: client.create()["party"]["party_id"], clients))

    assert ["AB0", "AB1", "AB2", "AB3", "AB4", "ABC"] == sorted(taken)


# Provisioning


@pytest.mark.ocpi(208)
def test_a_status_only_moves_forward_and_reports_progress(gateway: Gateway) -> None:
    accepted = gateway.create(overrides={"locations": 20})
    statuses = [accepted]
    while statuses[-1]["status"] not in ("READY", "FAILED"):
        statuses.append(gateway.data(accepted["status_url"]))

    states = [status["status"] for status in statuses]
    order = ["PENDING", "PROVISIONING", "READY"]
    assert sorted(states, key=order.index) == states
    assert "PENDING" == states[0]
    assert "READY" == states[-1]
    done = [status["progress"]["locations_done"] for status in statuses[1:] if status.get("progress")]
    assert sorted(done) == done
    assert {20} == {s["progress"]["locations_total"] for s in statuses[1:] if s.get("progress")}
    last = statuses[-1]
    assert "" == validation_error("CpoStatusResponse", last)
    assert (accepted["cpo_id"], accepted["status_url"], accepted["workflow_run_id"]) == (
        last["cpo_id"],
        last["status_url"],
        last["workflow_run_id"],
    )
    assert last["created_at"] <= last["provisioned_at"]
    assert parsed(last["provisioned_at"]) <= now()
    assert None is last.get("error")
    assert all(None is status.get("provisioned_at") for status in statuses[:-1])


@pytest.mark.ocpi(208)
def test_jobs_survive_a_restart(another_node: Callable[..., Node]) -> None:
    """The program is killed while both kinds of job run; afterwards each location exists once."""
    other = another_node(demo="0")
    with switch_to(other.environment):
        gateway = other.gateway()
        small = gateway.ready()
        url = f"{small['destroy_url']}/locations"
        bulk = gateway.create(url, locations=[{"template": "residential-ac-single"}] * 250)
        accepted = gateway.create(overrides={"locations": 100, "chargers_per_location": 10})
        while not gateway.data(accepted["destroy_url"])["topology"]["locations"]:
            time.sleep(0.02)
        other.kill()
        interrupted = [in_transaction(jobs.get, each["workflow_run_id"]) for each in (accepted, bulk)]
        other.start()

        assert [False, False] == [job is None or job.ended for job in interrupted]
        assert "READY" == gateway.wait_until_ready(accepted["status_url"], 120)["status"]
        finished = gateway.wait_until_ready(bulk["status_url"], 120)

        assert ("READY", 250, 0) == (
            finished["status"],
            finished["results"]["created_count"],
            finished["results"]["failed_count"],
        )
        assert 250 == len({location["id"] for location in finished["results"]["created"]})
        held = gateway.data(accepted["destroy_url"])["topology"]
        assert (100, 1000) == (held["locations"], held["chargers"])
        assert 253 == gateway.data(url)["total"]


def test_a_finished_network_is_shown_as_documented(gateway: Gateway) -> None:
    accepted = gateway.ready(**ALICE)
    shown = gateway.data(accepted["destroy_url"])

    assert "" == validation_error("CpoResponse", shown)
    same = ("cpo_id", "party", "name_prefix", "template", "template_version", "ocpi_peer_url", "expires_at")
    assert [accepted[name] for name in same] == [shown[name] for name in same]
    assert {"locations": 2, "chargers": 6, "evses": 6, "connectors": 6} == shown["topology"]
    assert f"/ocpi/cpos/{shown['cpo_id']}/report" == shown["report_url"]
    assert accepted["destroy_url"] == shown["destroy_url"]
    assert parsed(shown["created_at"]) <= parsed(shown["updated_at"]) <= now()
    assert None is shown.get("token_a")
    assert None is shown.get("roam_helper")
    assert {"data": [shown], "total": 1, "page": 1, "limit": 50} == gateway.data("/ocpi/cpos")


def test_a_network_is_shown_and_listed_during_provisioning(gateway: Gateway) -> None:
    accepted = gateway.create(overrides={"locations": 40})
    shown, listed = gateway.data(accepted["destroy_url"]), gateway.data("/ocpi/cpos")
    report = gateway.data(f"{accepted['destroy_url']}/report")

    assert "READY" != gateway.data(accepted["status_url"])["status"]
    assert 40 > shown["topology"]["locations"]
    assert [accepted["cpo_id"]] == [each["cpo_id"] for each in listed["data"]]
    assert "" == validation_error("CpoReportResponse", report)
    gateway.delete(accepted["destroy_url"])


def test_the_topology_counts_what_peers_see_but_for_magic(gateway: Gateway) -> None:
    accepted = gateway.ready(template="mixed-depot")
    *seen, magic = gateway.operator(accepted).data("locations")
    evses = [evse for location in seen for evse in location["evses"]]

    held = gateway.data(accepted["destroy_url"])["topology"]

    assert "MAGIC" == magic["id"]
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
    gateway.delete(accepted["destroy_url"])


def test_a_single_request_without_a_session_is_answered(gateway: Gateway) -> None:
    """Like curl: no session and no keep-alive."""
    response = requests.get(
        f"{gateway.node.url}/ocpi/cpos", headers={"Authorization": f"bearer {gateway.key}"}, timeout=10
    )

    assert {"data": [], "total": 0, "page": 1, "limit": 50} == response.json()
