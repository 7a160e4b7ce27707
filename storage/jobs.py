"""Durable jobs: their steps, the items to provision and their results. docs/gateway.md "Jobs".

The engine (workflows/engine.py) decides when a job runs. These tables hold the status of a job, its steps,
the requests of its open items, and the results of the others.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, Index, bindparam
from sqlmodel import Field, SQLModel

from generated.gateway_models import (
    JobError,
    LocationBulkCreated,
    LocationBulkFailure,
    LocationBulkResults,
    ProvisioningErrorCode,
    ProvisioningErrorDetail,
)
from storage import database, timestamps
from storage.database import Connection, Transaction
from storage.objects import AutoIncrement

PENDING = "PENDING"
PROVISIONING = "PROVISIONING"
READY = "READY"
FAILED = "FAILED"
ENDED = (READY, FAILED)

NETWORK = "network"
SITES = "locations"
REGISTER = "register"
ROTATE = "rotate"
UNREGISTER = "unregister"
PUSH = "push"
ADVANCE = "advance"
"""The kinds of job: provision a network, create locations in one; register at a peer, renew, end that; send
objects again; move the clock of a network."""

OPEN, CREATED, REFUSED = 0, 1, 2
"""The states of an item."""

CANCELLED = ProvisioningErrorDetail(
    code=ProvisioningErrorCode.cancelled, message="The network was deleted.", retryable=False
)


class Job(SQLModel, table=True):
    """One job of `total` items. Instants in milliseconds. The id is also that of the engine's workflow.

    *connection_id*: the connection that it is about. *request*: JSON text that it needs until it has ended.
    """

    __tablename__ = "gw_jobs"
    __table_args__ = (Index("ix_gw_jobs_organization_status", "organization_id", "status"),)

    id: str = Field(primary_key=True, max_length=36)
    organization_id: str = Field(max_length=36)
    network_id: int = Field(sa_type=BigInteger, index=True)
    kind: str = Field(max_length=10)
    status: str = Field(max_length=12)
    total: int
    error: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    provisioned_at: int | None = Field(default=None, sa_type=BigInteger)
    connection_id: int | None = Field(default=None, sa_type=BigInteger)
    request: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it is READY or FAILED."""
        return self.status in ENDED

    @property
    def step(self) -> str | None:
        """The step that clients see; None before the first step and after a failure."""
        return {PROVISIONING: "locations", READY: "done"}.get(self.status)

    @property
    def failure(self) -> ProvisioningErrorDetail | None:
        """Why the job of a network or of locations failed, or None."""
        return _error(self.error)

    @property
    def job_error(self) -> JobError | None:
        """Why it failed, whatever its kind, or None."""
        return None if self.error is None else JobError.model_validate_json(self.error)


class JobStep(SQLModel, table=True):
    """What a job did. *request_id*: that of the exchange with a peer. Instants in milliseconds."""

    __tablename__ = "gw_job_steps"

    id: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    job_id: str = Field(max_length=36, index=True)
    text: str
    at: int = Field(sa_type=BigInteger)
    request_id: str | None = Field(default=None, max_length=64)


class JobItem(SQLModel, table=True):
    """One item of a job, with its request while it is OPEN and its result afterward."""

    __tablename__ = "gw_job_items"
    __table_args__ = (Index("ix_gw_job_items_open", "job_id", "state", "position"),)

    job_id: str = Field(primary_key=True, max_length=36)
    position: int = Field(primary_key=True)
    request: str | None = None
    state: int = OPEN
    location_id: str | None = Field(default=None, max_length=39)
    name: str | None = Field(default=None, max_length=255)
    error: str | None = None

    def created(self, location_id: str, name: str) -> None:
        """Set the result: the item was created as *location_id*."""
        self.state, self.location_id, self.name = CREATED, location_id, name

    def refused(self, name: str | None, error: ProvisioningErrorDetail) -> None:
        """Set the result: the item cannot be created."""
        self.state, self.name, self.error = REFUSED, name, error.json_text()

    @property
    def failure(self) -> ProvisioningErrorDetail | None:
        """Why it cannot be created, or None."""
        return _error(self.error)


def _error(text: str | None) -> ProvisioningErrorDetail | None:
    return None if text is None else ProvisioningErrorDetail.model_validate_json(text)


JOBS = database.table(Job)
ITEMS = database.table(JobItem)
STEPS = database.table(JobStep)

