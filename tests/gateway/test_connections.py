"""Connections of a network as the gateway sees them. docs/gateway.md "Connections"."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Gateway, Network, in_transaction, one_database, outcome, refusal
from peers import PeerServer, envelope
from receivers import until

import errors
from storage import connections, contacts, networks
from workflows.peers import registration


def network_of(gateway: Gateway, role: str = "cpo") -> Network:
    """A new network of the gateway's organization."""
    template = {"cpo": "small-urban-ac", "emsp": "emsp-drivers"}[role]
    accepted = gateway.create(role=role, template=template)
    found = in_transaction(networks.get, int(accepted["cpo_id"]))
    assert found is not None
    return Network(gateway.node, found)


def url_of(network: Network, client: Client | None = None) -> str:
    """The URL of the connections of *network*, or of that with *client*."""
    tail = "" if client is None else f"/{client.connection_id}"
    return f"/ocpi/cpos/{network.id}/connections{tail}"


def register(network: Network, peer: PeerServer) -> Client:
    """Let *peer* register at *network*; returns a client with its Token C."""
    answer = network.registrant().post("credentials", peer.credentials())
    client = network.node.client(answer.json()["data"]["token"], network.role)
    stored = in_transaction(connections.of_party, network.id, peer.party)
    client.party, client.connection_id = peer.party, stored.id
    return client


def test_a_connection_tells_who_registered_and_what_the_peer_offers(
    gateway: Gateway, peer: PeerServer
) -> None:
    network = network_of(gateway)
    client = register(network, peer)

    found = gateway.data(url_of(network, client))

    expected = {
        "connection_id": str(client.connection_id),
        "party": {"country_code": "NL", "party_id": "TNM"},
        "role": "EMSP",
        "name": "Foreign party",
        "state": "REGISTERED",
        "initiated_by": "PEER",
        "versions_url": peer.versions_url,
        "version": "2.1.1",
        "push": True,
    }
    assert expected == {name: found[name] for name in expected}
    assert {"identifier": "tokens", "url": f"{peer.url}/2.1.1/tokens"} in found["endpoints"]
    assert found["our_token_created_at"] >= found["created_at"]
    assert found["peer_token_created_at"] >= found["created_at"]
    assert [found["connection_id"]] == [e["connection_id"] for e in gateway.data(url_of(network))["data"]]
    text = str(found)
    assert client.token not in text
    assert peer.token not in text


def test_an_unregistered_peer_stays_without_tokens_and_endpoints(gateway: Gateway, peer: PeerServer) -> None:
    network = network_of(gateway)
    joined = registration.join(network.network, peer.versions_url, "token-a")
    url = f"{url_of(network)}/{joined.id}"
    assert "NETWORK" == gateway.data(url)["initiated_by"]

    registration.leave(joined)

    found = gateway.data(url)
    assert ("UNREGISTERED", []) == (found["state"], found["endpoints"])
    assert found.get("our_token_created_at") is None
    assert found.get("peer_token_created_at") is None


def test_the_last_contact_is_known_in_each_direction(gateway: Gateway, peer: PeerServer) -> None:
    network = network_of(gateway)
    client = register(network, peer)
    url = url_of(network, client)
    before = gateway.data(url)
    assert before["created_at"] <= before["last_sent_at"]
    assert None is before.get("last_received_at")

    assert (200, 1000) == outcome(client.get("locations"))

    assert before["created_at"] <= until(lambda: gateway.data(url).get("last_received_at"))


@one_database
def test_the_last_failed_call_is_told_in_words(gateway: Gateway, peer: PeerServer) -> None:
    """The test's process has its own notes, which it stores itself."""
    network = network_of(gateway)
    client = register(network, peer)
    stored = in_transaction(connections.of_party, network.id, peer.party)
    peer.answers["/versions"] = lambda _: (200, envelope(status_code=3001))

    with pytest.raises(errors.PeerUnusable):
        registration.rotate(network.network, stored)
    in_transaction(contacts.store, contacts.take())

    assert "The peer answered 3001: ok" == gateway.data(url_of(network, client))["last_error"]["message"]


def test_a_connection_overrides_a_setting_and_null_restores_it(gateway: Gateway) -> None:
    network = network_of(gateway)
    strict, lenient = network.peer(("NL", "TNM")), network.peer(("BE", "OTH"))
    url = url_of(network, lenient)

    changed = gateway.patch(url, {"schema_refusal_status": 200, "push": False}).json()

    assert (200, False) == (changed["schema_refusal_status"], changed["push"])
    assert (200, 2001) == outcome(lenient.get("locations", limit="x"))
    assert (400, 2001) == outcome(strict.get("locations", limit="x"))
    assert None is gateway.patch(url, {"schema_refusal_status": None}).json().get("schema_refusal_status")
    assert (400, 2001) == outcome(lenient.get("locations", limit="x"))
    assert False is gateway.patch(url, {}).json()["push"]


@one_database
def test_a_connection_overrides_every_setting_of_what_is_tolerated(
    gateway: Gateway, peer: PeerServer
) -> None:
    cpo, emsp = network_of(gateway), network_of(gateway, "emsp")
    reader, writer = register(cpo, peer), emsp.peer()
    tolerated = {
        "sessions_require_date_from": True,
        "post_updates_registered": True,
        "append_charging_periods": True,
    }
    for network, client in ((cpo, reader), (emsp, writer)):
        assert tolerated.items() <= gateway.patch(url_of(network, client), tolerated).json().items()

    assert (400, 2001) == outcome(reader.get("sessions"))
    assert (200, 1000) == outcome(reader.post("credentials", peer.credentials()))
    session = example("Session", status="ACTIVE")
    url = writer.at("sessions", session["id"])
    assert writer.put(url, session).ok
    assert writer.patch(url, {"charging_periods": session["charging_periods"]}).ok
    assert 2 * len(session["charging_periods"]) == len(writer.data(url)["charging_periods"])


@one_database
@pytest.mark.parametrize(
    "body", [{"push": None}, {"push": "yes"}, {"schema_refusal_status": 500}, {"append_charging_periods": 1}]
)
def test_an_invalid_change_is_422_and_changes_nothing(gateway: Gateway, body: dict[str, Any]) -> None:
    network = network_of(gateway)
    url = url_of(network, network.peer())
    before = gateway.data(url)

    assert 422 == refusal(gateway.patch(url, body))[0]
    assert before == gateway.data(url)
