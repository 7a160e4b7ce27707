"""How networks, sites and jobs look to callers of the gateway. gateway-api.md 3.1, 5, 7.1, 7.3.

A field without a value is left out.
"""

from typing import Any

from storage import database, jobs, sites
from storage.jobs import Job
from storage.networks import CPO, Network
from storage.sites import ChargePoint, Site
from workflows import orders, templates
from workflows.exchange import versions_url
from workflows.orders import second

Body = dict[str, Any]


def networks(found: list[Network]) -> list[Body]:
    """Networks, with how many rows each has now."""
    with database.connect() as connection:
        counted = sites.topologies(connection, [each.id for each in found])
    return [_network(each, counted[each.id]) for each in found]


def _network(of: Network, topology: sites.Topology) -> Body:
    path = f"/ocpi/cpos/{of.id}"
    ends = {} if of.expires_at is None else {"expires_at": second(of.expires_at)}
    return {
        "cpo_id": str(of.id),
        "party": orders.scope(of),
        "name_prefix": of.name,
        "template": of.template,
        "template_version": of.template_version,
        "ocpi_peer_url": versions_url(of.role),
        "topology": {name: getattr(topology, name) for name in sites.Topology.__slots__},
        "report_url": f"{path}/report",
        "destroy_url": path,
        **ends,
        "created_at": second(of.created_at),
        "updated_at": second(of.updated_at),
    }


def status(of: Network, job: Job | None) -> Body:
    """How far the making of a network has come; one without a job was made before there were jobs."""
    shown: Body = {
        "cpo_id": str(of.id),
        "status": jobs.READY if job is None else job.status,
        "status_url": f"/ocpi/cpos/{of.id}/status",
        "created_at": second(of.created_at),
        "updated_at": second(of.updated_at),
    }
    if job is None:
        return shown
    begun = job.status != jobs.PENDING
    progress = {"progress": _progress(job, job.total if of.role == CPO else 0)} if begun else {}
    return {**shown, "workflow_run_id": job.id, **progress, **_outcome(job)}


def job(of: Job) -> Body:
    """How far a bulk order has come, and in the end what became of each item."""
    shown = {
        "job_id": of.id,
        "job_type": of.kind,
        "status": of.status,
        "workflow_run_id": of.id,
        "progress": _progress(of, of.total),
    }
    with database.connect() as connection:
        return shown | _outcome(of) | ({"results": jobs.results(connection, of.id)} if of.ended else {})


def _progress(of: Job, total: int) -> Body:
    """What is done of *total* items. gateway-api.md 2.5."""
    with database.connect() as connection:
        tally = jobs.tally(connection, of.id) if total else {}
    done = tally.get(jobs.CREATED, 0) + tally.get(jobs.REFUSED, 0)
    return {"current_step": of.step, "locations_done": done, "locations_total": total}


def _outcome(of: Job) -> Body:
    """When a job was done, or why it was not."""
    error = {} if of.failure is None else {"error": of.failure}
    return error | ({} if of.provisioned_at is None else {"provisioned_at": second(of.provisioned_at)})


def site(network: Network, of: Site) -> Body:
    """A location with its charge points."""
    document, place = of.document, of.document["coordinates"]
    told: Body = {
        "id": of.id,
        "organization_id": network.organization_id,
        "slug": of.slug,
        "name": document.get("name"),
        "address": document["address"],
        "city": document["city"],
        "postal_code": templates.postal_code(document),
        "country": templates.alpha2(document["country"]),
        "coordinates": {"latitude": float(place["latitude"]), "longitude": float(place["longitude"])},
        "timezone": document.get("time_zone"),
        "owner_name": document.get("operator", {}).get("name"),
        "public": of.public,
        "chargers": [_charger(point, first=index == 0) for index, point in enumerate(of.charge_points)],
        "created_at": None if of.created_at is None else second(of.created_at),
        "updated_at": second(of.updated_at),
    }
    return {name: value for name, value in told.items() if value is not None}


def _charger(of: ChargePoint, *, first: bool) -> Body:
    evses = [
        {
            "evse_uid": plug.uid,
            "ocpi_evse_id": plug.evse_id,
            "ocpi_connector_id": plug.connector_id,
            "topology_id": f"top-{plug.id}",
        }
        for plug in of.routing
    ]
    default = {"topology_default_id": evses[0]["topology_id"]} if first and evses else {}
    return {
        "id": f"dep-{of.id}",
        "identity": of.identity,
        "connector_type": of.connector_type,
        "ocpp_version": of.ocpp_version,
        "charge_point_id": of.identity,
        "evses": evses,
        **default,
    }
