"""A network whose ids and texts are unique marks, so that a leak is detected."""

import json
import secrets
from typing import Any

import sqlalchemy
from examples import example
from nodes import Client, Node, in_transaction
from surface import PARTY, PEER

from storage import commands, database


def mark(prefix: str) -> str:
    """A unique text; all texts with the same prefix have the same length."""
    return f"{prefix}{secrets.token_hex(4)}"


class Victim:
    """A network and its peer, with an object of every kind, whose ids and texts are marks."""

    def __init__(self, node: Node, role: str) -> None:
        self.role = role
        self.network = node.network(role.upper(), PARTY)
        self.peer = self.network.peer(PEER)
        self.operator = self.network.operator()
        names = ("location_id", "evse_uid", "connector_id", "session_id", "cdr_id", "tariff_id", "token_uid")
        self.ids = {name: mark("V") for name in names}
        self.auth_id, self.text = mark("VA"), mark("VT")
        self.shared: list[str] = []
        (self._fill_cpo if role == "cpo" else self._fill_emsp)()
        sent = (
            self.network.id,
            self.peer.connection_id,
            commands.SENT,
            "START_SESSION",
            json.dumps(self.text),
        )
        self.ids["uid"] = in_transaction(commands.record, *sent)

    @property
    def secrets(self) -> list[str]:
        """The texts that no response to an intruder may contain."""
        return [*self.ids.values(), self.auth_id, self.text, *self.shared]

    def body(self, schema: str) -> dict[str, Any]:
        """An object of the victim."""
        created = example(schema)
        ids = {"Location": "location_id", "Session": "session_id", "CDR": "cdr_id", "Tariff": "tariff_id"}
        created["uid" if schema == "Token" else "id"] = self.ids[ids.get(schema, "token_uid")]
        if "auth_id" in created:
            created["auth_id"] = self.auth_id
        location = created if schema == "Location" else created.get("location", {"evses": []})
        location["address"] = self.text
        for evse in location["evses"]:
            evse["uid"] = self.ids["evse_uid"]
            evse["connectors"][0]["id"] = self.ids["connector_id"]
        if schema == "Token":
            created |= {"issuer": self.text, "visual_number": self.text}
        if schema == "Session":
            created["status"] = "ACTIVE"
        return {key: value for key, value in created.items() if key != "address" or schema == "Location"}

    def _store(self, who: Client, schema: str) -> None:
        body, module = self.body(schema), f"{schema.lower()}s"
        party = PEER if who is self.peer else PARTY
        url = who.at(module, body.get("id") or body["uid"], party=party)
        response = who.post(module, body) if schema == "CDR" else who.put(url, body)
        assert response.status_code == 201, response.text

    def _fill_cpo(self) -> None:
        self._store(self.peer, "Token")
        for schema in ("Location", "Session", "CDR"):
            self._store(self.operator, schema)
        tariff = example("Tariff", id=self.ids.pop("tariff_id"))
        self.shared = [tariff["id"]]
        assert self.operator.put(self.operator.at("tariffs", tariff["id"], party=PARTY), tariff).ok
        hide = sqlalchemy.text("UPDATE ocpi_locations SET published = false WHERE network_id = :n")
        with database.transaction() as connection:
            connection.execute(hide, {"n": self.network.id})

    def _fill_emsp(self) -> None:
        token = example("Token", uid=self.ids.pop("token_uid"), auth_id=mark("VA"))
        self.shared = [token["uid"], token["auth_id"]]
        assert self.operator.put(self.operator.at("tokens", token["uid"], party=PARTY), token).ok
        for schema in ("Location", "Session", "CDR", "Tariff"):
            self._store(self.peer, schema)
