"""Hubs send the objects of many owners. docs/gateway.md "Parties of a connection"."""

from collections.abc import Iterator
from typing import Any

import pytest
from crashable_node import until
from examples import example
from nodes import Client, Gateway, Network, Party, in_transaction, one_database, outcome, refusal
from peers import PeerServer

from storage import connections, networks

HUB = ("DE", "HUB")
OWNERS = [("NL", "ABC"), ("BE", "DEF"), ("FR", "GHI")]
FOURTH, OUTSIDE = ("NL", "FOU"), ("NL", "OUT")


@pytest.fixture
def hub_server() -> Iterator[PeerServer]:
    """The server of the hub."""
    with PeerServer(HUB) as server:
        yield server


def network_of(gateway: Gateway, role: str) -> Network:
    """A new network of the gateway's organization."""
    found = in_transaction(networks.create, gateway.organization_id, role, ("NL", "OWN"), "Test")
    return Network(gateway.node, found)


def hub_of(gateway: Gateway, network: Network, parties: Any, peer: PeerServer | None = None) -> Client:
    """A hub that has registered at *network*, whose connection gets *parties*."""
    if peer is None:
        client = network.peer(HUB)
    else:
        answer = network.registrant().post("credentials", peer.credentials())
        client = network.node.client(answer.json()["data"]["token"], network.role)
        client.connection_id = in_transaction(connections.of_party, network.id, peer.party).id
    response = assign(gateway, network, client, parties)
    assert 200 == response.status_code, response.text
    client.party = HUB
    return client


def assign(gateway: Gateway, network: Network, client: Client, parties: Any) -> Any:
    """The response to a change of the parties of a connection."""
    named = parties if parties == "any" else [named_party(each) for each in parties]
    return gateway.patch(f"/ocpi/cpos/{network.id}/connections/{client.connection_id}", {"parties": named})


def named_party(party: Party) -> dict[str, str]:
    """A party as the gateway names it."""
    return {"country_code": party[0], "party_id": party[1]}


def writes(client: Client, party: Party) -> tuple[int, int]:
    """The outcome of a PUT of a tariff under *party*."""
    return outcome(client.put(client.at("tariffs", "12", party=party), example("Tariff")))


def cdr_of(party: Party, **changes: Any) -> dict[str, Any]:
    """A CDR that names its owner as OCPI 2.2 does."""
    return example("CDR", id=f"CDR-{party[1]}", country_code=party[0], party_id=party[1], **changes)


@pytest.mark.ocpi(107)
def test_a_hub_pushes_objects_of_three_parties_and_reads_them_back(
    gateway: Gateway, hub_server: PeerServer
) -> None:
    network = network_of(gateway, "EMSP")
    hub = hub_of(gateway, network, OWNERS, hub_server)
    stranger = network.peer(("NL", "TNM"))

    for party in OWNERS:
        location, session = example("Location"), example("Session", status="ACTIVE")
        assert (201, 1000) == outcome(hub.put(hub.at("locations", location["id"], party=party), location))
        evse = hub.at("locations", location["id"], location["evses"][0]["uid"], party=party)
        assert (200, 1000) == outcome(hub.patch(evse, {"status": "CHARGING"}))
        assert (201, 1000) == outcome(hub.put(hub.at("sessions", session["id"], party=party), session))
        posted = hub.post("cdrs", cdr_of(party))
        assert (201, 1000) == outcome(posted)
        url = posted.headers["Location"]
        assert url.endswith("/".join(("cdrs", *party, f"CDR-{party[1]}")))
        assert f"CDR-{party[1]}" == hub.data(url)["id"]
        assert "CHARGING" == hub.data(evse)["status"]
        assert 404 == stranger.get(evse).status_code

    for module in ("locations", "sessions", "cdrs"):
        assert 3 == len(hub.data(module)) == len(network.operator().data(module))
        assert [] == stranger.data(module)
    assert (404, 2000) == writes(hub, OUTSIDE)
    assert (404, 2000) == outcome(hub.get(hub.at("locations", "LOC1", party=OUTSIDE)))
    assert (200, 2001) == outcome(hub.post("cdrs", cdr_of(OUTSIDE)))
    assert 3 == len(network.operator().data("cdrs"))


@pytest.mark.ocpi(99, 107)
def test_the_sessions_of_a_token_of_another_party_go_to_its_hub(
    gateway: Gateway, hub_server: PeerServer
) -> None:
    network = network_of(gateway, "CPO")
    hub, stranger = hub_of(gateway, network, [FOURTH], hub_server), network.peer(("NL", "TNM"))
    token = example("Token", auth_id="NL-FOU-1")
    assert (201, 1000) == outcome(hub.put(hub.at("tokens", token["uid"], party=FOURTH), token))

    operator = network.operator()
    session, cdr = example("Session", auth_id="NL-FOU-1"), example("CDR", auth_id="NL-FOU-1")
    operator.put(operator.at("sessions", session["id"], party=network.network.party), session)
    operator.post("cdrs", cdr)

    assert [token["uid"]] == [each["uid"] for each in hub.data("tokens")]
    for module, body in (("sessions", session), ("cdrs", cdr)):
        url = hub.at(module, body["id"], party=network.network.party)
        assert [body["id"]] == [each["id"] for each in hub.data(module)]
        assert (200, 404) == (hub.get(url).status_code, stranger.get(url).status_code)
        assert [] == stranger.data(module)
    until(lambda: hub_server.requests("PUT", f"/2.1.1/sessions/NL/OWN/{session['id']}"))


