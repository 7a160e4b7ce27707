"""Two instances of the program: one registers at the other over HTTP, in either direction."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from examples import example
from nodes import Client, Network, Node, in_transaction, outcome, switch_to

from storage import connections
from storage.connections import PeerConnection
from workflows.peers import registration


def works(client: Client) -> bool:
    """Whether the token opens a module."""
    status = client.get("locations").status_code
    assert status in (200, 401)
    return status == 200


@dataclass
class Side:
    """One network of one instance, with the environment that selects its storage."""

    network: Network
    environment: dict[str, str] | None

    def storage(self) -> Any:
        """A context in which this process uses the storage of the instance."""
        return nullcontext() if self.environment is None else switch_to(self.environment)

    def connection(self, other: "Side") -> PeerConnection:
        """The stored connection with *other*."""
        with self.storage():
            found = in_transaction(connections.of_party, self.network.id, other.network.network.party)
        assert found is not None
        return found

    def join(self, other: "Side") -> None:
        """Register at *other* with a new Token A."""
        with other.storage():
            token_a = other.network.token_a()
        with self.storage():
            registration.join(self.network.network, other.network.versions_url, token_a)

    def to(self, other: "Side") -> Client:
        """A client with the token that this side presents to *other*."""
        with self.storage():
            token = self.connection(other).token
        client = other.network.node.client(token, other.network.role)
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


def push_both_ways(one: Side, two: Side, key: str) -> None:
    """Each side pushes what its role owns to the other, and reads it back."""
    for sender, receiver in ((one, two), (two, one)):
        client = sender.to(receiver)
        module, schema, name = (
            ("locations", "Location", "id") if sender.network.role == "cpo" else ("tokens", "Token", "uid")
        )
        body = example(schema, **{name: key})
        assert (201, 1000) == outcome(client.put(client.at(module, key), body))
        assert body == client.data(client.at(module, key))


@pytest.mark.ocpi(64, 72, 73, 79)
def test_two_instances_register_rotate_unregister_and_register_again(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.join(two)
    assert ("NL", "REC") == one.connection(two).party
    assert ("BE", "INI") == two.connection(one).party
    push_both_ways(one, two, "FIRST")

    before = [one.to(two), two.to(one)]
    with one.storage():
        registration.rotate(one.network.network, one.connection(two))
    after = [one.to(two), two.to(one)]
    push_both_ways(one, two, "SECOND")
    assert [True, True, False, False] == [works(client) for client in (*after, *before)]

    with two.storage():  # the other side renews as well
        registration.rotate(two.network.network, two.connection(one))
    push_both_ways(one, two, "THIRD")
    assert [False, False] == [works(client) for client in after]

    last = [one.to(two), two.to(one)]
    with one.storage():
        registration.leave(one.connection(two))
    assert [False, False] == [works(client) for client in last]
    assert ["UNREGISTERED", "UNREGISTERED"] == [one.connection(two).state, two.connection(one).state]

    one.join(two)
    push_both_ways(one, two, "FOURTH")
    client = one.to(two)
    module = "locations" if one.network.role == "cpo" else "tokens"
    assert ["FIRST", "SECOND", "THIRD", "FOURTH"] == [
        each.get("id") or each["uid"] for each in client.data(module)
    ]


@pytest.mark.parametrize("sides", ["EMSP"], indirect=True, ids=["eMSP initiates"])
def test_a_restart_of_either_instance_loses_nothing(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.join(two)
    push_both_ways(one, two, "BEFORE")
    clients = [one.to(two), two.to(one)]
    modules = ["locations" if side.network.role == "cpo" else "tokens" for side in sides]
    lists = [client.data(module) for client, module in zip(clients, modules, strict=True)]
    with two.storage():
        unused = two.network.registrant()

    for side in sides:
        side.network.node.stop()
        side.network.node.start()

    assert lists == [client.data(module) for client, module in zip(clients, modules, strict=True)]
    assert works(clients[0])
    assert works(clients[1])
    push_both_ways(one, two, "AFTER")
    assert (200, 1000) == outcome(unused.get("credentials"))
    with one.storage():
        registration.rotate(one.network.network, one.connection(two))
    push_both_ways(one, two, "ROTATED")
    assert [False, False] == [works(client) for client in clients]
