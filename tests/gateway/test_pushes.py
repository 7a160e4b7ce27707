"""What a peer is behind, and sending again. docs/gateway.md "Pushes"."""

from typing import Any

from examples import example
from nodes import Gateway, Network, in_transaction, one_database, refusal
from peers import PeerServer, envelope
from receivers import until

from storage import connections, database, networks


def network_with_peer(gateway: Gateway, peer: PeerServer) -> tuple[Any, Network, str]:
    """A new network at which *peer* is registered, and the URL of the connection."""
    accepted = gateway.ready(overrides={"locations": 3, "chargers_per_location": 1})
    network = Network(gateway.node, in_transaction(networks.get, int(accepted["cpo_id"])))
    endpoints = {module: f"{peer.url}/{module}" for module in ("locations", "tariffs", "sessions", "cdrs")}
    client = network.peer(peer.party, peer.versions_url, endpoints)
    return accepted, network, f"/ocpi/cpos/{network.id}/connections/{client.connection_id}"


def paths(peer: PeerServer) -> list[tuple[str, str]]:
    """Method and path of every request of the peer."""
    return [(request["method"], request["path"]) for request in peer.seen]


def test_everything_one_module_or_one_object_is_sent_again(gateway: Gateway, peer: PeerServer) -> None:
    peer.default = (200, envelope())
    _, network, url = network_with_peer(gateway, peer)
    reader = network.operator()
    stored = {module: [each["id"] for each in reader.data(module)] for module in ("locations", "tariffs")}

    def send_again(**request: str) -> list[tuple[str, str]]:
        accepted = gateway.post(f"{url}/push", request)
        assert 202 == accepted.status_code, accepted.text
        assert "READY" == gateway.wait_until_ready(accepted.json()["status_url"])["status"]
        until(lambda: gateway.data(url)["behind"] == 0)
        seen = sorted(paths(peer))
        peer.seen.clear()
        return seen

    party = "/".join(network.network.party)
    everything = [("PUT", f"/{module}/{party}/{name}") for module, names in stored.items() for name in names]
    assert sorted(everything) == send_again()
    assert sorted(each for each in everything if "locations" in each[1]) == send_again(module="locations")
    one = stored["tariffs"][0]
    assert [("PUT", f"/tariffs/{party}/{one}")] == send_again(module="tariffs", id=one)


@one_database
def test_a_refused_object_is_listed_with_the_words_of_the_peer(gateway: Gateway, peer: PeerServer) -> None:
    accepted, _, url = network_with_peer(gateway, peer)
    path = f"tariffs/FR/{accepted['party']['party_id']}/T1"
    peer.answers[f"/{path}"] = lambda _: (200, envelope(status_code=2000))
    assert gateway.operator(accepted).put(path, example("Tariff", id="T1")).ok

    [entry] = until(lambda: [e for e in gateway.data(f"{url}/behind")["data"] if e["parked"]])
    assert ("tariffs", "T1", 1) == (entry["module"], entry["id"], entry["tries"])
    assert "HTTP 200, status_code 2000: ok" == entry["last_answer"]
    connection = gateway.data(url)
    assert 1 == connection["behind"]
    assert entry["since"] == connection["behind_since"]


@one_database
def test_a_peer_out_of_reach_has_a_next_try(gateway: Gateway, peer: PeerServer) -> None:
    accepted, _, url = network_with_peer(gateway, peer)
    path = f"tariffs/FR/{accepted['party']['party_id']}/T1"
    peer.answers[f"/{path}"] = lambda _: (503, envelope())
    assert gateway.operator(accepted).put(path, example("Tariff", id="T1")).ok
    until(lambda: gateway.data(url).get("next_try_at"))
    assert 1 == gateway.data(url)["behind"]

    assert 200 == gateway.patch(url, {"push": False}).status_code
    assert 0 == gateway.data(url)["behind"]


@one_database
def test_a_wrong_request_to_send_again_is_refused(gateway: Gateway, peer: PeerServer) -> None:
    url = network_with_peer(gateway, peer)[2]

    status, detail = refusal(gateway.post(f"{url}/push", {"id": "T1"}))
    assert (409, "id: needs module, because ids are unique in a module only.") == (status, detail)
    accepted = gateway.post(f"{url}/push", {"module": "tariffs", "id": "NOTHING"}).json()
    job = gateway.wait_until_ready(accepted["status_url"])
    assert ("FAILED", "The peer sees no such object.") == (job["status"], job["error"]["message"])
    with database.transaction() as transaction:
        connections.end(transaction, int(url.rpartition("/")[2]))
    assert 409 == gateway.post(f"{url}/push", {}).status_code
