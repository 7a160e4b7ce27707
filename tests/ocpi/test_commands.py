"""Commands: our answers as CPO, our requests as eMSP, and the results."""

import json
from typing import Any

import pytest
from examples import example
from gateway_orders import example as example_of_gateway
from nodes import Client, Network, in_transaction, one_database, outcome
from peers import PeerServer, envelope

from generated import gateway_models
from storage import access, commands, connections, database, networks
from storage.connections import Peer, PeerConnection
from workflows.charging import sent_commands

COMMANDS = {
    "RESERVE_NOW": "ReserveNow",
    "START_SESSION": "StartSession",
    "STOP_SESSION": "StopSession",
    "UNLOCK_CONNECTOR": "UnlockConnector",
}
RESULTS = ["NOT_SUPPORTED", "REJECTED", "ACCEPTED", "TIMEOUT", "UNKNOWN_SESSION"]
every_command = pytest.mark.parametrize("name", COMMANDS)


def command(name: str, **changes: Any) -> dict[str, Any]:
    """The body of a command; the address policy allows its response_url."""
    fields = {"response_url": "http://127.0.0.1:9999/result?x=1"}
    if name == "RESERVE_NOW":
        fields["expiry_date"] = "2099-01-01T00:00:00Z"
    return example(COMMANDS[name], **{**fields, **changes})


def result_of(client: Client, name: str, body: dict[str, Any]) -> str:
    """The result in the direct answer to a command."""
    response = client.post(f"commands/{name}", body)
    assert (200, 1000) == outcome(response)
    assert {"result"} == response.json()["data"].keys()
    return str(response.json()["data"]["result"])


@pytest.fixture
def emsp_peer(cpo: Network) -> Client:
    """An eMSP whose driver has the running session 101 at our LOC1."""
    peer, operator = cpo.peer(), cpo.operator()
    operator.put("locations/NL/DEM/LOC1", example("Location"))
    peer.put(peer.at("tokens", "012345678"), example("Token"))
    session = example("Session", status="ACTIVE", end_datetime=None)
    assert 201 == operator.put("sessions/NL/DEM/101", session).status_code
    return peer


@pytest.mark.ocpi(183)
@every_command
def test_the_answer_to_a_command_is_an_object_with_the_result(emsp_peer: Client, name: str) -> None:
    assert result_of(emsp_peer, name, command(name)) in RESULTS


@pytest.mark.ocpi(184)
@pytest.mark.parametrize(
    ("name", "body", "missing"),
    [
        ("START_SESSION", "STOP_SESSION", "token"),
        ("STOP_SESSION", "START_SESSION", "session_id"),
        ("RESERVE_NOW", "START_SESSION", "expiry_date"),
        ("UNLOCK_CONNECTOR", "RESERVE_NOW", "connector_id"),
        ("START_SESSION", "UNLOCK_CONNECTOR", "token"),
    ],
)
def test_the_object_of_another_command_is_refused(
    emsp_peer: Client, name: str, body: str, missing: str
) -> None:
    response = emsp_peer.post(f"commands/{name}", command(body))

    assert (400, 2001) == outcome(response)
    assert missing in response.json()["status_message"]


@pytest.mark.ocpi(184)
@every_command
def test_a_response_url_that_the_address_policy_refuses_is_refused(emsp_peer: Client, name: str) -> None:
    response = emsp_peer.post(f"commands/{name}", command(name, response_url="http://10.0.0.1/r"))

    assert (200, 2001) == outcome(response)
    assert "response_url" in response.json()["status_message"]


@one_database
@pytest.mark.ocpi(185)
@pytest.mark.parametrize("name", ["RESERVE_NOW", "START_SESSION", "UNLOCK_CONNECTOR"])
@pytest.mark.parametrize("capabilities", [None, [], ["RFID_READER"]], ids=str)
def test_a_command_without_the_capability_of_the_evse_is_not_supported(
    cpo: Network, name: str, capabilities: list[str] | None
) -> None:
    evse = example("EVSE", capabilities=capabilities)
    cpo.operator().put("locations/NL/DEM/LOC1", example("Location", evses=[evse]))

    assert "NOT_SUPPORTED" == result_of(cpo.peer(), name, command(name))


@pytest.mark.ocpi(185)
@pytest.mark.parametrize("name", ["CANCEL_RESERVATION", "start_session", "X"])
def test_an_unknown_command_is_404(emsp_peer: Client, name: str) -> None:
    assert (404, 2000) == outcome(emsp_peer.post(f"commands/{name}", command("START_SESSION")))


@pytest.mark.ocpi(25, 186)
@pytest.mark.parametrize("name", ["RESERVE_NOW", "START_SESSION", "UNLOCK_CONNECTOR"])
def test_an_unknown_location_is_2003_and_rejected(emsp_peer: Client, name: str) -> None:
    response = emsp_peer.post(f"commands/{name}", command(name, location_id="NOWHERE"))

    assert (200, 2003) == outcome(response)
    assert {"result": "REJECTED"} == response.json()["data"]


