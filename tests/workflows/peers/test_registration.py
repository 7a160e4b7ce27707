"""Registration as the initiating side, towards a foreign party."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from nodes import Client, Network, Node, at_once, outcome
from peers import PeerServer, Reply, envelope

import errors
from storage import connections
from storage.connections import PeerConnection
from workflows.peers import registration

TOKEN_A = "token-a-of-the-peer"
CREDENTIALS = "/2.1.1/credentials"


@pytest.fixture(params=["CPO", "EMSP"])
def network(request: pytest.FixtureRequest, node: Node) -> Network:
    """A fresh network NL/OWN of each role in turn."""
    return node.network(request.param, ("NL", "OWN"))


def join(network: Network, peer: PeerServer) -> PeerConnection:
    """Our network registers at *peer*."""
    return registration.join(network.network, peer.versions_url, TOKEN_A)


def given(network: Network, peer: PeerServer, method: str = "POST") -> Client:
    """A client with the token that we gave the peer last with *method*."""
    return network.node.client(peer.requests(method, CREDENTIALS)[-1]["body"]["token"], network.role)


def calls(peer: PeerServer) -> list[tuple[str, str, str]]:
    """What the peer was sent: method, path, token."""
    return [(c["method"], c["path"], c["authorization"].removeprefix("Token ")) for c in peer.seen]


def reply(status: int, code: int, **credentials: Any) -> Callable[[dict[str, Any]], Reply]:
    """An answer to POST or PUT."""
    return lambda _: (status, envelope(credentials or None, status_code=code))


def works(client: Client) -> bool:
    """Does the token open a module."""
    status = client.get("locations").status_code
    assert status in (200, 401)
    return status == 200


@pytest.mark.ocpi(79)
def test_we_ask_for_versions_and_details_then_post_and_keep_token_c(
    network: Network, peer: PeerServer
) -> None:
    steps: list[str] = []

    link = registration.join(network.network, peer.versions_url, TOKEN_A, steps.append)

    sent = [("GET", "/versions"), ("GET", "/2.1.1"), ("POST", CREDENTIALS)]
    assert [(*step, TOKEN_A) for step in sent] == calls(peer)
    assert (peer.party, peer.token, "REGISTERED") == (link.party, link.token, link.state)
    assert peer.versions_url == link.versions_url
    assert f"{peer.url}/2.1.1/tokens" == link.endpoints["tokens"]
    assert link == at_once(connections.of_party, network.id, peer.party)
    for method, path in sent:
        assert f"{method} {peer.url}{path}" in steps
    body = peer.requests("POST", CREDENTIALS)[0]["body"]
    assert network.versions_url == body["url"]
    assert ("NL", "OWN") == (body["country_code"], body["party_id"])
    assert "Test network" == body["business_details"]["name"]
    assert body["token"] not in (TOKEN_A, peer.token)
    assert works(given(network, peer))


@pytest.mark.ocpi(64, 79)
def test_the_token_we_post_opens_the_callback_and_nothing_more_until_the_answer_came(
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
    assert works(given(network, peer))


@pytest.mark.ocpi(79)
@pytest.mark.parametrize("others", [[], ["locations", "tokens"]])
def test_we_do_not_post_to_a_peer_that_lacks_an_endpoint(
    network: Network, peer: PeerServer, others: list[str]
) -> None:
    endpoints = [{"identifier": name, "url": f"{peer.url}/2.1.1/{name}"} for name in others]
    peer.answers["/2.1.1"] = lambda _: (200, envelope({"version": "2.1.1", "endpoints": endpoints}))

    with pytest.raises(errors.MissingEndpoints, match="credentials"):
        join(network, peer)

    assert [("GET", "/versions", TOKEN_A), ("GET", "/2.1.1", TOKEN_A)] == calls(peer)
    assert [] == at_once(connections.of_network, network.id)


@pytest.mark.ocpi(75, 79)
def test_we_do_not_post_to_a_peer_without_2_1_1(network: Network, peer: PeerServer) -> None:
    peer.answers["/versions"] = lambda _: (200, envelope([{"version": "2.2.1", "url": peer.url}]))

    with pytest.raises(errors.NoCommonVersion):
        join(network, peer)

    assert [("GET", "/versions", TOKEN_A)] == calls(peer)
    assert [] == at_once(connections.of_network, network.id)


@pytest.mark.ocpi(79)
@pytest.mark.parametrize(
    ("status", "code"), [(200, 2000), (200, 3001), (405, 2000), (401, 2000), (403, 2000)]
)
def test_when_the_peer_refuses_nothing_is_kept_and_the_token_we_sent_is_dead(
    network: Network, peer: PeerServer, status: int, code: int
) -> None:
    peer.answers[CREDENTIALS] = reply(status, code)

    with pytest.raises(errors.PeerUnusable):
        join(network, peer)

    assert [] == at_once(connections.of_network, network.id)
    client = given(network, peer)
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
def test_credentials_that_cannot_be_used_are_not_kept(
    cpo: Network, peer: PeerServer, change: dict[str, Any]
) -> None:
    peer.answers[CREDENTIALS] = lambda _: (200, envelope(peer.credentials(**change)))

    with pytest.raises(errors.PeerUnusable):
        join(cpo, peer)

    assert [] == at_once(connections.of_network, cpo.id)
    assert not works(given(cpo, peer))


@pytest.mark.parametrize("status", [200, 201])
def test_any_success_of_the_peer_is_a_success(cpo: Network, peer: PeerServer, status: int) -> None:
    """Conformance, section 2, 31; party names in lower case are the same party."""
    body = peer.credentials(country_code="nl", party_id="tnm")
    peer.answers[CREDENTIALS] = lambda _: (status, envelope(body))

    assert ("NL", "TNM") == join(cpo, peer).party


def test_a_peer_at_an_address_that_is_not_allowed_is_not_called(cpo: Network) -> None:
    with pytest.raises(errors.PeerUnusable):
        registration.join(cpo.network, "http://169.254.169.254/versions", TOKEN_A)

    assert [] == at_once(connections.of_network, cpo.id)


@pytest.mark.ocpi(72, 83)
@pytest.mark.parametrize("used", [True, False], ids=["used before", "never used before"])
def test_a_rotation_renews_both_tokens_and_ours_overlap(
    network: Network, peer: PeerServer, *, used: bool
) -> None:
    link = join(network, peer)
    old, former = given(network, peer), peer.token
    assert not used or works(old)
    peer.seen.clear()
    peer.token = "c2"

    renewed = registration.rotate(network.network, link)

    sent = [("GET", "/versions"), ("GET", "/2.1.1"), ("PUT", CREDENTIALS)]
    assert [(*step, former) for step in sent] == calls(peer)
    assert "c2" == renewed.token
    new = given(network, peer, "PUT")
    assert old.token != new.token
    assert works(old)
    assert works(new)
    assert not works(old)


@pytest.mark.ocpi(83)
def test_the_peers_old_token_is_kept_until_its_new_one_answered(network: Network, peer: PeerServer) -> None:
    join(network, peer)
    peer.token = "c2"
    link = registration.rotate(network.network, stored(network, peer))
    peer.answers["/versions"] = lambda call: (
        (401, envelope(status_code=2000))
        if call["authorization"] == "Token c2"
        else (200, envelope([{"version": "2.1.1", "url": f"{peer.url}/2.1.1"}]))
    )
    peer.seen.clear()
    assert link.former_token not in (None, "c2")

    registration.rotate(network.network, link)  # the peer never heard of c2

    assert ["c2", link.former_token] == [token for _, path, token in calls(peer) if path == "/versions"]
    assert "c2" == stored(network, peer).token


@pytest.mark.ocpi(83)
def test_once_the_peers_new_token_answered_the_old_one_is_forgotten(cpo: Network, peer: PeerServer) -> None:
    link = join(cpo, peer)
    first = link.token
    peer.token = "c2"
    registration.rotate(cpo.network, link)
    assert ("c2", first) == (stored(cpo, peer).token, stored(cpo, peer).former_token)

    assert "c2" == registration.with_fallback(stored(cpo, peer), lambda token: token)

    assert ("c2", None) == (stored(cpo, peer).token, stored(cpo, peer).former_token)


def test_reading_versions_does_not_forget_the_old_token(cpo: Network, peer: PeerServer) -> None:
    """Two faults in a row: the answer to a rotation was lost on our side, then the peer's own on its side."""
    link = join(cpo, peer)
    first = link.token
    peer.token = "c2"
    registration.rotate(cpo.network, link)
    peer.answers[CREDENTIALS] = reply(200, 2000)

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(cpo.network, stored(cpo, peer))

    assert ("c2", first) == (stored(cpo, peer).token, stored(cpo, peer).former_token)


