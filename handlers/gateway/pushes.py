"""Pushes to the peer of a connection. docs/gateway.md "Pushes"."""

from generated.gateway_models import BehindListResponse, JobAcceptedResponse, PushRequest
from handlers.dispatch import presenters
from handlers.dispatch.responses import require_found
from storage import agenda, connections, database, jobs
from storage.keys import Member
from workflows.networks import orders
from workflows.peers import registration_jobs, sending_again


def push_again(user: Member, cpo_id: str, connection_id: str, body: PushRequest) -> JobAcceptedResponse:
    """Queue objects to be sent again, as a durable job."""
    sending_again.check(body)
    network = orders.network_of(user, cpo_id)
    return registration_jobs.order(user, network, jobs.PUSH, connection_id=int(connection_id), request=body)


def list_behind(user: Member, cpo_id: str, connection_id: str, page: int, limit: int) -> BehindListResponse:
    """The objects that are not delivered, oldest first."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        row = require_found(connections.row(connection, network.id, int(connection_id)))
        lane = agenda.connection_lane(row.id or 0)
        entries, total = agenda.page(connection, lane, (page - 1) * limit, limit)
    data = [presenters.behind(entry) for entry in entries]
    return BehindListResponse(data=data, total=total, page=page, limit=limit)
