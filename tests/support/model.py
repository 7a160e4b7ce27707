"""A model of a node in plain Python: registration, objects, PATCH and visibility.

One `Model` is one network. It answers what the node should answer, (HTTP status, OCPI code), and
knows what every reader should find. It has no clock: every write in it bears its own time.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

Party = tuple[str, str]
Body = dict[str, Any]
Outcome = tuple[int, int]

CREATED, DONE, NOTHING = (201, 1000), (200, 1000), (404, 2000)
REFUSED, UNKNOWN, NOT_FOR_YOU = (200, 2001), (401, 2000), (405, 2000)
FINAL = ("COMPLETED", "INVALID")
LISTS = {"evses": "uid", "connectors": "id"}

PUSHED = {"CPO": ("tokens",), "EMSP": ("locations", "sessions", "cdrs", "tariffs")}
"""The modules that peers push to, by role; the network owns the others."""
OWN = {"CPO": ("locations", "sessions", "cdrs", "tariffs"), "EMSP": ("tokens",)}
ADDRESSED = ("sessions", "cdrs")
"""The objects of a CPO that only the driver's peer may see."""


@dataclass
class TokenC:
    """One of our tokens at a peer."""

    text: str
    used: bool = False
    replaced: bool = False


@dataclass
class StoredObject:
    """An object, its owner, and the one peer that may see it."""

    owner: Party
    body: Body
    reader: Party | None


