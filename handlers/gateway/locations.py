"""The locations of a network as the gateway sees them. docs/gateway.md "Locations"."""

import functools

import errors
from generated.gateway_models import (
    EvseStatusRequest,
    EvseStatusResponse,
    LocationBulkAcceptedResponse,
    LocationBulkCreateRequest,
    LocationUpdateRequest,
    OcpiLocationListResponse,
    OcpiLocationResponse,
)
from generated.ocpi_models import EVSE, Status
from handlers.dispatch import presenters
from handlers.dispatch.responses import require_found
from storage import database, locations, sites
from storage.keys import Member
from storage.locations import LocationPath
from storage.networks import CPO, Network
from workflows.charging import evses, simulation
from workflows.networks import orders, templates


def list_locations(user: Member, cpo_id: str, page: int, limit: int) -> OcpiLocationListResponse:
    """The locations, oldest first."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        some, total = sites.page(connection, network, (page - 1) * limit, limit)
    data = [presenters.location(network, each) for each in some]
    return OcpiLocationListResponse(data=data, total=total, page=page, limit=limit)


def create_locations(
    user: Member, cpo_id: str, body: LocationBulkCreateRequest, idempotency_key: str | None
) -> LocationBulkAcceptedResponse:
    """Create locations in bulk, as a durable job."""
    network = orders.network_of(user, cpo_id)
    if network.role != CPO:
        raise errors.NotFound("An eMSP network has no locations.")
    return orders.create_sites(user, network, body, idempotency_key)


def get_location(user: Member, cpo_id: str, location_id: str) -> OcpiLocationResponse:
    """One location."""
    return _location(orders.network_of(user, cpo_id), location_id)


def update_location(
    user: Member, cpo_id: str, location_id: str, body: LocationUpdateRequest
) -> OcpiLocationResponse:
    """Change a location; peers read the change at once."""
    network = orders.network_of(user, cpo_id)
    if body.model_fields_set:
        change = functools.partial(templates.updated, change=body)
        with database.transaction() as transaction:
            sites.update(transaction, network, location_id, change, public=body.public)
    return _location(network, location_id)


def delete_location(user: Member, cpo_id: str, location_id: str) -> None:
    """Delete a location; peers see its EVSEs as REMOVED."""
    network = orders.network_of(user, cpo_id)
    with database.transaction() as transaction:
        sites.delete(transaction, network, location_id)


def put_evse_status(
    user: Member, cpo_id: str, location_id: str, evse_uid: str, body: EvseStatusRequest
) -> EvseStatusResponse:
    """Set the status of an EVSE; peers are sent the change."""
    network = simulation.require_charge_points(orders.network_of(user, cpo_id))
    evses.put_status(network, location_id, evse_uid, Status(body.status))
    with database.connect() as connection:
        path = LocationPath(location_id, evse_uid)
        document = locations.get(connection, network.id, network.party, path)
    return presenters.evse_status(location_id, EVSE.model_validate_json(require_found(document).text))


def _location(network: Network, location_id: str) -> OcpiLocationResponse:
    with database.connect() as connection:
        site = sites.get(connection, network, location_id)
    return presenters.location(network, require_found(site))
