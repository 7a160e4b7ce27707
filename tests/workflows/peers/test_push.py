"""Changes of our objects arrive at registered peers. docs/architecture.md "A push"."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from examples import example
from nodes import Client, Gateway, Network, Node, in_transaction, one_database, outcome
from peers import PeerServer, Reply, envelope
from receivers import Receiver, until

from errors import PeerUnusable
from storage import connections, networks, timestamps
from storage.outbox import Part
from workflows.peers import push, registration
from workflows.peers.push import Delivery, PacedClient


@pytest.fixture
def receiver(cpo: Network) -> Iterator[Receiver]:
    """An eMSP that is registered at the network `cpo`."""
    with Receiver(cpo) as server:
        yield server


@pytest.fixture
def office(cpo: Network) -> Client:
    """The back office of the network `cpo`."""
    return cpo.operator()


def arrives(receiver: Client, path: str, expected: Any) -> None:
    """Wait until *receiver* reads *expected* at *path*."""
    until(lambda: (response := receiver.get(path)).ok and response.json().get("data") == expected)


@pytest.mark.ocpi(145)
def test_each_kind_of_object_arrives_at_the_other_side(node: Node) -> None:
    cpo, emsp = node.network("CPO", ("NL", "DEM")), node.network("EMSP", ("NL", "DEP"))
    registration.join(emsp.network, cpo.versions_url, cpo.token_a())
    charging, driving = cpo.operator(), emsp.operator()
    driving.party = ("NL", "DEP")

    token = example("Token", uid="T1", auth_id="A1", valid=True)
    assert (201, 1000) == outcome(driving.put(driving.at("tokens", "T1"), token))
    arrives(charging, "tokens/NL/DEP/T1", token)
    for module, schema in (("locations", "Location"), ("tariffs", "Tariff"), ("sessions", "Session")):
        body = example(schema, id="ONE", **({"auth_id": "A1"} if module == "sessions" else {}))
        assert (201, 1000) == outcome(charging.put(charging.at(module, "ONE"), body))
        arrives(driving, f"{module}/NL/DEM/ONE", body)
    cdr = example("CDR", id="ONE", auth_id="A1")
    assert (201, 1000) == outcome(charging.post("cdrs", cdr))
    arrives(driving, "cdrs/NL/DEM/ONE", cdr)

    for change in ({"kwh": 7.5}, {"kwh": 8}):
        later = {**change, "last_updated": f"2030-01-01T00:00:0{int(change['kwh'])}Z"}
        assert (200, 1000) == outcome(charging.patch(charging.at("sessions", "ONE"), later))
        until(lambda later=later: later.items() <= driving.data("sessions/NL/DEM/ONE").items())
    assert (200, 1000) == outcome(driving.patch("tokens/NL/DEP/T1", {"valid": False}))
    until(lambda: charging.data("tokens/NL/DEP/T1")["valid"] is False)
    assert (200, 1000) == outcome(charging.delete("tariffs/NL/DEM/ONE"))
    until(lambda: driving.get("tariffs/NL/DEM/ONE").status_code == 404)


def put_token(receiver: Receiver) -> None:
    """The token of the sessions and CDRs with the `auth_id` A1 belongs to *receiver*."""
    token = example("Token", uid="T1", auth_id="A1")
    assert (201, 1000) == outcome(receiver.client.put("tokens/NL/TNM/T1", token))


LATER = "2030-01-01T00:00:00Z"


@one_database
@pytest.mark.ocpi(145)
def test_a_changed_session_is_sent_as_patch_with_the_changed_members(
    office: Client, receiver: Receiver
) -> None:
    put_token(receiver)
    session = example("Session", id="S1", auth_id="A1", meter_id="M1")
    office.put("sessions/NL/DEM/S1", session)
    assert [("PUT", "sessions/NL/DEM/S1", session)] == receiver.next()

    change = {"kwh": 99, "meter_id": None, "last_updated": LATER}
    office.patch("sessions/NL/DEM/S1", change)
    assert [("PATCH", "sessions/NL/DEM/S1", change)] == receiver.next()


@one_database
def test_a_change_of_one_evse_is_sent_to_the_url_of_the_evse(office: Client, receiver: Receiver) -> None:
    location = example("Location", id="L1")
    office.put("locations/NL/DEM/L1", location)
    receiver.next()
    change = {"status": "CHARGING", "last_updated": LATER}
    evse = {"uid": location["evses"][0]["uid"], **change}
    assert (200, 1000) == outcome(
        office.patch("locations/NL/DEM/L1", {"evses": [evse], "last_updated": LATER})
    )
    assert [("PATCH", f"locations/NL/DEM/L1/{evse['uid']}", change)] == receiver.next()


@one_database
def test_a_location_that_is_no_longer_public_is_sent_with_its_evses_removed(
    gateway: Gateway, node: Node
) -> None:
    accepted = gateway.ready(overrides={"locations": 1})
    network = Network(node, in_transaction(networks.get, int(accepted["cpo_id"])))
    locations_path = f"/ocpi/cpos/{accepted['cpo_id']}/locations"
    location, _ = gateway.data(locations_path)["data"]
    with Receiver(network) as receiver:
        gateway.patch(f"{locations_path}/{location['id']}", {"public": False})
        [(method, path, body)] = receiver.next()
        assert ("PUT", f"locations/FR/{accepted['party']['party_id']}/{location['id']}") == (method, path)
        assert {"REMOVED"} == {evse["status"] for evse in body["evses"]}

        gateway.patch(f"{locations_path}/{location['id']}", {"name": "Nobody sees it"})
        gateway.patch(f"{locations_path}/{location['id']}", {"public": True})
        [(method, _, body)] = receiver.next()
        assert ("PUT", "Nobody sees it") == (method, body["name"])
        assert "REMOVED" not in {evse["status"] for evse in body["evses"]}


@one_database
def test_sessions_and_cdrs_go_to_the_party_of_their_token_alone(cpo: Network, office: Client) -> None:
    with Receiver(cpo) as receiver, Receiver(cpo, ("BE", "OTH")) as other:
        put_token(receiver)
        office.put("sessions/NL/DEM/S1", example("Session", id="S1", auth_id="A1"))
        office.post("cdrs", example("CDR", id="C1", auth_id="A1"))
        office.post("cdrs", example("CDR", id="C2", auth_id="SOMEBODY"))
        office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1"))
        assert {"sessions/NL/DEM/S1", "cdrs", "tariffs/NL/DEM/T1"} == {
            path for _, path, _ in receiver.next(3)
        }
        assert ["tariffs/NL/DEM/T1"] == [path for _, path, _ in other.next()]


@one_database
def test_a_deleted_tariff_is_deleted_at_the_peer_and_404_counts_as_delivered(
    office: Client, receiver: Receiver
) -> None:
    office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1"))
    receiver.next()
    receiver.reply = lambda _: (404, envelope(status_code=2000))
    office.delete("tariffs/NL/DEM/T1")
    assert [("DELETE", "tariffs/NL/DEM/T1", None)] == receiver.next()


@one_database
@pytest.mark.ocpi(205)
@pytest.mark.parametrize("refusal", [(404, 2000), (405, 2000), (400, 2001), (200, 2001)], ids=str)
def test_a_refused_patch_is_followed_by_a_put_of_the_whole_object(
    office: Client, receiver: Receiver, refusal: tuple[int, int]
) -> None:
    tariff = example("Tariff", id="T1")
    office.put("tariffs/NL/DEM/T1", tariff)
    receiver.next()
    http_status, status_code = refusal
    receiver.reply = lambda request: (
        (http_status, envelope(status_code=status_code))
        if request["method"] == "PATCH"
        else (200, envelope())
    )
    changed = {**tariff, "currency": "CHF", "last_updated": LATER}
    assert (200, 1000) == outcome(office.put("tariffs/NL/DEM/T1", changed))
    [patch, put] = receiver.next(2)
    assert ("PATCH", "tariffs/NL/DEM/T1", {"currency": "CHF", "last_updated": LATER}) == patch
    assert ("PUT", "tariffs/NL/DEM/T1", changed) == put


@one_database
def test_a_push_stops_between_two_calls_when_its_registration_ends(cpo: Network, receiver: Receiver) -> None:
    peer = in_transaction(connections.of_id, receiver.connection_id)
    parts = [Part("PATCH", (uid,), "{}") for uid in ("1", "2")]
    url = f"{receiver.url}/2.1.1/locations/NL/DEM/L1"
    delivery = Delivery(peer, cpo.network.party, "locations", ["L1"], url, parts, "{}")

    def unregister(_: dict[str, Any]) -> Reply:
        assert receiver.client.delete("credentials").ok
        return 200, envelope()

    receiver.reply = unregister
    with closing(PacedClient()) as paced, pytest.raises(PeerUnusable, match="during the push"):
        push._send(delivery, paced)

    assert [("PATCH", "locations/NL/DEM/L1/1", {})] == receiver.pushes


@one_database
def test_a_refusal_parks_its_object_until_the_next_change(office: Client, receiver: Receiver) -> None:
    receiver.reply = lambda request: (
        (200, envelope(status_code=2000)) if "/T1" in request["path"] else (200, envelope())
    )
    for name in ("T1", "T2"):
        office.put(f"tariffs/NL/DEM/{name}", example("Tariff", id=name))
    until(lambda: [True] == [entry.parked for entry in receiver.behind])
    assert ["HTTP 200, status_code 2000: ok"] == [entry.answer for entry in receiver.behind]

    receiver.reply = lambda _: (200, envelope())
    office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1", currency="CHF", last_updated=LATER))
    until(lambda: not receiver.behind)
    assert "PUT" == receiver.pushes[-1][0]  # the peer has never taken it


@one_database
@pytest.mark.ocpi(200)
def test_after_an_outage_a_peer_gets_the_current_state_and_each_cdr(
    office: Client, receiver: Receiver
) -> None:
    put_token(receiver)
    location = example("Location", id="L1")
    office.put("locations/NL/DEM/L1", location)
    receiver.next()
    receiver.reply = lambda _: (503, envelope(status_code=3000))
    uid = location["evses"][0]["uid"]
    for second, status in enumerate(("CHARGING", "AVAILABLE")):
        evse = {"uid": uid, "status": status, "last_updated": f"2030-01-01T00:00:0{second}Z"}
        office.patch("locations/NL/DEM/L1", {"evses": [evse], "last_updated": evse["last_updated"]})
    for name in ("C1", "C2"):
        office.post("cdrs", example("CDR", id=name, auth_id="A1"))
    until(lambda: len(receiver.seen) > 0)

    receiver.seen.clear()
    receiver.reply = lambda _: (200, envelope())
    pushes = receiver.next(3)
    assert ["C1", "C2"] == sorted({body["id"] for method, _, body in pushes if method == "POST"})
    assert {"AVAILABLE"} == {body["status"] for method, _, body in pushes if method == "PATCH"}


@one_database
def test_a_peer_that_asks_for_time_gets_it(office: Client, receiver: Receiver) -> None:
    receiver.reply = lambda _: (429, envelope(status_code=2000), {"Retry-After": "3600"})
    office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1"))
    until(lambda: receiver.lane.failures == 1)
    assert 3_500_000 < receiver.lane.not_before - timestamps.now_ms() <= 3_600_000
    assert 1 == len(receiver.seen)


@one_database
@pytest.mark.ocpi(204)
def test_a_push_whose_answer_is_lost_is_sent_again(office: Client, receiver: Receiver) -> None:
    answers: list[Reply] = [(200, b"not the whole ans"), (200, envelope())]
    receiver.reply = lambda _: answers.pop(0)
    office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1"))
    first, second = receiver.next(2)
    assert first == second


@one_database
@pytest.mark.ocpi(206)
def test_a_redirect_is_not_followed_and_no_other_host_sees_a_token(
    office: Client, receiver: Receiver, peer: PeerServer
) -> None:
    receiver.reply = lambda _: (307, envelope(), {"Location": f"{peer.url}/elsewhere"})
    office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1"))
    until(lambda: receiver.lane.failures > 0)
    assert [] == peer.seen
    assert "HTTP 307" in str(receiver.behind[0].answer)


@one_database
@pytest.mark.ocpi(201)
def test_a_peer_without_push_gets_everything_by_get(cpo: Network, office: Client, receiver: Receiver) -> None:
    in_transaction(connections.change, cpo.id, receiver.connection_id, {"push": False})
    put_token(receiver)
    office.put("locations/NL/DEM/ONE", example("Location", id="ONE"))
    office.put("tariffs/NL/DEM/ONE", example("Tariff", id="ONE"))
    office.put("sessions/NL/DEM/ONE", example("Session", id="ONE", auth_id="A1"))
    office.post("cdrs", example("CDR", id="ONE", auth_id="A1"))
    assert [] == receiver.behind
    for module in ("locations", "tariffs", "sessions", "cdrs"):
        assert ["ONE"] == [each["id"] for each in receiver.client.data(module)]


@pytest.mark.parametrize("end", ["unregister", "register again"])
def test_the_end_of_a_registration_deletes_what_is_behind(
    cpo: Network, office: Client, peer: PeerServer, end: str
) -> None:
    with Receiver(cpo, peer.party) as receiver:
        receiver.reply = lambda _: (503, envelope(status_code=3000))
        office.put("tariffs/NL/DEM/T1", example("Tariff", id="T1"))
        until(lambda: receiver.lane.failures > 0)
        if end == "unregister":
            assert (200, 1000) == outcome(receiver.client.delete("credentials"))
        else:
            assert (200, 1000) == outcome(cpo.registrant().post("credentials", peer.credentials()))
        assert [] == receiver.behind
        assert 0 == receiver.lane.failures
