"""The calls that a registration makes to the peer: their tokens, their URLs, and their failures."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from bad_peer import BadPeer
from examples import example
from nodes import Client, Network, Node, free_port, in_transaction, one_database, outcome, switch_to
from peers import PeerServer, Reply, envelope

from storage import connections
from storage.connections import PeerConnection

Answer = Callable[[dict[str, Any]], Reply]


@pytest.fixture(params=["CPO", "EMSP"])
def network(request: pytest.FixtureRequest, node: Node) -> Network:
    """A new network NL/OWN, once of each role."""
    return node.network(request.param, ("NL", "OWN"))


def always(body: object, status: int = 200) -> Answer:
    """A function that returns the same answer to every request."""
    return lambda _: (status, body)


def versions_answer(*versions: tuple[str, str]) -> Answer:
    """The answer of a versions URL."""
    return always(envelope([{"version": version, "url": url} for version, url in versions]))


def details_answer(*endpoints: tuple[str, str]) -> Answer:
    """The answer of a version details URL."""
    entries = [{"identifier": name, "url": url} for name, url in endpoints]
    return always(envelope({"version": "2.1.1", "endpoints": entries}))


def stored_connection(network: Network) -> PeerConnection | None:
    """The stored connection with NL/TNM."""
    return in_transaction(connections.of_party, network.id, ("NL", "TNM"))


@pytest.mark.ocpi(64)
def test_a_registration_gets_versions_and_then_details_with_token_b(
    network: Network, peer: PeerServer
) -> None:
    response = network.registrant().post("credentials", peer.credentials())

    assert (200, 1000) == outcome(response)
    token = f"Token {peer.token}"
    called = [(call["method"], call["path"], call["authorization"]) for call in peer.seen]
    assert [("GET", "/versions", token), ("GET", "/2.1.1", token)] == called
    client = network.node.client(response.json()["data"]["token"], network.role)
    assert (200, 1000) == outcome(client.get("credentials"))


@one_database
@pytest.mark.ocpi(64, 85)
@pytest.mark.parametrize("versions", ["/versions", "/versions/", "/a/b/v?x=1&y=%2F", "/"])
@pytest.mark.parametrize("details", ["/2.1.1/", "/api/details", "/deep/er?version=2.1.1&z=a%2Fb"])
def test_urls_of_the_peer_are_called_unchanged(
    cpo: Network, peer: PeerServer, versions: str, details: str
) -> None:
    modules = f"{peer.url}/m/credentials/"
    peer.answers[versions.partition("?")[0]] = versions_answer(("2.1.1", peer.url + details))
    peer.answers[details.partition("?")[0]] = details_answer(("credentials", modules))

    response = cpo.registrant().post("credentials", peer.credentials(url=peer.url + versions))

    assert (200, 1000) == outcome(response)
    assert [versions, details] == [call["path"] for call in peer.seen]
    stored = stored_connection(cpo)
    assert stored is not None
    assert (peer.url + versions, {"credentials": modules}) == (stored.versions_url, stored.endpoints)


@pytest.mark.ocpi(85)
def test_versions_and_details_may_be_on_different_hosts_and_ports(network: Network, peer: PeerServer) -> None:
    with PeerServer() as other:
        other_url = other.url.replace("127.0.0.1", "localhost")
        peer.answers["/versions"] = versions_answer(("2.1.1", f"{other_url}/2.1.1"))

        assert (200, 1000) == outcome(network.registrant().post("credentials", peer.credentials()))

        assert ["/versions"] == [call["path"] for call in peer.seen]
        called = [(call["path"], call["authorization"]) for call in other.seen]
        assert [("/2.1.1", f"Token {peer.token}")] == called


GOOD = {
    "/versions": [{"version": "2.1.1", "url": "http://127.0.0.1:9/2.1.1"}],
    "/2.1.1": {"version": "2.1.1", "endpoints": []},
}
FAILURES: dict[str, Callable[[str], Answer]] = {
    "401": lambda _: always(envelope(status_code=2000), 401),
    "403": lambda _: always(envelope(status_code=2000), 403),
    "500": lambda path: always(envelope(GOOD[path]), 500),
    "HTML": lambda _: always(b"<html><body>Welcome</body></html>"),
    "truncated": lambda path: always(json.dumps(envelope(GOOD[path])).encode()[:-5]),
    "no data": lambda _: always(envelope()),
    "data null": lambda _: always({**envelope(), "data": None}),
    "data of another shape": lambda _: always(envelope("2.1.1")),
    "no envelope": lambda path: always(GOOD[path]),
    "status 2000": lambda path: always(envelope(GOOD[path], status_code=2000)),
    "status 3000": lambda path: always(envelope(GOOD[path], status_code=3000)),
    "50 MB": lambda path: always({**envelope(GOOD[path]), "status_message": "x" * 50_000_000}),
}


def assert_unchanged(cpo: Network, registrant: Client, peer: PeerServer) -> None:
    """Nothing is registered, and a registration with the same Token A succeeds once the peer works."""
    assert stored_connection(cpo) is None
    assert (200, 1000) == outcome(registrant.get("credentials"))
    peer.answers.clear()
    assert (200, 1000) == outcome(registrant.post("credentials", peer.credentials()))


@one_database
@pytest.mark.ocpi(74)
@pytest.mark.parametrize("path", ["/versions", "/2.1.1"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_callback_that_fails_is_3001_and_token_a_stays_usable(
    cpo: Network, peer: PeerServer, path: str, failure: str
) -> None:
    registrant = cpo.registrant()
    peer.answers[path] = FAILURES[failure](path)

    response = registrant.post("credentials", peer.credentials())

    assert (200, 3001) == outcome(response)
    assert "data" not in response.json()
    tries_base64 = failure in ("401", "403", "status 3000")
    assert (2 if tries_base64 else 1) == len(peer.requests("GET", path))
    assert_unchanged(cpo, registrant, peer)


@pytest.mark.ocpi(74)
def test_a_peer_that_refuses_the_connection_is_3001(network: Network, peer: PeerServer) -> None:
    registrant = network.registrant()
    closed = peer.credentials(url=f"http://127.0.0.1:{free_port()}/versions")

    assert (200, 3001) == outcome(registrant.post("credentials", closed))
    assert_unchanged(network, registrant, peer)


@one_database
@pytest.mark.ocpi(74)
def test_a_peer_that_does_not_answer_in_time_is_3001(cpo: Network, peer: PeerServer) -> None:
    registrant = cpo.registrant()
    released = threading.Event()

    def silent(_: dict[str, Any]) -> Reply:
        released.wait(20)
        return 200, envelope()

    peer.answers["/versions"] = silent
    try:
        assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials()))
    finally:
        released.set()
    assert_unchanged(cpo, registrant, peer)


@pytest.mark.ocpi(74)
def test_a_redirect_is_not_followed_and_is_3001(cpo: Network, peer: PeerServer) -> None:
    registrant = cpo.registrant()
    with BadPeer() as bad:
        credentials = peer.credentials(url=bad.url("/redirect/same"))

        assert (200, 3001) == outcome(registrant.post("credentials", credentials))
        assert ["/redirect/same"] == [seen.target for seen in bad.requests]
    assert_unchanged(cpo, registrant, peer)


@pytest.mark.ocpi(74)
@pytest.mark.parametrize("path", ["/versions", "/2.1.1"])
def test_a_renewal_whose_callback_fails_changes_nothing(
    network: Network, peer: PeerServer, path: str
) -> None:
    answer = network.registrant().post("credentials", peer.credentials())
    client = network.node.client(answer.json()["data"]["token"], network.role)
    before = stored_connection(network)
    peer.answers[path] = always(b"<html>")

    assert (200, 3001) == outcome(client.put("credentials", peer.credentials(token="b2")))

    assert before == stored_connection(network)
    assert (200, 1000) == outcome(client.get("credentials"))
    peer.answers.clear()
    assert (200, 1000) == outcome(client.put("credentials", peer.credentials(token="b2")))


@pytest.mark.ocpi(74)
@pytest.mark.parametrize("place", ["credentials", "details", "endpoint"])
def test_a_url_that_the_address_policy_refuses_is_3001_in_every_place(
    cpo: Network, peer: PeerServer, place: str
) -> None:
    registrant = cpo.registrant()
    metadata = "http://169.254.169.254/latest"
    if place == "details":
        peer.answers["/versions"] = versions_answer(("2.1.1", metadata))
    if place == "endpoint":
        own = f"{peer.url}/2.1.1/credentials"
        peer.answers["/2.1.1"] = details_answer(("credentials", own), ("tokens", metadata))
    changes = {"url": metadata} if place == "credentials" else {}

    assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials(**changes)))
    assert {"credentials": 0, "details": 1, "endpoint": 2}[place] == len(peer.seen)
    assert_unchanged(cpo, registrant, peer)


@pytest.mark.ocpi(75)
@pytest.mark.parametrize("offered", [["2.0"], ["2.0", "2.2.1"], ["2.1", "2.11", "2.1.1-d2", "3.0"], []])
def test_a_peer_without_2_1_1_is_3002(cpo: Network, peer: PeerServer, offered: list[str]) -> None:
    registrant = cpo.registrant()
    peer.answers["/versions"] = versions_answer(*((version, f"{peer.url}/2.1.1") for version in offered))

    assert (200, 3002) == outcome(registrant.post("credentials", peer.credentials()))
    assert ["/versions"] == [call["path"] for call in peer.seen]
    assert_unchanged(cpo, registrant, peer)


@pytest.mark.ocpi(76)
def test_a_peer_without_the_credentials_endpoint_is_3003(network: Network, peer: PeerServer) -> None:
    registrant = network.registrant()
    peer.answers["/2.1.1"] = details_answer(("locations", f"{peer.url}/2.1.1/locations"))

    response = registrant.post("credentials", peer.credentials())

    assert (200, 3003) == outcome(response)
    assert "credentials" in response.json()["status_message"]
    assert_unchanged(network, registrant, peer)


@pytest.mark.ocpi(76)
def test_the_required_endpoints_are_a_setting(another_node: Callable[..., Node], peer: PeerServer) -> None:
    other = another_node(demo="0", required_endpoints="credentials,tokens,cdrs")
    own = f"{peer.url}/2.1.1/credentials"
    with switch_to(other.environment):
        network = other.network("CPO", ("NL", "OWN"))
        registrant = network.registrant()
        peer.answers["/2.1.1"] = details_answer(("credentials", own), ("tokens", own))

        response = registrant.post("credentials", peer.credentials())

        assert (200, 3003) == outcome(response)
        assert "cdrs" in response.json()["status_message"]
        assert_unchanged(network, registrant, peer)


@pytest.mark.ocpi(84)
def test_a_registration_holds_no_lock_while_it_calls_the_peer(emsp: Network, peer: PeerServer) -> None:
    """During the callback, another party registers with the same network and an object is written there."""
    outcomes: list[tuple[int, int]] = []
    operator, second = emsp.operator(), emsp.registrant()
    with PeerServer(("BE", "OTH")) as other:

        def nested(_: dict[str, Any]) -> Reply:
            token = example("Token", uid="NESTED")
            outcomes.append(
                outcome(operator.put(operator.at("tokens", "NESTED", party=("NL", "DEP")), token))
            )
            outcomes.append(outcome(second.post("credentials", other.credentials())))
            return 200, envelope([{"version": "2.1.1", "url": f"{peer.url}/2.1.1"}])

        peer.answers["/versions"] = nested

        assert (200, 1000) == outcome(emsp.registrant().post("credentials", peer.credentials()))

    assert [(201, 1000), (200, 1000)] == outcomes
    assert [("BE", "OTH"), ("NL", "TNM")] == [
        each.party for each in in_transaction(connections.of_network, emsp.id)
    ]


@pytest.mark.ocpi(84)
def test_the_program_registers_with_itself(cpo: Network, emsp: Network) -> None:
    """The same process serves the registration and the calls that the registration makes."""
    token_a = emsp.token_a()
    body = example("Credentials", token=token_a, url=emsp.versions_url, country_code="NL", party_id="DEP")

    response = cpo.registrant().post("credentials", body)

    assert (200, 1000) == outcome(response)
    stored = in_transaction(connections.of_party, cpo.id, ("NL", "DEP"))
    assert stored is not None
    assert f"{cpo.node.url}/ocpi/emsp/2.1.1/locations" == stored.endpoints["locations"]
