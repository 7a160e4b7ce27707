"""Registration as the initiating side, with a foreign party."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from nodes import Client, Network, Node, in_transaction, outcome
from peers import PeerServer, Reply, envelope

import errors
from storage import connections
from storage.connections import PeerConnection
from workflows.peers import credentials_exchange, registration

TOKEN_A = "token-a-of-the-peer"
CREDENTIALS = "/2.1.1/credentials"


@pytest.fixture(params=["CPO", "EMSP"])
def network(request: pytest.FixtureRequest, node: Node) -> Network:
    """A new network NL/OWN of each role."""
    return node.network(request.param, ("NL", "OWN"))


def join(network: Network, peer: PeerServer) -> PeerConnection:
    """Register our network at *peer*."""
    return registration.join(network.network, peer.versions_url, TOKEN_A)


def client_of(network: Network, peer: PeerServer, method: str = "POST") -> Client:
    """A client with the token that we last sent to the peer with *method*."""
    return network.node.client(peer.requests(method, CREDENTIALS)[-1]["body"]["token"], network.role)


def calls(peer: PeerServer) -> list[tuple[str, str, str]]:
    """Method, path and token of each request to the peer."""
    return [(c["method"], c["path"], c["authorization"].removeprefix("Token ")) for c in peer.seen]


def reply(status: int, code: int, **credentials: Any) -> Callable[[dict[str, Any]], Reply]:
    """A function that responds to POST or PUT."""
    return lambda _: (status, envelope(credentials or None, status_code=code))


def works(client: Client) -> bool:
    """Whether the token opens a module."""
    status = client.get("locations").status_code
    assert status in (200, 401)
    return status == 200


@pytest.mark.ocpi(79)
def test_a_registration_fetches_versions_and_details_posts_and_stores_token_c(
    network: Network, peer: PeerServer
) -> None:
    steps: list[str] = []

    connection = registration.join(
        network.network, peer.versions_url, TOKEN_A, lambda text, *_: steps.append(text)
    )

    requests = [("GET", "/versions"), ("GET", "/2.1.1"), ("POST", CREDENTIALS)]
    assert [(*step, TOKEN_A) for step in requests] == calls(peer)
    assert (peer.party, peer.token, "REGISTERED") == (connection.party, connection.token, connection.state)
    assert peer.versions_url == connection.versions_url
    assert f"{peer.url}/2.1.1/tokens" == connection.endpoints["tokens"]
    assert connection == in_transaction(connections.of_party, network.id, peer.party)
    for method, path in requests:
        assert f"{method} {peer.url}{path}" in steps
    body = peer.requests("POST", CREDENTIALS)[0]["body"]
    assert network.versions_url == body["url"]
    assert ("NL", "OWN") == (body["country_code"], body["party_id"])
    assert "Test network" == body["business_details"]["name"]
    assert body["token"] not in (TOKEN_A, peer.token)
    assert works(client_of(network, peer))


@pytest.mark.ocpi(64, 79)
def test_the_posted_token_opens_only_the_callback_until_the_response_arrives(
    network: Network, peer: PeerServer
) -> None:
    statuses: dict[str, int] = {}

    def call_back(request: dict[str, Any]) -> Reply:
        client = network.node.client(request["body"]["token"], network.role)
        details = client.data(request["body"]["url"])[0]["url"]
        for path in (details, "locations", "tokens"):
            statuses[path.rpartition("/")[2]] = client.get(path).status_code
        return 200, envelope(peer.credentials())

    peer.answers[CREDENTIALS] = call_back

    join(network, peer)

    assert {"2.1.1": 200, "locations": 401, "tokens": 401} == statuses
    assert works(client_of(network, peer))


@pytest.mark.ocpi(79)
@pytest.mark.parametrize("others", [[], ["locations", "tokens"]])
def test_a_peer_without_a_required_endpoint_gets_no_post(
    network: Network, peer: PeerServer, others: list[str]
) -> None:
    endpoints = [{"identifier": name, "url": f"{peer.url}/2.1.1/{name}"} for name in others]
    peer.answers["/2.1.1"] = lambda _: (200, envelope({"version": "2.1.1", "endpoints": endpoints}))

    with pytest.raises(errors.MissingEndpoints, match="credentials"):
        join(network, peer)

    assert [("GET", "/versions", TOKEN_A), ("GET", "/2.1.1", TOKEN_A)] == calls(peer)
    assert [] == in_transaction(connections.of_network, network.id)


@pytest.mark.ocpi(75, 79)
def test_a_peer_without_2_1_1_gets_no_post(network: Network, peer: PeerServer) -> None:
    peer.answers["/versions"] = lambda _: (200, envelope([{"version": "2.2.1", "url": peer.url}]))

    with pytest.raises(errors.NoCommonVersion):
        join(network, peer)

    assert [("GET", "/versions", TOKEN_A)] == calls(peer)
    assert [] == in_transaction(connections.of_network, network.id)


@pytest.mark.ocpi(79)
@pytest.mark.parametrize(
    ("status", "code"), [(200, 2000), (200, 3001), (405, 2000), (401, 2000), (403, 2000)]
)
def test_a_refused_registration_stores_nothing_and_ends_the_sent_token(
    network: Network, peer: PeerServer, status: int, code: int
) -> None:
    peer.answers[CREDENTIALS] = reply(status, code)

    with pytest.raises(errors.PeerUnusable):
        join(network, peer)

    assert [] == in_transaction(connections.of_network, network.id)
    client = client_of(network, peer)
    assert (401, 2000) == outcome(client.get(network.versions_url))
    peer.answers.clear()
    assert peer.token == join(network, peer).token


@pytest.mark.ocpi(79)
@pytest.mark.parametrize(
    "change",
    [{"token": None}, {"token": ""}, {"token": "x" * 65}, {"token": "a b"}, {"token": "a\nb"}, {"token": 7},
     {"party_id": None}, {"party_id": "TNMX"}, {"country_code": None}, {"country_code": "NLD"},
     {"country_code": "é!"}, {"party_id": "N/A"}],
    ids=str,
)  # fmt: skip
def test_unusable_credentials_are_not_stored(cpo: Network, peer: PeerServer, change: dict[str, Any]) -> None:
    peer.answers[CREDENTIALS] = lambda _: (200, envelope(peer.credentials(**change)))

    with pytest.raises(errors.PeerUnusable):
        join(cpo, peer)

    assert [] == in_transaction(connections.of_network, cpo.id)
    assert not works(client_of(cpo, peer))


@pytest.mark.parametrize("status", [200, 201])
def test_http_200_and_201_of_the_peer_are_both_a_success(cpo: Network, peer: PeerServer, status: int) -> None:
    """Conformance, section 2, 31; a party in lower case is the same party."""
    body = peer.credentials(country_code="nl", party_id="tnm")
    peer.answers[CREDENTIALS] = lambda _: (status, envelope(body))

    assert ("NL", "TNM") == join(cpo, peer).party


def test_a_peer_at_an_address_that_is_not_allowed_is_not_called(cpo: Network) -> None:
    with pytest.raises(errors.PeerUnusable):
        registration.join(cpo.network, "http://169.254.169.254/versions", TOKEN_A)

    assert [] == in_transaction(connections.of_network, cpo.id)


@pytest.mark.ocpi(72, 83)
@pytest.mark.parametrize("used", [True, False], ids=["used before", "never used before"])
def test_a_rotation_renews_both_tokens_and_our_tokens_overlap(
    network: Network, peer: PeerServer, *, used: bool
) -> None:
    connection = join(network, peer)
    old, former = client_of(network, peer), peer.token
    assert not used or works(old)
    peer.seen.clear()
    peer.token = "c2"

    renewed = registration.rotate(network.network, connection)

    requests = [("GET", "/versions"), ("GET", "/2.1.1"), ("PUT", CREDENTIALS)]
    assert [(*step, former) for step in requests] == calls(peer)
    assert "c2" == renewed.token
    new = client_of(network, peer, "PUT")
    assert old.token != new.token
    assert works(old)
    assert works(new)
    assert not works(old)


@pytest.mark.ocpi(83)
def test_the_old_token_of_the_peer_is_kept_until_its_new_one_works(
    network: Network, peer: PeerServer
) -> None:
    join(network, peer)
    peer.token = "c2"
    connection = registration.rotate(network.network, stored(network, peer))
    peer.answers["/versions"] = lambda call: (
        (401, envelope(status_code=2000))
        if call["authorization"] == "Token c2"
        else (200, envelope([{"version": "2.1.1", "url": f"{peer.url}/2.1.1"}]))
    )
    peer.seen.clear()
    assert connection.former_token not in (None, "c2")

    registration.rotate(network.network, connection)  # the peer does not know c2

    assert ["c2", connection.former_token] == [token for _, path, token in calls(peer) if path == "/versions"]
    assert "c2" == stored(network, peer).token


@pytest.mark.ocpi(83)
def test_the_old_token_of_the_peer_is_deleted_once_its_new_one_works(cpo: Network, peer: PeerServer) -> None:
    connection = join(cpo, peer)
    first = connection.token
    peer.token = "c2"
    registration.rotate(cpo.network, connection)
    assert ("c2", first) == (stored(cpo, peer).token, stored(cpo, peer).former_token)

    assert "c2" == credentials_exchange.with_fallback(stored(cpo, peer), lambda token: token)

    assert ("c2", None) == (stored(cpo, peer).token, stored(cpo, peer).former_token)


def test_reading_versions_does_not_delete_the_old_token(cpo: Network, peer: PeerServer) -> None:
    """Two faults in a row: each side loses the response to its own rotation."""
    connection = join(cpo, peer)
    first = connection.token
    peer.token = "c2"
    registration.rotate(cpo.network, connection)
    peer.answers[CREDENTIALS] = reply(200, 2000)

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(cpo.network, stored(cpo, peer))

    assert ("c2", first) == (stored(cpo, peer).token, stored(cpo, peer).former_token)


@pytest.mark.ocpi(83)
@pytest.mark.parametrize("reply_of_peer", [(500, envelope()), (200, b"{")], ids=["500", "truncated"])
def test_a_lost_response_to_a_rotation_locks_out_neither_side(
    network: Network, peer: PeerServer, reply_of_peer: Reply
) -> None:
    connection = join(network, peer)
    old = client_of(network, peer)
    peer.answers[CREDENTIALS] = lambda _: reply_of_peer

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, connection)

    assert peer.token == stored(network, peer).token
    new = client_of(network, peer, "PUT")
    assert works(old)  # the peer may not have stored the new token
    assert works(new)  # or it may have stored it
    assert not works(old)
    peer.answers.clear()
    peer.token = "c3"
    assert "c3" == registration.rotate(network.network, stored(network, peer)).token
    assert works(client_of(network, peer, "PUT"))


def test_a_rotation_that_the_peer_refuses_changes_nothing(network: Network, peer: PeerServer) -> None:
    connection = join(network, peer)
    peer.answers[CREDENTIALS] = reply(200, 2000)

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, connection)

    assert not works(client_of(network, peer, "PUT"))
    assert works(client_of(network, peer))
    assert peer.token == stored(network, peer).token


@pytest.mark.ocpi(73)
@pytest.mark.parametrize(
    "reply_of_peer", [(200, envelope()), (405, envelope(status_code=2000))], ids=["200", "405"]
)
def test_unregistering_ends_both_directions(network: Network, peer: PeerServer, reply_of_peer: Reply) -> None:
    connection = join(network, peer)
    peer.answers[CREDENTIALS] = lambda _: reply_of_peer

    registration.leave(connection)

    assert [("DELETE", CREDENTIALS, peer.token)] == calls(peer)[-1:]
    assert not works(client_of(network, peer))
    ended, count = stored(network, peer), len(peer.seen)
    assert ("UNREGISTERED", None, None) == (ended.state, ended.token, ended.former_token)
    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, ended)
    assert count == len(peer.seen)
    peer.answers.clear()
    assert "REGISTERED" == join(network, peer).state
    assert works(client_of(network, peer))


@pytest.mark.ocpi(73)
def test_unregistering_ends_the_connection_here_even_if_the_peer_fails(
    network: Network, peer: PeerServer
) -> None:
    connection = join(network, peer)
    peer.answers[CREDENTIALS] = reply(500, 3000)

    with pytest.raises(errors.PeerUnusable):
        registration.leave(connection)

    assert not works(client_of(network, peer))
    assert "UNREGISTERED" == stored(network, peer).state


def stored(network: Network, peer: PeerServer) -> PeerConnection:
    """The stored connection."""
    found = in_transaction(connections.of_party, network.id, peer.party)
    assert found is not None
    return found


@pytest.mark.ocpi(84)
def test_two_networks_of_the_program_register_with_each_other(cpo: Network, emsp: Network) -> None:
    connection = registration.join(emsp.network, cpo.versions_url, cpo.token_a())

    assert ("NL", "DEM") == connection.party
    assert works(cpo.node.client(connection.token, "cpo"))
    stored_by_cpo = in_transaction(connections.of_party, cpo.id, ("NL", "DEP"))
    assert stored_by_cpo is not None
    assert works(cpo.node.client(stored_by_cpo.token, "emsp"))


def in_base64_only(peer: PeerServer, status: int, code: int) -> None:
    """Make *peer* refuse every token that is not in Base64, like peers of OCPI 2.2."""
    original = peer.answer

    def answer(request: dict[str, Any]) -> Reply:
        token = request["authorization"].removeprefix("Token ")
        try:
            base64.b64decode(token, validate=True).decode("ascii")
        except ValueError:
            return status, envelope(status_code=code)
        return original(request)

    peer.answer = answer  # type: ignore[method-assign]  # it changes the behavior of one peer


@pytest.mark.ocpi(4)
@pytest.mark.parametrize(("status", "code"), [(401, 2000), (403, 2000), (200, 3000)])
def test_a_peer_that_requires_base64_tokens_always_gets_them_in_base64(
    network: Network, peer: PeerServer, status: int, code: int
) -> None:
    in_base64_only(peer, status, code)
    steps: list[str] = []

    connection = registration.join(
        network.network, peer.versions_url, TOKEN_A, lambda text, *_: steps.append(text)
    )

    assert "     refused; trying again with the token in Base64" in steps
    encoded = base64.b64encode(TOKEN_A.encode()).decode()
    tokens = [TOKEN_A, encoded, encoded, encoded]
    assert tokens == [token for _, _, token in calls(peer)]
    assert base64.b64encode(peer.token.encode()).decode() == connection.token
    peer.seen.clear()
    registration.leave(registration.rotate(network.network, connection))
    assert {connection.token} == {token for _, _, token in calls(peer)}


@pytest.mark.ocpi(4)
def test_the_response_to_a_registration_mentions_base64_tokens(network: Network, peer: PeerServer) -> None:
    in_base64_only(peer, 401, 2000)

    response = network.registrant().post("credentials", peer.credentials())

    assert (200, 1000) == outcome(response)
    assert "converted: token to Base64" in response.json()["status_message"]
    stored = in_transaction(connections.of_party, network.id, peer.party)
    assert stored is not None
    assert stored.encodes_tokens


def test_the_error_for_a_peer_that_refuses_both_forms_has_its_first_response(
    network: Network, peer: PeerServer
) -> None:
    peer.answers["/versions"] = reply(401, 2000)

    with pytest.raises(errors.PeerUnusable, match="HTTP 401"):
        join(network, peer)

    assert 2 == len(calls(peer))
