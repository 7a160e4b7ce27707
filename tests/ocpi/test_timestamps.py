"""Timestamps that the program creates have whole seconds, because some peers cannot read fractions.

docs/architecture.md "Timestamps".
"""

import re
from typing import Any

import pytest
import requests
from examples import example
from nodes import Client, Gateway, Network, Node, outcome
from peers import PeerServer

from storage import timestamps

WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BEGINS_AS_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
MODULES = ("locations", "sessions", "cdrs", "tariffs", "tokens")
STORED = {
    name: example(schema, last_updated="2021-01-01T00:00:00Z")
    for name, schema in (
        ("locations", "Location"), ("sessions", "Session"), ("tariffs", "Tariff"), ("tokens", "Token")
    )
}  # fmt: skip


def times(value: Any) -> list[str]:
    """Every timestamp in a JSON value."""
    if isinstance(value, dict):
        return [time for member in value.values() for time in times(member)]
    if isinstance(value, list):
        return [time for item in value for time in times(item)]
    return [value] if isinstance(value, str) and BEGINS_AS_TIME.match(value) else []


def malformed(answers: list[requests.Response], at_least: int) -> list[str]:
    """The timestamps in *answers* without whole seconds; *answers* must have *at_least* timestamps."""
    found = [time for answer in answers for time in times(answer.json())]
    assert len(found) >= at_least
    return [time for time in found if not WHOLE_SECONDS.fullmatch(time)]


def test_a_malformed_timestamp_is_found() -> None:
    """The control of this module's harness."""
    answer = requests.Response()
    answer._content = (
        b'{"data":[{"last_updated":"2026-01-01T00:00:00.1Z"}],"timestamp":"2026-01-01T00:00:00Z"}'
    )

    assert ["2026-01-01T00:00:00.1Z"] == malformed([answer], 2)


@pytest.mark.ocpi(96)
@pytest.mark.parametrize(
    ("role", "template"), [("cpo", "small-urban-ac"), ("cpo", "highway-dc"), ("emsp", "emsp-drivers")]
)
def test_a_generated_network_has_whole_seconds(gateway: Gateway, role: str, template: str) -> None:
    accepted = gateway.ready(role=role, template=template, ttl_seconds=3600)
    operator = gateway.operator(accepted)
    answers = [operator.get(module) for module in MODULES]
    answers += [gateway.get(accepted[url]) for url in ("status_url", "destroy_url")]
    assert [] == malformed(answers, 20)


def test_a_location_from_the_gateway_has_whole_seconds(gateway: Gateway) -> None:
    accepted = gateway.ready()
    operator, url = gateway.operator(accepted), f"{accepted['destroy_url']}/locations"
    job = gateway.create(url, locations=[{"template": "urban-ac-hub"}])
    gateway.finish(job)
    location = gateway.data(url)["data"][0]["id"]
    answers = [gateway.get(url), gateway.get(job["status_url"])]
    answers += [gateway.patch(f"{url}/{location}", {"name": "New"}), operator.get(f"locations/{location}")]
    gateway.delete(f"{url}/{location}")

    assert [] == malformed([*answers, operator.get("locations")], 30)


@pytest.mark.parametrize("role", ["CPO", "EMSP"])
def test_envelopes_have_whole_seconds(node: Node, peer: PeerServer, role: str) -> None:
    network = node.network(role, ("NL", "DEM"))
    registration = network.registrant().post("credentials", peer.credentials())
    client = node.client(registration.json()["data"]["token"], network.role)
    paths = (*MODULES, "credentials", "locations/none", "none", "locations?limit=x", network.versions_url)
    answers = [registration, *(client.get(path) for path in paths), network.registrant().get("locations")]

    assert [] == malformed([*answers, client.put("credentials", {}), client.delete("credentials")], 14)


PUSHED: list[tuple[str, str, dict[str, Any]]] = [
    ("EMSP", "locations/{party}/LOC1", {"name": "New"}),
    ("EMSP", "locations/{party}/LOC1", {"evses": [{"uid": "3256", "status": "BLOCKED"}]}),
    ("EMSP", "locations/{party}/LOC1/3256", {"status": "CHARGING"}),
    ("EMSP", "locations/{party}/LOC1/3256/1", {"amperage": 16}),
    ("EMSP", "sessions/{party}/101", {"kwh": 21.75}),
    ("EMSP", "tariffs/{party}/12", {"currency": "GBP"}),
    ("CPO", "tokens/{party}/012345678", {"valid": False}),
]
OURS: list[tuple[str, str, dict[str, Any]]] = [
    ("CPO", "locations/{party}/LOC1", {"name": "New"}),
    ("CPO", "locations/{party}/LOC1", {"evses": [{"uid": "3256", "status": "BLOCKED"}]}),
    ("CPO", "sessions/{party}/101", {"kwh": 21.75}),
    ("EMSP", "tokens/{party}/012345678", {"valid": False}),
]


def patch_without_time(client: Client, path: str, change: dict[str, Any]) -> list[requests.Response]:
    """Put an object, then PATCH it without `last_updated` and GET it; return these two answers."""
    url = path.format(party="/".join(client.party))
    module, *ids = url.split("/")[:4]
    object_url = "/".join([module, *ids])
    assert 201 == client.put(object_url, STORED[module]).status_code
    before = timestamps.now()
    answers = [client.patch(url, change), client.get(object_url)]
    assert [(200, 1000)] * 2 == [outcome(answer) for answer in answers]
    assert before <= answers[1].json()["data"]["last_updated"]
    return answers


@pytest.mark.ocpi(115)
@pytest.mark.parametrize(("role", "path", "change"), PUSHED)
def test_a_time_that_a_peer_omits_gets_whole_seconds(
    node: Node, role: str, path: str, change: dict[str, Any]
) -> None:
    assert [] == malformed(patch_without_time(node.network(role, ("NL", "DEM")).peer(), path, change), 3)


@pytest.mark.ocpi(115)
@pytest.mark.parametrize(("role", "path", "change"), OURS)
def test_a_time_that_the_back_office_omits_gets_whole_seconds(
    node: Node, role: str, path: str, change: dict[str, Any]
) -> None:
    assert [] == malformed(patch_without_time(node.network(role, ("NL", "DEM")).operator(), path, change), 3)


@pytest.mark.ocpi(96)
def test_a_change_with_an_old_time_reaches_pulling_peers(cpo: Network) -> None:
    """The parents get the current time, even if the time of the child is long past."""
    operator, peer, old = cpo.operator(), cpo.peer(), "2021-01-01T00:00:00Z"
    location = example("Location", last_updated=old)
    evse = {**location["evses"][0], "last_updated": old}
    location["evses"] = [evse, {**evse, "uid": "3257", "evse_id": "NL*TNM*E3257"}]
    assert (201, 1000) == outcome(operator.put(operator.at("locations", "LOC1"), location))
    since, second = timestamps.text(timestamps.now_ms()), timestamps.now()
    connectors = [{**evse["connectors"][0], "amperage": 16, "last_updated": old}]
    change = {"evses": [{"uid": "3256", "connectors": connectors, "last_updated": old}], "last_updated": old}

    assert (200, 1000) == outcome(operator.patch(operator.at("locations", "LOC1"), change))

    (listed,) = peer.data("locations", date_from=since)
    assert [] == peer.data("locations", date_to=since)
    assert second <= listed["evses"][0]["last_updated"] <= listed["last_updated"] <= timestamps.now()
    assert old == listed["evses"][1]["last_updated"]
    assert connectors == listed["evses"][0]["connectors"]
