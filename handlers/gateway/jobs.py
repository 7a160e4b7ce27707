"""Jobs. docs/gateway.md "Jobs"."""

from generated.gateway_models import JobResponse, LocationBulkStatusResponse
from handlers.dispatch import presenters
from handlers.dispatch.responses import require_found
from storage import database, jobs
from storage.keys import Member
from workflows.networks import orders


def get_job(user: Member, cpo_id: str, job_id: str) -> JobResponse:
    """Any job of the network, with its steps."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        job = jobs.of(connection, network.id, job_id)
    return presenters.job(network, require_found(job))


def get_locations_job(user: Member, cpo_id: str, job_id: str) -> LocationBulkStatusResponse:
    """The status of a bulk creation, with the result of each location once it has ended."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        job = jobs.of(connection, network.id, job_id, jobs.SITES)
    return presenters.bulk_job(require_found(job))
