"""Versions and version details. Conformance D."""

from typing import Any

import pytest
import requests
from examples import example
from nodes import Client, Network, Node, one_database, outcome
from peers import PeerServer, envelope
from surface import OPERATIONS, PARTY, PEER, FilledNetwork, Operation

ROLES = ["cpo", "emsp"]
STANDARD = {"cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens"}
CHOICES = ["peer", "operator", "registrant"]


def client(network: Network, kind: str) -> Client:
    """A client with a token of that kind."""
    created: Client = getattr(network, kind)()
    return created


def endpoints(caller: Client, path: str = "") -> list[dict[str, str]]:
    """The endpoints in a version details document."""
    found: list[dict[str, str]] = caller.data(path)["endpoints"]
    return found


@pytest.mark.ocpi(54, 55)
@pytest.mark.parametrize("kind", CHOICES)
@pytest.mark.parametrize("role", ROLES)
def test_versions_contain_the_url_of_the_details(node: Node, role: str, kind: str) -> None:
    network = node.network(role.upper(), PARTY)
    caller = client(network, kind)

    for path in (f"/ocpi/{role}/versions", "/ocpi/versions"):
        response = caller.get(path)
        versions = response.json()["data"]
        details = caller.get(versions[0]["url"])

        assert (200, 1000) == outcome(response)
        assert [{"version": "2.1.1", "url": f"{node.url}/ocpi/{role}/2.1.1"}] == versions
        assert (200, 1000) == outcome(details)
        assert {"version", "endpoints"} == details.json()["data"].keys()
        assert "2.1.1" == details.json()["data"]["version"]
        assert [] != details.json()["data"]["endpoints"]
        for endpoint in details.json()["data"]["endpoints"]:
            assert {"identifier", "url"} == endpoint.keys()


@pytest.mark.ocpi(55, 58)
@pytest.mark.parametrize("role", ROLES)
def test_details_without_a_role_in_the_url_are_of_the_role_of_the_token(node: Node, role: str) -> None:
    network = node.network(role.upper(), PARTY)

    for kind in CHOICES:
        caller = client(network, kind)
        assert endpoints(caller) == endpoints(caller, "/ocpi/2.1.1/details")
        assert all(f"/ocpi/{role}/" in endpoint["url"] for endpoint in endpoints(caller))


@pytest.mark.ocpi(54)
@pytest.mark.parametrize("role", ROLES)
def test_the_versions_of_the_other_role_are_401(node: Node, role: str) -> None:
    """A token is valid only for the role that it was created for."""
    other = "emsp" if role == "cpo" else "cpo"
    caller = node.network(role.upper(), PARTY).peer(PEER)

    for path in (f"/ocpi/{other}/versions", f"/ocpi/{other}/2.1.1", f"/ocpi/{other}/2.1.1/locations"):
        assert (401, 2000) == outcome(caller.get(path))


@pytest.mark.ocpi(56, 58, 60)
@pytest.mark.parametrize("kind", CHOICES)
@pytest.mark.parametrize("role", ROLES)
def test_details_list_each_standard_module_at_most_once_and_nothing_else(
    node: Node, role: str, kind: str
) -> None:
    listed = [e["identifier"] for e in endpoints(client(node.network(role.upper(), PARTY), kind))]

    assert "credentials" in listed
    assert sorted(set(listed)) == sorted(listed)
    assert set(listed) <= STANDARD


@pytest.mark.ocpi(57)
@pytest.mark.parametrize("role", ROLES)
def test_every_advertised_url_answers_and_is_absolute(node: Node, peer: PeerServer, role: str) -> None:
    stage = FilledNetwork(node, peer, role)

    for endpoint in endpoints(stage.peer):
        url = endpoint["url"]
        assert url.startswith(f"{node.url}/ocpi/{role}/")
        if endpoint["identifier"] == "commands":
            name, body = ("STOP_SESSION", example("StopSession", response_url=f"{peer.url}/result"))
            tail = f"/{name}" if role == "cpo" else f"/{name}/unknown"
            answer = stage.peer.post(url + tail, body if role == "cpo" else {"result": "ACCEPTED"})
            assert (200 if role == "cpo" else 404) == answer.status_code
            assert "No such URL" not in answer.text
        else:
            assert (200, 1000) == outcome(stage.peer.get(url))


