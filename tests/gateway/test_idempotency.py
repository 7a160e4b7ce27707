"""One Idempotency-Key has one effect; also quotas. docs/gateway.md "Idempotency". Conformance 214."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import sqlalchemy
from gateway_orders import example, validation_error
from inspection import contents, expire, moved, rows
from nodes import Gateway, Node, one_database, outcome, refusal, switch_to
from peers import PeerServer

from storage import database, networks, timestamps

NETWORK = example("CpoCreateRequest")
LOCATIONS = {"locations": [example("OcpiCreateLocationRequest")]}
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def key() -> str:
    """A fresh key."""
    return secrets.token_urlsafe(16)


@pytest.fixture(params=["network", "locations"])
def order(request: pytest.FixtureRequest, gateway: Gateway) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """For each operation that creates something: its URL, a body, and another body."""
    if request.param == "network":
        return "/ocpi/cpos", NETWORK, {**NETWORK, "seed": 43}
    accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1}, country_code="IT")
    other = {"locations": [*LOCATIONS["locations"], *LOCATIONS["locations"]]}
    return f"{accepted['destroy_url']}/locations", LOCATIONS, other


Order = tuple[str, dict[str, Any], dict[str, Any]]


def count_jobs(gateway: Gateway) -> int:
    """The number of jobs of the organization."""
    return sum(row["organization_id"] == gateway.organization_id for row in rows("gw_jobs"))


def count_keys(gateway: Gateway) -> int:
    """The number of idempotency keys that are stored for the organization."""
    return sum(row["organization_id"] == gateway.organization_id for row in rows("gw_idempotency"))


def reversed_members(value: Any) -> Any:
    """The same JSON with its members in reverse order."""
    if isinstance(value, dict):
        return {name: reversed_members(value[name]) for name in reversed(value)}
    return [reversed_members(each) for each in value] if isinstance(value, list) else value


@pytest.mark.ocpi(214)
def test_the_same_key_and_body_get_the_same_response_and_create_once(
    gateway: Gateway, order: Order, key: str
) -> None:
    path, body, _ = order
    before = count_jobs(gateway)

    first = gateway.post(path, body, Idempotency_Key=key)
    gateway.finish(first.json())
    again = [gateway.post(path, body, Idempotency_Key=key) for _ in range(3)]
    reordered = gateway.post(path, reversed_members(body), Idempotency_Key=key)

    assert [(202, first.json())] * 4 == [(each.status_code, each.json()) for each in [*again, reordered]]
    assert before + 1 == count_jobs(gateway)


@pytest.mark.ocpi(214)
def test_another_body_is_409_and_changes_nothing(gateway: Gateway, order: Order, key: str) -> None:
    path, body, other = order
    first = gateway.post(path, body, Idempotency_Key=key)
    gateway.finish(first.json())
    before = contents()

    status, detail = refusal(gateway.post(path, other, Idempotency_Key=key))
    assert (409, True) == (status, "Idempotency-Key" in detail)
    assert first.json() == gateway.post(path, {**body, "more": None}, Idempotency_Key=key).json()

    assert [] == moved(before, contents())
    assert first.json() == gateway.post(path, body, Idempotency_Key=key).json()


@pytest.mark.ocpi(214)
def test_concurrent_requests_with_one_key_create_once(gateway: Gateway, order: Order, key: str) -> None:
    path, body, _ = order
    before = count_jobs(gateway)
    clients = [Gateway(gateway.node, gateway.key) for _ in range(6)]
    ready = threading.Barrier(len(clients))

    def send(client: Gateway) -> requests.Response:
        ready.wait()
        return client.post(path, body, Idempotency_Key=key)

    with ThreadPoolExecutor(len(clients)) as pool:
        responses = list(pool.map(send, clients))

    assert {202} == {response.status_code for response in responses}
    assert all(responses[0].json() == response.json() for response in responses)
    assert before + 1 == count_jobs(gateway)


@pytest.mark.ocpi(214)
def test_of_two_concurrent_bodies_with_one_key_one_is_accepted(
    gateway: Gateway, order: Order, key: str
) -> None:
    path, body, other = order
    before = count_jobs(gateway)
    pair = [(Gateway(gateway.node, gateway.key), each) for each in (body, other)]
    ready = threading.Barrier(2)

    def send(request: tuple[Gateway, dict[str, Any]]) -> int:
        client, payload = request
        ready.wait()
        return client.post(path, payload, Idempotency_Key=key).status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(send, pair))

    assert [202, 409] == statuses
    assert before + 1 == count_jobs(gateway)


def test_without_a_key_each_request_creates_a_network(gateway: Gateway) -> None:
    cpo_ids = {gateway.post("/ocpi/cpos", NETWORK).json()["cpo_id"] for _ in range(3)}

    assert 3 == len(cpo_ids)
    assert 0 == count_keys(gateway)


def test_a_key_applies_to_one_organization_and_one_operation(
    gateway: Gateway, stranger: Gateway, admin: Gateway, key: str
) -> None:
    mine = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    theirs = stranger.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    headers = {"Idempotency-Key": key, "X-Organization-Id": gateway.organization_id}
    again = admin.request("POST", "/ocpi/cpos", json=NETWORK, headers=headers)
    at_home = admin.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    bulk = gateway.post(f"{mine['destroy_url']}/locations", LOCATIONS, Idempotency_Key=key)
    second = gateway.post("/ocpi/cpos", {**NETWORK, "party_id": "XYZ"}, Idempotency_Key=f"{key}2").json()
    elsewhere = gateway.post(f"{second['destroy_url']}/locations", LOCATIONS, Idempotency_Key=key)

    assert 3 == len({mine["cpo_id"], theirs["cpo_id"], at_home["cpo_id"]})
    assert mine == again.json()
    assert 202 == bulk.status_code
    assert 409 == elsewhere.status_code or elsewhere.json()["status_url"].startswith(second["destroy_url"])


# Tokens in the stored response


@pytest.mark.ocpi(214)
def test_a_replay_shows_the_tokens_until_token_a_is_used(
    gateway: Gateway, key: str, peer: PeerServer
) -> None:
    first = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    registrant = gateway.node.client(first["token_a"], "cpo")
    assert (200, 1000) == outcome(registrant.get("credentials"))
    assert first == gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()

    assert (200, 1000) == outcome(registrant.post("credentials", peer.credentials()))
    response = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key)

    replayed = response.json()
    assert (202, "") == (response.status_code, validation_error("CpoAcceptedResponse", replayed))
    assert "" == replayed["token_a"]
    assert None is replayed.get("operator_token")
    assert not any(first[name] in response.text for name in ("token_a", "operator_token"))
    blanked = ("token_a", "operator_token", "roam_helper")
    assert {k: v for k, v in first.items() if k not in blanked} == {
        k: v for k, v in replayed.items() if k not in blanked
    }
    assert (200, 1000) == outcome(gateway.operator(first).get("locations"))


def test_the_stored_response_is_encrypted(gateway: Gateway, key: str) -> None:
    first = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()

    [row] = [row for row in rows("gw_idempotency") if row["key"] == key]
    assert not any(first[name] in str(row) for name in ("token_a", "operator_token"))


# Requests that store no key


@pytest.mark.ocpi(214)
def test_a_refused_request_stores_no_key(gateway: Gateway, order: Order, key: str) -> None:
    path, body, _ = order
    missing = "no-such-template"
    unknown = {"template": missing} if path == "/ocpi/cpos" else {"locations": [{"template": missing}]}
    unknown_url = "/ocpi/cpos/999999999999/locations"
    raw = {"headers": {"Idempotency-Key": key, "Content-Type": "application/json"}}

    assert 422 == gateway.post(path, {}, Idempotency_Key=key).status_code
    assert 404 == gateway.post(path, {**body, **unknown}, Idempotency_Key=key).status_code
    assert 404 == gateway.post(unknown_url, LOCATIONS, Idempotency_Key=key).status_code
    assert 400 == gateway.request("POST", path, data=b"{", **raw).status_code
    assert 0 == count_keys(gateway)

    assert 202 == gateway.post(path, body, Idempotency_Key=key).status_code
    assert 1 == count_keys(gateway)


def test_a_request_without_a_free_party_id_stores_no_key(gateway: Gateway, key: str) -> None:
    characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    with database.transaction() as transaction:
        for party in (f"A{m}{n}" for m in characters for n in characters):
            networks.create(transaction, gateway.organization_id, "CPO", ("FR", party), "taken")

    assert 409 == gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).status_code
    assert 0 == count_keys(gateway)


@one_database
@pytest.mark.parametrize(
    "invalid", ["", "x" * 256, b"\xc3\xa9", b"a\tb"], ids=["empty", "long", "letter", "tab"]
)
def test_an_invalid_key_is_422_and_is_not_repeated(gateway: Gateway, order: Order, invalid: str) -> None:
    path, body, _ = order
    before = count_jobs(gateway)

    response = gateway.request("POST", path, json=body, headers={"Idempotency-Key": invalid})

    status, detail = refusal(response)
    assert (422, ["header", "Idempotency-Key"]) == (status, detail[0]["loc"])
    assert "input" not in detail[0]
    assert before == count_jobs(gateway)


@pytest.mark.parametrize(
    "valid", ["x", "~" * 255, "with blanks inside", "7c9e6679-7425-40de-944b-e07fc1f90ae7"]
)
def test_a_key_may_be_any_printable_text(gateway: Gateway, valid: str) -> None:
    first = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=valid)

    assert 202 == first.status_code
    assert first.json() == gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=valid).json()


# The end of a key


def test_a_key_is_deleted_with_the_network_that_it_created(gateway: Gateway, key: str) -> None:
    first = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    bulk = f"{first['destroy_url']}/locations"
    gateway.post(bulk, LOCATIONS, Idempotency_Key=key)
    assert 2 == count_keys(gateway)

    gateway.delete(first["destroy_url"])

    assert 0 == count_keys(gateway)
    assert 404 == gateway.post(bulk, LOCATIONS, Idempotency_Key=key).status_code
    second = gateway.post("/ocpi/cpos", {**NETWORK, "seed": 1}, Idempotency_Key=key).json()
    assert int(first["cpo_id"]) < int(second["cpo_id"])


def test_a_key_of_an_expired_network_creates_a_new_network(gateway: Gateway, key: str) -> None:
    first = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    expire(first["cpo_id"])

    again = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()

    assert first["cpo_id"] != again["cpo_id"]
    assert 200 == gateway.get(again["status_url"]).status_code


@pytest.mark.parametrize(("age", "same"), [(DAY_MS - 60_000, True), (DAY_MS + 1, False)])
def test_a_key_lasts_a_day(gateway: Gateway, key: str, age: int, same: bool) -> None:  # noqa: FBT001  (a case)
    first = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
    with database.transaction() as connection:
        connection.execute(
            sqlalchemy.text("UPDATE gw_idempotency SET created_at = :then WHERE key = :key"),
            {"then": timestamps.now_ms() - age, "key": key},
        )

    again = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()

    assert same == (first["cpo_id"] == again["cpo_id"])


# Quotas


def test_quotas_limit_the_networks_and_jobs_of_an_organization(
    another_node: Callable[..., Node], key: str
) -> None:
    other = another_node(networks_per_organization="2", jobs_per_organization="1", demo="0")
    with switch_to(other.environment):
        gateway, stranger = other.gateway(), other.gateway()
        first = gateway.create(overrides={"locations": 100, "chargers_per_location": 5})

        for path in ("/ocpi/cpos", f"{first['destroy_url']}/locations"):
            body = NETWORK if path == "/ocpi/cpos" else LOCATIONS
            response = gateway.post(path, body, Idempotency_Key=key)
            assert 429 == refusal(response)[0]
            assert 1 <= int(response.headers["Retry-After"]) <= 86400
        assert 0 == count_keys(gateway)
        stranger.create()

        gateway.wait_until_ready(first["status_url"], 60)
        second = gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key)
        gateway.wait_until_ready(second.json()["status_url"])
        response = gateway.post("/ocpi/cpos", NETWORK)
        assert (429, True) == (refusal(response)[0], "Retry-After" in response.headers)
        assert second.json() == gateway.post("/ocpi/cpos", NETWORK, Idempotency_Key=key).json()
        assert 202 == gateway.post(f"{first['destroy_url']}/locations", LOCATIONS).status_code
        assert 2 == gateway.data("/ocpi/cpos")["total"]

        gateway.delete(first["destroy_url"])
        gateway.create()