@pytest.mark.ocpi(187)
def test_stopping_an_unknown_session_is_unknown_session(emsp_peer: Client) -> None:
    body = command("STOP_SESSION", session_id="never")

    assert "UNKNOWN_SESSION" == result_of(emsp_peer, "STOP_SESSION", body)


@one_database
@pytest.mark.ocpi(187)
def test_stopping_the_session_of_another_peers_driver_is_unknown_session(
    cpo: Network, emsp_peer: Client
) -> None:
    other = cpo.peer(("NL", "OTH"))
    before = emsp_peer.data("sessions/NL/DEM/101")

    assert "UNKNOWN_SESSION" == result_of(other, "STOP_SESSION", command("STOP_SESSION"))
    assert "UNKNOWN_SESSION" != result_of(emsp_peer, "STOP_SESSION", command("STOP_SESSION"))
    assert before == emsp_peer.data("sessions/NL/DEM/101")


def connected(emsp: Network, peer: PeerServer, party: tuple[str, str]) -> tuple[Client, PeerConnection]:
    """A CPO that is registered with *emsp*: its client for our API, and our connection to it."""
    details = Peer(
        party=party,
        versions_url=peer.versions_url,
        version="2.1.1",
        endpoints={"commands": f"{peer.url}/2.1.1/commands"},
        business_details={"name": "CPO"},
        token=peer.token,
    )
    with database.transaction() as connection:
        connection_id = connections.store(connection, emsp.id, details)
        token = access.mint(connection, access.PEER, emsp.id, connection_id)
    link = in_transaction(connections.of_party, emsp.id, party)
    assert link is not None
    client = emsp.node.client(token, "emsp")
    client.party, client.connection_id = party, connection_id
    return client, link


@pytest.fixture
def cpo_peer(emsp: Network, peer: PeerServer) -> tuple[Client, PeerConnection]:
    """A CPO that accepts every command."""
    operator = emsp.operator()
    assert 201 == operator.put("tokens/NL/DEP/012345678", example("Token")).status_code
    for name in COMMANDS:
        peer.answers[f"/2.1.1/commands/{name}"] = lambda _: (200, envelope({"result": "ACCEPTED"}))
    return connected(emsp, peer, ("NL", "TNM"))


def send_command(link: PeerConnection, name: str = "START_SESSION") -> str:
    """Send a command and return its uid."""
    request = getattr(gateway_models, f"Send{COMMANDS[name]}Request")
    body = example_of_gateway(request.__name__) | {"connection_id": str(link.id)}
    network = in_transaction(networks.get, link.network_id)
    uid: str = sent_commands.send(network, request.model_validate_json(json.dumps(body)))
    assert "ACCEPTED" == in_transaction(commands.get, link.network_id, uid).response
    return uid


@pytest.mark.ocpi(194)
@every_command
def test_a_result_is_accepted_and_may_be_repeated(cpo_peer: tuple[Client, PeerConnection], name: str) -> None:
    client, link = cpo_peer
    url = f"commands/{name}/{send_command(link, name)}"

    assert (200, 1000) == outcome(client.post(url, {"result": "ACCEPTED"}))
    assert (200, 1000) == outcome(client.post(url, {"result": "ACCEPTED"}))
    assert (200, 2001) == outcome(client.post(url, {"result": "REJECTED"}))
    assert (200, 1000) == outcome(client.post(url, {"result": "ACCEPTED"}))


@pytest.mark.ocpi(194)
def test_a_result_for_an_unknown_command_is_404(cpo_peer: tuple[Client, PeerConnection]) -> None:
    client, link = cpo_peer
    uid = send_command(link)

    for path in (f"START_SESSION/{uid[:-1]}", "START_SESSION/1", f"STOP_SESSION/{uid}", f"X/{uid}"):
        assert (404, 2000) == outcome(client.post(f"commands/{path}", {"result": "ACCEPTED"}))
    assert (200, 1000) == outcome(client.post(f"commands/START_SESSION/{uid}", {"result": "TIMEOUT"}))


@pytest.mark.ocpi(194)
@pytest.mark.parametrize("body", [{}, {"result": "MAYBE"}, "MAYBE", None, {"data": {}}, [], 1], ids=repr)
def test_a_result_of_an_unknown_shape_is_refused_and_not_recorded(
    cpo_peer: tuple[Client, PeerConnection], body: Any
) -> None:
    client, link = cpo_peer
    url = f"commands/START_SESSION/{send_command(link)}"

    assert (400, 2001) == outcome(client.request("POST", url, json=body))
    assert (200, 1000) == outcome(client.post(url, {"result": "REJECTED"}))


def assert_recorded(cpo_peer: tuple[Client, PeerConnection], body: Any, word: str) -> None:
    """Check that posting *body* as a result stores the result *word*."""
    client, link = cpo_peer
    url = f"commands/START_SESSION/{send_command(link)}"
    other = next(each for each in RESULTS if each != word)

    assert (200, 1000) == outcome(client.post(url, body))
    assert (200, 1000) == outcome(client.post(url, {"result": word}))
    assert (200, 2001) == outcome(client.post(url, {"result": other}))


