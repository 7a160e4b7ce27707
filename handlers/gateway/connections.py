"""Connections of a network with peers. docs/gateway.md "Connections"."""

from generated.gateway_models import ConnectionListResponse, ConnectionResponse, ConnectionUpdateRequest
from handlers.dispatch import presenters
from handlers.dispatch.responses import require_found
from storage import connections, database
from storage.keys import Member
from storage.networks import Network
from workflows.networks import orders


def list_connections(user: Member, cpo_id: str, page: int, limit: int) -> ConnectionListResponse:
    """The connections, oldest first."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        some, total = connections.page(connection, network.id, (page - 1) * limit, limit)
    data = presenters.connections(network, some)
    return ConnectionListResponse(data=data, total=total, page=page, limit=limit)


def get_connection(user: Member, cpo_id: str, connection_id: str) -> ConnectionResponse:
    """One connection."""
    return _connection(orders.network_of(user, cpo_id), connection_id)


def update_connection(
    user: Member, cpo_id: str, connection_id: str, body: ConnectionUpdateRequest
) -> ConnectionResponse:
    """Switch pushes, and set what is tolerated of the peer."""
    network = orders.network_of(user, cpo_id)
    changes = body.model_dump(include=body.model_fields_set)
    if changes:
        with database.transaction() as transaction:
            connections.change(transaction, network.id, int(connection_id), changes)
    return _connection(network, connection_id)


def _connection(network: Network, connection_id: str) -> ConnectionResponse:
    with database.connect() as connection:
        found = connections.row(connection, network.id, int(connection_id))
    return presenters.connections(network, [require_found(found)])[0]
