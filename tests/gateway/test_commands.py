"""Commands that an eMSP network sends, and their records. docs/gateway.md "Commands"."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from examples import example
from gateway_orders import example as example_of_gateway
from nodes import Client, Gateway, Network, Node, in_transaction, one_database, outcome, refusal, switch_to
from peers import PeerServer, Reply, envelope
from receivers import until

from storage import connections, database, networks
from storage.commands import CommandRow

REQUESTS = {
    "RESERVE_NOW": "SendReserveNowRequest",
    "START_SESSION": "SendStartSessionRequest",
    "STOP_SESSION": "SendStopSessionRequest",
    "UNLOCK_CONNECTOR": "SendUnlockConnectorRequest",
}
TOKEN = example("Token")


class Sender:
    """An eMSP network with one token, and a CPO that is registered with it."""

    def __init__(self, gateway: Gateway, peer: PeerServer) -> None:
        self.gateway = gateway
        self.peer = peer
        row = in_transaction(networks.create, gateway.organization_id, "EMSP", ("NL", "DEP"), "Drivers")
        self.network = Network(gateway.node, row)
        self.cpo = self.connect(peer.party)
        self.url = f"/ocpi/cpos/{row.id}/commands"
        operator = self.network.operator()
        assert (201, 1000) == outcome(operator.put("tokens/NL/DEP/012345678", TOKEN))
        self.answer({"result": "ACCEPTED"})

    def connect(self, party: tuple[str, str], module: str = "commands") -> Client:
        """A CPO that offers one module at the peer's URL."""
        return self.network.peer(party, self.peer.versions_url, {module: f"{self.peer.url}/{module}"})

    def answer(self, data: Any, status_code: int = 1000) -> None:
        """Let the CPO answer every command so."""
        self.peer.default = (200, envelope(data, status_code))

    def body(self, name: str, **changes: Any) -> dict[str, Any]:
        """The example of a request, over the connection with the CPO."""
        return {**example_of_gateway(REQUESTS[name]), "connection_id": str(self.cpo.connection_id), **changes}

    def send(self, name: str = "START_SESSION", **changes: Any) -> Any:
        """The record of a new command."""
        response = self.gateway.post(f"{self.url}/{name}", self.body(name, **changes))
        assert 201 == response.status_code, response.text
        return response.json()

    def record(self, sent: Any) -> Any:
        """The record of a command, as it is now."""
        return self.gateway.data(f"{self.url}/{sent['uid']}")

    def conclude(self, sent: Any, result: str) -> tuple[int, int]:
        """Let the CPO post a result; returns the statuses of our answer."""
        return outcome(self.cpo.post(f"commands/{sent['command']}/{sent['uid']}", {"result": result}))


@pytest.fixture
def sender(gateway: Gateway, peer: PeerServer) -> Sender:
    return Sender(gateway, peer)


def age(sent: Any, seconds: int) -> None:
    """Let a command have been sent *seconds* earlier."""
    table = database.table(CommandRow)
    earlier = sqlalchemy.update(table).where(table.c.uid == sent["uid"])
    with database.transaction() as transaction:
        transaction.execute(earlier.values(created_at=table.c.created_at - seconds * 1000))


def push_session(sender: Sender, session_id: str, **changes: Any) -> None:
    """Let the CPO push a session of the token at LOC1."""
    session = example("Session", id=session_id, auth_id=TOKEN["auth_id"], status="ACTIVE", end_datetime=None)
    sent = sender.cpo.put(sender.cpo.at("sessions", session_id), session | changes)
    assert (201, 1000) == outcome(sent)


@pytest.mark.ocpi(197)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_command_is_sent_and_its_record_gets_response_and_result(sender: Sender, name: str) -> None:
    sent = sender.send(name)

    [request] = sender.peer.requests("POST", f"/commands/{name}")
    assert request["body"] == sent["request"]
    assert request["body"]["response_url"].endswith(f"/ocpi/emsp/2.1.1/commands/{name}/{sent['uid']}")
    assert f"Token {'b' * 40}" == request["authorization"]
    if name in ("RESERVE_NOW", "START_SESSION"):
        assert TOKEN == request["body"]["token"]
    assert ("sent", "PENDING", "ACCEPTED", "ok") == tuple(
        sent[key] for key in ("direction", "status", "response", "reason")
    )

    assert (200, 1000) == sender.conclude(sent, "TIMEOUT")
    done = sender.record(sent)
    assert ("DONE", "TIMEOUT", False) == (done["status"], done["result"], done["late"])


@pytest.mark.ocpi(197)
def test_only_a_help_desk_may_unlock_a_connector(sender: Sender) -> None:
    url, body = f"{sender.url}/UNLOCK_CONNECTOR", sender.body("UNLOCK_CONNECTOR", help_desk=False)

    assert (409, "UNLOCK_CONNECTOR is for a help desk only; confirm with help_desk: true.") == refusal(
        sender.gateway.post(url, body)
    )
    del body["help_desk"]
    assert 422 == refusal(sender.gateway.post(url, body))[0]
    assert [] == sender.peer.seen
    assert 0 == sender.gateway.data(sender.url)["total"]


