"""Connections of a network with peers. docs/gateway.md "Connections"."""

from generated.gateway_models import (
    AnyParty,
    ConnectionCreateRequest,
    ConnectionListResponse,
    ConnectionParties,
    ConnectionResponse,
    ConnectionUpdateRequest,
    JobAcceptedResponse,
)
from handlers.dispatch import presenters
from handlers.dispatch.responses import require_found
from storage import connections, database, jobs
from storage.keys import Member
from storage.networks import Network
from storage.objects import Party
from workflows.networks import orders
from workflows.peers import registration_jobs


def list_connections(user: Member, cpo_id: str, page: int, limit: int) -> ConnectionListResponse:
    """The connections, oldest first."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        some, total = connections.page(connection, network.id, (page - 1) * limit, limit)
    data = presenters.connections(network, some)
    return ConnectionListResponse(data=data, total=total, page=page, limit=limit)


def create_connection(
    user: Member, cpo_id: str, body: ConnectionCreateRequest, idempotency_key: str | None
) -> JobAcceptedResponse:
    """Register at a peer, as a durable job."""
    network = orders.network_of(user, cpo_id)
    return registration_jobs.order(user, network, jobs.REGISTER, request=body, key=idempotency_key)


def get_connection(user: Member, cpo_id: str, connection_id: str) -> ConnectionResponse:
    """One connection."""
    return _connection(orders.network_of(user, cpo_id), connection_id)


def update_connection(
    user: Member, cpo_id: str, connection_id: str, body: ConnectionUpdateRequest
) -> ConnectionResponse:
    """Switch pushes, and set the parties of the peer and what is tolerated of it."""
    network, sent = orders.network_of(user, cpo_id), body.model_fields_set
    if sent:
        with database.transaction() as transaction:
            columns = body.model_dump(include=sent - {"parties"})
            connections.change(transaction, network.id, int(connection_id), columns)
            if "parties" in sent:
                connections.assign(transaction, network, int(connection_id), _owners(body.parties))
    return _connection(network, connection_id)


def delete_connection(user: Member, cpo_id: str, connection_id: str) -> JobAcceptedResponse:
    """Unregister at the peer, as a durable job."""
    network = orders.network_of(user, cpo_id)
    return registration_jobs.order(user, network, jobs.UNREGISTER, connection_id=int(connection_id))


def rotate_connection(user: Member, cpo_id: str, connection_id: str) -> JobAcceptedResponse:
    """Renew the tokens of a connection, as a durable job."""
    network = orders.network_of(user, cpo_id)
    return registration_jobs.order(user, network, jobs.ROTATE, connection_id=int(connection_id))


def _owners(parties: ConnectionParties) -> list[Party] | None:
    """The owners that a request names; None means any."""
    if isinstance(parties, AnyParty):
        return None
    return [(each.country_code, each.party_id) for each in parties]


def _connection(network: Network, connection_id: str) -> ConnectionResponse:
    with database.connect() as connection:
        found = connections.row(connection, network.id, int(connection_id))
    return presenters.connections(network, [require_found(found)])[0]
