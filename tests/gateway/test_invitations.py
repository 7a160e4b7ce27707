"""Invitations: a Token A for each peer that may register. docs/gateway.md "Invitation"."""

from typing import Any

from nodes import Gateway, in_transaction, one_database, outcome, refusal
from peers import PeerServer

from storage import access

PARTY = {"country_code": "nl", "party_id": "tnm"}


def url_of(gateway: Gateway) -> str:
    """The URL of the invitations of a new network."""
    return f"{gateway.create()['destroy_url']}/invitations"


def invite(gateway: Gateway, url: str, **body: Any) -> Any:
    """A new invitation."""
    response = gateway.post(url, body)
    assert 201 == response.status_code, response.text
    return response.json()


def test_the_token_a_of_a_network_is_its_first_invitation(gateway: Gateway, peer: PeerServer) -> None:
    accepted = gateway.create()
    url = f"{accepted['destroy_url']}/invitations"
    created = invite(gateway, url)

    listed = gateway.data(url)

    assert 2 == listed["total"]
    assert [accepted["token_a"][-4:], created["token_a"][-4:]] == [e["token_a_last4"] for e in listed["data"]]
    assert created["token_a"] not in str(listed)
    assert accepted["ocpi_peer_url"] == created["ocpi_peer_url"]
    assert created["token_a"] in created["roam_helper"]["register_snippet"]
    for token in (accepted["token_a"], created["token_a"]):
        assert (200, 1000) == outcome(gateway.node.client(token).post("credentials", peer.credentials()))
    assert 0 == gateway.data(url)["total"]


def test_another_party_is_refused_and_leaves_token_a_usable(gateway: Gateway, peer: PeerServer) -> None:
    created = invite(gateway, url_of(gateway), party=PARTY)
    registrant = gateway.node.client(created["token_a"])

    refused = registrant.post("credentials", peer.credentials(country_code="BE", party_id="OTH"))

    assert {"country_code": "NL", "party_id": "TNM"} == created["party"]
    assert (200, 2001) == outcome(refused)
    assert "this Token A is for NL/TNM, not for BE/OTH" in refused.json()["status_message"]
    assert [] == peer.seen
    assert (200, 1000) == outcome(registrant.post("credentials", peer.credentials()))


def test_a_withdrawn_invitation_registers_nobody(gateway: Gateway, peer: PeerServer) -> None:
    url = url_of(gateway)
    created = invite(gateway, url)
    own = f"{url}/{created['invitation_id']}"

    assert 204 == gateway.delete(own).status_code

    response = gateway.node.client(created["token_a"]).post("credentials", peer.credentials())
    assert (401, 2000) == outcome(response)
    assert "was withdrawn" in response.json()["status_message"]
    assert 404 == refusal(gateway.delete(own))[0]
    assert 1 == gateway.data(url)["total"]


@one_database
def test_other_tokens_of_the_network_are_no_invitations(gateway: Gateway) -> None:
    accepted = gateway.create()
    network_id = int(accepted["cpo_id"])
    in_transaction(access.mint, access.CALLBACK, network_id, lives_ms=600_000)

    assert 1 == gateway.data(f"{accepted['destroy_url']}/invitations")["total"]
