"""Locations with their EVSEs and connectors: one document a location. Spec: 2.1.1 mod_locations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Index, UniqueConstraint

import errors
from storage import instants
from storage.database import Connection, Transaction
from storage.objects import (
    Body,
    Change,
    Document,
    DocumentTable,
    ObjectColumns,
    Page,
    Party,
    Stored,
    Window,
    encode,
)


class LocationRow(ObjectColumns, table=True):
    """A location, our own or one that a peer pushed."""

    __tablename__ = "ocpi_locations"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id"),
        Index("ix_ocpi_locations_network_seq", "network_id", "seq"),
        Index("ix_ocpi_locations_network_published", "network_id", "published", "seq"),
        Index("ix_ocpi_locations_network_updated", "network_id", "last_updated"),
    )

    published: bool = True


_DOCUMENTS = DocumentTable(LocationRow, kept=("published",))


@dataclass(frozen=True, slots=True)
class Spot:
    """Where in a location: the whole of it, an EVSE, or a connector."""

    location_id: str
    evse_uid: str | None = None
    connector_id: str | None = None


def get(
    connection: Connection, network_id: int, party: Party, spot: Spot, *, published: bool = False
) -> Document | None:
    """The location, EVSE or connector, or None; *published*: None as well if it is hidden from peers."""
    scope = {"published": True} if published else {}
    document = _DOCUMENTS.get(connection, network_id, party, spot.location_id, scope=scope)
    if document is None or spot.evse_uid is None:
        return document
    found = find(orjson.loads(document.text), spot)
    return None if found is None else Document(encode(found))


def page(connection: Connection, network_id: int, window: Window, scope: dict[str, Any]) -> Page:
    """Locations of the network, oldest first."""
    return _DOCUMENTS.page(connection, network_id, window, scope)


def put(transaction: Transaction, network_id: int, party: Party, body: Body) -> Stored:
    """Store a location over what is not newer."""
    return _DOCUMENTS.put(transaction, network_id, party, body, {"id": body["id"], "published": True})


def add(transaction: Transaction, network_id: int, party: Party, body: Body, *, published: bool) -> bool:
    """Store a location of ours unless its id is taken; True if it was stored."""
    return _DOCUMENTS.add(transaction, network_id, party, body, {"id": body["id"], "published": published})


def change(
    transaction: Transaction,
    network_id: int,
    party: Party,
    location_id: str,
    to: Callable[[Body], Body],
    *,
    published: bool | None,
) -> None:
    """Replace a location of ours by `to` of it; *published*: whether peers see it, None as before.

    Raises:
        errors.NotFound: there is no such location.
    """
    old = _DOCUMENTS.lock(transaction, network_id, party, location_id)
    columns = {} if published is None else {"published": published}
    _DOCUMENTS.update(transaction, old, to(old.body), **columns)


def revise(
    transaction: Transaction,
    network_id: int,
    party: Party,
    spot: Spot,
    change: Change,
    *,
    authoritative: bool = False,
) -> None:
    """Replace a location, EVSE or connector by `change` of it.

    The parents' `last_updated` become at least the child's, and the present instant where the write
    is *authoritative*. Spec: 2.1.1 mod_locations 2.1.1.

    Raises:
        errors.NotFound: there is nothing at *spot*.
    """
    location = _DOCUMENTS.lock(transaction, network_id, party, spot.location_id)
    old = find(location.body, spot)
    if old is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    new = change(old)
    if new is not None:
        _DOCUMENTS.update(transaction, location, _with(location.body, spot, new, authoritative))


def put_part(transaction: Transaction, network_id: int, party: Party, spot: Spot, body: Body) -> Stored:
    """Store an EVSE or a connector in its parent, over what is not newer.

    Raises:
        errors.NotFound: the parent does not exist; nothing is created. Spec: 2.1.1 mod_locations 2.2.2.
    """
    location = _DOCUMENTS.lock(transaction, network_id, party, spot.location_id)
    old = find(location.body, spot)
    if old is None and find(location.body, _parent(spot)) is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    if old is not None and instants.parse(body["last_updated"]) < instants.parse(old["last_updated"]):
        return Stored.STALE
    _DOCUMENTS.update(transaction, location, _with(location.body, spot, body, authoritative=False))
    return Stored.CREATED if old is None else Stored.UPDATED


def find(location: Body, spot: Spot) -> Body | None:
    """What lies at *spot* in *location*, or None."""
    if spot.evse_uid is None:
        return location
    evse = _member(location, "evses", "uid", spot.evse_uid)
    if evse is None or spot.connector_id is None:
        return evse
    return _member(evse, "connectors", "id", spot.connector_id)


def _parent(spot: Spot) -> Spot:
    if spot.connector_id is None:
        return Spot(spot.location_id)
    return Spot(spot.location_id, spot.evse_uid)


def _member(parent: Body, name: str, key: str, value: str) -> Body | None:
    return next((item for item in parent.get(name, ()) if item[key] == value), None)


def _with(location: Body, spot: Spot, new: Body, authoritative: bool) -> Body:  # noqa: FBT001  (private)
    """*location* with *new* at *spot*, parents' `last_updated` moved."""
    if spot.evse_uid is None:
        return new
    touched = _toucher(new["last_updated"], authoritative=authoritative)
    if spot.connector_id is None:
        return touched(_replaced(location, "evses", "uid", new))
    evse = _member(location, "evses", "uid", spot.evse_uid) or {}
    evse = touched(_replaced(evse, "connectors", "id", new))
    return touched(_replaced(location, "evses", "uid", evse))


def _replaced(parent: Body, name: str, key: str, new: Body) -> Body:
    items = parent.get(name, [])
    if any(item[key] == new[key] for item in items):
        return {**parent, name: [new if item[key] == new[key] else item for item in items]}
    return {**parent, name: [*items, new]}


def _toucher(child: str, *, authoritative: bool) -> Callable[[Body], Body]:
    """A function that moves a parent's `last_updated` to the latest of what is known."""
    floor = max(instants.parse(child), instants.now_ms() if authoritative else 0)

    def touched(parent: Body) -> Body:
        moved = max(floor, instants.parse(parent["last_updated"]))
        return {**parent, "last_updated": instants.text(moved)}

    return touched
