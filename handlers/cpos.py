"""Virtual networks: the order for one, its state, its end. gateway-api.md 3 to 6."""

from typing import Any

from storage import jobs, networks, sites
from storage.keys import Member
from storage.networks import CPO, Network
from storage.sites import Topology
from workflows import orders, report
from workflows.orders import second
from workflows.registration import versions_url

Body = dict[str, Any]


def list_cpos(user: Member, page: int, limit: int) -> Body:
    """The organization's networks, oldest first."""
    found, total = networks.page(user.organization_id, (page - 1) * limit, limit)
    counted = sites.topologies([network.id for network in found])
    shown = [_shown(network, counted[network.id]) for network in found]
    return {"data": shown, "total": total, "page": page, "limit": limit}


def create_cpo(user: Member, body: Body, idempotency_key: str | None = None) -> Body:
    """A network, made durably; its tokens are in this answer only."""
    return orders.create_network(user, body, idempotency_key)


def get_cpo(user: Member, cpo_id: str) -> Body:
    """One network."""
    network = orders.network_of(user, cpo_id)
    return _shown(network, sites.topologies([network.id])[network.id])


def get_cpo_status(user: Member, cpo_id: str) -> Body:
    """How far the making of a network has come."""
    network = orders.network_of(user, cpo_id)
    job = orders.job_of(network)
    shown: Body = {
        "cpo_id": str(network.id),
        "status": jobs.READY if job is None else job.status,
        "status_url": f"/ocpi/cpos/{network.id}/status",
        "created_at": second(network.created_at),
        "updated_at": second(network.updated_at),
    }
    if job is not None:
        shown |= {"workflow_run_id": job.id, **_progress(network, job), **orders.outcome(job)}
    return shown


def _progress(network: Network, job: jobs.Job) -> Body:
    """What is done; nothing while nobody has begun. gateway-api.md 2.5."""
    if job.status == jobs.PENDING:
        return {}
    total = job.total if network.role == CPO else 0
    done = jobs.tally(job.id)[jobs.CREATED] if total else 0
    return {"progress": {"current_step": job.step, "locations_done": done, "locations_total": total}}


def delete_cpo(user: Member, cpo_id: str) -> None:
    """End a network; of one that has ended, nothing."""
    orders.delete_network(user.organization_id, int(cpo_id))


def get_cpo_report(user: Member, cpo_id: str) -> Body:
    """One page about a network, for people."""
    network = orders.network_of(user, cpo_id)
    return {"cpo_id": str(network.id), "markdown": report.of(network)}


def _shown(network: Network, topology: Topology) -> Body:
    path = f"/ocpi/cpos/{network.id}"
    ends = {} if network.expires_at is None else {"expires_at": second(network.expires_at)}
    return {
        "cpo_id": str(network.id),
        "party": orders.scope(network),
        "name_prefix": network.name,
        "template": network.template,
        "template_version": network.template_version,
        "ocpi_peer_url": versions_url(network.role),
        "topology": {name: getattr(topology, name) for name in Topology.__slots__},
        "report_url": f"{path}/report",
        "destroy_url": path,
        **ends,
        "created_at": second(network.created_at),
        "updated_at": second(network.updated_at),
    }
