"""Locations, EVSEs and connectors, in both roles. Spec: 2.1.1 mod_locations."""

from typing import Any, Unpack

import errors
from handlers.envelope import Answer, found, stored
from handlers.listing import Asked, window
from handlers.patch import over, same
from storage import database, locations
from storage.access import Caller
from storage.locations import Spot
from storage.objects import Document, Page

# CPO interface


def list_locations(user: Caller, **asked: Unpack[Asked]) -> Page:
    """Our locations; a peer sees those that are published."""
    with database.connect() as connection:
        return locations.page(
            connection, user.network_id, window(asked), {} if user.is_operator else {"published": True}
        )


def get_location(user: Caller, location_id: str) -> Document:
    """One of our locations."""
    return found(_own(user, Spot(location_id)))


def get_evse(user: Caller, location_or_country: str, evse_or_party: str) -> Document:
    """One EVSE of one of our locations."""
    return found(_own(user, Spot(location_or_country, evse_or_party)))


def get_connector_or_location(
    user: Caller, location_or_country: str, evse_or_party: str, connector_or_location: str
) -> Document:
    """A connector; or, under our own country and party, a location. Conformance 1.P."""
    connector = _own(user, Spot(location_or_country, evse_or_party, connector_or_location))
    if connector is None and (location_or_country.upper(), evse_or_party.upper()) == user.party:
        return found(_own(user, Spot(connector_or_location)))
    return found(connector)


def put_location(
    user: Caller,
    location_or_country: str,
    evse_or_party: str,
    connector_or_location: str,
    body: dict[str, Any],
) -> Answer | None:
    """The back office stores one of its locations."""
    party = user.own(location_or_country, evse_or_party)
    same(connector_or_location, body["id"], "id")
    _refuse_shadowing(user, body)
    with database.transaction() as transaction:
        return stored(locations.put(transaction, user.network_id, party, body))


def patch_location(
    user: Caller,
    location_or_country: str,
    evse_or_party: str,
    connector_or_location: str,
    body: dict[str, Any],
) -> None:
    """The back office changes one of its locations."""
    party = user.own(location_or_country, evse_or_party)
    _refuse_shadowing(user, {"id": connector_or_location, **body})
    spot = Spot(connector_or_location)
    change = over(body, "Location", by_owner=True)
    with database.transaction() as transaction:
        locations.revise(transaction, user.network_id, party, spot, change)


def _own(user: Caller, spot: Spot) -> Document | None:
    with database.connect() as connection:
        return locations.get(connection, user.network_id, user.party, spot, published=not user.is_operator)


def _refuse_shadowing(user: Caller, body: dict[str, Any]) -> None:
    """Keep /locations/{country}/{party}/{location} unambiguous. Conformance 1.P."""
    uids = {evse["uid"].upper() for evse in body.get("evses") or ()}
    if body["id"].upper() == user.country_code and user.party_id in uids:
        raise errors.RuleRefusal(
            f"id: a location {body['id']} may not have an EVSE {user.party_id}, for both are our party's name"
        )


# eMSP interface


def list_received_locations(user: Caller, **asked: Unpack[Asked]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return locations.page(connection, user.network_id, window(asked), user.pushed())


def get_received_location(user: Caller, country_code: str, party_id: str, location_id: str) -> Document:
    """A location as it is stored here."""
    return _stored(user, country_code, party_id, Spot(location_id))


def get_received_evse(
    user: Caller, country_code: str, party_id: str, location_id: str, evse_uid: str
) -> Document:
    """An EVSE as it is stored here."""
    return _stored(user, country_code, party_id, Spot(location_id, evse_uid))


def get_received_connector(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    evse_uid: str,
    connector_id: str,
) -> Document:
    """A connector as it is stored here."""
    return _stored(user, country_code, party_id, Spot(location_id, evse_uid, connector_id))


def put_received_location(
    user: Caller, country_code: str, party_id: str, location_id: str, body: dict[str, Any]
) -> Answer | None:
    """A peer pushes a whole location."""
    party = user.owner(country_code, party_id)
    same(location_id, body["id"], "id")
    with database.transaction() as transaction:
        return stored(locations.put(transaction, user.network_id, party, body))


def put_received_evse(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    evse_uid: str,
    body: dict[str, Any],
) -> Answer | None:
    """A peer pushes an EVSE of a location that is stored here."""
    party = user.owner(country_code, party_id)
    same(evse_uid, body["uid"], "uid")
    with database.transaction() as transaction:
        return stored(
            locations.put_part(transaction, user.network_id, party, Spot(location_id, evse_uid), body)
        )


def put_received_connector(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    evse_uid: str,
    connector_id: str,
    body: dict[str, Any],
) -> Answer | None:
    """A peer pushes a connector of an EVSE that is stored here."""
    party = user.owner(country_code, party_id)
    same(connector_id, body["id"], "id")
    spot = Spot(location_id, evse_uid, connector_id)
    with database.transaction() as transaction:
        return stored(locations.put_part(transaction, user.network_id, party, spot, body))


def patch_received_location(
    user: Caller, country_code: str, party_id: str, location_id: str, body: dict[str, Any]
) -> None:
    """A peer changes a location."""
    party = user.owner(country_code, party_id)
    with database.transaction() as transaction:
        locations.revise(transaction, user.network_id, party, Spot(location_id), over(body, "Location"))


def patch_received_evse(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    evse_uid: str,
    body: dict[str, Any],
) -> None:
    """A peer changes an EVSE."""
    party = user.owner(country_code, party_id)
    with database.transaction() as transaction:
        locations.revise(transaction, user.network_id, party, Spot(location_id, evse_uid), over(body, "EVSE"))


def patch_received_connector(
    user: Caller,
    country_code: str,
    party_id: str,
    location_id: str,
    evse_uid: str,
    connector_id: str,
    body: dict[str, Any],
) -> None:
    """A peer changes a connector."""
    party = user.owner(country_code, party_id)
    spot = Spot(location_id, evse_uid, connector_id)
    with database.transaction() as transaction:
        locations.revise(transaction, user.network_id, party, spot, over(body, "Connector"))


def _stored(user: Caller, country_code: str, party_id: str, spot: Spot) -> Document:
    with database.connect() as connection:
        return found(locations.get(connection, user.network_id, user.readable(country_code, party_id), spot))
