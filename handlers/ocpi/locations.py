"""Locations, EVSEs and connectors, in both roles. Spec: 2.1.1 mod_locations."""

from typing import Unpack

import errors
from generated.ocpi_models import EVSE, ConnectorPatch, EVSEPatch, Location, LocationPatch
from handlers.dispatch.pagination import PageQuery, window
from handlers.dispatch.patch import change, require_same
from handlers.dispatch.responses import Ignored, Written, require_found, written
from storage import database, locations
from storage.access import Caller
from storage.locations import LocationPath, Part
from storage.objects import Document, Page, Party
from workflows.permissions import (
    received_scope,
    require_own_party,
    require_readable,
    require_writable,
    writing,
)

PartPatch = LocationPatch | EVSEPatch | ConnectorPatch

# CPO interface


def list_locations(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """Our locations; a peer sees those that are published."""
    scope = {} if user.is_operator else {"published": True}
    with database.connect() as connection:
        return locations.page(connection, user.network_id, window(query), scope)


def get_location(user: Caller, location_id: str) -> Document:
    """One of our locations."""
    return require_found(_own(user, LocationPath(location_id)))


def get_evse(user: Caller, location_or_country: str, evse_or_party: str) -> Document:
    """One EVSE of one of our locations."""
    return require_found(_own(user, LocationPath(location_or_country, evse_or_party)))


def get_connector_or_location(
    user: Caller, location_or_country: str, evse_or_party: str, connector_or_location: str
) -> Document:
    """A connector, or a location if the first segments are our country and party. Conformance P."""
    connector = _own(user, LocationPath(location_or_country, evse_or_party, connector_or_location))
    if connector is None and (location_or_country.upper(), evse_or_party.upper()) == user.party:
        return get_location(user, connector_or_location)
    return require_found(connector)


def put_location(
    user: Caller, location_or_country: str, evse_or_party: str, connector_or_location: str, body: Location
) -> Written | Ignored:
    """The back office stores one of its locations."""
    party = require_own_party(user, location_or_country, evse_or_party)
    _require_unambiguous(user, body.id, body)
    return _put(user, party, LocationPath(connector_or_location), body)


def patch_location(
    user: Caller,
    location_or_country: str,
    evse_or_party: str,
    connector_or_location: str,
    body: LocationPatch,
) -> Written | Ignored:
    """The back office changes one of its locations."""
    party = require_own_party(user, location_or_country, evse_or_party)
    _require_unambiguous(user, body.id or connector_or_location, body)
    path = LocationPath(connector_or_location)
    with writing(user, party) as transaction:
        return written(
            locations.update(transaction, user.network_id, party, path, change(body, by_owner=True))
        )


# eMSP interface


def list_received_locations(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return locations.page(connection, user.network_id, window(query), received_scope(user))


def get_received_location(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    evse_uid: str | None = None,
    connector_id: str | None = None,
) -> Document:
    """A location, an EVSE or a connector that a peer pushed."""
    party, path = (
        require_readable(user, country_code, party_id),
        LocationPath(location_id, evse_uid, connector_id),
    )
    with database.connect() as connection:
        return require_found(locations.get(connection, user.network_id, party, path))


def put_received_location(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    body: Part,
    evse_uid: str | None = None,
    connector_id: str | None = None,
) -> Written | Ignored:
    """A peer pushes a location, or an EVSE or connector of a stored location."""
    path = LocationPath(location_id, evse_uid, connector_id)
    return _put(user, require_writable(user, country_code, party_id), path, body)


def patch_received_location(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    body: PartPatch,
    evse_uid: str | None = None,
    connector_id: str | None = None,
) -> Written | Ignored:
    """A peer changes a location, an EVSE or a connector."""
    party, path = (
        require_writable(user, country_code, party_id),
        LocationPath(location_id, evse_uid, connector_id),
    )
    with writing(user, party) as transaction:
        return written(locations.update(transaction, user.network_id, party, path, change(body, path.key)))


# One function per method: the contract has an operation for each of the three kinds of object.
get_received_evse = get_received_connector = get_received_location
put_received_evse = put_received_connector = put_received_location
patch_received_evse = patch_received_connector = patch_received_location


def _own(user: Caller, path: LocationPath) -> Document | None:
    with database.connect() as connection:
        return locations.get(connection, user.network_id, user.party, path, published=not user.is_operator)


def _put(user: Caller, party: Party, path: LocationPath, body: Part) -> Written | Ignored:
    require_same(path.id, body.uid if isinstance(body, EVSE) else body.id, path.key)
    with writing(user, party) as transaction:
        return written(locations.put(transaction, user.network_id, party, path, body))


def _require_unambiguous(user: Caller, location_id: str, body: Location | LocationPatch) -> None:
    """Keep /locations/{country}/{party}/{location} unambiguous. Conformance P."""
    uids = {evse.uid.upper() for evse in body.evses or ()}
    if location_id.upper() == user.country_code and user.party_id in uids:
        raise errors.RuleBroken(
            f"id: a location {location_id} may not have an EVSE {user.party_id}: both are our party's name"
        )
