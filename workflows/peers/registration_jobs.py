"""Jobs that register at a peer, renew the tokens of a connection, unregister, or send objects again.

docs/gateway.md "Connections".

The exchanges themselves are in registration.py. A job stores their steps as they happen.
"""

import logging
import time
import uuid
from collections.abc import Callable

import orjson
from dbos import DBOS

import errors
from generated.gateway_models import (
    ConnectionCreateRequest,
    JobAcceptedResponse,
    JobError,
    JobErrorCode,
    ProvisioningStatus,
    PushRequest,
)
from storage import (
    access,
    connections,
    database,
    idempotency,
    jobs,
    networks,
    secrets,
    timestamps,
)
from storage.connections import REGISTERED, PeerConnection
from storage.database import Connection, Transaction
from storage.jobs import Job
from storage.keys import Member
from storage.networks import Network
from workflows import engine
from workflows.networks import orders
from workflows.peers import registration, sending_again
from workflows.peers.addresses import AddressRefused
from workflows.peers.credentials_exchange import Report, longest_exchange

log = logging.getLogger("ocpi_gateway")

WORKFLOW = "registration"

_WAIT_SECONDS = 0.2
_END_SECONDS = 60.0
"""How long the end of a job is tried again while the database is unavailable."""
_MESSAGE_LENGTH = 2000
_CODES: dict[type[errors.Refusal], tuple[JobErrorCode, bool]] = {
    AddressRefused: (JobErrorCode.address_refused, False),
    errors.PeerUnusable: (JobErrorCode.peer_unusable, True),
    errors.NoCommonVersion: (JobErrorCode.peer_unusable, False),
    errors.MissingEndpoints: (JobErrorCode.peer_unusable, False),
    errors.Conflict: (JobErrorCode.exchange_conflict, True),
    errors.Unavailable: (JobErrorCode.storage_unavailable, True),
    errors.Refusal: (JobErrorCode.unknown_error, True),
}
"""The code of each failure, and whether the same request may succeed later."""


def order(
    user: Member,
    network: Network,
    kind: str,
    *,
    connection_id: int | None = None,
    request: ConnectionCreateRequest | PushRequest | None = None,
    key: str | None = None,
) -> JobAcceptedResponse:
    """Store and enqueue a job; returns the response. *key*: an Idempotency-Key.

    Raises:
        errors.NotFound: the network does not have the connection, or has ended.
        errors.Conflict: the peer is not registered, or the key was used with another request.
        errors.TooMany: the organization has as many jobs as it may have.
    """
    use = None if request is None else orders.use_of(user, f"{kind}/{network.id}", key, request)
    with database.transaction() as transaction:
        networks.lock_organization(transaction, user.organization_id)
        if use is not None and (earlier := orders.replayed(transaction, use)):
            return JobAcceptedResponse.model_validate_json(earlier)
        orders.check_jobs(transaction, user.organization_id)
        if not connections.lock(transaction, network.id):
            raise errors.NotFound(errors.NOTHING_HERE)
        if connection_id is not None:
            _require_usable(connections.require(transaction, network.id, connection_id), kind)
        job_id = str(uuid.uuid4())
        jobs.create(
            transaction, user.organization_id, network.id, kind, (), jobs.PENDING, job_id,
            connection_id=connection_id, request=None if request is None else _stored(request),
        )  # fmt: skip
        engine.enqueue(transaction, WORKFLOW, job_id, engine.REGISTRATIONS)
        response = JobAcceptedResponse(
            job_id=job_id,
            status=ProvisioningStatus.PENDING,
            status_url=f"/ocpi/cpos/{network.id}/jobs/{job_id}",
        )
        if use is not None:
            idempotency.store(transaction, use, network.id, response.json_text())
    return response


def _require_usable(peer_connection: PeerConnection, kind: str) -> None:
    """Raise if there is nobody to call. A second DELETE of a connection is a job that does nothing.

    Raises:
        errors.Conflict: the peer is not registered.
    """
    if kind in {jobs.ROTATE, jobs.PUSH} and peer_connection.state != REGISTERED:
        raise errors.Conflict(f"{'/'.join(peer_connection.party)} is not registered.")


def _stored(request: ConnectionCreateRequest | PushRequest) -> str:
    """The request as the job keeps it until its end, with the token encrypted."""
    if isinstance(request, PushRequest):
        return request.json_text()
    return orjson.dumps([request.versions_url, secrets.encrypt(request.token)]).decode()


