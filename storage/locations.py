"""Locations with their EVSEs and connectors: one document a location. Spec: 2.1.1 mod_locations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from annotated_types import MaxLen
from pydantic.fields import FieldInfo
from sqlalchemy import Index, UniqueConstraint

import errors
from generated.ocpi_models import EVSE, Location
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


def _most(field: FieldInfo) -> int:
    """How many items the contract allows in a list."""
    return next(bound.max_length for bound in field.metadata if isinstance(bound, MaxLen))


_MOST = {
    "evses": _most(Location.model_fields["evses"]),
    "connectors": _most(EVSE.model_fields["connectors"]),
}


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
    """Store a location unless the stored one is newer."""
    return _DOCUMENTS.put(transaction, network_id, party, body, {"id": body["id"], "published": True})


def add(transaction: Transaction, network_id: int, party: Party, body: Body, *, published: bool) -> bool:
    """Store a generated location, which we stamped, unless its id is taken; True if it was stored."""
    columns = {"id": body["id"], "published": published}
    return _DOCUMENTS.add(transaction, network_id, party, body, columns, is_stamped=True)


def change(
    transaction: Transaction,
    network_id: int,
    party: Party,
    location_id: str,
    to: Callable[[Body], Body],
    *,
    published: bool | None,
) -> None:
    """Replace a location of ours by `to` of it, which we stamped.

    *published*: whether peers see it; None leaves that as it is.

    Raises:
        errors.NotFound: there is no such location.
    """
    old = _DOCUMENTS.lock(transaction, network_id, party, location_id)
    columns = {} if published is None else {"published": published}
    _DOCUMENTS.update(transaction, old, to(old.body), is_stamped=True, **columns)


def revise(transaction: Transaction, network_id: int, party: Party, spot: Spot, change: Change) -> None:
    """Apply *change* to a location, an EVSE or a connector.

    The parents' `last_updated` become at least the child's. Spec: 2.1.1 mod_locations 2.1.1.

    Raises:
        errors.NotFound: there is nothing at *spot*.
    """
    location = _DOCUMENTS.lock(transaction, network_id, party, spot.location_id)
    old = find(location.body, spot)
    if old is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    new = change.apply(old)
    if new is not None:
        whole = _with(location.body, spot, new)
        _DOCUMENTS.update(transaction, location, whole, is_stamped=change.is_stamped)


def put_part(transaction: Transaction, network_id: int, party: Party, spot: Spot, body: Body) -> Stored:
    """Store an EVSE or a connector in its parent unless the stored one is newer.

    Raises:
        errors.NotFound: the parent does not exist; nothing is created. Spec: 2.1.1 mod_locations 2.2.2.
        errors.RuleRefusal: the parent would have more children than the contract allows.
    """
    location = _DOCUMENTS.lock(transaction, network_id, party, spot.location_id)
    old = find(location.body, spot)
    if old is None and find(location.body, _parent(spot)) is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    if old is not None and instants.parse(body["last_updated"]) < instants.parse(old["last_updated"]):
        return Stored.STALE
    _DOCUMENTS.update(transaction, location, _with(location.body, spot, body), is_stamped=False)
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


def _with(location: Body, spot: Spot, new: Body) -> Body:
    """*location* with *new* at *spot*, and with the parents' `last_updated` moved."""
    if spot.evse_uid is None:
        return new
    if spot.connector_id is None:
        return _with_child(location, "evses", "uid", new)
    evse = _member(location, "evses", "uid", spot.evse_uid) or {}
    return _with_child(location, "evses", "uid", _with_child(evse, "connectors", "id", new))


def _with_child(parent: Body, name: str, key: str, child: Body) -> Body:
    """*parent* with *child* in place of the one with its key, and not older than the child."""
    children = {item[key]: item for item in parent.get(name, ())}
    children[child[key]] = child
    if len(children) > _MOST[name]:
        raise errors.RuleRefusal(f"{name}: would be {len(children)}; at most {_MOST[name]} are allowed")
    latest = max(parent["last_updated"], child["last_updated"], key=instants.parse)
    return {**parent, name: list(children.values()), "last_updated": latest}
