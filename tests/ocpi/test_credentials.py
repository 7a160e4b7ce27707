"""Credentials as the receiver: who registers, what the tokens allow, and when they end."""

import itertools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import sqlalchemy
from crashable_node import until
from examples import example
from nodes import Client, Network, Node, Party, in_transaction, one_database, outcome, switch_to
from peers import PeerServer, envelope

import errors
from storage import connections, database
from storage.access import ACCESS, PEER
from storage.connections import PeerConnection
from workflows.peers import registration

MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
PUSHED = {"cpo": ("tokens", "Token", "uid"), "emsp": ("locations", "Location", "id")}


@pytest.fixture(params=["CPO", "EMSP"])
def network(request: pytest.FixtureRequest, node: Node) -> Network:
    """A new network NL/OWN, once of each role."""
    return node.network(request.param, ("NL", "OWN"))


def with_token(network: Network, response: requests.Response, party: Party = ("NL", "TNM")) -> Client:
    """A client with the Token C of *response*."""
    assert (200, 1000) == outcome(response)
    client = network.node.client(response.json()["data"]["token"], network.role)
    client.party = party
    return client


def register(network: Network, peer: PeerServer, **changes: str) -> Client:
    """Register *peer* and return a client with its Token C."""
    body = peer.credentials(**changes)
    response = network.registrant().post("credentials", body)
    return with_token(network, response, (body["country_code"], body["party_id"]))


def renew(network: Network, client: Client, peer: PeerServer, **changes: str) -> Client:
    """Renew the registration and return a client with the new Token C."""
    response = client.put("credentials", peer.credentials(**changes))
    return with_token(network, response, client.party)


def stored_connection(network: Network, party: Party = ("NL", "TNM")) -> PeerConnection:
    """The stored connection with *party*."""
    found = in_transaction(connections.of_party, network.id, party)
    assert found is not None
    return found


def works(client: Client) -> bool:
    """Whether the token opens its versions URL: the answer must be 200 or 401."""
    status = client.get(f"/ocpi/{client.role}/versions").status_code
    assert status in (200, 401)
    return status == 200


def push(client: Client, key: str) -> str:
    """Push an object of the peer and return its URL."""
    module, schema, name = PUSHED[client.role]
    url = client.at(module, key)
    assert (201, 1000) == outcome(client.put(url, example(schema, **{name: key})))
    return url


@pytest.mark.ocpi(63)
def test_a_registered_peer_reads_our_party_and_its_own_token(network: Network, peer: PeerServer) -> None:
    client = register(network, peer)

    data = client.data("credentials")

    assert client.token == data["token"]
    assert network.versions_url == data["url"]
    assert ("NL", "OWN") == (data["country_code"], data["party_id"])
    assert "Test network" == data["business_details"]["name"]


@pytest.mark.ocpi(65)
def test_token_c_is_random_printable_and_always_new(network: Network, peer: PeerServer) -> None:
    token_a = network.token_a()
    first = with_token(
        network, network.node.client(token_a, network.role).post("credentials", peer.credentials())
    )
    tokens = [str(first.token)]
    tokens += [str(register(network, peer, party_id=f"T{n:02d}").token) for n in range(4)]
    tokens.append(str(renew(network, first, peer).token))

    assert len(tokens) == len({*tokens, token_a, peer.token}) - 2
    for token in tokens:
        assert re.fullmatch("[!-~]{22,64}", token)  # 128 bits are 22 characters of 6 bits
    for one, other in itertools.pairwise(tokens):  # neither a counter nor a clock
        assert sum(a == b for a, b in zip(one, other, strict=True)) < len(one) / 3