@one_database
def test_a_cdr_without_a_party_belongs_to_the_operator_of_its_evse(gateway: Gateway) -> None:
    network = network_of(gateway, "EMSP")
    hub = hub_of(gateway, network, [("NL", "ABC")])
    owners = {"NL*ABC*E1": "NL/ABC", "nlabce1": "NL/ABC", "NL*XYZ*E1": "DE/HUB", None: "DE/HUB"}

    for number, (evse_id, owner) in enumerate(owners.items()):
        cdr = example("CDR", id=f"C{number}")
        cdr["location"]["evses"][0] |= {"evse_id": evse_id}
        posted = hub.post("cdrs", cdr)
        assert 201 == posted.status_code, posted.text
        assert f"/cdrs/{owner}/" in posted.headers["Location"]


@one_database
def test_a_driver_may_charge_at_a_location_of_a_party_of_the_hub(gateway: Gateway) -> None:
    network = network_of(gateway, "EMSP")
    hub, operator = hub_of(gateway, network, OWNERS), network.operator()
    token, location = example("Token"), example("Location")
    operator.put(operator.at("tokens", token["uid"], party=network.network.party), token)
    hub.put(hub.at("locations", location["id"], party=OWNERS[1]), location)

    answer = hub.post(f"tokens/{token['uid']}/authorize", {"location_id": location["id"]})

    assert "ALLOWED" == answer.json()["data"]["allowed"]


def test_an_owner_belongs_to_one_connection(gateway: Gateway) -> None:
    network = network_of(gateway, "EMSP")
    hub, other = hub_of(gateway, network, OWNERS), network.peer(("NL", "TNM"))
    own = network.network.party

    taken = refusal(assign(gateway, network, other, [("BE", "NEW"), OWNERS[0]]))
    assert (409, "parties: NL/ABC belongs to the connection with DE/HUB") == taken
    taken = refusal(assign(gateway, network, other, [HUB]))
    assert (409, "parties: DE/HUB belongs to the connection with DE/HUB") == taken
    assert (409, "parties: NL/OWN is the party of this network") == refusal(
        assign(gateway, network, other, [own])
    )

    listed = gateway.data(f"/ocpi/cpos/{network.id}/connections/{other.connection_id}")["parties"]
    assert [named_party(("NL", "TNM"))] == listed
    assert (404, 2000) == writes(other, ("BE", "NEW"))
    assert 200 == assign(gateway, network, hub, []).status_code
    assert 200 == assign(gateway, network, other, OWNERS).status_code
    assert [(404, 2000), (201, 1000)] == [writes(client, OWNERS[0]) for client in (hub, other)]


def test_the_first_connection_for_any_party_that_writes_keeps_the_owner(gateway: Gateway) -> None:
    network = network_of(gateway, "EMSP")
    first, second = hub_of(gateway, network, "any"), network.peer(("BE", "ANY"))
    assign(gateway, network, second, "any")
    lister, own = network.peer(("NL", "TNM")), network.network.party

    invalid = first.put(first.at("tariffs", "12", party=OUTSIDE), example("Tariff", id="13"))
    assert (200, 2001) == outcome(invalid)
    assert (201, 1000) == writes(second, OUTSIDE)
    assert [(404, 2000)] * 3 == [writes(first, party) for party in (OUTSIDE, own, ("NL", "TNM"))]
    assert [] == first.data("tariffs")
    assert 1 == len(second.data("tariffs"))

    assert 200 == assign(gateway, network, lister, [OUTSIDE]).status_code

    assert [(404, 2000), (200, 1000)] == [writes(client, OUTSIDE) for client in (second, lister)]
    assert [0, 1] == [len(client.data("tariffs")) for client in (second, lister)]


def test_a_party_that_registers_gets_its_own_objects(gateway: Gateway) -> None:
    """Whoever wrote for it before, as a hub."""
    network = network_of(gateway, "EMSP")
    hub = hub_of(gateway, network, OWNERS)
    assert (201, 1000) == writes(hub, OWNERS[0])

    owner = network.peer(OWNERS[0])

    assert [(404, 2000), (200, 1000)] == [writes(client, OWNERS[0]) for client in (hub, owner)]
    assert [0, 1] == [len(client.data("tariffs")) for client in (hub, owner)]
