"""Real-time authorization of our drivers' tokens for a CPO."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from examples import example
from nodes import Client, Network, in_transaction, outcome

from generated.ocpi_models import TokenType
from storage import tokens

OURS = ("NL", "DEP")
URL = "tokens/1/authorize"


def put_token(emsp: Network, uid: str = "1", kind: str = "RFID", **changes: Any) -> None:
    """Store a token as our back office."""
    body = example("Token", uid=uid, type=kind, **changes)
    assert 201 == emsp.operator().put(f"tokens/NL/DEP/{uid}", body).status_code


def set_standing(emsp: Network, standing: str | None, restricted_to: list[str] | None = None) -> None:
    """Set the standing and the locations of token 1."""
    in_transaction(tokens.set_standing, emsp.id, OURS, "1", TokenType.RFID, standing, restricted_to)


def decision(response: requests.Response) -> dict[str, Any]:
    """The AuthorizationInfo of a successful response."""
    assert (200, 1000) == outcome(response)
    data: dict[str, Any] = response.json()["data"]
    return data


@pytest.fixture
def site(emsp: Network) -> Client:
    """A CPO with LOC1: EVSE A has connectors 1 and 2, EVSE B has 3, EVSE GONE is removed."""
    peer = emsp.peer()

    def evse(uid: str, *connectors: str, status: str = "AVAILABLE") -> dict[str, Any]:
        objects = [example("Connector", id=number) for number in connectors]
        return example("EVSE", uid=uid, connectors=objects, status=status)

    evses = [evse("A", "1", "2"), evse("B", "3"), evse("GONE", "4", status="REMOVED")]
    assert 201 == peer.put(peer.at("locations", "LOC1"), example("Location", evses=evses)).status_code
    put_token(emsp)
    return peer


@pytest.mark.ocpi(170)
def test_a_cpo_asks_whether_a_token_may_charge(emsp: Network) -> None:
    put_token(emsp)
    data = decision(emsp.peer().post(URL))

    assert "ALLOWED" == data["allowed"]
    assert "location" not in data


@pytest.mark.ocpi(170)
def test_the_url_with_the_party_answers_the_same(emsp: Network) -> None:
    put_token(emsp)
    peer = emsp.peer()

    assert decision(peer.post(URL)) == decision(peer.post("tokens/NL/DEP/1/authorize"))
    assert decision(peer.post(URL)) == decision(peer.post("tokens/nl/dep/1/authorize"))
    assert (404, 2000) == outcome(peer.post("tokens/NL/TNM/1/authorize"))


@pytest.mark.ocpi(170)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_authorize_is_post_only(emsp: Network, method: str) -> None:
    response = emsp.peer().request(method, URL)

    assert ((405, 2000), "POST") == (outcome(response), response.headers["Allow"])


@pytest.mark.ocpi(171)
@pytest.mark.parametrize("name", ["type", "token_type"])
def test_the_type_has_two_parameter_names_and_the_default_rfid(emsp: Network, name: str) -> None:
    put_token(emsp, valid=False)
    put_token(emsp, kind="OTHER")
    peer = emsp.peer()

    assert "ALLOWED" == decision(peer.post(URL, None, **{name: "OTHER"}))["allowed"]
    assert "BLOCKED" == decision(peer.post(URL, None, **{name: "RFID"}))["allowed"]
    assert "BLOCKED" == decision(peer.post(URL))["allowed"]


@pytest.mark.ocpi(171)
@pytest.mark.parametrize("name", ["type", "token_type"])
def test_an_unknown_type_is_refused(emsp: Network, name: str) -> None:
    put_token(emsp)
    response = emsp.peer().post(URL, None, **{name: "APP_USER"})

    assert (400, 2001) == outcome(response)
    assert name in response.json()["status_message"]


@pytest.mark.ocpi(171)
def test_without_an_rfid_token_the_default_finds_nothing(emsp: Network) -> None:
    put_token(emsp, kind="OTHER")

    assert (404, 2000) == outcome(emsp.peer().post(URL))


@pytest.mark.ocpi(172)
@pytest.mark.parametrize("body", [None, b"", b"null"], ids=["none", "empty", "null"])
@pytest.mark.parametrize("media", [None, "application/json"])
def test_the_body_is_optional(emsp: Network, body: bytes | None, media: str | None) -> None:
    put_token(emsp)
    headers = {"Content-Type": media} if media else {}
    response = emsp.peer().request("POST", URL, data=body, headers=headers)

    assert "ALLOWED" == decision(response)["allowed"]


@pytest.mark.ocpi(172)
@pytest.mark.parametrize("body", [{}, {"location_id": None}, {"location_id": 1}, [], "LOC1"], ids=repr)
def test_a_body_that_is_not_a_location_reference_is_refused(emsp: Network, body: Any) -> None:
    put_token(emsp)

    assert (400, 2001) == outcome(emsp.peer().request("POST", URL, json=body))


@pytest.mark.ocpi(172)
def test_a_chunked_body_is_read(site: Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"location_id":'
        yield b'"NOWHERE"}'

    response = site.request("POST", URL, data=chunks(), headers={"Content-Type": "application/json"})

    assert "NOT_ALLOWED" == decision(response)["allowed"]


@pytest.mark.ocpi(173)
@pytest.mark.parametrize(
    ("references", "allowed"),
    [
        ({}, {}),
        ({"evse_uids": ["A", "B"]}, {"evse_uids": ["A", "B"]}),
        ({"evse_uids": ["B"]}, {"evse_uids": ["B"]}),
        ({"evse_uids": ["A", "GONE", "NEVER"]}, {"evse_uids": ["A"]}),
        ({"evse_uids": ["A"], "connector_ids": ["2", "3"]}, {"evse_uids": ["A"], "connector_ids": ["2"]}),
        ({"connector_ids": ["3", "4", "9"]}, {"connector_ids": ["3"]}),
    ],
    ids=str,
)
def test_the_answer_contains_only_what_the_driver_may_use(
    site: Client, references: dict[str, Any], allowed: dict[str, Any]
) -> None:
    data = decision(site.post(URL, {"location_id": "LOC1", **references}))

    assert "ALLOWED" == data["allowed"]
    assert {"location_id": "LOC1", **allowed} == data["location"]


@pytest.mark.ocpi(174, 178)
@pytest.mark.parametrize(
    "references",
    [
        {"location_id": "NOWHERE"},
        {"location_id": "LOC1", "evse_uids": ["NEVER"]},
        {"location_id": "LOC1", "evse_uids": ["GONE"]},
        {"location_id": "LOC1", "evse_uids": ["B"], "connector_ids": ["1"]},
    ],
    ids=str,
)
def test_a_request_that_names_nothing_usable_is_not_allowed(site: Client, references: dict[str, Any]) -> None:
    data = decision(site.post(URL, references))

    assert ("NOT_ALLOWED", False) == (data["allowed"], "location" in data)


@pytest.mark.ocpi(174)
def test_a_restricted_token_is_not_allowed_at_other_locations(emsp: Network, site: Client) -> None:
    set_standing(emsp, None, ["LOC2"])
    data = decision(site.post(URL, {"location_id": "LOC1"}))

    assert ("NOT_ALLOWED", False) == (data["allowed"], "location" in data)


@pytest.mark.ocpi(178)
def test_a_location_that_only_another_cpo_pushed_is_unknown(emsp: Network, site: Client) -> None:
    other = emsp.peer(("NL", "OTH"))

    assert "ALLOWED" == decision(site.post(URL, {"location_id": "LOC1"}))["allowed"]
    assert "NOT_ALLOWED" == decision(other.post(URL, {"location_id": "LOC1"}))["allowed"]


@pytest.mark.ocpi(175)
@pytest.mark.parametrize("standing", ["ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT"])
@pytest.mark.parametrize("body", [None, {"location_id": "LOC1"}], ids=["anywhere", "at a location"])
def test_every_decision_is_a_successful_answer(emsp: Network, site: Client, standing: str, body: Any) -> None:
    set_standing(emsp, standing)
    data = decision(site.post(URL, body))

    assert standing == data["allowed"]
    assert (body is not None and standing == "ALLOWED") is ("location" in data)


@pytest.mark.ocpi(167, 175)
def test_an_invalid_token_is_blocked(emsp: Network) -> None:
    put_token(emsp, valid=False)

    assert "BLOCKED" == decision(emsp.peer().post(URL))["allowed"]


@pytest.mark.ocpi(167, 175)
def test_a_token_in_good_standing_is_blocked_once_it_is_invalid(emsp: Network) -> None:
    put_token(emsp)
    set_standing(emsp, "ALLOWED")
    emsp.operator().patch("tokens/NL/DEP/1", {"valid": False})

    assert "BLOCKED" == decision(emsp.peer().post(URL))["allowed"]


@pytest.mark.ocpi(176)
@pytest.mark.parametrize("body", [None, {"location_id": "LOC1"}], ids=["anywhere", "at a location"])
def test_an_unknown_token_is_404(site: Client, body: Any) -> None:
    response = site.post("tokens/unknown/authorize", body)

    assert (404, 2000) == outcome(response)
    assert response.json().get("data") is None


@pytest.mark.ocpi(24, 177)
def test_a_restricted_token_needs_a_location(emsp: Network, site: Client) -> None:
    set_standing(emsp, None, ["LOC1"])

    assert (200, 2002) == outcome(site.post(URL))
    assert (200, 2002) == outcome(site.request("POST", URL, data=b"null"))
    assert "ALLOWED" == decision(site.post(URL, {"location_id": "LOC1"}))["allowed"]


@pytest.mark.ocpi(181)
def test_authorize_answers_within_half_a_second(site: Client) -> None:
    seconds = []
    for _ in range(100):
        began = time.perf_counter()
        decision(site.post(URL, {"location_id": "LOC1", "evse_uids": ["A"]}))
        seconds.append(time.perf_counter() - began)

    assert 0.5 > sorted(seconds)[98]