@pytest.mark.ocpi(66)
def test_token_a_works_once_and_token_c_works_immediately(network: Network, peer: PeerServer) -> None:
    registrant = network.registrant()
    client = with_token(network, registrant.post("credentials", peer.credentials()))

    endpoints = {e["identifier"]: e["url"] for e in client.data("")["endpoints"]}
    assert set(MODULES) == endpoints.keys()
    assert {200} == {client.get(url).status_code for name, url in endpoints.items() if name != "commands"}
    assert 200 == client.get(network.versions_url).status_code

    for path in (network.versions_url, "/ocpi/versions", "/ocpi/2.1.1/details", "", *endpoints.values()):
        assert (401, 2000) == outcome(registrant.get(path)), path
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = registrant.request(method, "credentials", json=peer.credentials())
        assert (401, 2000) == outcome(answer), method


@pytest.mark.ocpi(57, 66)
def test_the_commands_endpoint_answers_the_registered_peer(network: Network, peer: PeerServer) -> None:
    client = register(network, peer)
    advertised = {e["identifier"]: e["url"] for e in client.data("")["endpoints"]}

    assert client.get(advertised["commands"]).status_code in (200, 405)


@pytest.mark.ocpi(67)
def test_a_registered_peer_that_posts_again_gets_405_and_nothing_changes(
    network: Network, peer: PeerServer
) -> None:
    client = register(network, peer)
    before, calls = stored_connection(network), len(peer.seen)

    response = client.post("credentials", peer.credentials(token="another"))

    assert (405, 2000) == outcome(response)
    assert {"GET", "PUT", "DELETE"} == set(response.headers["Allow"].split(", "))
    assert calls == len(peer.seen)
    assert before == stored_connection(network)
    assert works(client)


@pytest.mark.ocpi(68, 69)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_party_that_is_not_registered_can_neither_renew_nor_unregister(
    network: Network, peer: PeerServer, method: str
) -> None:
    registrant = network.registrant()

    response = registrant.request(method, "credentials", json=peer.credentials())

    assert (405, 2000) == outcome(response)
    assert {"GET", "POST"} == set(response.headers["Allow"].split(", "))
    assert [] == peer.seen
    assert (200, 1000) == outcome(registrant.post("credentials", peer.credentials()))


@one_database
@pytest.mark.ocpi(70)
@pytest.mark.parametrize("kind", ["registrant", "peer", "operator"])
def test_credentials_cannot_be_patched(network: Network, kind: str) -> None:
    client: Client = getattr(network, kind)()

    response = client.patch("credentials", {"token": "another"})

    assert (405, 2000) == outcome(response)
    assert "PATCH" not in response.headers["Allow"]
    assert works(client)


@pytest.mark.ocpi(71)
def test_a_renewal_calls_the_peer_even_when_nothing_changed(network: Network, peer: PeerServer) -> None:
    client = register(network, peer)
    peer.seen.clear()

    renew(network, client, peer)

    token = f"Token {peer.token}"
    called = [(call["method"], call["path"], call["authorization"]) for call in peer.seen]
    assert [("GET", "/versions", token), ("GET", "/2.1.1", token)] == called


@pytest.mark.ocpi(71)
def test_the_next_call_uses_the_new_url_of_an_endpoint(network: Network, peer: PeerServer) -> None:
    client = register(network, peer)
    moved = f"{peer.url}/elsewhere/credentials"
    details = {"version": "2.1.1", "endpoints": [{"identifier": "credentials", "url": moved}]}
    peer.answers["/2.1.1"] = lambda _: (200, envelope(details))
    peer.answers["/elsewhere/credentials"] = lambda _: (200, envelope())

    renew(network, client, peer)

    assert {"credentials": moved} == stored_connection(network).endpoints
    registration.leave(stored_connection(network))
    assert [] == peer.requests("DELETE", "/2.1.1/credentials")
    assert 1 == len(peer.requests("DELETE", "/elsewhere/credentials"))


