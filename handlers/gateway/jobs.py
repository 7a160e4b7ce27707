"""Jobs: how far a bulk creation is. gateway-api.md 7.3."""

from typing import Any

import errors
from handlers import shown
from storage import database, jobs
from storage.keys import Member
from workflows import orders


def get_locations_job(user: Member, cpo_id: str, job_id: str) -> dict[str, Any]:
    """Tell how far a bulk creation is, and once it has ended, what became of each location."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        job = jobs.of(connection, network.id, job_id, jobs.SITES)
    if job is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return shown.job(job)
