"""The node agrees with a model in plain Python after every step of random histories.

A history has two networks, three peers that register, renew and unregister, and writes of every kind
with earlier, equal and later times. The operator and every peer read every result.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import hypothesis
import pytest
from examples import example
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from model import (
    ADDRESSED,
    DONE,
    NOT_FOR_YOU,
    NOTHING,
    OWN,
    PUSHED,
    UNKNOWN,
    Body,
    Model,
    Outcome,
    Party,
    TokenC,
)
from nodes import Client, Network, Node, one_database, outcome
from peers import PeerServer

ROLES: dict[str, Party] = {"CPO": ("NL", "DEM"), "EMSP": ("NL", "DEP")}
PEERS: list[Party] = [("NL", "ONE"), ("NL", "TWO"), ("BE", "ONE")]
TIMES = [f"2027-01-0{day}T00:00:00Z" for day in range(1, 6)]
CONTRACTS = ["NL-ONE-C1", "NL-TWO-C2"]
SCHEMAS = {"locations": "Location", "sessions": "Session", "tariffs": "Tariff", "tokens": "Token"}

WRITTEN = {
    "CPO": ["locations", "sessions", "tariffs", "tokens"],
    "EMSP": ["locations", "sessions", "tariffs", "tokens"],
}

roles, parties, times = st.sampled_from(list(ROLES)), st.sampled_from(PEERS), st.sampled_from(TIMES)
picks = st.integers(0, 5)
names = st.sampled_from(["A", "B"])
CHANGES: dict[str, st.SearchStrategy[Body]] = {
    "Location": st.fixed_dictionaries({"name": st.sampled_from(["Here", "There"])}),
    "EVSE": st.fixed_dictionaries({"status": st.sampled_from(["AVAILABLE", "CHARGING", "REMOVED"])}),
    "Connector": st.fixed_dictionaries({"voltage": st.sampled_from([230, 400])}),
    "Session": st.fixed_dictionaries({
        "status": st.sampled_from(["ACTIVE", "ACTIVE", "COMPLETED"]),
        "auth_id": st.sampled_from(CONTRACTS),
        "kwh": st.sampled_from([1, 2.5]),
    }),
    "Tariff": st.fixed_dictionaries({"currency": st.sampled_from(["EUR", "GBP"])}),
    "Token": st.fixed_dictionaries({
        "valid": st.booleans(),
        "auth_id": st.sampled_from(CONTRACTS),
    }),
}  # fmt: skip
OPTIONAL = {
    "Location": "time_zone", "EVSE": "floor_level", "Connector": "tariff_id",
    "Session": "total_cost", "Tariff": "tariff_alt_url", "Token": "visual_number",
}  # fmt: skip


def evses(uids: str, time: str) -> list[Body]:
    """An EVSE for every letter, each with a connector A."""
    return [
        example(
            "EVSE", uid=uid, connectors=[example("Connector", id="A", last_updated=time)], last_updated=time
        )
        for uid in uids
    ]


class Machine(RuleBasedStateMachine):
    """Applies the same steps to the node and to the model."""

    node: ClassVar[Node]
    peer: ClassVar[PeerServer]
    model: ClassVar[type[Model]] = Model

    @initialize()
    def begin(self) -> None:
        """Two fresh networks, two peers of each registered, one object in every module."""
        self.networks: dict[str, Network] = {r: self.node.network(r, p) for r, p in ROLES.items()}
        self.models = {role: self.model(role, party) for role, party in ROLES.items()}
        self.operators = {role: network.operator() for role, network in self.networks.items()}
        for role in ROLES:
            for party in PEERS[:2]:
                self.register(role, party)
            for module in [name for name in SCHEMAS if name in self.models[role].shelves]:
                writer, owner = self._writer(role, PEERS[0], module)
                assert writer is not None
                identity = {"uid" if module == "tokens" else "id": "A", "last_updated": TIMES[2]}
                ids = ("A", "RFID") if module == "tokens" else ("A",)
                members: Body = {"auth_id": CONTRACTS[0]} if module in ("tokens", "sessions") else {}
                members |= {"evses": evses("A", TIMES[2])} if module == "locations" else {}
                body = example(SCHEMAS[module], **identity, **members)
                self._put(writer, role, module, owner, ids, body)

    # Registration

    @rule(role=roles, party=parties)
    def register(self, role: str, party: Party) -> None:
        """Register with a new Token A; the peer may be registered already."""
        response = self.networks[role].registrant().post("credentials", self._credentials(party))
        self._same(DONE, response)
        self.models[role].registered(party, response.json()["data"]["token"])
        self._tokens_agree(role, party)

    @rule(
        role=roles,
        party=st.sampled_from(PEERS[:2]),
        steps=st.lists(st.tuples(st.booleans(), picks), min_size=2, max_size=4),
    )
    def renew_and_use(self, role: str, party: Party, steps: list[tuple[bool, int]]) -> None:
        """Use or renew any valid token; the first use of the newest token ends the others."""
        for renewal, pick in steps:
            token = self._valid_token(role, party, pick)
            if token is None:
                return
            client = self._client(role, party, token)
            if renewal:
                self._same(NOT_FOR_YOU, client.post("credentials", self._credentials(party)))
                response = client.put("credentials", self._credentials(party))
                self._same(DONE, response)
                self.models[role].renewed(party, token, response.json()["data"]["token"])
            else:
                data = client.data("credentials")
                assert (token.text, *ROLES[role]) == (data["token"], data["country_code"], data["party_id"])
            self._tokens_agree(role, party)

    @rule(role=roles, party=parties, pick=picks)
    def leave(self, role: str, party: Party, pick: int) -> None:
        """Unregister: the objects stay and the tokens end."""
        token = self._valid_token(role, party, pick)
        if token is None or pick:  # only one in six, or hardly any peer would stay registered
            return
        self._same(DONE, self._client(role, party, token).delete("credentials"))
        self.models[role].unregistered(party)
        self._tokens_agree(role, party)
        self._agree(role, party)

    # Objects

    @rule(data=st.data(), party=parties)
    def write_to_cpo(self, data: st.DataObject, party: Party) -> None:
        """Write objects of a CPO and objects that peers push to it."""
        self._write(data, "CPO", party)

    @rule(data=st.data(), party=parties)
    def write_to_emsp(self, data: st.DataObject, party: Party) -> None:
        """Write objects of an eMSP and objects that peers push to it."""
        self._write(data, "EMSP", party)

    @rule(data=st.data())
    def write_a_location_in_three_levels(self, data: st.DataObject) -> None:
        """Write locations, EVSEs and connectors of an eMSP."""
        self._write(data, "EMSP", PEERS[0], ["locations"])

    def _write(self, data: st.DataObject, role: str, party: Party, modules: Sequence[str] = ()) -> None:
        """Several writes to one URL, with times in any order."""
        module = data.draw(st.sampled_from(modules or WRITTEN[role]))
        writer, owner = self._writer(role, party, module)
        if writer is None:
            return
        ids, schema, identity = self._object_at(data, role, module, data.draw(names))
        patched = (role, module) != ("CPO", "tariffs")
        for whole in data.draw(st.lists(st.booleans(), min_size=2, max_size=4)):
            change = data.draw(CHANGES[schema])
            change |= {OPTIONAL[schema]: None} if data.draw(st.booleans()) else {}
            change["last_updated"] = data.draw(times)
            if whole or not patched:
                self._put(writer, role, module, owner, ids, self._body(data, schema, {**change, **identity}))
            else:
                kept = data.draw(st.sets(st.sampled_from(list(change))))
                body = {name: change[name] for name in sorted(kept | {"last_updated"} if kept else ())}
                self._patch(writer, role, module, owner, ids, body)
            self._agree_on(role, module, owner, ids)

    @staticmethod
    def _body(data: st.DataObject, schema: str, change: Body) -> Body:
        body = example(schema, **change)
        if schema == "Location":
            body["evses"] = evses(data.draw(st.sampled_from(["", "A", "AB"])), body["last_updated"])
        return body

    def _put(
        self, writer: Client, role: str, module: str, owner: Party, ids: tuple[str, ...], body: Body
    ) -> None:
        expected = self.models[role].put(module, owner, ids, body)
        self._same(expected, writer.put(self._url(writer, module, owner, ids), body))

    def _patch(
        self, writer: Client, role: str, module: str, owner: Party, ids: tuple[str, ...], body: Body
    ) -> None:
        expected = self.models[role].patch(module, owner, ids, body)
        kind = {"type": ids[1]} if module == "tokens" else {}
        self._same(expected, writer.patch(self._url(writer, module, owner, ids), body, **kind))

    @rule(role=roles, party=parties, name=names)
    def delete(self, role: str, party: Party, name: str) -> None:
        """Delete a tariff."""
        writer, owner = self._writer(role, party, "tariffs")
        if writer is not None and "tariffs" in self.models[role].shelves:
            expected = self.models[role].delete(owner, name)
            self._same(expected, writer.delete(self._url(writer, "tariffs", owner, (name,))))
            self._agree_on(role, "tariffs", owner, (name,))

    @rule(
        role=roles,
        party=parties,
        name=st.sampled_from(["A", "a", "B"]),
        cost=st.sampled_from([1, 2]),
        contract=st.sampled_from(CONTRACTS),
    )
    def bill(self, role: str, party: Party, name: str, cost: int, contract: str) -> None:
        """Post a CDR: a new one, the same one again, or another one with the same id."""
        writer, owner = self._writer(role, party, "cdrs")
        body = example("CDR", id=name, total_cost=cost, auth_id=contract)
        if writer is not None:
            expected = self.models[role].post(owner, body)
            response = writer.post("cdrs", body)
            self._same(expected, response)
            if expected[1] == DONE[1]:
                kept = self.models[role].get(owner, "cdrs", owner, name) if role == "EMSP" else None
                assert kept is None or kept == writer.data(response.headers["Location"])
            self._agree_on(role, "cdrs", owner, (name,))

    @rule(data=st.data(), role=roles, party=parties, name=names)
    def trespass(self, data: st.DataObject, role: str, party: Party, name: str) -> None:
        """A peer writes as another party: the URL is 404, and nothing changes."""
        module = data.draw(st.sampled_from([m for m in PUSHED[role] if m in SCHEMAS]))
        intruder, _ = self._writer(role, party, module)
        victim = PEERS[(PEERS.index(party) + 1) % len(PEERS)]
        if intruder is None:
            return
        ids, schema, identity = self._object_at(data, role, module, name)
        url = self._url(intruder, module, victim, ids)
        self._same(NOTHING, intruder.put(url, example(schema, **identity, last_updated=TIMES[-1])))
        self._same(NOTHING, intruder.patch(url, {"last_updated": TIMES[-1]}))
        self._same(NOTHING, intruder.get(url))
        self._agree_on(role, module, victim, ids)

    @rule(role=roles, party=parties, pick=picks, begin=times, end=times)
    def window(self, role: str, party: Party, pick: int, begin: str, end: str) -> None:
        """Read a list between two times; the end is exclusive."""
        modules = list(self.models[role].shelves)
        module = modules[pick % len(modules)]
        reader = self._reader(role, party)
        if reader is not None:
            expected = self.models[role].listed(party, module, begin, end)
            assert expected == reader.data(module, date_from=begin, date_to=end)

    def teardown(self) -> None:
        """Compare everything once more at the end."""
        for role in getattr(self, "models", {}):
            for party in PEERS:
                self._agree(role, party)

    # Shared steps of the rules

    def _credentials(self, party: Party) -> Body:
        return self.peer.credentials(country_code=party[0], party_id=party[1])

    def _valid_token(self, role: str, party: Party, pick: int) -> TokenC | None:
        tokens = self.models[role].tokens.get(party)
        return tokens[pick % len(tokens)] if tokens else None

    def _client(self, role: str, party: Party, token: TokenC) -> Client:
        """A client of the peer with *token*, which counts as used from now on."""
        self.models[role].used(party, token)
        client = self.node.client(token.text, self.networks[role].role)
        client.party = party
        return client

    def _reader(self, role: str, party: Party) -> Client | None:
        """A client of the peer if it has exactly one token: a read must not end the overlap of a renewal."""
        tokens = self.models[role].tokens.get(party, [])
        return self._client(role, party, tokens[0]) if len(tokens) == 1 else None

    def _writer(self, role: str, party: Party, module: str) -> tuple[Client | None, Party]:
        """The client that may write a module, and the party that owns its objects."""
        if module in OWN[role]:
            return self.operators[role], ROLES[role]
        return self._reader(role, party), party

    def _object_at(
        self, data: st.DataObject, role: str, module: str, name: str
    ) -> tuple[tuple[str, ...], str, Body]:
        """The ids in a URL, the schema of its object, and the members that identify the object."""
        if module == "tokens":
            kind = data.draw(st.sampled_from(["RFID", "OTHER"]))
            return (name, kind), "Token", {"uid": name, "type": kind}
        depth = data.draw(st.integers(1, 3)) if (role, module) == ("EMSP", "locations") else 1
        ids = (name, *(data.draw(st.sampled_from("AAAB")) for _ in range(depth - 1)))
        schema = SCHEMAS[module] if depth == 1 else ("EVSE", "Connector")[depth - 2]
        return ids, schema, {"uid" if schema == "EVSE" else "id": ids[-1]}

    @staticmethod
    def _url(client: Client, module: str, owner: Party, ids: tuple[str, ...]) -> str:
        return client.at(module, *(ids[:1] if module == "tokens" else ids), party=owner)

    # Comparisons

    @staticmethod
    def _same(expected: Outcome, response: Any) -> None:
        assert expected == outcome(response), response.text

    def _tokens_agree(self, role: str, party: Party) -> None:
        """Ended tokens are refused, valid ones accepted; unused ones are skipped: a check uses them."""
        model = self.models[role]
        expected = dict.fromkeys(model.dead.get(party, [])[-3:], UNKNOWN)
        expected |= {each.text: DONE for each in model.tokens[party] if each.used or each.replaced}
        for text, result in expected.items():
            self._same(result, self.node.client(text, self.networks[role].role).get("credentials"))

    def _agree_on(self, role: str, module: str, owner: Party, ids: tuple[str, ...]) -> None:
        """One object and its list agree for the operator and every peer."""
        readers = {None: self.operators[role]} | {party: self._reader(role, party) for party in PEERS}
        kind = {"type": ids[1]} if module == "tokens" else {}
        for reader, client in readers.items():
            if client is None:
                continue
            assert self.models[role].listed(reader, module) == client.data(module), (reader, module)
            expected = self.models[role].get(reader, module, owner, *ids)
            response = client.get(self._url(client, module, owner, ids), **kind)
            self._same(DONE if expected else NOTHING, response)
            assert expected == response.json().get("data")

    def _agree(self, role: str, party: Party) -> None:
        """Every list agrees for the operator and *party*."""
        for reader, client in ((None, self.operators[role]), (party, self._reader(role, party))):
            for module in self.models[role].shelves if client else ():
                response = client.get(module)
                assert self.models[role].listed(reader, module) == response.json()["data"], module
                assert str(len(response.json()["data"])) == response.headers["X-Total-Count"]


RULES = {each.function.__name__ for each in Machine.setup_state().rules}


def run(
    node: Node, peer: PeerServer, model: type[Model], examples: int, rules: Iterable[str] = RULES
) -> None:
    """Run random histories of 25 steps of these *rules*, with a fixed seed."""
    others = dict.fromkeys(RULES - {*rules})
    bound = type("Bound", (Machine,), {"node": node, "peer": peer, "model": model, **others})
    limits = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,  # stop at the first history that disagrees
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(bound, settings=limits)


@pytest.mark.ocpi(72, 73, 81, 105, 108, 111, 116, 150)
def test_the_node_agrees_with_the_model(node: Node, peer: PeerServer) -> None:
    run(node, peer, Model, examples=5)


class LateWins(Model):
    """A model that accepts objects older than the stored ones."""

    def late(self, new: Body, old: Body) -> bool:  # noqa: ARG002  (never)
        return False


class ParentsStay(Model):
    """A model that does not update the time of a parent."""

    def touched(self, parent: Body, child: Body) -> None: ...


class EverybodySees(Model):
    """A model that shows our sessions to every peer."""

    def sees(self, reader: Party | None, module: str, kept: Any) -> bool:
        return module in ADDRESSED or super().sees(reader, module, kept)


class OldTokensLive(Model):
    """A model in which old tokens stay valid after the new one is used."""

    def used(self, party: Party, token: TokenC) -> None: ...


@one_database
@pytest.mark.parametrize(
    ("wrong", "steps"),
    [
        (LateWins, "write_to_cpo"),
        (ParentsStay, "write_a_location_in_three_levels"),
        (EverybodySees, "write_to_cpo"),
        (OldTokensLive, "renew_and_use"),
    ],
)
def test_a_wrong_model_is_detected(node: Node, peer: PeerServer, wrong: type[Model], steps: str) -> None:
    """The control: the comparison fails for each wrong model, by the steps that concern it."""
    with pytest.raises(AssertionError):
        run(node, peer, wrong, 12, ["register", steps])