def test_a_command_times_out_without_a_result_and_a_late_one_is_kept(sender: Sender) -> None:
    """COMMAND_TIMEOUT_SECONDS is 30; a result has 30 more seconds to come."""
    sent = sender.send()
    age(sent, 50)
    assert "PENDING" == sender.record(sent)["status"]
    age(sent, 11)
    timed_out = sender.record(sent)
    assert ("TIMED_OUT", False, None) == (timed_out["status"], timed_out["late"], timed_out.get("result"))
    assert (404, 2000) == outcome(sender.cpo.post("commands/START_SESSION", {"result": "ACCEPTED"}))

    assert (200, 1000) == sender.conclude(sent, "ACCEPTED")
    assert (200, 1000) == sender.conclude(sent, "ACCEPTED")
    assert (200, 2001) == sender.conclude(sent, "REJECTED")
    done = sender.record(sent)
    assert ("DONE", "ACCEPTED", True) == (done["status"], done["result"], done["late"])


@pytest.mark.ocpi(198)
@pytest.mark.parametrize("result", ["ACCEPTED", "TIMEOUT", "REJECTED", None])
def test_the_first_session_after_a_start_is_that_of_the_command(sender: Sender, result: str | None) -> None:
    push_session(sender, "EARLIER")
    sent = sender.send(evse_uid="3256")
    if result is not None:
        assert (200, 1000) == sender.conclude(sent, result)
    other = example("Location", id="LOC2")
    push_session(sender, "OTHER-TOKEN", auth_id="NL-TNM-OTHER")
    push_session(sender, "OTHER-LOCATION", location=other)
    push_session(sender, "OTHER-EVSE", location=example("Location", evses=[example("EVSE", uid="9")]))
    assert sender.record(sent).get("session_id") is None

    push_session(sender, "101")
    push_session(sender, "102")
    assert "101" == sender.record(sent)["session_id"]
    assert "101" == sender.send("STOP_SESSION", session_id="101")["session_id"]


@one_database
def test_a_session_of_another_cpo_is_not_that_of_the_command(sender: Sender) -> None:
    sent = sender.send()
    sender.cpo = sender.connect(("NL", "OTH"))

    push_session(sender, "101")
    assert sender.record(sent).get("session_id") is None


@one_database
@pytest.mark.parametrize(
    ("data", "status_code", "expected"),
    [
        ({"result": "NOT_SUPPORTED"}, 1000, ("REFUSED", "NOT_SUPPORTED", "ok")),
        ({"result": "REJECTED"}, 2003, ("REFUSED", "REJECTED", "ok")),
        (None, 2001, ("REFUSED", "REJECTED", "2001: ok")),
        ("ACCEPTED", 1000, ("PENDING", "ACCEPTED", "ok")),
        ({"result": "MAYBE"}, 1000, ("PENDING", None, "the answer has no result")),
    ],
)
def test_the_direct_response_is_recorded(
    sender: Sender, data: Any, status_code: int, expected: tuple[str, str | None, str]
) -> None:
    sender.answer(data, status_code)

    sent = sender.send()
    assert expected == (sent["status"], sent.get("response"), sent["reason"])


@one_database
def test_a_command_without_an_answer_stays_open_for_its_result(sender: Sender) -> None:
    sender.peer.default = (500, envelope())

    sent = sender.send()
    assert ("PENDING", None, "HTTP 500") == (sent["status"], sent.get("response"), sent["reason"])
    assert (200, 1000) == sender.conclude(sent, "ACCEPTED")
    assert "DONE" == sender.record(sent)["status"]


def test_a_command_that_cannot_be_sent_is_refused_and_not_recorded(sender: Sender, gateway: Gateway) -> None:
    silent = sender.connect(("NL", "SIL"), module="tokens")
    stranger = Sender(gateway.node.gateway(), sender.peer)
    row = in_transaction(networks.create, gateway.organization_id, "CPO", ("NL", "CPO"), "Points")
    cpo = Network(gateway.node, row)

    def refused(url: str, **changes: Any) -> tuple[int, Any]:
        return refusal(gateway.post(f"{url}/START_SESSION", sender.body("START_SESSION", **changes)))

    nowhere = (404, "There is no such object, or it is not yours.")
    assert nowhere == refused(sender.url, connection_id="999999999999")
    assert nowhere == refused(sender.url, connection_id=str(stranger.cpo.connection_id))
    assert nowhere == refused(stranger.url)
    assert (404, "token_uid: the network has no token 1.") == refused(sender.url, token_uid="1")
    assert 404 == refused(sender.url, token_type="OTHER")[0]
    assert (404, "A CPO network sends no commands.") == refused(f"/ocpi/cpos/{cpo.id}/commands")
    assert (409, "NL/SIL offers no commands.") == refused(sender.url, connection_id=str(silent.connection_id))
    in_transaction(connections.end, sender.cpo.connection_id)
    assert (409, "NL/TNM is not registered.") == refused(sender.url)
    assert [] == sender.peer.seen
    assert [0, 0] == [each.gateway.data(each.url)["total"] for each in (sender, stranger)]


