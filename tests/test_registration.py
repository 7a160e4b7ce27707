"""Registration as the initiating side: towards a foreign party, and between two instances."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from examples import example
from nodes import Client, Network, Node, outcome, switch_to
from peers import PeerServer, Reply, envelope

import errors
from storage import connections
from storage.connections import Link
from workflows import registration

TOKEN_A = "token-a-of-the-peer"
CREDENTIALS = "/2.1.1/credentials"


@pytest.fixture(params=["CPO", "EMSP"])
def network(request: pytest.FixtureRequest, node: Node) -> Network:
    """A fresh network NL/OWN of each role in turn."""
    return node.network(request.param, ("NL", "OWN"))


def join(network: Network, peer: PeerServer) -> Link:
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
    assert link == connections.of_party(network.id, peer.party)
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
    assert [] == connections.of_network(network.id)


@pytest.mark.ocpi(75, 79)
def test_we_do_not_post_to_a_peer_without_2_1_1(network: Network, peer: PeerServer) -> None:
    peer.answers["/versions"] = lambda _: (200, envelope([{"version": "2.2.1", "url": peer.url}]))

    with pytest.raises(errors.NoCommonVersion):
        join(network, peer)

    assert [("GET", "/versions", TOKEN_A)] == calls(peer)
    assert [] == connections.of_network(network.id)


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

    assert [] == connections.of_network(network.id)
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

    assert [] == connections.of_network(cpo.id)
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

    assert [] == connections.of_network(cpo.id)


@pytest.mark.ocpi(72, 83)
def test_a_rotation_renews_both_tokens_and_ours_overlap(network: Network, peer: PeerServer) -> None:
    link = join(network, peer)
    old, former = given(network, peer), peer.token
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
    join(cpo, peer)
    peer.token = "c2"
    registration.rotate(cpo.network, stored(cpo, peer))
    peer.answers[CREDENTIALS] = reply(200, 2000)

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(cpo.network, stored(cpo, peer))

    assert ("c2", None) == (stored(cpo, peer).token, stored(cpo, peer).former_token)


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


def stored(network: Network, peer: PeerServer) -> Link:
    """The connection as it is stored now."""
    found = connections.of_party(network.id, peer.party)
    assert found is not None
    return found


@pytest.mark.ocpi(84)
def test_our_own_networks_register_with_each_other(cpo: Network, emsp: Network) -> None:
    link = registration.join(emsp.network, cpo.versions_url, cpo.token_a())

    assert ("NL", "DEM") == link.party
    assert works(cpo.node.client(link.token, "cpo"))
    back = connections.of_party(cpo.id, ("NL", "DEP"))
    assert back is not None
    assert works(cpo.node.client(back.token, "emsp"))


# Two instances


@dataclass
class Side:
    """One network of one instance, and how this process gets at its storage."""

    network: Network
    environment: dict[str, str] | None

    def inside(self) -> Any:
        """While open, storage in this process is this instance's."""
        return nullcontext() if self.environment is None else switch_to(self.environment)

    def link(self, other: "Side") -> Link:
        """What is stored here of *other*."""
        with self.inside():
            found = connections.of_party(self.network.id, other.network.network.party)
        assert found is not None
        return found

    def join(self, other: "Side") -> None:
        """Register at *other*, with a fresh Token A of it."""
        with other.inside():
            token_a = other.network.token_a()
        with self.inside():
            registration.join(self.network.network, other.network.versions_url, token_a)

    def to(self, other: "Side") -> Client:
        """A client with what this side presents to *other*."""
        client = other.network.node.client(self.link(other).token, other.network.role)
        client.party = self.network.network.party
        return client


@pytest.fixture(params=["CPO", "EMSP"], ids=["CPO initiates", "eMSP initiates"])
def sides(request: pytest.FixtureRequest, node: Node, another_node: Callable[..., Node]) -> tuple[Side, Side]:
    """The initiating side on a second instance, the other one on the first."""
    second = another_node(demo="0")
    with switch_to(second.environment):
        initiator = Side(second.network(request.param, ("BE", "INI")), second.environment)
    other = "EMSP" if request.param == "CPO" else "CPO"
    return initiator, Side(node.network(other, ("NL", "REC")), None)


def push_each_other(one: Side, two: Side, key: str) -> None:
    """Each side pushes what its role owns to the other, and reads it back."""
    for mine, theirs in ((one, two), (two, one)):
        client = mine.to(theirs)
        module, schema, name = (
            ("locations", "Location", "id") if mine.network.role == "cpo" else ("tokens", "Token", "uid")
        )
        body = example(schema, **{name: key})
        assert (201, 1000) == outcome(client.put(client.at(module, key), body))
        assert body == client.data(client.at(module, key))


@pytest.mark.ocpi(64, 72, 73, 79)
def test_two_instances_register_rotate_unregister_and_register_again(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.join(two)
    assert ("NL", "REC") == one.link(two).party
    assert ("BE", "INI") == two.link(one).party
    push_each_other(one, two, "FIRST")

    before = [one.to(two), two.to(one)]
    with one.inside():
        registration.rotate(one.network.network, one.link(two))
    after = [one.to(two), two.to(one)]
    push_each_other(one, two, "SECOND")
    assert [True, True, False, False] == [works(client) for client in (*after, *before)]

    with two.inside():  # the other side renews as well
        registration.rotate(two.network.network, two.link(one))
    push_each_other(one, two, "THIRD")
    assert [False, False] == [works(client) for client in after]

    last = [one.to(two), two.to(one)]
    with one.inside():
        registration.leave(one.link(two))
    assert [False, False] == [works(client) for client in last]
    assert ["UNREGISTERED", "UNREGISTERED"] == [one.link(two).state, two.link(one).state]

    one.join(two)
    push_each_other(one, two, "FOURTH")
    client = one.to(two)
    module = "locations" if one.network.role == "cpo" else "tokens"
    assert ["FIRST", "SECOND", "THIRD", "FOURTH"] == [
        each.get("id") or each["uid"] for each in client.data(module)
    ]


def test_a_restart_of_either_instance_loses_nothing(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.join(two)
    push_each_other(one, two, "BEFORE")
    clients = [one.to(two), two.to(one)]
    modules = ["locations" if side.network.role == "cpo" else "tokens" for side in sides]
    lists = [client.data(module) for client, module in zip(clients, modules, strict=True)]
    with two.inside():
        unused = two.network.registrant()

    for side in sides:
        side.network.node.stop()
        side.network.node.start()

    assert lists == [client.data(module) for client, module in zip(clients, modules, strict=True)]
    assert works(clients[0])
    assert works(clients[1])
    push_each_other(one, two, "AFTER")
    assert (200, 1000) == outcome(unused.get("credentials"))
    with one.inside():
        registration.rotate(one.network.network, one.link(two))
    push_each_other(one, two, "ROTATED")
    assert [False, False] == [works(client) for client in clients]
