"""Jobs that move the clock of a network forward. docs/charging.md "The clock".

While the job runs, the clock is stopped and shows the instant of what happens. Each step of the job is one
transaction that lets some things happen, so a job that a crash interrupts goes on where it was.
"""

import logging
import uuid

from dbos import DBOS

import errors
from generated.gateway_models import (
    ClockAdvanceRequest,
    JobAcceptedResponse,
    JobError,
    JobErrorCode,
    ProvisioningStatus,
)
from storage import database, jobs, networks, timestamps
from storage.database import Transaction
from storage.keys import Member
from storage.networks import Network
from workflows import engine
from workflows.charging import due_work, locked_network, simulation
from workflows.networks import orders

log = logging.getLogger("ocpi_gateway")

WORKFLOW = "advance"

_TOGETHER = 20
"""How many entries share a step."""


def order(user: Member, network: Network, request: ClockAdvanceRequest) -> JobAcceptedResponse:
    """Store and enqueue the job that moves the clock; returns the response.

    Raises:
        errors.Conflict: another one runs.
        errors.NotFound: the network has ended.
        errors.TooMany: the organization has as many jobs as it may have.
    """
    job_id = str(uuid.uuid4())
    with database.transaction() as transaction:
        networks.lock_organization(transaction, user.organization_id)
        orders.check_jobs(transaction, user.organization_id)
        locked = locked_network.lock(transaction, network)
        simulation.require_no_advance(locked)
        jobs.create(
            transaction, user.organization_id, network.id, jobs.ADVANCE, (), jobs.PENDING, job_id
        )  # fmt: skip
        engine.enqueue(transaction, WORKFLOW, job_id)
        until = locked.now() + request.seconds * 1000
        locked.move_clock(advance_job=job_id, advance_to=until)
    return JobAcceptedResponse(
        job_id=job_id,
        status=ProvisioningStatus.PENDING,
        status_url=f"/ocpi/cpos/{network.id}/jobs/{job_id}",
    )


@DBOS.workflow(name=WORKFLOW)
def run(job_id: str) -> None:
    """Run the job until the clock shows its instant."""
    try:
        while engine.patient_step(_advance, job_id):
            pass
    except Exception as error:
        log.exception("job_failed", extra={"job": job_id})
        message = f"{type(error).__name__}; it has been logged."
        failure = JobError(code=JobErrorCode.unknown_error, message=message, retryable=True)
        with database.transaction() as transaction:
            jobs.end(transaction, job_id, jobs.FAILED, failure)


def _advance(transaction: Transaction, job_id: str) -> bool:
    """Let some of what is due happen; False when the job has ended."""
    job = jobs.get(transaction, job_id)
    network = networks.get(transaction, job.network_id) if job else None
    if job is None or job.ended or network is None:
        return False
    try:
        locked = locked_network.lock(transaction, network)
    except errors.NotFound:  # the end of the network ends its jobs
        return False
    until = locked.simulation.advance_to
    if locked.simulation.advance_job != job_id or until is None:
        return False
    jobs.begin(transaction, job_id)
    if due_work.run_until(locked, until, _TOGETHER):
        locked.change()
        return True
    locked.move_clock(virtual_at=until, advance_job=None, advance_to=None)
    step = f"the clock shows {timestamps.authored(until)}", timestamps.now_ms(), None
    jobs.add_steps(transaction, job_id, [step])
    jobs.end(transaction, job_id, jobs.READY)
    return False