@pytest.mark.ocpi(59)
def test_details_list_each_module_with_its_dependencies(node: Node) -> None:
    for role in ROLES:
        listed = {e["identifier"] for e in endpoints(node.network(role.upper(), PARTY).peer(PEER))}

        if "commands" in listed:
            assert {"locations", "sessions"} <= listed
        if "locations" in listed:
            assert "tariffs" in listed


GETS = [o for o in OPERATIONS if o.method == "GET"]


def _without_time(response: requests.Response) -> Any:
    body = {k: v for k, v in response.json().items() if k != "timestamp"}
    return response.status_code, body


@one_database
@pytest.mark.ocpi(61)
@pytest.mark.parametrize("operation", GETS, ids=str)
def test_extra_slashes_change_nothing_and_cause_no_redirect(
    node: Node, peer: PeerServer, operation: Operation
) -> None:
    stage = FilledNetwork(node, peer, operation.role)
    expected = stage.send(operation)
    path = operation.url()

    for variant in (f"{path}/", f"{path}//", path.replace("/ocpi/", "/ocpi//"), f"{path}/?"):
        answer = stage.client(operation).request("GET", node.url + variant)

        assert _without_time(expected) == _without_time(answer), variant
        assert "Location" not in answer.headers
    assert 200 == expected.status_code


@pytest.mark.ocpi(61)
def test_a_url_with_a_trailing_slash_reads_the_body_and_the_headers(cpo: Network) -> None:
    caller = cpo.peer()
    token = example("Token")
    url = caller.at("tokens", token["uid"])

    assert (201, 1000) == outcome(caller.put(f"{url}/", token))
    assert (200, 1000) == outcome(caller.patch(f"{url}//", {"valid": False}))
    assert caller.data(url)["valid"] is False
    assert (401, 2000) == outcome(cpo.node.client("x" * 43).put(f"{url}/", token))


OFFERS = [
    ["2.0", "2.1", "2.1.1", "2.2.1", "3.0"],
    ["3.0", "2.2.1", "2.1.1"],
    ["2.1.1"],
    ["2.1.1", "10.0", "2.2", "2.2.1-d2"],
    ["junk", "", "v2", "2.1.1", "2.1.1.1"],
]


@pytest.mark.ocpi(62)
@pytest.mark.parametrize("offer", OFFERS, ids=",".join)
def test_2_1_1_is_chosen_from_the_versions_of_a_peer(
    cpo: Network, peer: PeerServer, offer: list[str]
) -> None:
    entries = [{"version": version, "url": f"{peer.url}/{version or 'empty'}"} for version in offer]
    peer.answers["/versions"] = lambda _: (200, envelope(entries))

    response = cpo.registrant().post("credentials", peer.credentials())

    assert (200, 1000) == outcome(response)
    assert ["/versions", "/2.1.1"] == [request["path"] for request in peer.seen]


@one_database
@pytest.mark.ocpi(62)
@pytest.mark.parametrize(
    "junk",
    [None, 7, "2.1", [], {}, {"version": None}, {"version": 2.1, "url": "x"}, {"version": [], "url": {}},
     {"url": "http://127.0.0.1:9/"}, {"version": "2.1.1"}, {"version": "\x00" * 500, "url": "http://a"}],
)  # fmt: skip
def test_junk_among_the_versions_is_ignored(cpo: Network, peer: PeerServer, junk: object) -> None:
    good = {"version": "2.1.1", "url": f"{peer.url}/2.1.1", "more": 1}
    peer.answers["/versions"] = lambda _: (200, envelope([junk, good, junk]))

    assert (200, 1000) == outcome(cpo.registrant().post("credentials", peer.credentials()))


@pytest.mark.ocpi(62)
@pytest.mark.parametrize("offer", [["2.2.1"], ["2.0", "2.1"], ["2.1.1.0"], ["v2.1.1"], []], ids=",".join)
def test_a_peer_without_2_1_1_is_3002_and_gets_no_request_for_details(
    cpo: Network, peer: PeerServer, offer: list[str]
) -> None:
    entries = [{"version": version, "url": f"{peer.url}/2.1.1"} for version in offer]
    peer.answers["/versions"] = lambda _: (200, envelope(entries))

    assert (200, 3002) == outcome(cpo.registrant().post("credentials", peer.credentials()))
    assert ["/versions"] == [request["path"] for request in peer.seen]
