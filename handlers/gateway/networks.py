"""Virtual networks: the order for one, its state, its end. gateway-api.md 3 to 6."""

from typing import Any

from handlers import shown
from storage import database, networks
from storage.keys import Member
from workflows import orders, report

Body = dict[str, Any]


def list_networks(user: Member, page: int, limit: int) -> Body:
    """The organization's networks, oldest first."""
    with database.connect() as connection:
        found, total = networks.page(connection, user.organization_id, (page - 1) * limit, limit)
    return {"data": shown.networks(found), "total": total, "page": page, "limit": limit}


def create_network(user: Member, body: Body, idempotency_key: str | None = None) -> Body:
    """A network, made durably; its tokens are in this answer only."""
    return orders.create_network(user, body, idempotency_key)


def get_network(user: Member, cpo_id: str) -> Body:
    """One network."""
    return shown.networks([orders.network_of(user, cpo_id)])[0]


def get_network_status(user: Member, cpo_id: str) -> Body:
    """How far the making of a network has come."""
    network = orders.network_of(user, cpo_id)
    return shown.status(network, orders.job_of(network))


def delete_network(user: Member, cpo_id: str) -> None:
    """End a network; of one that has ended, nothing."""
    orders.delete_network(user.organization_id, int(cpo_id))


def get_network_report(user: Member, cpo_id: str) -> Body:
    """One page about a network, for people."""
    network = orders.network_of(user, cpo_id)
    return {"cpo_id": str(network.id), "markdown": report.of(network)}
