"""Virtual networks. docs/gateway.md "Networks"."""

from generated.gateway_models import (
    CpoAcceptedResponse,
    CpoCreateRequest,
    CpoListResponse,
    CpoReportResponse,
    CpoResponse,
    CpoStatusResponse,
)
from handlers.dispatch import presenters
from storage import database, networks
from storage.keys import Member
from workflows.networks import orders, report


def list_networks(user: Member, page: int, limit: int) -> CpoListResponse:
    """The organization's networks, oldest first."""
    with database.connect() as connection:
        networks_found, total = networks.page(connection, user.organization_id, (page - 1) * limit, limit)
    return CpoListResponse(data=presenters.networks(networks_found), total=total, page=page, limit=limit)


def create_network(user: Member, body: CpoCreateRequest, idempotency_key: str | None) -> CpoAcceptedResponse:
    """Create a network, as a durable job. Only this response contains its tokens."""
    return orders.create_network(user, body, idempotency_key)


def get_network(user: Member, cpo_id: str) -> CpoResponse:
    """One network."""
    return presenters.networks([orders.network_of(user, cpo_id)])[0]


def get_network_status(user: Member, cpo_id: str) -> CpoStatusResponse:
    """The provisioning status of a network."""
    network = orders.network_of(user, cpo_id)
    return presenters.status(network, orders.job_of(network))


def delete_network(user: Member, cpo_id: str) -> None:
    """Delete a network; one that has ended stays ended."""
    orders.delete_network(user.organization_id, int(cpo_id))


def get_network_report(user: Member, cpo_id: str) -> CpoReportResponse:
    """A report on a network in Markdown."""
    network = orders.network_of(user, cpo_id)
    return CpoReportResponse(cpo_id=str(network.id), markdown=report.of(network))