@one_database
@pytest.mark.ocpi(195)
@pytest.mark.parametrize("word", RESULTS)
@pytest.mark.parametrize(
    "shape",
    [lambda word: {"result": word}, lambda word: envelope({"result": word}), lambda word: word],
    ids=["object", "envelope", "word"],
)
def test_a_result_is_read_in_each_of_three_shapes(
    cpo_peer: tuple[Client, PeerConnection], shape: Any, word: str
) -> None:
    assert_recorded(cpo_peer, shape(word), word)


@pytest.mark.ocpi(30, 195)
@pytest.mark.parametrize(
    "body",
    [
        {"result": "TIMEOUT", "data": None},
        {"result": "TIMEOUT", "data": {"more": 1}},
        {"result": "TIMEOUT", "data": "a text that is longer than any result"},
        {"result": "TIMEOUT", "data": []},
        {"result": None, "data": {"result": "TIMEOUT"}},
        {"data": {"result": "TIMEOUT", "data": None}},
    ],
    ids=str,
)
def test_members_outside_the_shape_of_a_result_are_ignored(
    cpo_peer: tuple[Client, PeerConnection], body: dict[str, Any]
) -> None:
    assert_recorded(cpo_peer, body, "TIMEOUT")


@one_database
@pytest.mark.ocpi(196)
@pytest.mark.parametrize("path", ["START_SESSION/{uid}", "{uid}", "START_SESSION"])
def test_a_result_from_another_party_is_404_and_not_recorded(
    emsp: Network, peer: PeerServer, cpo_peer: tuple[Client, PeerConnection], path: str
) -> None:
    client, link = cpo_peer
    stranger, _ = connected(emsp, peer, ("NL", "OTH"))
    uid = send_command(link)

    assert (404, 2000) == outcome(stranger.post(f"commands/{path.format(uid=uid)}", {"result": "REJECTED"}))
    assert (200, 1000) == outcome(client.post(f"commands/START_SESSION/{uid}", {"result": "ACCEPTED"}))


@pytest.mark.ocpi(194, 196)
def test_a_result_without_uid_belongs_to_the_only_open_command(
    cpo_peer: tuple[Client, PeerConnection],
) -> None:
    client, link = cpo_peer
    first = send_command(link)
    send_command(link, "STOP_SESSION")

    assert (200, 1000) == outcome(client.post("commands/START_SESSION", {"result": "ACCEPTED"}))
    assert (200, 2001) == outcome(client.post(f"commands/{first}", {"result": "REJECTED"}))
    assert (404, 2000) == outcome(client.post("commands/START_SESSION", {"result": "ACCEPTED"}))


@pytest.mark.ocpi(194, 196)
def test_a_result_without_uid_is_404_while_several_are_open(cpo_peer: tuple[Client, PeerConnection]) -> None:
    client, link = cpo_peer
    uids = [send_command(link), send_command(link)]

    assert (404, 2000) == outcome(client.post("commands/START_SESSION", {"result": "ACCEPTED"}))
    for uid in uids:
        assert (200, 1000) == outcome(client.post(f"commands/{uid}", {"result": "REJECTED"}))


@pytest.mark.ocpi(198)
@pytest.mark.parametrize("word", ["TIMEOUT", "REJECTED"])
def test_a_session_after_a_failed_start_is_accepted(
    cpo_peer: tuple[Client, PeerConnection], word: str
) -> None:
    client, link = cpo_peer
    client.post(f"commands/START_SESSION/{send_command(link)}", {"result": word})
    session = example("Session", status="ACTIVE", end_datetime=None)

    assert (201, 1000) == outcome(client.put(client.at("sessions", "101"), session))
    assert session == client.data(client.at("sessions", "101"))


@one_database
@pytest.mark.ocpi(199)
def test_every_response_url_is_unique_and_cannot_be_guessed(
    emsp: Network, peer: PeerServer, cpo_peer: tuple[Client, PeerConnection]
) -> None:
    _, link = cpo_peer
    uids = [send_command(link) for _ in range(20)]
    urls = [
        request["body"]["response_url"] for request in peer.requests("POST", "/2.1.1/commands/START_SESSION")
    ]
    base = f"{emsp.node.url}/ocpi/emsp/2.1.1/commands/START_SESSION/"

    assert [base + uid for uid in uids] == urls
    assert 20 == len(set(uids))
    assert all(len(uid) >= 22 for uid in uids)  # 128 bits in 64 characters
    assert 20 == len({uid[:8] for uid in uids}) == len({uid[-8:] for uid in uids})
    assert 255 >= max(map(len, urls))


@pytest.mark.ocpi(199)
def test_a_command_is_sent_with_the_token_of_the_peer(
    peer: PeerServer, cpo_peer: tuple[Client, PeerConnection]
) -> None:
    send_command(cpo_peer[1], "RESERVE_NOW")
    (request,) = peer.requests("POST", "/2.1.1/commands/RESERVE_NOW")

    assert f"Token {peer.token}" == request["authorization"]
    assert command("RESERVE_NOW").keys() - {"evse_uid"} == request["body"].keys()