@pytest.mark.ocpi(72, 83)
def test_the_first_use_of_a_renewed_token_ends_the_old_one(network: Network, peer: PeerServer) -> None:
    old = register(network, peer)
    assert works(old)

    new = renew(network, old, peer)

    assert old.token != new.token
    assert works(old)  # the answer may be lost
    assert works(new)
    assert not works(old)
    assert (401, 2000) == outcome(old.put("credentials", peer.credentials()))
    assert works(new)


@pytest.mark.ocpi(83)
def test_a_renewal_whose_answer_was_lost_can_be_sent_again(network: Network, peer: PeerServer) -> None:
    old = register(network, peer)
    lost = renew(network, old, peer, token="b2")

    new = renew(network, old, peer, token="b3")

    assert works(new)
    assert not works(old)
    assert not works(lost)
    assert "b3" == stored_connection(network).token


@pytest.mark.ocpi(83)
@pytest.mark.parametrize("seconds", [0, 5])
def test_the_old_token_ends_after_the_overlap_even_when_the_new_one_is_not_used(
    another_node: Callable[..., Node], peer: PeerServer, seconds: int
) -> None:
    other = another_node(demo="0", token_overlap_seconds=str(seconds))
    with switch_to(other.environment):
        network = other.network("CPO", ("NL", "OWN"))
        old = register(network, peer)

        new = renew(network, old, peer)

        if seconds:
            assert works(old)
            until(lambda: not works(old))
        assert not works(old)
        assert works(new)


@pytest.mark.ocpi(67)
def test_a_setting_lets_a_registered_peer_renew_with_post(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    other = another_node(demo="0", post_updates_registered="1")
    with switch_to(other.environment):
        network = other.network("CPO", ("NL", "OWN"))
        old = register(network, peer)

        new = with_token(network, old.post("credentials", peer.credentials(token="b2")))

        assert works(new)
        assert not works(old)
        assert "b2" == stored_connection(network).token


@pytest.mark.parametrize("change", [{"party_id": "OTH"}, {"country_code": "BE"}])
def test_a_renewal_cannot_change_the_party(
    network: Network, peer: PeerServer, change: dict[str, str]
) -> None:
    client = register(network, peer)
    calls = len(peer.seen)

    assert (200, 2001) == outcome(client.put("credentials", peer.credentials(**change)))
    assert calls == len(peer.seen)
    assert works(client)
    assert [("NL", "TNM")] == [each.party for each in in_transaction(connections.of_network, network.id)]


@pytest.mark.ocpi(73)
def test_a_peer_that_unregisters_loses_access_and_is_never_called_again(
    network: Network, peer: PeerServer
) -> None:
    first = register(network, peer)
    unused = renew(network, first, peer)
    calls = len(peer.seen)

    assert (200, 1000) == outcome(first.delete("credentials"))

    for client in (first, unused):
        for path in (network.versions_url, "", *MODULES):
            assert (401, 2000) == outcome(client.get(path)), path
    assert (401, 2000) == outcome(first.delete("credentials"))
    gone = stored_connection(network)
    assert ("UNREGISTERED", None, None) == (gone.state, gone.token, gone.former_token)
    for call in (lambda: registration.rotate(network.network, gone), lambda: registration.leave(gone)):
        with pytest.raises(errors.PeerUnusable):
            call()
    assert calls == len(peer.seen)


@pytest.mark.ocpi(73)
def test_a_peer_that_unregistered_can_register_again(network: Network, peer: PeerServer) -> None:
    first = register(network, peer)
    url = push(first, "KEPT")
    assert (200, 1000) == outcome(first.delete("credentials"))

    second = register(network, peer, token="b2")

    assert works(second)
    assert not works(first)
    assert ("REGISTERED", "b2") == (stored_connection(network).state, stored_connection(network).token)
    assert (200, 1000) == outcome(second.get(url))


BODY = example("Credentials")


@one_database
@pytest.mark.ocpi(77)
@pytest.mark.parametrize("registered", [False, True], ids=["POST", "PUT"])
@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in BODY),
        *({name: 7} for name in BODY),
        {"token": ""},
        {"token": "x" * 65},
        {"url": ""},
        {"url": "ftp://127.0.0.1/versions"},
        {"url": "/versions"},
        {"url": "http://127.0.0.1/" + "x" * 239},
        {"business_details": {}},
        {"business_details": {"name": "x" * 101}},
        {"party_id": "TN"},
        {"party_id": "TNMX"},
        {"country_code": "N"},
        {"country_code": "NLD"},
        {"country_code": "1!"},
    ],
    ids=lambda change: f"{next(iter(change))}-{str(next(iter(change.values())))[:12]}",
)
def test_malformed_credentials_are_refused_without_a_callback(
    cpo: Network, peer: PeerServer, change: dict[str, object], *, registered: bool
) -> None:
    client = register(cpo, peer) if registered else cpo.registrant()
    calls = len(peer.seen)
    body = {k: v for k, v in peer.credentials(**change).items() if v is not None}

    response = client.request("PUT" if registered else "POST", "credentials", json=body)

    assert (400, 2001) == outcome(response)
    assert next(iter(change)) in response.json()["status_message"]
    assert calls == len(peer.seen)
    assert works(client)


