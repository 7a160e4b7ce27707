"""Two instances of the program: one registers at the other over HTTP, in either direction."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from examples import example
from nodes import Client, Network, Node, at_once, outcome, switch_to

from storage import connections
from storage.connections import PeerConnection
from workflows.peers import registration


def works(client: Client) -> bool:
    """Does the token open a module."""
    status = client.get("locations").status_code
    assert status in (200, 401)
    return status == 200


@dataclass
class Side:
    """One network of one instance, and how this process gets at its storage."""

    network: Network
    environment: dict[str, str] | None

    def inside(self) -> Any:
        """While open, storage in this process is this instance's."""
        return nullcontext() if self.environment is None else switch_to(self.environment)

    def link(self, other: "Side") -> PeerConnection:
        """What is stored here of *other*."""
        with self.inside():
            found = at_once(connections.of_party, self.network.id, other.network.network.party)
        assert found is not None
        return found

    def join(self, other: "Side") -> None:
        """Register at *other*, with a fresh Token A of it."""
        with other.inside():
            token_a = other.network.token_a()
        with self.inside():
            registration.join(self.network.network, other.network.versions_url, token_a)

    def to(self, other: "Side") -> Client:
        """A client with what this side presents to *other*."""
        with self.inside():
            token = self.link(other).token
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


def push_each_other(one: Side, two: Side, key: str) -> None:
    """Each side pushes what its role owns to the other, and reads it back."""
    for mine, theirs in ((one, two), (two, one)):
        client = mine.to(theirs)
        module, schema, name = (
            ("locations", "Location", "id") if mine.network.role == "cpo" else ("tokens", "Token", "uid")
        )
        body = example(schema, **{name: key})
        assert (201, 1000) == outcome(client.put(client.at(module, key), body))
        assert body == client.data(client.at(module, key))


@pytest.mark.ocpi(64, 72, 73, 79)
def test_two_instances_register_rotate_unregister_and_register_again(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.join(two)
    assert ("NL", "REC") == one.link(two).party
    assert ("BE", "INI") == two.link(one).party
    push_each_other(one, two, "FIRST")

    before = [one.to(two), two.to(one)]
    with one.inside():
        registration.rotate(one.network.network, one.link(two))
    after = [one.to(two), two.to(one)]
    push_each_other(one, two, "SECOND")
    assert [True, True, False, False] == [works(client) for client in (*after, *before)]

    with two.inside():  # the other side renews as well
        registration.rotate(two.network.network, two.link(one))
    push_each_other(one, two, "THIRD")
    assert [False, False] == [works(client) for client in after]

    last = [one.to(two), two.to(one)]
    with one.inside():
        registration.leave(one.link(two))
    assert [False, False] == [works(client) for client in last]
    assert ["UNREGISTERED", "UNREGISTERED"] == [one.link(two).state, two.link(one).state]

    one.join(two)
    push_each_other(one, two, "FOURTH")
    client = one.to(two)
    module = "locations" if one.network.role == "cpo" else "tokens"
    assert ["FIRST", "SECOND", "THIRD", "FOURTH"] == [
        each.get("id") or each["uid"] for each in client.data(module)
    ]


@pytest.mark.parametrize("sides", ["EMSP"], indirect=True, ids=["eMSP initiates"])
def test_a_restart_of_either_instance_loses_nothing(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.join(two)
    push_each_other(one, two, "BEFORE")
    clients = [one.to(two), two.to(one)]
    modules = ["locations" if side.network.role == "cpo" else "tokens" for side in sides]
    lists = [client.data(module) for client, module in zip(clients, modules, strict=True)]
    with two.inside():
        unused = two.network.registrant()

    for side in sides:
        side.network.node.stop()
        side.network.node.start()

    assert lists == [client.data(module) for client, module in zip(clients, modules, strict=True)]
    assert works(clients[0])
    assert works(clients[1])
    push_each_other(one, two, "AFTER")
    assert (200, 1000) == outcome(unused.get("credentials"))
    with one.inside():
        registration.rotate(one.network.network, one.link(two))
    push_each_other(one, two, "ROTATED")
    assert [False, False] == [works(client) for client in clients]
