"""Changes of our objects arrive at registered peers. docs/architecture.md "A push"."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from examples import example
from nodes import Client, Network, Node, outcome

from workflows.peers import registration


def until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def pair(node: Node) -> tuple[Network, Network]:
    """A CPO network and an eMSP network that are registered with each other."""
    cpo, emsp = node.network("CPO", ("NL", "DEM")), node.network("EMSP", ("NL", "DEP"))
    registration.join(emsp.network, cpo.versions_url, cpo.token_a())
    return cpo, emsp


def arrives(receiver: Client, path: str, expected: Any) -> None:
    """Wait until *receiver* reads *expected* at *path*."""
    until(lambda: (response := receiver.get(path)).ok and response.json().get("data") == expected)


def test_each_kind_of_object_of_a_cpo_arrives_at_the_emsp(pair: tuple[Network, Network]) -> None:
    cpo, emsp = (network.operator() for network in pair)
    emsp.party = ("NL", "DEP")
    assert (201, 1000) == outcome(emsp.put(emsp.at("tokens", "T1"), example("Token", uid="T1", auth_id="A1")))
    until(lambda: cpo.get("tokens/NL/DEP/T1").ok)
    for module, schema in (("locations", "Location"), ("tariffs", "Tariff"), ("sessions", "Session")):
        body = example(schema, id="ONE", **({"auth_id": "A1"} if module == "sessions" else {}))
        assert (201, 1000) == outcome(cpo.put(cpo.at(module, "ONE"), body))
        arrives(emsp, f"{module}/NL/DEM/ONE", body)
    cdr = example("CDR", id="ONE", auth_id="A1")
    assert (201, 1000) == outcome(cpo.post("cdrs", cdr))
    arrives(emsp, "cdrs/NL/DEM/ONE", cdr)
