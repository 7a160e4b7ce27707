"""Every operation of the peer API, from the contract, ready to be called.

A `FilledNetwork` is a network in which every operation can succeed: everything that a URL names is stored.
"""

from dataclasses import dataclass, field
from typing import Any

import contracts
import requests
import sqlalchemy
from examples import example
from nodes import Client, Network, Node, in_transaction
from peers import PeerServer

from generated.ocpi_models import TokenType
from storage import commands, database, deviations, tokens

MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PARTY = ("NL", "DEM")
PEER = ("NL", "TNM")
KEYS = {"Location": "id", "EVSE": "uid", "Connector": "id", "Session": "id", "Tariff": "id", "Token": "uid"}
IDS = {
    "location_id": "LOC1",
    "evse_uid": "3256",
    "connector_id": "1",
    "session_id": "101",
    "cdr_id": "12345",
    "tariff_id": "12",
    "token_uid": "012345678",
    "command": "START_SESSION",
}
"""The ids of the contract's examples."""


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    method: str
    path: str
    role: str
    callers: tuple[str, ...]
    statuses: tuple[str, ...]
    schema: str | None
    body: Any = field(compare=False, hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def module(self) -> str:
        """`locations`, `versions`, ..."""
        last = [part for part in self.path.split("/") if part and not part.startswith("{")]
        return next((part for part in last if part in MODULES), "versions")

    @property
    def ours(self) -> bool:
        """Whether the URL is for objects of our party and not for pushed ones."""
        return (self.role == "cpo") != (self.module == "tokens")

    def url(self, **ids: str) -> str:
        """The absolute path, by default with the ids of the examples."""
        country, party = PARTY if self.ours else PEER
        values = {**IDS, "country_code": country, "party_id": party, "uid": "unknown", **ids}
        values["location_or_country"] = values["location_id"]
        values["evse_or_party"] = values["evse_uid"]
        if "connector_or_location" in self.path:
            values |= {"location_or_country": country, "evse_or_party": party}
            values["connector_or_location"] = values["location_id"]
        return "/ocpi" + self.path.format(**{**values, **ids})


def _operations() -> list[Operation]:
    document = contracts.ocpi().document
    operations = []
    for path, item in document["paths"].items():
        role = "emsp" if path.startswith("/emsp") else "cpo"
        for method in METHODS:
            if method.lower() not in item:
                continue
            raw = item[method.lower()]
            schema, body = _body(document, raw)
            callers, statuses = tuple(raw["x-callers"]), tuple(raw["responses"])
            operations.append(Operation(method, path, role, callers, statuses, schema, body))
    return operations


def _body(document: dict[str, Any], raw: dict[str, Any]) -> tuple[str | None, Any]:
    if "requestBody" not in raw:
        return None, None
    media = raw["requestBody"]["content"]["application/json"]
    first = next(iter(media["examples"].values()))
    name = media["schema"]["$ref"].split("/")[-1]
    if "$ref" in first:
        first = document["components"]["examples"][first["$ref"].split("/")[-1]]
    return name, first["value"]


OPERATIONS = _operations()


class FilledNetwork:
    """A network and its peer, with all objects that the examples' ids name."""

    def __init__(self, node: Node, peer: PeerServer, role: str, *, empty: bool = False) -> None:
        self.node = node
        self.foreign = peer
        self.network = node.network(role.upper(), PARTY)
        self.peer = self.network.peer(PEER, peer.versions_url)
        self.operator = self.network.operator()
        self.uid = in_transaction(
            commands.record, self.network.id, self.peer.connection_id, commands.SENT, IDS["command"], "{}"
        )
        if not empty:
            self._fill(role)

    def _fill(self, role: str) -> None:
        modules = ("Token", "Tariff", "Location", "Session", "CDR")
        puts = {o.schema: o for o in OPERATIONS if o.role == role and o.method in ("PUT", "POST")}
        for name in modules:
            operation = puts[f"{name}In"]
            response = self.send(operation, body=example(name))
            assert response.status_code == 201, response.text

    def client(self, operation: Operation) -> Client:
        """A client that may call *operation*."""
        if "peer" in operation.callers:
            return self.peer
        return self.operator if "operator" in operation.callers else self.network.registrant()

    def body(self, operation: Operation) -> Any:
        """A valid body for *operation*."""
        if operation.schema == "CredentialsIn":
            return self.foreign.credentials()
        if operation.body is not None and "response_url" in operation.body:
            return {**operation.body, "response_url": f"{self.foreign.url}/results/1"}
        return operation.body

    def send(
        self, operation: Operation, *, body: Any = None, client: Client | None = None, **ids: str
    ) -> requests.Response:
        """Call *operation* with valid arguments."""
        sent = self.body(operation) if body is None else body
        url = operation.url(**{"uid": self.uid, **ids})
        return (client or self.client(operation)).request(operation.method, url, json=sent)


class Push:
    """Stores objects as a peer does, whatever their kind."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.networks: dict[str, Network] = {}
        self._peers: dict[str, Client] = {}

    def peer(self, name: str) -> Client:
        """The peer that pushes objects of the schema *name*."""
        role = "CPO" if name == "Token" else "EMSP"
        if role not in self._peers:
            self.networks[role] = self.node.network(role, PARTY)
            self._peers[role] = self.networks[role].peer(PEER)
        return self._peers[role]

    def tolerated(self, name: str) -> dict[str, int]:
        """The tolerated deviations of the peer that pushes *name*, with their counts."""
        peer = self.peer(name)
        network = self.networks[peer.role.upper()]
        return {r.kind: r.count for r in in_transaction(deviations.of_peer, network.id, peer.connection_id)}

    def path(self, name: str, body: dict[str, Any]) -> str:
        """The path at which an object is read."""
        peer = self.peer(name)
        if name in ("EVSE", "Connector"):
            ids = [IDS["location_id"], IDS["evse_uid"], body[KEYS[name]]]
            return peer.at("locations", *(ids[:1] + ids[2:] if name == "EVSE" else ids))
        return peer.at(f"{name.lower()}s", str(body[KEYS.get(name, "id")]))

    def __call__(self, name: str, body: dict[str, Any]) -> requests.Response:
        """Push *body*; the location of an EVSE or connector is pushed first."""
        peer = self.peer(name)
        if name in ("EVSE", "Connector"):
            above = [example("EVSE", connectors=[example("Connector", id="above")])]
            parent = example("Location", evses=above if name == "Connector" else None)
            assert peer.put(peer.at("locations", parent["id"]), parent).ok
        if name == "CDR":
            return peer.post("cdrs", body)
        return peer.put(self.path(name, body), body)

    def stored(self, name: str, body: dict[str, Any]) -> Any:
        """The stored form of *body*."""
        return self.peer(name).data(self.path(name, body))


def put_in(body: Any, path: str, value: Any) -> Any:
    """*body* with *value* at a dotted path; `...` removes the member."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    inner = body
    for step in steps:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return body


def get_from(body: Any, path: str) -> Any:
    """The value at a dotted path."""
    for step in path.split("."):
        body = body[int(step) if step.isdigit() else step]
    return body


def damage(network_id: int, table: str) -> None:
    """Make every stored document of a network unreadable, as a disk fault would."""
    statement = sqlalchemy.text(f"UPDATE ocpi_{table} SET document = '{{' WHERE network_id = :n")  # noqa: S608
    with database.transaction() as connection:
        connection.execute(statement, {"n": network_id})


def restrict(network_id: int, location_ids: list[str]) -> None:
    """Restrict our driver's token to some locations, for which OCPI has no field."""
    in_transaction(
        tokens.set_standing, network_id, PARTY, IDS["token_uid"], TokenType.RFID, None, location_ids
    )


def shape(name: str) -> dict[str, Any]:
    """The strict schema *name*."""
    found: dict[str, Any] = contracts.ocpi().document["components"]["schemas"][name]
    return found