@pytest.mark.ocpi(78)
def test_the_answer_has_our_party_and_the_stored_connection_has_theirs(
    network: Network, peer: PeerServer
) -> None:
    data = network.registrant().post("credentials", peer.credentials()).json()["data"]

    assert ("NL", "OWN") == (data["country_code"], data["party_id"])
    assert network.versions_url == data["url"]
    assert data["token"] != peer.token
    stored = stored_connection(network)
    assert (("NL", "TNM"), peer.versions_url, peer.token) == (stored.party, stored.versions_url, stored.token)


@pytest.mark.ocpi(80)
def test_one_party_id_in_two_countries_is_two_parties(network: Network, peer: PeerServer) -> None:
    dutch = register(network, peer)
    belgian = register(network, peer, country_code="BE", token="b-of-be")

    assert works(dutch)
    assert works(belgian)
    assert [peer.token, "b-of-be"] == [
        stored_connection(network, each.party).token for each in (dutch, belgian)
    ]
    urls = {each.party: push(each, "SAME") for each in (dutch, belgian)}
    assert (404, 2000) == outcome(dutch.get(urls["BE", "TNM"]))
    assert (404, 2000) == outcome(belgian.get(urls["NL", "TNM"]))
    assert (200, 1000) == outcome(belgian.delete("credentials"))
    assert works(dutch)


@pytest.mark.ocpi(81)
def test_a_second_token_a_replaces_the_registration_and_keeps_the_objects(
    network: Network, peer: PeerServer
) -> None:
    old = register(network, peer)
    url = push(old, "KEPT")

    new = register(network, peer, token="b2")

    assert not works(old)
    assert works(new)
    assert (200, 1000) == outcome(new.get(url))
    assert ["b2"] == [each.token for each in in_transaction(connections.of_network, network.id)]


@pytest.mark.ocpi(82)
def test_twenty_posts_with_one_token_a_create_one_registration(network: Network, peer: PeerServer) -> None:
    registrant = network.registrant()
    bodies = [peer.credentials(party_id=f"T{n:02d}") for n in range(20)]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda body: registrant.post("credentials", body), bodies))

    successful = [answer for answer in answers if outcome(answer) == (200, 1000)]
    assert 1 == len(successful)
    assert {401, 405, 429} >= {answer.status_code for answer in answers if answer not in successful}
    assert works(network.node.client(successful[0].json()["data"]["token"], network.role))
    assert 1 == len(in_transaction(connections.of_network, network.id))
    count = sqlalchemy.select(sqlalchemy.func.count()).where(
        ACCESS.c.network_id == network.id, ACCESS.c.kind == PEER
    )
    with database.connect() as connection:
        assert 1 == connection.execute(count).scalar_one()
