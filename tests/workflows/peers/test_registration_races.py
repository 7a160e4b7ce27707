"""The end of a token, a connection or a network during a call to the peer.

In each test the peer acts during the node's call to it.
"""

import base64
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from nodes import Client, Gateway, Network, Node, in_transaction, one_database, outcome
from peers import PeerServer, Reply, envelope

import errors
from storage import access, connections
from workflows.peers import registration

TOKEN_A = "token-a-of-the-peer"
CREDENTIALS = "/2.1.1/credentials"


def register(network: Network, peer: PeerServer) -> Client:
    """Register *peer*, and return a client with its Token C."""
    return registered(network, network.registrant().post("credentials", peer.credentials()))


def registered(network: Network, response: Any) -> Client:
    """A client with the Token C of *response*."""
    assert (200, 1000) == outcome(response)
    return network.node.client(response.json()["data"]["token"], network.role)


def works(client: Client) -> bool:
    """Whether the token opens a module; a status other than 200 and 401 is a failure."""
    status = client.get("locations").status_code
    assert status in (200, 401)
    return status == 200


def message(response: Any) -> str:
    """The status message of a refusal with HTTP 401."""
    assert (401, 2000) == outcome(response)
    return str(response.json()["status_message"])


def during_the_callback(peer: PeerServer, act: Callable[[], object]) -> None:
    """Run *act* once, when the node next fetches the versions of the peer."""
    pending = [act]

    def answer(_: dict[str, Any]) -> Reply:
        if pending:
            pending.pop()()
        return 200, envelope([{"version": "2.1.1", "url": f"{peer.url}/2.1.1"}])

    peer.answers["/versions"] = answer


@pytest.mark.ocpi(73)
def test_a_renewal_during_which_the_peer_unregisters_returns_no_token(cpo: Network, peer: PeerServer) -> None:
    client = register(cpo, peer)
    during_the_callback(peer, lambda: client.delete("credentials"))

    response = client.put("credentials", peer.credentials(token="b2"))

    assert (401, 2000) == outcome(response)
    connection = in_transaction(connections.of_party, cpo.id, peer.party)
    assert connection is not None
    assert ("UNREGISTERED", None) == (connection.state, connection.token)
    assert not works(client)


@pytest.mark.ocpi(81)
def test_a_renewal_with_a_stolen_token_does_not_survive_a_new_registration(
    cpo: Network, peer: PeerServer
) -> None:
    stolen = register(cpo, peer)
    owner: list[Client] = []

    def register_anew() -> None:
        owner.append(registered(cpo, cpo.registrant().post("credentials", peer.credentials(token="fresh"))))

    with PeerServer() as thief:
        during_the_callback(thief, register_anew)

        response = stolen.put("credentials", thief.credentials(token="thief"))

    assert (401, 2000) == outcome(response)
    assert works(owner[0])
    connection = in_transaction(connections.of_party, cpo.id, peer.party)
    assert connection is not None
    assert "fresh" == connection.token


@pytest.mark.ocpi(72, 83)
def test_of_concurrent_renewals_one_runs_and_the_others_are_429(cpo: Network, peer: PeerServer) -> None:
    client = register(cpo, peer)
    refusals: list[Any] = []
    during_the_callback(
        peer, lambda: refusals.extend(client.put("credentials", peer.credentials()) for _ in range(3))
    )

    renewed = registered(cpo, client.put("credentials", peer.credentials()))

    assert [429] * 3 == [refused.status_code for refused in refusals]
    assert {"1"} == {refused.headers["Retry-After"] for refused in refusals}
    assert works(renewed)
    assert not works(client)


@pytest.mark.ocpi(83)
def test_a_repeated_renewal_ends_the_token_of_the_lost_response(cpo: Network, peer: PeerServer) -> None:
    client = register(cpo, peer)
    lost = registered(cpo, client.put("credentials", peer.credentials()))

    renewed = registered(cpo, client.put("credentials", peer.credentials()))

    assert not works(lost)
    assert works(renewed)
    assert not works(client)


def test_a_registration_during_which_the_network_is_deleted_is_401(
    gateway: Gateway, peer: PeerServer
) -> None:
    accepted = gateway.ready()
    client = gateway.node.client(accepted["token_a"], "cpo")
    during_the_callback(peer, lambda: gateway.delete(accepted["destroy_url"]))

    response = client.post("credentials", peer.credentials())

    assert (401, 2000) == outcome(response)


def test_a_renewal_during_which_the_network_is_deleted_is_401(gateway: Gateway, peer: PeerServer) -> None:
    accepted = gateway.ready()
    registrant = gateway.node.client(accepted["token_a"], "cpo")
    client = gateway.node.client(
        registrant.post("credentials", peer.credentials()).json()["data"]["token"], "cpo"
    )
    during_the_callback(peer, lambda: gateway.delete(accepted["destroy_url"]))

    assert (401, 2000) == outcome(client.put("credentials", peer.credentials()))