class _Steps:
    """The steps of a running job. A busy database delays them, but never breaks the exchange."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._waiting: list[tuple[str, int, str | None]] = []

    def report(self, text: str, request_id: str | None = None, /) -> None:
        """Store a step, with the request id of its call to the peer."""
        self._waiting.append((text, timestamps.now_ms(), request_id))
        try:
            with database.transaction() as transaction:
                self.store(transaction)
        except errors.Unavailable:
            return
        self._waiting.clear()

    def store(self, transaction: Transaction) -> None:
        """Store the steps that are not stored yet."""
        jobs.add_steps(transaction, self._job_id, self._waiting)


@DBOS.workflow(name=WORKFLOW)
def run(job_id: str) -> None:
    """Run the job until it has ended.

    The engine records no step of it, so after a crash it runs again from the start. What the first run did at
    the peer is done: if the peer had accepted the registration, Token A is used up, the second run is refused
    by the peer, and the job is FAILED. Nothing is stored here then; the peer has to give another Token A. A
    renewal that is repeated uses the tokens that are stored here, of which the peer accepts the older one
    until it has seen the newer one. Unregistering again finds the connection ended.
    """
    engine.require_running()
    with database.connect() as connection:
        job = jobs.get(connection, job_id)
        network = networks.get(connection, job.network_id) if job else None
    if job is None or job.ended or network is None:
        return
    steps = _Steps(job_id)
    try:
        with database.transaction() as transaction:
            jobs.begin(transaction, job_id)
        connection_id = _ACTIONS[job.kind](network, job, steps.report)
    except errors.Refusal as refusal:
        _end(job, steps, jobs.FAILED, _error(refusal))
    except Exception as error:
        log.exception("job_failed", extra={"job": job_id})
        message = f"{type(error).__name__}; it has been logged."
        failure = JobError(code=JobErrorCode.unknown_error, message=message, retryable=True)
        _end(job, steps, jobs.FAILED, failure)
    else:
        _end(job, steps, jobs.READY, connection_id=connection_id)


def _register(network: Network, job: Job, report: Report) -> int:
    """Register at a peer; returns the id of the connection."""
    url, ciphertext = orjson.loads(job.request or "[]")

    def join() -> int:
        return registration.join(network, url, secrets.decrypt(ciphertext), report).id

    return _once_free(join, lambda connection: access.registration_runs(connection, network.id), report)


def _rotate(network: Network, job: Job, report: Report) -> int:
    """Renew the tokens of a connection; returns its id."""

    def rotate() -> int:
        return registration.rotate(network, _connection_of(network, job), report).id

    return _once_free(rotate, _exchange_runs(network, job), report)


def _unregister(network: Network, job: Job, report: Report) -> int:
    """Unregister at a peer; returns the id of the connection. It is a success whatever the peer answers."""

    def leave() -> int:
        peer_connection = _connection_of(network, job)
        if peer_connection.state != REGISTERED:
            report("the connection has ended already")
            return peer_connection.id
        try:
            registration.leave(peer_connection, report)
        except errors.PeerUnusable as refusal:
            report(f"the peer did not confirm it: {_message(refusal)}")
        return peer_connection.id

    return _once_free(leave, _exchange_runs(network, job), report)


def _push(network: Network, job: Job, report: Report) -> int:
    """Queue objects to be sent again; returns the id of the connection."""
    peer_connection = _connection_of(network, job)
    request = PushRequest.model_validate_json(job.request or "{}")
    sending_again.queue(network, peer_connection, request, report)
    return peer_connection.id


_ACTIONS: dict[str, Callable[[Network, Job, Report], int]] = {
    jobs.REGISTER: _register,
    jobs.ROTATE: _rotate,
    jobs.UNREGISTER: _unregister,
    jobs.PUSH: _push,
}


def _connection_of(network: Network, job: Job) -> PeerConnection:
    """The connection of the job.

    Raises:
        errors.NotFound: the network does not have it any more.
    """
    with database.connect() as connection:
        return connections.require(connection, network.id, job.connection_id or 0)


def _exchange_runs(network: Network, job: Job) -> Callable[[Connection], bool]:
    """Whether another exchange of ours with the peer of the job is running."""
    connection_id = _connection_of(network, job).id
    return lambda connection: connections.exchange_runs(connection, connection_id)


def _once_free(exchange: Callable[[], int], is_busy: Callable[[Connection], bool], report: Report) -> int:
    """Run *exchange* when no other one is running, and none that a crash interrupted may still be.

    Raises:
        errors.Refusal: the exchange failed, or another one was running for as long as one takes.
    """
    deadline, has_reported = time.monotonic() + longest_exchange(), False
    while True:
        with database.connect() as connection:
            must_wait = is_busy(connection)
        if not must_wait or time.monotonic() > deadline:
            try:
                return exchange()
            except registration.ExchangeRuns:  # it began a moment before this one
                if time.monotonic() > deadline:
                    raise
        if not has_reported:
            report("waiting for another exchange to end")
            has_reported = True
        engine.require_running()
        time.sleep(_WAIT_SECONDS)


def _end(
    job: Job, steps: _Steps, status: str, error: JobError | None = None, connection_id: int | None = None
) -> None:
    """End the job with the steps that are not stored yet. Retry while the database is unavailable."""
    deadline = time.monotonic() + _END_SECONDS
    while True:
        try:
            with database.transaction() as transaction:
                steps.store(transaction)
                jobs.end(transaction, job.id, status, error, connection_id=connection_id or job.connection_id)
        except errors.Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_WAIT_SECONDS)
        else:
            return


def _error(refusal: errors.Refusal) -> JobError:
    code, is_retryable = next(_CODES[kind] for kind in type(refusal).__mro__ if kind in _CODES)
    return JobError(code=code, message=_message(refusal)[:_MESSAGE_LENGTH], retryable=is_retryable)


def _message(refusal: errors.Refusal) -> str:
    """Why it failed. The owner of the network may know why an address is not allowed; a peer may not."""
    reason = f" {refusal.reason}" if isinstance(refusal, AddressRefused) else ""
    return f"{refusal.message}{reason}"