_j, _i, _s = JOBS.c, ITEMS.c, STEPS.c
_IS_UNFINISHED = _j.status.not_in(ENDED)
_GET = sqlalchemy.select(JOBS).where(_j.id == bindparam("id"))
_UNFINISHED = sqlalchemy.select(JOBS).where(_IS_UNFINISHED)
_COUNT_UNFINISHED = (
    sqlalchemy.select(sqlalchemy.func.count())
    .select_from(JOBS)
    .where(_j.organization_id == bindparam("organization_id"), _j.status.in_([PENDING, PROVISIONING]))
)
_UPDATE = sqlalchemy.update(JOBS).where(_j.id == bindparam("k_id"), _IS_UNFINISHED)
_ITEM = sqlalchemy.select(ITEMS).where(_i.job_id == bindparam("job_id"), _i.position == bindparam("position"))
_OPEN_ITEMS = (
    sqlalchemy.select(ITEMS)
    .where(_i.job_id == bindparam("job_id"), _i.state == OPEN)
    .order_by(_i.position)
    .limit(bindparam("limit"))
)
_TALLY = (
    sqlalchemy.select(_i.state, sqlalchemy.func.count())
    .where(_i.job_id == bindparam("job_id"))
    .group_by(_i.state)
)
_RESULTS = (
    sqlalchemy.select(_i.position, _i.state, _i.location_id, _i.name, _i.error)
    .where(_i.job_id == bindparam("job_id"))
    .order_by(_i.position)
)
_RECORD = (
    sqlalchemy.update(ITEMS)
    .where(_i.job_id == bindparam("k_job"), _i.position == bindparam("k_position"))
    .values(
        state=bindparam("state"),
        location_id=bindparam("location_id"),
        name=bindparam("name"),
        error=bindparam("error"),
        request=None,
    )
)
_RUNS = sqlalchemy.select(_j.id).where(_j.id == bindparam("k_id"), _IS_UNFINISHED)
_STEPS = sqlalchemy.select(STEPS).where(_s.job_id == bindparam("job_id")).order_by(_s.id)
_OF_NETWORK = _j.network_id == bindparam("k_network")
_IS_CANCELLED = (_j.status == FAILED) & (_j.error == CANCELLED.json_text())
_END_NETWORK = (
    sqlalchemy.delete(ITEMS).where(_i.job_id.in_(sqlalchemy.select(_j.id).where(_OF_NETWORK))),
    sqlalchemy.delete(STEPS).where(_s.job_id.in_(sqlalchemy.select(_j.id).where(_OF_NETWORK))),
    sqlalchemy.update(JOBS)
    .where(_OF_NETWORK, _IS_UNFINISHED)
    .values(status=FAILED, error=CANCELLED.json_text(), request=None, updated_at=bindparam("now")),
    sqlalchemy.delete(JOBS).where(_OF_NETWORK, ~_IS_CANCELLED),
)
_PURGE = sqlalchemy.delete(JOBS).where(_IS_CANCELLED, _j.updated_at < bindparam("before"))


def create(
    transaction: Transaction,
    organization_id: str,
    network_id: int,
    kind: str,
    requests: Sequence[Any],
    status: str,
    job_id: str,
    *,
    connection_id: int | None = None,
    request: str | None = None,
) -> None:
    """Store a new job with one item per request."""
    now = timestamps.now_ms()
    row = {
        "id": job_id,
        "organization_id": organization_id,
        "network_id": network_id,
        "kind": kind,
        "status": status,
        "total": len(requests),
        "connection_id": connection_id,
        "request": request,
        "created_at": now,
        "updated_at": now,
    }
    items = [
        {"job_id": job_id, "position": position, "request": orjson.dumps(request).decode()}
        for position, request in enumerate(requests)
    ]
    transaction.execute(sqlalchemy.insert(JOBS), row)
    if items:
        transaction.execute(sqlalchemy.insert(ITEMS), items)


def get(connection: Connection, job_id: str) -> Job | None:
    """The job, or None."""
    found = database.rows(connection, Job, _GET, {"id": job_id})
    return found[0] if found else None


def of(connection: Connection, network_id: int, job_id: str, kind: str | None = None) -> Job | None:
    """The network's job with this id, of *kind* unless it is None, or None."""
    job = get(connection, job_id)
    return job if job is not None and (job.network_id, kind or job.kind) == (network_id, job.kind) else None


