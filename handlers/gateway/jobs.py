"""Jobs: how far a bulk creation is. docs/gateway.md "Jobs"."""

from generated.gateway_models import LocationBulkStatusResponse
from handlers.dispatch import presenters
from handlers.dispatch.responses import found
from storage import database, jobs
from storage.keys import Member
from workflows.networks import orders


def get_locations_job(user: Member, cpo_id: str, job_id: str) -> LocationBulkStatusResponse:
    """Tell how far a bulk creation is, and once it has ended, what became of each location."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        job = jobs.of(connection, network.id, job_id, jobs.SITES)
    return presenters.job(found(job))
