"""The locations of a network as the gateway sees them. gateway-api.md 7."""

import functools
from typing import Any

import errors
from handlers import shown
from storage import database, sites
from storage.keys import Member
from storage.networks import CPO, Network
from workflows import orders, templates

Body = dict[str, Any]


def list_locations(user: Member, cpo_id: str, page: int, limit: int) -> Body:
    """The locations, oldest first."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found, total = sites.page(connection, network, (page - 1) * limit, limit)
    return {
        "data": [shown.site(network, each) for each in found],
        "total": total,
        "page": page,
        "limit": limit,
    }


def create_locations(user: Member, cpo_id: str, body: Body, idempotency_key: str | None = None) -> Body:
    """Many locations at once, made durably."""
    network = orders.network_of(user, cpo_id)
    if network.role != CPO:
        raise errors.NotFound("An eMSP network has no locations of its own.")
    return orders.create_sites(user, network, body, idempotency_key)


def get_location(user: Member, cpo_id: str, location_id: str) -> Body:
    """One location."""
    return _site(orders.network_of(user, cpo_id), location_id)


def update_location(user: Member, cpo_id: str, location_id: str, body: Body) -> Body:
    """Change a location; peers read the change at once."""
    network = orders.network_of(user, cpo_id)
    change = {name: value for name, value in body.items() if name in templates.CHANGEABLE}
    if change:
        to = functools.partial(templates.update_document, change=change)
        with database.transaction() as transaction:
            sites.revise(transaction, network, location_id, to, public=change.get("public"))
    return _site(network, location_id)


def delete_location(user: Member, cpo_id: str, location_id: str) -> None:
    """Take a location away; peers see its EVSEs as REMOVED."""
    network = orders.network_of(user, cpo_id)
    with database.transaction() as transaction:
        sites.delete(transaction, network, location_id)


def _site(network: Network, location_id: str) -> Body:
    with database.connect() as connection:
        site = sites.get(connection, network, location_id)
    if site is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return shown.site(network, site)
