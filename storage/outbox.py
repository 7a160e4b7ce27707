"""The outbox: which changes of our objects go to which peers. docs/architecture.md "A push".

A change of one of our objects puts an entry on the agenda for every peer that gets it, in the transaction of
the change. The entry names the object and the paths that changed since the peer was last sent it. What is
sent is the object at the time of sending, so later changes of the object join the same entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import bindparam
from sqlmodel import SQLModel

from openapi.field_types import time_order
from storage import agenda, failpoints, parties, timestamps
from storage.agenda import Entry
from storage.connections import CONNECTIONS, REGISTERED, PeerConnection
from storage.database import Transaction
from storage.networks import NETWORKS
from storage.objects import DocumentTable, Locked, OcpiObject, Party, Stored, encode

PUSH = "push"
"""The kind of the entries."""

Path = tuple[str, ...]
"""What changed: () is everything, ("name",) a member, ("evses", uid) an EVSE that is new, and
("evses", uid, "status") a member of an EVSE. Connectors: ("evses", uid, "connectors", id), with or without a
member."""

EVERYTHING: Path = ()

Body = dict[str, Any]
"""An object as decoded JSON."""

_KEYS = {"evses": "uid", "connectors": "id"}
"""The lists whose items are pushed one by one, and the members that identify an item."""

_RANKS = {"sessions": 0, "cdrs": 1}
_STATUS_RANK, _OTHER_RANK = 2, 3
"""The order within a connection: sessions, CDRs, EVSE status, the rest."""

_STATUS_MEMBERS = (("status",), ("last_updated",))
"""The members of an EVSE that change when only its status changes."""

_PAUSE_MS = 1000
"""How long a change of a session waits for more, and a CDR for the last state of its session.

So a session is sent at most once a second, and its CDR after its end.
"""

_SENT_AGAIN = 500
"""The most objects that one transaction puts on the agenda to be sent again."""

_c, _n = CONNECTIONS.c, NETWORKS.c
_LOCK_OURS = (
    sqlalchemy.select(_n.id)
    .where(
        _n.id == bindparam("network_id"),
        _n.country_code == bindparam("country_code"),
        _n.party_id == bindparam("party_id"),
    )
    .with_for_update(read=True, key_share=True)
)
_PEERS = sqlalchemy.select(_c.id, _c.endpoints).where(
    _c.network_id == bindparam("network_id"), _c.state == REGISTERED, _c.push.is_(True)
)


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a push: to the object's URL followed by *segments*. *body*: JSON text, or None."""

    method: str
    segments: Path
    body: str | None


