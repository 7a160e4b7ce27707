"""Ownership: a peer reads and writes objects only under the parties of its connection."""

from typing import Any

import pytest
import requests
from examples import example
from nodes import Client, Network, Node, in_transaction, outcome

from storage import connections

STRANGER = ("NL", "ABC")
OBJECTS = [
    ("emsp", "locations", "Location", ("LOC1",)),
    ("emsp", "locations", "EVSE", ("LOC1", "3256")),
    ("emsp", "locations", "Connector", ("LOC1", "3256", "1")),
    ("emsp", "sessions", "Session", ("101",)),
    ("emsp", "tariffs", "Tariff", ("12",)),
    ("cpo", "tokens", "Token", ("012345678",)),
]
FIRST_LEVEL = [case for case in OBJECTS if len(case[3]) == 1]

Case = tuple[str, str, str, tuple[str, ...]]


def network_of(node: Node, role: str) -> Network:
    return node.network(role.upper(), ("NL", "DEM"))


def push(client: Client, case: Case, **changes: Any) -> str:
    """Push the object of *case* after its parents, and return its URL."""
    _, module, schema, ids = case
    if module == "locations" and len(ids) > 1:
        client.put(client.at("locations", ids[0]), example("Location"))
    url = client.at(module, *ids)
    response = client.put(url, example(schema, **changes))
    assert response.json()["status_code"] == 1000, response.text
    return url


def without_time(response: requests.Response) -> dict[str, Any]:
    return {key: value for key, value in response.json().items() if key != "timestamp"}


@pytest.mark.ocpi(104)
@pytest.mark.parametrize(
    ("method", "case"),
    [
        (method, case)
        for case in OBJECTS
        for method in ("GET", "PUT", "PATCH", "DELETE")
        if method != "DELETE" or case[1] == "tariffs"  # in other modules, DELETE is 405 for everybody
    ],
    ids=lambda value: value if isinstance(value, str) else value[2],
)
def test_the_object_of_another_party_looks_exactly_like_a_missing_one(
    node: Node, method: str, case: Case
) -> None:
    _, module, schema, ids = case
    network = network_of(node, case[0])
    url = push(network.peer(STRANGER), case)
    intruder = network.peer(("NL", "TNM"))
    body = example(schema) if method == "PUT" else {} if method == "PATCH" else None
    foreign = intruder.request(method, url, json=body)
    missing = intruder.request("GET", intruder.at(module, *ids))
    unknown_party = intruder.request(method, intruder.at(module, *ids, party=("NL", "XXX")), json=body)

    assert (404, 2000) == outcome(foreign)
    assert without_time(missing) == without_time(foreign)
    assert without_time(unknown_party) == without_time(foreign)
    assert foreign.headers.keys() == missing.headers.keys()


@pytest.mark.ocpi(104)
@pytest.mark.parametrize("case", OBJECTS, ids=lambda case: case[2])
def test_a_refused_write_under_another_party_changes_nothing(node: Node, case: Case) -> None:
    network = network_of(node, case[0])
    owner, intruder = network.peer(STRANGER), network.peer(("NL", "TNM"))
    url = push(owner, case)
    before = owner.data(url)
    later = "2027-01-01T00:00:00Z"
    intruder.put(url, example(case[2], last_updated=later))
    intruder.patch(url, {"last_updated": later})
    intruder.delete(url)

    assert before == owner.data(url)
    assert [] == intruder.data(case[1])


@pytest.mark.ocpi(104)
@pytest.mark.parametrize("case", FIRST_LEVEL, ids=lambda case: case[2])
def test_the_same_peer_in_another_network_is_another_peer(node: Node, case: Case) -> None:
    network, other_network = network_of(node, case[0]), network_of(node, case[0])
    url = push(network.peer(), case)

    assert (404, 2000) == outcome(other_network.peer().get(url))
    assert (404, 2000) == outcome(other_network.operator().get(url))


@pytest.mark.ocpi(105)
@pytest.mark.parametrize("case", OBJECTS, ids=lambda case: case[2])
def test_the_case_of_the_party_in_the_url_is_ignored(node: Node, case: Case) -> None:
    peer = network_of(node, case[0]).peer()
    url = push(peer, case)
    lower = peer.at(case[1], *case[3], party=("nl", "tnm"))
    mixed = peer.at(case[1], *case[3], party=("nL", "Tnm"))

    assert peer.data(url) == peer.data(lower)
    assert (200, 1000) == outcome(peer.put(lower, example(case[2])))
    assert (200, 1000) == outcome(peer.patch(mixed, {}))
    assert 1 == len(peer.data(case[1]))


@pytest.mark.ocpi(106)
@pytest.mark.parametrize("case", FIRST_LEVEL, ids=lambda case: case[2])
def test_the_same_id_from_two_parties_is_two_objects(node: Node, case: Case) -> None:
    network = network_of(node, case[0])
    one, other = network.peer(("NL", "TNM")), network.peer(("BE", "TNM"))
    mine, later = push(one, case), "2027-01-01T00:00:00Z"
    theirs = push(other, case, last_updated=later)

    assert example(case[2])["last_updated"] == one.data(mine)["last_updated"]
    assert later == other.data(theirs)["last_updated"]
    assert 1 == len(one.data(case[1]))
    assert 2 == len(network.operator().data(case[1]))


@pytest.mark.ocpi(107)
@pytest.mark.parametrize("case", OBJECTS, ids=lambda case: case[2])
def test_a_peer_writes_under_every_allowed_party_and_under_no_other(node: Node, case: Case) -> None:
    network = network_of(node, case[0])
    peer = network.peer()
    in_transaction(connections.assign, network.network, peer.connection_id, [("NL", "ABC"), ("DE", "XYZ")])
    for party in (("NL", "TNM"), ("NL", "ABC"), ("DE", "XYZ")):
        peer.party = party
        url = push(peer, case)
        assert (200, 1000) == outcome(peer.patch(url, {}))

    assert 3 == len(peer.data(case[1]))
    for party in (("DE", "ABC"), ("NL", "XYZ"), ("NL", "QQQ")):
        url = peer.at(case[1], *case[3], party=party)
        assert (404, 2000) == outcome(peer.put(url, example(case[2])))
        assert (404, 2000) == outcome(peer.get(url))


@pytest.mark.ocpi(107)
def test_a_party_that_one_peer_may_use_is_closed_to_another(emsp: Network) -> None:
    allowed, other = emsp.peer(("NL", "TNM")), emsp.peer(("NL", "OTH"))
    in_transaction(connections.assign, emsp.network, allowed.connection_id, [STRANGER])
    url = allowed.at("tariffs", "12", party=STRANGER)

    assert (201, 1000) == outcome(allowed.put(url, example("Tariff")))
    assert (404, 2000) == outcome(other.get(url))