@pytest.fixture
def network(node: Node) -> Network:
    """A new network that registers at the peer."""
    return node.network("CPO", ("NL", "OWN"))


def test_a_rotation_during_which_the_peer_unregisters_is_dropped(network: Network, peer: PeerServer) -> None:
    connection = registration.join(network.network, peer.versions_url, TOKEN_A)
    client = network.node.client(peer.requests("POST", CREDENTIALS)[0]["body"]["token"], "cpo")

    def unregister(request: dict[str, Any]) -> Reply:
        assert (200, 1000) == outcome(client.delete("credentials"))
        assert request["method"] == "PUT"
        return 200, envelope(peer.credentials(token="c2"))

    peer.answers[CREDENTIALS] = unregister

    with pytest.raises(errors.Conflict):
        registration.rotate(network.network, connection)

    stored = in_transaction(connections.of_party, network.id, peer.party)
    assert stored is not None
    assert ("UNREGISTERED", None) == (stored.state, stored.token)
    sent = peer.requests("PUT", CREDENTIALS)[0]["body"]["token"]
    assert not works(network.node.client(sent, "cpo"))


def test_a_renewal_by_the_peer_is_429_during_our_rotation(network: Network, peer: PeerServer) -> None:
    """If both sides stored the other's response, each could hold a token that the other has dropped."""
    connection = registration.join(network.network, peer.versions_url, TOKEN_A)
    client = network.node.client(peer.requests("POST", CREDENTIALS)[0]["body"]["token"], "cpo")
    statuses: list[int] = []

    def renew(_: dict[str, Any]) -> Reply:
        statuses.append(client.put("credentials", peer.credentials(token="b9")).status_code)
        return 200, envelope(peer.credentials(token="c2"))

    peer.answers[CREDENTIALS] = renew

    rotated = registration.rotate(network.network, connection)

    assert [429] == statuses
    assert "c2" == rotated.token
    sent = network.node.client(peer.requests("PUT", CREDENTIALS)[0]["body"]["token"], "cpo")
    assert works(sent)
    peer.answers.clear()
    assert works(registered(network, sent.put("credentials", peer.credentials())))


def test_a_registration_by_the_peer_is_429_during_ours(network: Network, peer: PeerServer) -> None:
    """If both registrations ran, each side could keep the one that the other side has replaced."""
    token_a = network.registrant()
    statuses: list[int] = []

    def register_too(_: dict[str, Any]) -> Reply:
        statuses.append(token_a.post("credentials", peer.credentials(token="b9")).status_code)
        return 200, envelope(peer.credentials(token="c2"))

    peer.answers[CREDENTIALS] = register_too

    joined = registration.join(network.network, peer.versions_url, TOKEN_A)

    assert [429] == statuses
    assert "c2" == joined.token
    peer.answers.clear()
    assert works(registered(network, token_a.post("credentials", peer.credentials())))


def test_a_second_rotation_during_a_rotation_is_refused(network: Network, peer: PeerServer) -> None:
    connection = registration.join(network.network, peer.versions_url, TOKEN_A)
    raised: list[type[Exception]] = []

    def rotate_too(_: dict[str, Any]) -> Reply:
        if not raised:
            raised.append(errors.Refusal)
            with pytest.raises(errors.Conflict) as caught:
                registration.rotate(network.network, connection)
            raised[0] = caught.type
        return 200, envelope(peer.credentials(token="c2"))

    peer.answers[CREDENTIALS] = rotate_too

    assert "c2" == registration.rotate(network.network, connection).token
    assert [registration.ExchangeRuns] == raised
    assert 1 == len(peer.requests("PUT", CREDENTIALS))


def test_unregistering_does_not_end_a_registration_that_is_newer(network: Network, peer: PeerServer) -> None:
    connection = registration.join(network.network, peer.versions_url, TOKEN_A)
    fresh: list[Client] = []

    def register_anew(_: dict[str, Any]) -> Reply:
        body = peer.credentials(token="fresh")
        fresh.append(registered(network, network.registrant().post("credentials", body)))
        return 200, envelope()

    peer.answers[CREDENTIALS] = register_anew

    registration.leave(connection)

    assert works(fresh[0])
    stored = in_transaction(connections.of_party, network.id, peer.party)
    assert stored is not None
    assert ("REGISTERED", "fresh") == (stored.state, stored.token)