def test_requests_that_call_peers_leave_a_thread_for_others(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    other = another_node(demo="0", threads="2")
    called, released = threading.Event(), threading.Event()

    def hold(_: dict[str, Any]) -> Reply:
        called.set()
        released.wait(20)
        return 200, envelope({"result": "ACCEPTED"})

    with switch_to(other.environment):
        sender = Sender(other.gateway(), peer)
        peer.answers["/commands/START_SESSION"] = hold
        first = threading.Thread(target=sender.send)
        first.start()
        try:
            assert called.wait(20)
            response = sender.gateway.post(f"{sender.url}/STOP_SESSION", sender.body("STOP_SESSION"))
        finally:
            released.set()
            first.join()
        assert (429, "Too many requests are calling peers; try again.") == refusal(response)
        assert "1" == response.headers["Retry-After"]
        assert "PENDING" == sender.send("STOP_SESSION")["status"]
        assert 2 == sender.gateway.data(sender.url)["total"]


def test_commands_are_listed_in_pages_by_direction_and_connection(sender: Sender) -> None:
    sent = [sender.send(name)["uid"] for name in REQUESTS]
    first_connection = str(sender.cpo.connection_id)
    sender.cpo = sender.connect(("NL", "OTH"))
    sent.append(sender.send()["uid"])

    def listed(**params: Any) -> list[str]:
        return [each["uid"] for each in sender.gateway.data(sender.url, **params)["data"]]

    assert sorted(sent) == sorted(listed()) == sorted(listed(direction="sent"))
    assert listed() == [*listed(limit=3), *listed(limit=3, page=2)]
    assert [] == listed(direction="received") == listed(page=2)
    assert sent[-1:] == listed(connection_id=sender.cpo.connection_id)
    assert 4 == sender.gateway.data(sender.url, connection_id=first_connection)["total"]


def test_a_command_that_a_network_received_has_a_record(gateway: Gateway) -> None:
    row = in_transaction(networks.create, gateway.organization_id, "CPO", ("NL", "DEM"), "Points")
    network = Network(gateway.node, row)
    emsp = network.peer()
    body = example("StopSession", response_url="http://127.0.0.1:9999/result")
    assert (200, 1000) == outcome(emsp.post("commands/STOP_SESSION", body))

    [received] = gateway.data(f"/ocpi/cpos/{row.id}/commands", direction="received")["data"]
    assert body == received["request"]
    assert ("STOP_SESSION", "REFUSED", "UNKNOWN_SESSION") == (
        received["command"], received["status"], received["response"]
    )  # fmt: skip
    assert received == gateway.data(f"/ocpi/cpos/{row.id}/commands/{received['uid']}")


@one_database
@pytest.mark.ocpi(188, 193)
def test_two_networks_of_the_program_charge_together(gateway: Gateway) -> None:
    """From START_SESSION to the result of STOP_SESSION, without naming an EVSE."""
    points = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
    drivers = gateway.ready(template="emsp-drivers", role="emsp", party_id="DRV")
    urls = [each["destroy_url"] for each in (points, drivers)]
    invitation = {"versions_url": points["ocpi_peer_url"], "token": points["token_a"]}
    job = gateway.create(f"{urls[1]}/connections", **invitation)
    assert "READY" == gateway.wait_until_ready(job["status_url"])["status"]
    [connection] = gateway.data(f"{urls[1]}/connections")["data"]
    token = gateway.data(f"{urls[1]}/tokens")["data"][0]["object"]
    location_id = gateway.data(f"{urls[0]}/locations")["data"][0]["id"]
    pushed = {"module": "tokens", "id": token["uid"]}
    push = gateway.create(f"{urls[1]}/connections/{connection['connection_id']}/push", **pushed)
    assert "READY" == gateway.wait_until_ready(push["status_url"])["status"]
    until(lambda: gateway.data(f"{urls[0]}/tokens")["total"])

    def carried_out(name: str, **body: Any) -> Any:
        body["connection_id"] = connection["connection_id"]
        response = gateway.post(f"{urls[1]}/commands/{name}", body)
        assert (201, "ACCEPTED") == (response.status_code, response.json()["response"]), response.text
        url = f"{urls[1]}/commands/{response.json()['uid']}"
        until(lambda: (record := gateway.data(url))["status"] == "DONE" and record.get("session_id"))
        record = gateway.data(url)
        assert ("ACCEPTED", False) == (record["result"], record["late"])
        return record

    started = carried_out("START_SESSION", location_id=location_id, token_uid=token["uid"])
    session_id = started["session_id"]
    received = f"{urls[1]}/sessions/{session_id}"
    assert "ACTIVE" == gateway.data(received)["object"]["status"]
    carried_out("STOP_SESSION", session_id=session_id)
    until(lambda: gateway.data(received)["object"]["status"] == "COMPLETED")
    until(lambda: gateway.data(f"{urls[1]}/cdrs")["total"])
