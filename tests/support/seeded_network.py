"""Networks with stored objects, for the tests with generated requests and for scripts/fuzz."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from examples import example
from nodes import Client, Network
from surface import OPERATIONS, PEER, Operation

PARTIES = {"cpo": ("NL", "DEM"), "emsp": ("NL", "DEP")}
CREDENTIALS = "/credentials$"
OBJECTS = ("Token", "Tariff", "Location", "Session", "CDR")


def paths(role: str) -> str:
    """The pattern of the URLs of *role* and of those of no role."""
    return f"^/({role}/|versions|2.1.1/)"


def stores(role: str, party: tuple[str, str]) -> Iterator[tuple[Operation, str, str, dict[str, Any]]]:
    """How to store the example of each kind of object: operation, caller, URL, body."""
    found = {o.schema: o for o in OPERATIONS if o.role == role and o.method in ("PUT", "POST")}
    for name in OBJECTS:
        operation = found[f"{name}In"]
        country, owner = party if operation.ours else PEER
        ids = {"country_code": country, "party_id": owner}
        if "location_or_country" in operation.path:
            ids = {"location_or_country": country, "evse_or_party": owner}
        kind = "peer" if "peer" in operation.callers else "operator"
        yield operation, kind, operation.url(**ids), example(name)


def fill_network(network: Network) -> dict[str, Client]:
    """Store an object of each kind in *network*; returns its peer and its back office."""
    clients = {"peer": network.peer(PEER), "operator": network.operator()}
    for operation, kind, url, body in stores(network.role, network.network.party):
        response = clients[kind].request(operation.method, url, json=body)
        if response.status_code != 201:
            raise AssertionError(f"the example at {url} is refused: {response.text}")
    return clients


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Restore pytest's logging after the program has configured logging in this process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