def unfinished(connection: Connection) -> list[Job]:
    """Every job that has not ended."""
    return database.rows(connection, Job, _UNFINISHED, {})


def count_unfinished(connection: Connection, organization_id: str) -> int:
    """How many jobs of the organization have not ended."""
    values = {"organization_id": organization_id}
    return int(connection.execute(_COUNT_UNFINISHED, values).scalar_one())


def begin(transaction: Transaction, job_id: str) -> None:
    """Mark the job PROVISIONING."""
    _update(transaction, job_id, status=PROVISIONING)


def end(
    transaction: Transaction,
    job_id: str,
    status: str,
    error: ProvisioningErrorDetail | JobError | None = None,
    **columns: Any,
) -> None:
    """End the job as READY or FAILED, unless it has ended; set *columns* as well."""
    provisioned_at = timestamps.now_ms() if status == READY else None
    text = None if error is None else error.json_text()
    columns |= {"status": status, "error": text, "provisioned_at": provisioned_at, "request": None}
    _update(transaction, job_id, **columns)


def add_steps(transaction: Transaction, job_id: str, steps: Sequence[tuple[str, int, str | None]]) -> None:
    """Store what a job did, unless it has ended: texts, their instants in milliseconds, request ids."""
    rows = [{"job_id": job_id, "text": text, "at": at, "request_id": id_} for text, at, id_ in steps]
    if rows and transaction.execute(_RUNS, {"k_id": job_id}).first():
        transaction.execute(sqlalchemy.insert(STEPS), rows)
        _update(transaction, job_id)


def steps(connection: Connection, job_id: str) -> list[JobStep]:
    """What the job did, in this order."""
    return database.rows(connection, JobStep, _STEPS, {"job_id": job_id})


def _update(transaction: Transaction, job_id: str, **values: Any) -> None:
    transaction.execute(_UPDATE.values(**values, updated_at=timestamps.now_ms()), {"k_id": job_id})


def item(connection: Connection, job_id: str, position: int) -> JobItem | None:
    """One item, or None."""
    found = database.rows(connection, JobItem, _ITEM, {"job_id": job_id, "position": position})
    return found[0] if found else None


def open_items(connection: Connection, job_id: str, limit: int) -> list[JobItem]:
    """The first *limit* items that have no result yet, in the order of the request, to set their results."""
    rows = connection.execute(_OPEN_ITEMS, {"job_id": job_id, "limit": limit})
    return [JobItem(**row._mapping) for row in rows]  # noqa: SLF001  (public, by its documentation)


def record(transaction: Transaction, items: Iterable[JobItem]) -> None:
    """Store the results of items. Call it in the transaction that stores what was created."""
    fields = {"state", "location_id", "name", "error"}
    rows = [
        {"k_job": each.job_id, "k_position": each.position, **each.model_dump(include=fields)}
        for each in items
    ]
    transaction.execute(_RECORD, rows)


def tally(connection: Connection, job_id: str) -> dict[int, int]:
    """How many items are OPEN, CREATED, REFUSED."""
    return {OPEN: 0, CREATED: 0, REFUSED: 0, **dict(connection.execute(_TALLY, {"job_id": job_id}).all())}


def results(connection: Connection, job_id: str) -> LocationBulkResults:
    """The results of a bulk job, in the order of the request."""
    rows = connection.execute(_RESULTS, {"job_id": job_id}).all()
    created = [
        LocationBulkCreated(index=row.position, id=row.location_id, name=row.name)
        for row in rows
        if row.state == CREATED
    ]
    failed = [
        LocationBulkFailure(
            index=row.position,
            name=row.name or None,
            error=ProvisioningErrorDetail.model_validate_json(row.error),
        )
        for row in rows
        if row.state == REFUSED
    ]
    return LocationBulkResults(
        created_count=len(created), failed_count=len(failed), created=created, failed=failed
    )


def end_network(transaction: Transaction, network_id: int) -> None:
    """Cancel the unfinished jobs of a network; delete its other jobs and all items."""
    for statement in _END_NETWORK:
        transaction.execute(statement, {"k_network": network_id, "now": timestamps.now_ms()})


def purge(transaction: Transaction, before: int) -> None:
    """Delete the jobs that were cancelled before this instant, in milliseconds."""
    transaction.execute(_PURGE, {"before": before})