@pytest.mark.ocpi(83)
@pytest.mark.parametrize("answered", [(500, envelope()), (200, b"{")], ids=["500", "truncated"])
def test_when_the_answer_to_a_rotation_is_lost_neither_side_is_locked_out(
    network: Network, peer: PeerServer, answered: Reply
) -> None:
    link = join(network, peer)
    old = given(network, peer)
    peer.answers[CREDENTIALS] = lambda _: answered

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, link)

    assert peer.token == stored(network, peer).token
    new = given(network, peer, "PUT")
    assert works(old)  # the peer may not have taken it
    assert works(new)  # or it may
    assert not works(old)
    peer.answers.clear()
    peer.token = "c3"
    assert "c3" == registration.rotate(network.network, stored(network, peer)).token
    assert works(given(network, peer, "PUT"))


def test_a_rotation_that_the_peer_refuses_changes_nothing(network: Network, peer: PeerServer) -> None:
    link = join(network, peer)
    peer.answers[CREDENTIALS] = reply(200, 2000)

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, link)

    assert not works(given(network, peer, "PUT"))
    assert works(given(network, peer))
    assert peer.token == stored(network, peer).token


@pytest.mark.ocpi(73)
@pytest.mark.parametrize(
    "answered", [(200, envelope()), (405, envelope(status_code=2000))], ids=["200", "405"]
)
def test_leaving_ends_both_directions(network: Network, peer: PeerServer, answered: Reply) -> None:
    link = join(network, peer)
    peer.answers[CREDENTIALS] = lambda _: answered

    registration.leave(link)

    assert [("DELETE", CREDENTIALS, peer.token)] == calls(peer)[-1:]
    assert not works(given(network, peer))
    gone, count = stored(network, peer), len(peer.seen)
    assert ("UNREGISTERED", None, None) == (gone.state, gone.token, gone.former_token)
    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, gone)
    assert count == len(peer.seen)
    peer.answers.clear()
    assert "REGISTERED" == join(network, peer).state
    assert works(given(network, peer))