class PushedTable(DocumentTable):
    """A table of objects. If they are ours, peers are sent their changes."""

    def __init__(
        self, model: type[SQLModel], module: str, *, published: str | None = None, **options: Any
    ) -> None:
        """*published*: the column that says whether peers see the object; all objects without it."""
        super().__init__(model, published=published, **options)
        self._module = module
        self._published = published
        c = self.table.c
        self._objects = (
            sqlalchemy.select(c.seq, *(c[name] for name in self.key[3:]))
            .where(*(c[name] == bindparam(name) for name in self.key[:3]), c.seq > bindparam("after"))
            .order_by(c.seq)
            .limit(bindparam("limit"))
        )
        if published is not None:
            self._objects = self._objects.where(c[published].is_(True))
        if "reader" in c:
            self._objects = self._objects.where(parties.reader_of(self.table))

    def put(
        self,
        transaction: Transaction,
        network_id: int,
        party: Party,
        new: OcpiObject,
        columns: Mapping[str, Any],
        *,
        is_stamped: bool = False,
    ) -> Stored:
        """As in DocumentTable."""
        if not _lock_ours(transaction, network_id, party):
            return super().put(transaction, network_id, party, new, columns, is_stamped=is_stamped)
        key = self._key(columns)
        lanes = self._lanes(transaction, network_id, columns)
        old = super().find(transaction, network_id, party, *key) if lanes else None
        outcome = super().put(transaction, network_id, party, new, columns, is_stamped=is_stamped)
        if outcome is not Stored.STALE:
            self._record(transaction, lanes, network_id, key, self._change(old, new, columns))
        return outcome

    def add(
        self,
        transaction: Transaction,
        network_id: int,
        party: Party,
        new: OcpiObject,
        columns: Mapping[str, Any],
        *,
        is_stamped: bool = False,
    ) -> bool:
        """As in DocumentTable."""
        is_ours = _lock_ours(transaction, network_id, party)
        is_new = super().add(transaction, network_id, party, new, columns, is_stamped=is_stamped)
        if is_ours and is_new:
            lanes = self._lanes(transaction, network_id, columns)
            change = self._change(None, new, columns)
            self._record(transaction, lanes, network_id, self._key(columns), change)
        return is_new

    def find(self, transaction: Transaction, network_id: int, party: Party, *key: str) -> Locked | None:
        """As in DocumentTable."""
        is_ours = _lock_ours(transaction, network_id, party)
        locked = super().find(transaction, network_id, party, *key)
        return replace(locked, is_ours=True) if locked and is_ours else locked

    def update(
        self, transaction: Transaction, locked: Locked, new: OcpiObject, *, is_stamped: bool, **columns: Any
    ) -> None:
        """As in DocumentTable."""
        super().update(transaction, locked, new, is_stamped=is_stamped, **columns)
        if locked.is_ours:
            lanes = self._lanes(transaction, locked.network_id, columns)
            change = self._change(locked, new, columns) if lanes else set()
            self._record(transaction, lanes, locked.network_id, locked.key, change)

    def delete(self, transaction: Transaction, network_id: int, party: Party, *key: str) -> bool:
        """As in DocumentTable."""
        is_ours = _lock_ours(transaction, network_id, party)
        existed = super().delete(transaction, network_id, party, *key)
        if is_ours and existed:
            lanes = self._lanes(transaction, network_id, {})
            self._record(transaction, lanes, network_id, key, {EVERYTHING})
        return existed

    def send_again(
        self,
        transaction: Transaction,
        peer: PeerConnection,
        party: Party,
        after: int,
        key: Sequence[str] = (),
    ) -> tuple[int, int]:
        """Put the next objects of our *party* that the peer sees on the agenda, to be sent whole.

        *after*: the last object of the call before, 0 at first. *key*: only this object. Returns their number
        and the last one.
        """
        values = {
            "network_id": peer.network_id,
            "country_code": party[0],
            "party_id": party[1],
            "after": after,
            "limit": _SENT_AGAIN,
            "reader_of": peer.id,
        }
        statement = self._objects
        for name, value in zip(self.key[3:], key, strict=False):
            statement = statement.where(self.table.c[name] == value)
        rows = transaction.execute(statement, values).all()
        lane = agenda.connection_lane(peer.id)
        payload, rank = _payload({EVERYTHING}), _rank(self._module, {EVERYTHING})
        entries = [
            Entry(peer.network_id, lane, PUSH, encode([self._module, *row[1:]]), payload, rank)
            for row in rows
        ]
        agenda.put(transaction, entries)
        return len(rows), rows[-1].seq if rows else after

    def _key(self, columns: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(columns[name] for name in self.key[3:])

    def _lanes(self, transaction: Transaction, network_id: int, columns: Mapping[str, Any]) -> list[str]:
        """The lanes of the peers that are sent the object, if they see it."""
        peers = [
            peer.id
            for peer in transaction.execute(_PEERS, {"network_id": network_id})
            if self._module in orjson.loads(peer.endpoints)
        ]
        if peers and "reader" in columns:
            reader = parties.connection_of_reader(transaction, network_id, columns["reader"])
            peers = [peer for peer in peers if peer == reader]
        return [agenda.connection_lane(peer) for peer in peers]

    def _change(self, old: Locked | None, new: OcpiObject, columns: Mapping[str, Any]) -> set[Path]:
        """What peers see of the change from *old* to *new*."""
        was_seen = old is not None and old.is_published
        is_seen = columns.get(self._published or "", was_seen if old else True)
        if old is not None and was_seen and is_seen:
            return changed_paths(orjson.loads(old.document), orjson.loads(new.json_text()))
        return {EVERYTHING} if was_seen or is_seen else set()

    def _record(
        self,
        transaction: Transaction,
        lanes: list[str],
        network_id: int,
        key: Sequence[str],
        change: set[Path],
    ) -> None:
        """Put the change on the agenda of each lane, together with what is there already."""
        if not lanes or not change:
            return
        name = encode([self._module, *key])
        earlier = agenda.payloads(transaction, lanes, PUSH, name)
        rank = _rank(self._module, change)
        due_at = timestamps.now_ms() + self._pause_ms(change)
        entries = [
            Entry(network_id, lane, PUSH, name, _payload(change | _paths(earlier.get(lane))), rank, due_at)
            for lane in lanes
        ]
        agenda.put(transaction, entries)
        failpoints.reach("outbox.written")

    def _pause_ms(self, change: set[Path]) -> int:
        is_progress = self._module == "sessions" and EVERYTHING not in change
        return _PAUSE_MS if is_progress or self._module == "cdrs" else 0


def _lock_ours(transaction: Transaction, network_id: int, party: Party) -> bool:
    """Whether objects of *party* are the network's own; then lock the network against registrations.

    Otherwise a peer that registers at the same time could read the list before the change is committed and
    not be sent it either.
    """
    values = {"network_id": network_id, "country_code": party[0], "party_id": party[1]}
    return transaction.execute(_LOCK_OURS, values).first() is not None


def _payload(paths: set[Path]) -> str:
    return encode([EVERYTHING] if EVERYTHING in paths else sorted(paths))


def _paths(payload: str | None) -> set[Path]:
    return set() if payload is None else {tuple(path) for path in orjson.loads(payload)}


def _rank(module: str, paths: set[Path]) -> int:
    is_status = all(path[0:1] == ("evses",) and path[2:] in _STATUS_MEMBERS for path in paths)
    return _RANKS.get(module, _STATUS_RANK if is_status else _OTHER_RANK)


def changed_paths(old: Body, new: Body, prefix: Path = ()) -> set[Path]:
    """What differs between two states of an object; *prefix* leads to it.

    `last_updated` counts only if it is not the one that a peer derives from the changed EVSEs and connectors.
    """
    paths: set[Path] = set()
    times = [old["last_updated"]]
    for name in (old.keys() | new.keys()) - {"last_updated"}:
        if old.get(name) == new.get(name):
            continue
        key = _KEYS.get(name)
        if key is None:
            paths.add((*prefix, name))
            continue
        before, after = _by_key(old, name, key), _by_key(new, name, key)
        if before.keys() - after.keys():
            return {prefix}  # a PATCH deletes no EVSE or connector: conformance 121
        for item_id, item in after.items():
            path, earlier = (*prefix, name, item_id), before.get(item_id)
            if earlier == item:
                continue
            if earlier and time_order(item["last_updated"]) < time_order(earlier["last_updated"]):
                return {prefix}  # alone, a peer would ignore it as older than what it has
            paths |= changed_paths(earlier, item, path) if earlier else {path}
            times.append(item["last_updated"])
    if new["last_updated"] != max(times, key=time_order):
        paths.add((*prefix, "last_updated"))
    return paths


def _by_key(item: Body, name: str, key: str) -> dict[str, Body]:
    return {child[key]: child for child in item.get(name) or ()}


def parts(payload: str, document: str) -> list[Part]:
    """The requests that bring a peer to the state of *document*, after the changes of *payload*."""
    paths = _paths(payload)
    if EVERYTHING in paths:
        return [whole(document)]
    return _parts(paths, orjson.loads(document), ())


def whole(document: str) -> Part:
    """The request that sends the whole object."""
    return Part("PUT", (), document)


def _parts(paths: set[Path], item: Body, segments: Path) -> list[Part]:
    """The requests for *item*, whose URL ends in *segments*; *paths* begin there."""
    if EVERYTHING in paths:
        return [Part("PUT", segments, encode(item))]
    names = {path[0] for path in paths}
    if any(len(path) == 1 for path in paths):
        members = {name: item.get(name) for name in sorted(names | {"last_updated"})}
        return [Part("PATCH", segments, encode(members))]
    children = {child[_KEYS[name]]: child for name in names for child in item.get(name) or ()}
    below: dict[str, set[Path]] = {}
    for path in paths:
        below.setdefault(path[1], set()).add(path[2:])
    return [
        part
        for child_id, child in children.items()
        if child_id in below
        for part in _parts(below[child_id], child, (*segments, child_id))
    ]


def removed(document: str) -> str:
    """A location that peers do not see any more, as they are sent it: all of its EVSEs are REMOVED."""
    location = orjson.loads(document)
    for evse in location.get("evses", ()):
        evse["status"] = "REMOVED"
    return encode(location)