@one_database
def test_a_slow_peer_is_abandoned_after_twice_the_timeout_of_a_call(cpo: Network, peer: PeerServer) -> None:
    """PEER_TIMEOUT_SECONDS is 3 in tests, and each of the two responses takes almost as long."""
    done = threading.Event()

    def versions(_: dict[str, Any]) -> Reply:
        done.wait(2.8)
        return 200, envelope([{"version": "2.1.1", "url": f"{peer.url}/2.1.1"}])

    def details(_: dict[str, Any]) -> Reply:
        done.wait(30)
        return 200, envelope()

    peer.answers.update({"/versions": versions, "/2.1.1": details})
    start = time.monotonic()
    try:
        assert (200, 3001) == outcome(cpo.registrant().post("credentials", peer.credentials()))
    finally:
        done.set()

    assert time.monotonic() - start < 20


def test_endpoints_of_unknown_modules_are_ignored(cpo: Network, peer: PeerServer) -> None:
    """The peer lists 20,000 of them, at an address that the policy refuses."""
    entries = [{"identifier": f"m{n}", "url": "http://169.254.169.254/latest"} for n in range(20_000)]
    endpoint = {"identifier": "credentials", "url": f"{peer.url}{CREDENTIALS}"}
    peer.answers["/2.1.1"] = lambda _: (
        200,
        envelope({"version": "2.1.1", "endpoints": [*entries, endpoint]}),
    )

    register(cpo, peer)

    connection = in_transaction(connections.of_party, cpo.id, peer.party)
    assert connection is not None
    assert {"credentials": f"{peer.url}{CREDENTIALS}"} == connection.endpoints


def test_registrations_with_slow_peers_leave_a_thread_for_other_requests(
    cpo: Network, peer: PeerServer
) -> None:
    registrants = [cpo.registrant() for _ in range(12)]
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def hold(_: dict[str, Any]) -> Reply:
        waiting.release()
        go_on.wait(20)
        return 500, envelope()

    peer.answers["/versions"] = hold
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda each=each: statuses.append(each.post("credentials", peer.credentials()).status_code)
        )
        for each in registrants
    ]
    for thread in threads:
        thread.start()
    assert waiting.acquire(timeout=20)
    try:
        assert (200, 1000) == outcome(cpo.operator().get("credentials"))
    finally:
        go_on.set()
        for thread in threads:
            thread.join(30)

    assert {200, 429} == set(statuses)


@pytest.mark.ocpi(66)
def test_an_ended_token_is_refused_with_the_reason(cpo: Network, peer: PeerServer) -> None:
    registrant = cpo.registrant()
    first = registered(cpo, registrant.post("credentials", peer.credentials()))
    second = registered(cpo, first.put("credentials", peer.credentials()))
    assert works(second)
    third = register(cpo, peer)
    assert (200, 1000) == outcome(third.delete("credentials"))

    assert "This Token A has been used" in message(registrant.get("credentials"))
    assert "A newer token replaced this one." == message(first.get("locations"))
    assert "A newer registration of your party replaced" in message(second.get("locations"))
    assert "has ended; register with a new Token A" in message(third.get("locations"))
    assert "Unknown token." == message(cpo.node.client("x" * 43, "cpo").get("locations"))


def test_the_tokens_of_a_deleted_network_are_refused_with_the_reason(gateway: Gateway) -> None:
    accepted = gateway.ready()
    assert 204 == gateway.delete(accepted["destroy_url"]).status_code

    for token in (accepted["token_a"], accepted["operator_token"]):
        assert "The network of this token was deleted." == message(
            gateway.node.client(token, "cpo").get("credentials")
        )


def test_a_revoked_key_is_refused_with_the_reason(node: Node) -> None:
    from storage import keys  # noqa: PLC0415  (the only test that revokes)

    minted = in_transaction(keys.mint, "revoked", keys.USER)
    assert in_transaction(keys.revoke, minted.id)

    response = Gateway(node, minted.key).get("/ocpi/cpos")

    assert (401, "This key was revoked.") == (response.status_code, response.json()["detail"])


@pytest.mark.ocpi(8)
@pytest.mark.parametrize("form", ["{token}", "Bearer {token}", "Token", "Token{token}", ""])
def test_a_header_without_the_word_token_is_refused_with_the_correct_form(cpo: Network, form: str) -> None:
    token = in_transaction(access.mint, access.OPERATOR, cpo.id)
    client = cpo.node.client(None, "cpo")

    response = client.request("GET", "credentials", headers={"Authorization": form.format(token=token)})

    assert "Send 'Authorization: Token <token>'." == message(response)


def test_a_token_in_base64_is_refused_with_a_hint(cpo: Network) -> None:
    token = in_transaction(access.mint, access.OPERATOR, cpo.id)
    encoded = base64.b64encode(token.encode()).decode()

    response = cpo.node.client(encoded, "cpo").get("credentials")

    assert "Base64-encoded" in message(response)