@dataclass
class Model:
    """One network of ours."""

    role: str
    party: Party
    shelves: dict[str, dict[tuple[str, ...], StoredObject]] = field(default_factory=dict)
    tokens: dict[Party, list[TokenC]] = field(default_factory=dict)
    dead: dict[Party, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Every module begins empty."""
        self.shelves = {module: {} for module in (*PUSHED[self.role], *OWN[self.role])}

    # Registration

    def registered(self, party: Party, text: str) -> None:
        """A peer has registered with a Token A, so its earlier tokens have ended."""
        self._end(party, self.tokens.get(party, []))
        self.tokens[party] = [TokenC(text)]

    def renewed(self, party: Party, presented: TokenC, text: str) -> None:
        """A peer has renewed: the token that it used works until the new one is used, others have ended."""
        self._end(party, [each for each in self.tokens[party] if each is not presented])
        presented.replaced = True
        self.tokens[party] = [presented, TokenC(text)]

    def unregistered(self, party: Party) -> None:
        """A peer has unregistered."""
        self._end(party, self.tokens[party])
        self.tokens[party] = []

    def used(self, party: Party, token: TokenC) -> None:
        """A token was used: the first use of the newest ends the others."""
        if not token.used and not token.replaced:
            self._end(party, [each for each in self.tokens[party] if each is not token])
            self.tokens[party] = [token]
        token.used = True

    def _end(self, party: Party, tokens: list[TokenC]) -> None:
        self.dead.setdefault(party, []).extend(each.text for each in tokens)

    # Reading

    def sees(self, reader: Party | None, module: str, kept: StoredObject) -> bool:
        """Whether *reader* may see an object; None is our back office."""
        if reader is None:
            return True
        if module in PUSHED[self.role]:
            return kept.owner == reader
        return module not in ADDRESSED or kept.reader == reader

    def listed(self, reader: Party | None, module: str, begin: str = "", end: str = "~") -> list[Body]:
        """The expected list for *reader*, oldest first."""
        return [
            kept.body
            for kept in self.shelves[module].values()
            if self.sees(reader, module, kept) and begin <= kept.body["last_updated"] < end
        ]

    def get(self, reader: Party | None, module: str, owner: Party, *ids: str) -> Body | None:
        """The expected object for *reader* at one URL, or None."""
        kept = self.shelves[module].get(key(module, owner, ids))
        if kept is None or not self.sees(reader, module, kept):
            return None
        return part(kept.body, ids[1:]) if module == "locations" else kept.body

    # Writing

    def put(self, module: str, owner: Party, ids: tuple[str, ...], body: Body) -> Outcome:
        """PUT a whole object, or an EVSE or connector of an existing one."""
        place = key(module, owner, ids)
        kept = self.shelves[module].get(place)
        if module == "locations" and len(ids) > 1:
            return self._put_part(kept, ids[1:], body)
        if kept is None:
            self.shelves[module][place] = StoredObject(owner, body, self.addressee(body))
            return CREATED
        if self.late(body, kept.body):
            return DONE
        return self._over(module, kept, body)

    def _put_part(self, kept: StoredObject | None, ids: tuple[str, ...], body: Body) -> Outcome:
        parent = part(kept.body, ids[:-1]) if kept else None
        if kept is None or parent is None:
            return NOTHING
        old = part(kept.body, ids)
        if old is not None and self.late(body, old):
            return DONE
        self._replace(kept, ids, body)
        return DONE if old else CREATED

    def patch(self, module: str, owner: Party, ids: tuple[str, ...], patch: Body) -> Outcome:
        """PATCH an object, an EVSE or a connector."""
        kept = self.shelves[module].get(key(module, owner, ids))
        inner = ids[1:] if module == "locations" else ()
        old = part(kept.body, inner) if kept else None
        if kept is None or old is None:
            return NOTHING
        if not patch or self.late(patch, old):
            return DONE
        new = {name: value for name, value in {**old, **patch}.items() if value is not None}
        if inner:
            self._replace(kept, inner, new)
            return DONE
        return self._over(module, kept, new)

    def _over(self, module: str, kept: StoredObject, new: Body) -> Outcome:
        """Replace an object; of an ended session only corrections are accepted."""
        if module == "sessions" and kept.body["status"] in FINAL:
            if new["last_updated"] <= kept.body["last_updated"]:
                return DONE
            if new["status"] != kept.body["status"]:
                return REFUSED
        kept.body, kept.reader = new, self.addressee(new)
        return DONE

    def _replace(self, kept: StoredObject, ids: tuple[str, ...], new: Body) -> None:
        """Store *new* at *ids*; its parents become at least as new."""
        kept.body = copy.deepcopy(kept.body)
        parents = [part(kept.body, ids[:depth]) for depth in range(len(ids))]
        for parent in parents:
            assert parent is not None
            self.touched(parent, new)
        children = parents[-1].setdefault(("evses", "connectors")[len(ids) - 1], [])  # type: ignore[union-attr]
        names = [child[LISTS[("evses", "connectors")[len(ids) - 1]]] for child in children]
        if ids[-1] in names:
            children[names.index(ids[-1])] = new
        else:
            children.append(new)

    def delete(self, owner: Party, tariff_id: str) -> Outcome:
        """DELETE a tariff."""
        gone = self.shelves["tariffs"].pop(key("tariffs", owner, (tariff_id,)), None)
        return DONE if gone else NOTHING

    def post(self, owner: Party, body: Body) -> Outcome:
        """POST a CDR, which is immutable and has a case-insensitive id."""
        place = key("cdrs", owner, (body["id"],))
        kept = self.shelves["cdrs"].get(place)
        if kept is None:
            self.shelves["cdrs"][place] = StoredObject(owner, body, self.addressee(body))
            return CREATED
        return DONE if {**kept.body, "id": ""} == {**body, "id": ""} else REFUSED

    # Rules that the controls replace

    def late(self, new: Body, old: Body) -> bool:
        """Whether *new* is older than the stored object."""
        return bool(new.get("last_updated", "~") < old["last_updated"])

    def touched(self, parent: Body, child: Body) -> None:
        """A parent's time is at least its child's."""
        parent["last_updated"] = max(parent["last_updated"], child["last_updated"])

    def addressee(self, body: Body) -> Party | None:
        """The peer of the driver: the first that pushed a token with the contract."""
        for kept in self.shelves["tokens"].values():
            if kept.body["auth_id"] == body.get("auth_id"):
                return kept.owner
        return None


def key(module: str, owner: Party, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The key of an object: it includes a token's type, and a CDR's id in lower case."""
    if module == "tokens":
        return (*owner, *ids)
    return (*owner, ids[0].lower() if module == "cdrs" else ids[0])


def part(body: Body, ids: tuple[str, ...]) -> Body | None:
    """The EVSE or the connector at *ids* in a location, or the location itself."""
    for uid, (name, member) in zip(ids, LISTS.items(), strict=False):
        found = next((item for item in body.get(name, ()) if item[member] == uid), None)
        if found is None:
            return None
        body = found
    return body
