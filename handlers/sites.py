"""The locations of a network as the gateway sees them. gateway-api.md 7."""

from typing import Any

import errors
from storage import jobs, sites
from storage.keys import Member
from storage.networks import CPO, Network
from storage.sites import ChargePoint, Site
from workflows import orders, templates
from workflows.orders import second

Body = dict[str, Any]


def list_sites(user: Member, cpo_id: str, page: int, limit: int) -> Body:
    """The locations, oldest first."""
    network = orders.network_of(user, cpo_id)
    seen, total = sites.page(network, (page - 1) * limit, limit)
    return {"data": [_shown(network, site) for site in seen], "total": total, "page": page, "limit": limit}


def create_sites(user: Member, cpo_id: str, body: Body, idempotency_key: str | None = None) -> Body:
    """Many locations at once, made durably."""
    network = orders.network_of(user, cpo_id)
    if network.role != CPO:
        raise errors.NotFound("An eMSP network has no locations of its own.")
    return orders.create_sites(user, network, body["locations"], idempotency_key)


def get_sites_job(user: Member, cpo_id: str, job_id: str) -> Body:
    """How far a bulk order has come, and in the end what became of each item."""
    network = orders.network_of(user, cpo_id)
    job = jobs.of(network.id, job_id, jobs.SITES)
    if job is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    shown = {
        "job_id": job.id,
        "job_type": job.kind,
        "status": job.status,
        "workflow_run_id": job.id,
        "progress": _progress(job),
    }
    return shown | orders.outcome(job) | ({"results": jobs.results(job.id)} if job.ended else {})


def _progress(job: jobs.Job) -> Body:
    tally = jobs.tally(job.id)
    done = tally[jobs.CREATED] + tally[jobs.REFUSED]
    return {"current_step": job.step, "locations_done": done, "locations_total": job.total}


def get_site(user: Member, cpo_id: str, location_id: str) -> Body:
    """One location."""
    network = orders.network_of(user, cpo_id)
    return _shown(network, _site(network, location_id))


def patch_site(user: Member, cpo_id: str, location_id: str, body: Body) -> Body:
    """Change a location; peers read the change at once."""
    network = orders.network_of(user, cpo_id)
    change = {name: value for name, value in body.items() if name in templates.CHANGEABLE}
    if change and not sites.revise(
        network,
        location_id,
        lambda document: templates.update_document(document, change),
        change.get("public"),
    ):
        raise errors.NotFound(errors.NOTHING_HERE)
    return _shown(network, _site(network, location_id))


def delete_site(user: Member, cpo_id: str, location_id: str) -> None:
    """Take a location away; peers see its EVSEs as REMOVED."""
    if not sites.delete(orders.network_of(user, cpo_id), location_id):
        raise errors.NotFound(errors.NOTHING_HERE)


def _site(network: Network, location_id: str) -> Site:
    site = sites.get(network, location_id)
    if site is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return site


def _shown(network: Network, site: Site) -> Body:
    document = site.document
    place = document["coordinates"]
    told: Body = {
        "id": site.id,
        "organization_id": network.organization_id,
        "slug": site.slug,
        "name": document.get("name"),
        "address": document["address"],
        "city": document["city"],
        "postal_code": templates.postal_code(document),
        "country": templates.alpha2(document["country"]),
        "coordinates": {"latitude": float(place["latitude"]), "longitude": float(place["longitude"])},
        "timezone": document.get("time_zone"),
        "owner_name": document.get("operator", {}).get("name"),
        "public": site.public,
        "chargers": [_charger(point, first=index == 0) for index, point in enumerate(site.charge_points)],
        "created_at": None if site.created_at is None else second(site.created_at),
        "updated_at": second(site.updated_at),
    }
    return {name: value for name, value in told.items() if value is not None}


def _charger(point: ChargePoint, *, first: bool) -> Body:
    evses = [
        {
            "evse_uid": plug.uid,
            "ocpi_evse_id": plug.evse_id,
            "ocpi_connector_id": plug.connector_id,
            "topology_id": f"top-{plug.id}",
        }
        for plug in point.routing
    ]
    default = {"topology_default_id": evses[0]["topology_id"]} if first and evses else {}
    return {
        "id": f"dep-{point.id}",
        "identity": point.identity,
        "connector_type": point.connector_type,
        "ocpp_version": point.ocpp_version,
        "charge_point_id": point.identity,
        "evses": evses,
        **default,
    }
