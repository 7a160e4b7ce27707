"""The messages of answers: the deviations in a success and the problems in a refusal, within limits."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from examples import example
from nodes import Gateway, Network, Node, in_transaction, one_database, outcome
from requests import Response

from openapi.field_types import EXTENSION
from settings import settings
from storage import deviations

LOC1 = "locations/NL/TNM/LOC1"
OLD, NEW = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


def message(response: Response) -> str:
    """The message of a successful answer."""
    assert response.json()["status_code"] == 1000, response.text
    return str(response.json()["status_message"])


def refusal(response: Response) -> list[str]:
    """The problems of a refusal."""
    assert (400, 2001) == outcome(response)
    return str(response.json()["status_message"]).split("; ")


# Successes


def test_a_success_without_deviations_has_the_message_success(emsp: Network) -> None:
    peer = emsp.peer()

    assert "Success" == message(peer.put(LOC1, example("Location")))
    assert "Success" == message(peer.get(LOC1))


def test_extension_members_are_named_and_come_back_at_every_level(emsp: Network) -> None:
    peer, location = emsp.peer(), example("Location", publish=True)
    location["evses"][0]["connectors"][0]["max_power"] = {"kW": 22, "note": None}

    answer = message(peer.put(LOC1, {**location, "nothing": None}))

    assert "Success; extension members kept: publish, max_power" == answer
    assert location == peer.data(LOC1)
    assert [location] == peer.data("locations")
    assert location["evses"][0]["connectors"][0] == peer.data(f"{LOC1}/3256/1")


def test_extension_members_are_counted(emsp: Network) -> None:
    peer = emsp.peer()
    peer.put(LOC1, example("Location", publish=True, authorization_id="x"))

    counted = {
        each.kind: each.count for each in in_transaction(deviations.of_peer, emsp.id, peer.connection_id)
    }

    assert {EXTENSION: 2} == counted


def test_the_extension_members_of_a_hub_come_back(emsp: Network) -> None:
    """GIREVE pairs an authorization, a session and a CDR by `authorization_id`."""
    peer = emsp.peer()
    location = example("Location", country_code="NL", party_id="TNM", publish=True)
    session = example("Session", authorization_id="A1", location=location)
    tariff = example("Tariff", country_code="NL", party_id="TNM")
    tariff["elements"][0]["price_components"][0]["type"] = "SESSION_TIME"

    for module, body in (("locations", location), ("sessions", session), ("tariffs", tariff)):
        url = f"{module}/NL/TNM/{body['id']}"
        assert (201, 1000) == outcome(peer.put(url, body))
        assert body == peer.data(url)
        assert [body] == peer.data(module)


def test_a_patch_adds_changes_and_removes_extension_members(emsp: Network) -> None:
    peer = emsp.peer()
    peer.put(LOC1, example("Location", publish=True))

    assert "Success; extension members kept: extra" == message(
        peer.patch(LOC1, {"publish": None, "extra": [1]})
    )
    location = peer.data(LOC1)
    assert ("extra" in location, "publish" in location) == (True, False)


def test_the_message_names_conversions(emsp: Network) -> None:
    location = example("Location", country="NL", last_updated="2026-11-20T14:00:00+02:00")

    assert (
        "Success; converted: country NL to NLD,"
        " last_updated 2026-11-20T14:00:00+02:00 to 2026-11-20T12:00:00Z"
    ) == message(emsp.peer().put(LOC1, location))


def test_the_message_of_an_older_put_says_only_that_it_is_ignored(emsp: Network) -> None:
    peer = emsp.peer()
    peer.put(LOC1, example("Location", last_updated=NEW))

    older = example("Location", last_updated=OLD, country="NL", publish=True)

    assert "Success; ignored: older than the stored object" == message(peer.put(LOC1, older))
    assert "Success; ignored: older than the stored object" == message(
        peer.patch(LOC1, {"name": "x", "last_updated": OLD})
    )


def test_the_message_says_that_an_older_evse_in_a_patch_is_ignored(emsp: Network) -> None:
    peer = emsp.peer()
    peer.put(LOC1, example("Location", last_updated=OLD))
    evse = {"uid": "3256", "status": "CHARGING", "last_updated": "2000-01-01T00:00:00Z"}

    answer = message(peer.patch(LOC1, {"evses": [evse], "publish": True}))

    assert "Success; ignored: older than the stored object; extension members kept: publish" == answer


def test_the_message_says_that_a_late_patch_of_a_completed_session_is_ignored(emsp: Network) -> None:
    peer, session = emsp.peer(), example("Session", status="COMPLETED", last_updated=NEW)
    url = f"sessions/NL/TNM/{session['id']}"
    peer.put(url, session)

    answer = message(peer.patch(url, {"kwh": 1, "last_updated": NEW}))

    assert "Success; ignored: older than the stored object" == answer


def test_the_message_names_at_most_five_members_and_stays_short(emsp: Network) -> None:
    names = {f"{number}\n{'x' * 100}": 1 for number in range(7)}

    answer = message(emsp.peer().put(LOC1, example("Location", **names)))

    assert 5 == answer.count("?x")
    assert len(answer) < 400


def test_credentials_and_commands_ignore_unknown_members(cpo: Network) -> None:
    peer = cpo.peer()
    order = example("StopSession", session_id="none", more=1, response_url="http://127.0.0.1:9999/x")

    response = peer.post("commands/STOP_SESSION", order)

    assert "Success; no such running session of this peer" == message(response)
    assert {"result": "UNKNOWN_SESSION"} == response.json()["data"]


@pytest.mark.parametrize("number", ["0.12345678901234567890", "12345678901234567890123"])
def test_an_inexact_number_in_an_extension_member_breaks_a_rule(emsp: Network, number: str) -> None:
    """The schema allows every extension member, so this is no schema violation. Conformance 19."""
    body = orjson.dumps(example("Token")).decode()[:-1] + f',"more":{{"deep":[{number}]}}}}'

    response = emsp.operator().send("PUT", "tokens/NL/DEP/012345678", body.encode())

    assert (200, 2001) == outcome(response)
    text = response.json()["status_message"]
    assert "more.deep.0: Input has more digits than can be kept exactly" == text


@pytest.mark.parametrize("number", ["0.12345678901234567890", "12345678901234567890123"])
def test_a_command_ignores_an_inexact_number_in_an_extension_member(cpo: Network, number: str) -> None:
    order = example("StartSession", response_url="http://127.0.0.1:9999/x")
    text = orjson.dumps({**order, "token": {**order["token"], "more": "NUMBER"}}).decode()

    response = cpo.peer().send("POST", "commands/START_SESSION", text.replace('"NUMBER"', number).encode())

    assert (200, 2003) == outcome(response)  # there is no such location


def test_a_token_is_read_by_its_uid_alone(emsp: Network) -> None:
    """Hubs use this URL."""
    operator, token = emsp.operator(), example("Token")
    operator.put(f"tokens/NL/DEP/{token['uid']}", token)

    assert token == emsp.peer().data(f"tokens/{token['uid']}?type=RFID")
    assert token == emsp.peer().data(f"tokens/{token['uid']}")
    assert (404, 2000) == outcome(emsp.peer().get(f"tokens/{token['uid']}?type=OTHER"))
    assert (404, 2000) == outcome(emsp.peer().get("tokens/unknown"))


# Refusals


def test_a_refusal_names_every_problem_with_its_path(emsp: Network) -> None:
    location = example("Location", country=5, city=None, postal_code="x" * 11)
    location["evses"][0]["connectors"][0] = {"id": "1"}

    problems = refusal(emsp.peer().put(f"{LOC1}?", location))

    assert "country: Input should be a valid string" in problems
    assert "city: Field required" in problems
    assert "evses.0.connectors.0.standard: Field required" in problems


def test_more_than_ten_problems_are_counted(emsp: Network) -> None:
    assert "and 7 more" in refusal(emsp.peer().put(LOC1, {f"{n}": n for n in range(30)} | dict.fromkeys(
        ("id", "type", "address", "city", "postal_code", "country", "coordinates", "last_updated", "name",
         "directions", "operator", "owner", "time_zone", "opening_times", "suboperator", "energy_mix",
         "images"), 1)))  # fmt: skip


def test_a_broken_rule_is_named_with_its_path(emsp: Network) -> None:
    location = example("Location")
    location["opening_times"] = {
        "regular_hours": [{"weekday": 1, "period_begin": "09:00", "period_end": "08:00"}]
    }

    response = emsp.peer().put(LOC1, location)

    assert (200, 2001) == outcome(response)
    assert (
        "opening_times.regular_hours.0: period_end must be later than period_begin"
        == response.json()["status_message"]
    )


# Limits


def usage(node: Node) -> tuple[float, int]:
    """CPU seconds that the program has used, and its peak of resident bytes."""
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{node.pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak


def full_body(item: dict[str, Any]) -> bytes:
    """A bulk body of copies of *item*, as large as the limit allows."""
    text = orjson.dumps(item)
    return b'{"locations":[' + b",".join([text] * ((settings().body_limit - 20) // (len(text) + 1))) + b"]}"


@one_database
@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"name": "x" * 700, "charges": [{}] * 5}, id="fewer than the maximum of items"),
        pytest.param({"name": 7}, id="more than the maximum of items"),
        pytest.param(
            {"name": "a", "charges": [{"charger_ids": ["?"] * 50, "template": {}}] * 4}, id="nested"
        ),
    ],
)
def test_the_largest_invalid_bulk_body_uses_little_cpu_and_memory(
    node: Node, gateway: Gateway, item: dict[str, Any]
) -> None:
    raw = full_body(item)
    seconds, peak = usage(node)

    response = gateway.request("POST", "/ocpi/cpos/1/locations", data=raw)

    assert 422 == response.status_code
    later, later_peak = usage(node)
    assert later - seconds < 1
    assert later_peak - peak < 100 * 1024 * 1024
    detail = response.json()["detail"]
    assert 1 <= len(detail) <= 100
    if len(raw) // len(orjson.dumps(item)) <= 10_000:
        assert set(range(10)) == {problem["loc"][2] for problem in detail}


def test_a_bulk_refusal_names_the_problems_of_the_first_ten_bad_items(gateway: Gateway) -> None:
    good = {"template": "urban-ac-hub"}
    items = [good if number % 2 else {"template": number} for number in range(60)]

    response = gateway.post("/ocpi/cpos/1/locations", {"locations": items})

    assert 422 == response.status_code
    assert [["body", "locations", number, "template"] for number in range(0, 20, 2)] == [
        problem["loc"] for problem in response.json()["detail"]
    ]


def test_a_location_of_empty_evses_uses_little_and_names_the_first_ones_problems(emsp: Network) -> None:
    seconds, peak = usage(emsp.node)

    problems = refusal(emsp.peer().put(LOC1, example("Location", evses=[{}] * 250)))

    later, later_peak = usage(emsp.node)
    assert [
        f"evses.0.{name}: Field required" for name in ("uid", "status", "connectors", "last_updated")
    ] == (problems)
    assert later - seconds < 1
    assert later_peak - peak < 100 * 1024 * 1024
