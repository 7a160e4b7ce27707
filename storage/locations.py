"""Locations with their EVSEs and connectors, in one document per location. Spec: 2.1.1 mod_locations.

Only the addressed part of a document becomes a model; the rest stays decoded JSON. A location may have 250
EVSEs, and most requests address one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from annotated_types import MaxLen
from pydantic.fields import FieldInfo
from sqlalchemy import Index, UniqueConstraint

import errors
from generated.ocpi_models import EVSE, Connector, Location
from openapi.field_types import time_order
from storage.database import Connection, Transaction
from storage.objects import (
    Change,
    Document,
    ObjectColumns,
    Party,
    Stored,
    encode,
)
from storage.outbox import PushedTable

Body = dict[str, Any]
"""A location, EVSE or connector as decoded JSON."""

Part = Location | EVSE | Connector


class LocationRow(ObjectColumns, table=True):
    """A location of ours or of a peer."""

    __tablename__ = "ocpi_locations"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id"),
        Index("ix_ocpi_locations_network_seq", "network_id", "seq"),
        Index("ix_ocpi_locations_network_published", "network_id", "published", "seq"),
        Index("ix_ocpi_locations_network_updated", "network_id", "last_updated"),
    )

    published: bool = True


_DOCUMENTS = PushedTable(LocationRow, "locations", preserved=("published",), published="published")

page = _DOCUMENTS.page
send_again = _DOCUMENTS.send_again


def _max_items(field: FieldInfo) -> int:
    """The maximum number of items of a list in the contract."""
    return next(bound.max_length for bound in field.metadata if isinstance(bound, MaxLen))


_MAX_ITEMS = {
    "evses": _max_items(Location.model_fields["evses"]),
    "connectors": _max_items(EVSE.model_fields["connectors"]),
}


@dataclass(frozen=True, slots=True)
class LocationPath:
    """The path to a location, an EVSE or a connector."""

    location_id: str
    evse_uid: str | None = None
    connector_id: str | None = None

    @property
    def model(self) -> type[Location] | type[EVSE] | type[Connector]:
        """The model at the path."""
        if self.evse_uid is None:
            return Location
        return EVSE if self.connector_id is None else Connector

    @property
    def key(self) -> str:
        """The name of the last path parameter's field."""
        return "uid" if self.model is EVSE else "id"

    @property
    def id(self) -> str:
        """The last path parameter."""
        return self.connector_id or self.evse_uid or self.location_id


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A location as decoded JSON, to be stored."""

    body: Body

    @property
    def last_updated(self) -> str:
        return str(self.body["last_updated"])

    def json_text(self) -> str:
        return encode(self.body)


def get(
    connection: Connection, network_id: int, party: Party, path: LocationPath, *, published: bool = False
) -> Document | None:
    """What is at *path*, or None. *published*: only if peers may see the location."""
    scope = {"published": True} if published else {}
    document = _DOCUMENTS.get(connection, network_id, party, path.location_id, scope=scope)
    if document is None or path.evse_uid is None:
        return document
    part = _find(orjson.loads(document.text), path)
    return None if part is None else Document(encode(part))


def add(
    transaction: Transaction, network_id: int, party: Party, location: Location, *, published: bool
) -> bool:
    """Store a generated location unless its id is taken; True if it was stored."""
    columns = {"id": location.id, "published": published}
    return _DOCUMENTS.add(transaction, network_id, party, location, columns, is_stamped=True)


def put(transaction: Transaction, network_id: int, party: Party, path: LocationPath, part: Part) -> Stored:
    """Store *part* at *path* unless what is stored there is newer.

    Raises:
        errors.NotFound: the parent does not exist, and is not created. Spec: 2.1.1 mod_locations 2.2.2.
    """
    if isinstance(part, Location):
        return _DOCUMENTS.put(transaction, network_id, party, part, {"id": part.id, "published": True})
    locked = _DOCUMENTS.lock(transaction, network_id, party, path.location_id)
    location = orjson.loads(locked.document)
    old = _find(location, path)
    if old is not None and time_order(part.last_updated) < time_order(old["last_updated"]):
        return Stored.STALE
    _DOCUMENTS.update(transaction, locked, _Decoded(_with_part(location, path, part)), is_stamped=False)
    return Stored.CREATED if old is None else Stored.UPDATED


def update(
    transaction: Transaction,
    network_id: int,
    party: Party,
    path: LocationPath,
    change: Change[Any],
) -> Stored:
    """Apply *change* to the model at *path*.

    The `last_updated` of its parents becomes at least its own. Spec: 2.1.1 mod_locations 2.1.1.

    Raises:
        errors.NotFound: *path* does not exist.
    """
    locked = _DOCUMENTS.lock(transaction, network_id, party, path.location_id)
    if path.evse_uid is None:
        new = change.apply(Location.model_validate_json(locked.document))
    else:
        location = orjson.loads(locked.document)
        old = _find(location, path)
        if old is None:
            raise errors.NotFound(errors.NOTHING_HERE)
        new = change.apply(path.model.model_validate_json(encode(old)))
    if new is None:
        return Stored.UNCHANGED
    edited = new if isinstance(new, Location) else _Decoded(_with_part(location, path, new))
    _DOCUMENTS.update(transaction, locked, edited, is_stamped=change.is_stamped)
    return Stored.UPDATED


def change(
    transaction: Transaction,
    network_id: int,
    party: Party,
    location_id: str,
    to: Callable[[Location], Location],
    *,
    published: bool | None,
) -> None:
    """Replace one of our locations by the result of `to`, which has our timestamps.

    *published*: whether peers may see it; None leaves that unchanged.

    Raises:
        errors.NotFound: there is no such location.
    """
    locked = _DOCUMENTS.lock(transaction, network_id, party, location_id)
    columns = {} if published is None else {"published": published}
    new = to(Location.model_validate_json(locked.document))
    _DOCUMENTS.update(transaction, locked, new, is_stamped=True, **columns)


def _find(location: Body, path: LocationPath) -> Body | None:
    """What is at *path* in *location*, or None."""
    if path.evse_uid is None:
        return location
    evse = next((evse for evse in location.get("evses", ()) if evse["uid"] == path.evse_uid), None)
    if evse is None or path.connector_id is None:
        return evse
    return next((each for each in evse["connectors"] if each["id"] == path.connector_id), None)


def _with_part(location: Body, path: LocationPath, part: EVSE | Connector) -> Body:
    """*location* with *part* at *path*. The `last_updated` of the parents becomes at least that of *part*.

    Raises:
        errors.NotFound: the parent of *part* does not exist.
    """
    document = orjson.loads(part.json_text())
    if isinstance(part, EVSE):
        return _with_child(location, "evses", "uid", document)
    evse = _find(location, LocationPath(path.location_id, path.evse_uid))
    if evse is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return _with_child(location, "evses", "uid", _with_child(evse, "connectors", "id", document))


def _with_child(parent: Body, name: str, key: str, child: Body) -> Body:
    """*parent* with *child* added, or replacing the one with its key; `last_updated` is the later one.

    Raises:
        errors.RuleBroken: the parent would have more children than the contract allows.
    """
    children = {each[key]: each for each in parent.get(name, ())} | {child[key]: child}
    if len(children) > _MAX_ITEMS[name]:
        raise errors.RuleBroken(f"{name}: would be {len(children)}; at most {_MAX_ITEMS[name]} are allowed")
    time = max(parent["last_updated"], child["last_updated"], key=time_order)
    return parent | {name: list(children.values()), "last_updated": time}