@pytest.mark.ocpi(73)
def test_leaving_a_peer_that_fails_ends_it_here_all_the_same(network: Network, peer: PeerServer) -> None:
    link = join(network, peer)
    peer.answers[CREDENTIALS] = reply(500, 3000)

    with pytest.raises(errors.PeerUnusable):
        registration.leave(link)

    assert not works(given(network, peer))
    assert "UNREGISTERED" == stored(network, peer).state


def stored(network: Network, peer: PeerServer) -> PeerConnection:
    """The connection as it is stored now."""
    found = at_once(connections.of_party, network.id, peer.party)
    assert found is not None
    return found


@pytest.mark.ocpi(84)
def test_our_own_networks_register_with_each_other(cpo: Network, emsp: Network) -> None:
    link = registration.join(emsp.network, cpo.versions_url, cpo.token_a())

    assert ("NL", "DEM") == link.party
    assert works(cpo.node.client(link.token, "cpo"))
    back = at_once(connections.of_party, cpo.id, ("NL", "DEP"))
    assert back is not None
    assert works(cpo.node.client(back.token, "emsp"))


def in_base64_only(peer: PeerServer, status: int, code: int) -> None:
    """Let *peer* refuse each token that is not in Base64, as peers of OCPI 2.2 do."""
    correct = peer.answer

    def answer(request: dict[str, Any]) -> Reply:
        token = request["authorization"].removeprefix("Token ")
        try:
            base64.b64decode(token, validate=True).decode("ascii")
        except ValueError:
            return status, envelope(status_code=code)
        return correct(request)

    peer.answer = answer  # type: ignore[method-assign]  # one peer behaves otherwise


@pytest.mark.ocpi(4)
@pytest.mark.parametrize(("status", "code"), [(401, 2000), (403, 2000), (200, 3000)])
def test_a_peer_that_reads_tokens_in_base64_is_called_so_from_then_on(
    network: Network, peer: PeerServer, status: int, code: int
) -> None:
    in_base64_only(peer, status, code)
    steps: list[str] = []

    link = registration.join(network.network, peer.versions_url, TOKEN_A, steps.append)

    assert "     refused; once more with the token in Base64" in steps
    encoded = base64.b64encode(TOKEN_A.encode()).decode()
    tokens = [TOKEN_A, encoded, encoded, encoded]
    assert tokens == [token for _, _, token in calls(peer)]
    assert base64.b64encode(peer.token.encode()).decode() == link.token
    peer.seen.clear()
    registration.leave(registration.rotate(network.network, link))
    assert {link.token} == {token for _, _, token in calls(peer)}


@pytest.mark.ocpi(4)
def test_a_peer_that_registers_here_is_told_that_it_is_called_in_base64(
    network: Network, peer: PeerServer
) -> None:
    in_base64_only(peer, 401, 2000)

    response = network.registrant().post("credentials", peer.credentials())

    assert (200, 1000) == outcome(response)
    assert "converted: token to Base64" in response.json()["status_message"]
    stored = at_once(connections.of_party, network.id, peer.party)
    assert stored is not None
    assert stored.encodes_tokens


def test_a_peer_that_refuses_both_forms_is_reported_by_its_first_answer(
    network: Network, peer: PeerServer
) -> None:
    peer.answers["/versions"] = reply(401, 2000)

    with pytest.raises(errors.PeerUnusable, match="HTTP 401"):
        join(network, peer)

    assert 2 == len(calls(peer))
