"""Durable jobs: what is to be provisioned, item by item, and what became of each. Design sections 6, 7, 10.

An item is done once: the transaction that stores its effect settles its row, so this table, not the
engine that runs the job, says what is left to do.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, Index, bindparam
from sqlmodel import Field, SQLModel

from storage import database, instants
from storage.database import Connection, Transaction

PENDING = "PENDING"
PROVISIONING = "PROVISIONING"
READY = "READY"
FAILED = "FAILED"
ENDED = (READY, FAILED)

NETWORK = "network"
SITES = "locations"

OPEN, CREATED, REFUSED = 0, 1, 2

CANCELLED = {"code": "cancelled", "message": "The network was deleted.", "retryable": False}

Detail = dict[str, Any]
"""A provisioning error: code, message, and where it helps param, step, retryable."""


class Job(SQLModel, table=True):
    """One job of `total` items. Instants in milliseconds.

    `run`: the workflow that works on it, `began`: whether that has begun.
    """

    __tablename__ = "gw_jobs"
    __table_args__ = (Index("ix_gw_jobs_organization_status", "organization_id", "status"),)

    id: str = Field(primary_key=True, max_length=36)
    organization_id: str = Field(max_length=36)
    network_id: int = Field(sa_type=BigInteger, index=True)
    kind: str = Field(max_length=10)
    run: str = Field(max_length=64)
    began: bool = False
    status: str = Field(max_length=12)
    step: str | None = Field(default=None, max_length=64)
    total: int
    error: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    provisioned_at: int | None = Field(default=None, sa_type=BigInteger)

    @property
    def ended(self) -> bool:
        """Is it READY or FAILED."""
        return self.status in ENDED

    @property
    def failure(self) -> Detail | None:
        """Why it failed, if it did."""
        return None if self.error is None else orjson.loads(self.error)


class JobItemRow(SQLModel, table=True):
    """One item of a job; `began` counts how often the job came back to it after a crash."""

    __tablename__ = "gw_job_items"
    __table_args__ = (Index("ix_gw_job_items_open", "job_id", "state", "position"),)

    job_id: str = Field(primary_key=True, max_length=36)
    position: int = Field(primary_key=True)
    request: str | None = None
    state: int = OPEN
    began: int = 0
    location_id: str | None = Field(default=None, max_length=39)
    name: str | None = Field(default=None, max_length=255)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a job."""

    position: int
    state: int
    request: Any
    began: int
    location_id: str | None
    name: str | None
    error: Detail | None


JOBS = database.table(Job)
ITEMS = database.table(JobItemRow)

_j, _i = JOBS.c, ITEMS.c
_GET = sqlalchemy.select(Job).where(_j.id == bindparam("id"))
_OWNED = sqlalchemy.select(Job).where(_j.id == bindparam("id"), _j.network_id == bindparam("network_id"))
_UNFINISHED = sqlalchemy.select(Job).where(_j.status.not_in([bindparam("ready"), bindparam("failed")]))
_COUNT_UNFINISHED = (
    sqlalchemy.select(sqlalchemy.func.count())
    .select_from(JOBS)
    .where(
        _j.organization_id == bindparam("organization_id"),
        _j.status.in_([bindparam("pending"), bindparam("provisioning")]),
    )
)
_OF_NETWORK = sqlalchemy.select(Job).where(_j.network_id == bindparam("network_id"))
_BEGIN = (
    sqlalchemy.update(JOBS)
    .where(
        _j.id == bindparam("k_id"),
        _j.run == bindparam("k_run"),
        _j.began.is_(False),
        _j.status.not_in([bindparam("ready"), bindparam("failed")]),
    )
    .values(began=True, status=bindparam("status"), step=bindparam("step"), updated_at=bindparam("now"))
)
_PASS_ON = (
    sqlalchemy.update(JOBS)
    .where(
        _j.id == bindparam("k_id"),
        _j.run == bindparam("k_run"),
        _j.status.not_in([bindparam("ready"), bindparam("failed")]),
    )
    .values(run=bindparam("run"), began=False, updated_at=bindparam("now"))
)
_END = (
    sqlalchemy.update(JOBS)
    .where(_j.id == bindparam("k_id"), _j.status.not_in([bindparam("ready"), bindparam("failed")]))
    .values(
        status=bindparam("status"),
        step=bindparam("step"),
        error=bindparam("error"),
        updated_at=bindparam("now"),
        provisioned_at=bindparam("provisioned_at"),
    )
)
_ITEM = (
    sqlalchemy.select(
        _i.position, _i.state, _i.request, _i.began, _i.location_id, _i.name, _i.error
    ).where(_i.job_id == bindparam("job_id"), _i.position == bindparam("position"))
)  # fmt: skip
_LEFT = (
    sqlalchemy.select(_i.position)
    .where(_i.job_id == bindparam("job_id"), _i.state == bindparam("state"))
    .order_by(_i.position)
    .limit(bindparam("limit"))
)
_TALLY = (
    sqlalchemy.select(_i.state, sqlalchemy.func.count())
    .where(_i.job_id == bindparam("job_id"))
    .group_by(_i.state)
)
_DONE = (
    sqlalchemy.select(_i.position, _i.location_id, _i.name, _i.error)
    .where(_i.job_id == bindparam("job_id"), _i.state == bindparam("state"))
    .order_by(_i.position)
)
_SETTLE = (
    sqlalchemy.update(ITEMS)
    .where(
        _i.job_id == bindparam("k_id"),
        _i.position == bindparam("k_position"),
        _i.state == bindparam("k_state"),
    )
    .values(
        state=bindparam("state"),
        location_id=bindparam("location_id"),
        name=bindparam("name"),
        error=bindparam("error"),
        request=None,
    )
)
_SUSPECT = (
    sqlalchemy.update(ITEMS)
    .where(_i.job_id == bindparam("k_id"), _i.position == bindparam("k_position"))
    .values(began=_i.began + 1)
)
_PURGE_ITEMS = sqlalchemy.delete(ITEMS).where(_i.job_id == bindparam("k_id"))
_PURGE = sqlalchemy.delete(JOBS).where(_j.id == bindparam("k_id"))
_ORPHANS = sqlalchemy.select(_j.id).where(
    _j.updated_at < bindparam("before"), _j.status == bindparam("failed"), _j.error == bindparam("error")
)


def create(
    transaction: Transaction,
    organization_id: str,
    network_id: int,
    kind: str,
    requests: Many[Any],
    status: str,
    job_id: str,
) -> None:
    """A new job with one item a request."""
    now = instants.now_ms()
    row = {
        "id": job_id,
        "organization_id": organization_id,
        "network_id": network_id,
        "kind": kind,
        "run": job_id,
        "status": status,
        "total": len(requests),
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
    found = database.rows(connection, _GET, {"id": job_id})
    return found[0] if found else None


def of(connection: Connection, network_id: int, job_id: str, kind: str) -> Job | None:
    """The job of *kind* with this id, if it is the network's; else None."""
    found = database.rows(connection, _OWNED, {"id": job_id, "network_id": network_id})
    return found[0] if found and found[0].kind == kind else None


def of_network(connection: Connection, network_id: int) -> list[Job]:
    """Every job of the network."""
    return database.rows(connection, _OF_NETWORK, {"network_id": network_id})


def unfinished(connection: Connection) -> list[Job]:
    """Every job that has not ended."""
    return database.rows(connection, _UNFINISHED, {"ready": READY, "failed": FAILED})


def count_unfinished(connection: Connection, organization_id: str) -> int:
    """How many jobs of the organization have not ended."""
    values = {"organization_id": organization_id, "pending": PENDING, "provisioning": PROVISIONING}
    return int(connection.execute(_COUNT_UNFINISHED, values).all()[0][0])


def begin(transaction: Transaction, job_id: str, run: str, step: str) -> bool:
    """The run begins to work at the job; False if it had begun before, or is not the job's run any more."""
    values = {"k_id": job_id, "k_run": run, "ready": READY, "failed": FAILED}
    return (
        transaction.execute(
            _BEGIN, {**values, "status": PROVISIONING, "step": step, "now": instants.now_ms()}
        ).rowcount
        > 0
    )


def pass_on(transaction: Transaction, job_id: str, run: str, fresh: str) -> bool:
    """Let another run work at the job; False if *run* is not the job's any more, or the job has ended."""
    values = {"k_id": job_id, "k_run": run, "ready": READY, "failed": FAILED}
    return transaction.execute(_PASS_ON, {**values, "run": fresh, "now": instants.now_ms()}).rowcount > 0


def end(transaction: Transaction, job_id: str, status: str, error: Detail | None = None) -> bool:
    """The job has ended as *status*; False if it had ended before. READY and FAILED are for good."""
    now = instants.now_ms()
    values = {
        "k_id": job_id,
        "ready": READY,
        "failed": FAILED,
        "status": status,
        "step": "done" if status == READY else (error or {}).get("step"),
        "error": None if error is None else orjson.dumps(error).decode(),
        "now": now,
        "provisioned_at": now if status == READY else None,
    }
    return transaction.execute(_END, values).rowcount > 0


def left(connection: Connection, job_id: str, most: int = 1_000_000) -> list[int]:
    """The positions of the items that are not done."""
    return [
        row[0] for row in connection.execute(_LEFT, {"job_id": job_id, "state": OPEN, "limit": most}).all()
    ]


def item(connection: Connection, job_id: str, position: int) -> Item | None:
    """One item, or None."""
    row = connection.execute(_ITEM, {"job_id": job_id, "position": position}).first()
    if row is None:
        return None
    request = None if row[2] is None else orjson.loads(row[2])
    error = None if row[6] is None else orjson.loads(row[6])
    return Item(row[0], row[1], request, row[3], row[4], row[5], error)


def suspect(transaction: Transaction, job_id: str, position: int) -> None:
    """The job has come back to this item after a crash; if it kills us again and again, it is skipped."""
    transaction.execute(_SUSPECT, {"k_id": job_id, "k_position": position})


def settle(transaction: Transaction, job_id: str, position: int, location_id: str, name: str) -> None:
    """The item was created; call it inside the transaction that created it and found the item open."""
    _settle(transaction, job_id, position, CREATED, location_id, name, None)


def refuse(transaction: Transaction, job_id: str, position: int, name: str | None, error: Detail) -> None:
    """The item cannot be created."""
    _settle(transaction, job_id, position, REFUSED, None, name, error)


def _settle(
    transaction: Transaction,
    job_id: str,
    position: int,
    state: int,
    location_id: str | None,
    name: str | None,
    error: Detail | None,
) -> None:
    values = {
        "k_id": job_id,
        "k_position": position,
        "k_state": OPEN,
        "state": state,
        "location_id": location_id,
        "name": name,
        "error": None if error is None else orjson.dumps(error).decode(),
        "request": None,
    }
    transaction.execute(_SETTLE, values)


def tally(connection: Connection, job_id: str) -> dict[int, int]:
    """How many items are OPEN, CREATED, REFUSED."""
    return {OPEN: 0, CREATED: 0, REFUSED: 0, **dict(connection.execute(_TALLY, {"job_id": job_id}).all())}


def results(connection: Connection, job_id: str) -> Detail:
    """What became of the items, in the order of the request. Design section 6, bulk results."""
    created = [
        {"index": position, "id": location_id, "name": name}
        for position, location_id, name, _ in connection.execute(
            _DONE, {"job_id": job_id, "state": CREATED}
        ).all()
    ]
    failed = [
        {"index": position, **({"name": name} if name else {}), "error": orjson.loads(error)}
        for position, _, name, error in connection.execute(_DONE, {"job_id": job_id, "state": REFUSED}).all()
    ]
    return {
        "created_count": len(created),
        "failed_count": len(failed),
        "created": created,
        "failed": failed,
    }


def forget(transaction: Transaction, job_id: str) -> None:
    """Delete the job and its items."""
    transaction.execute(_PURGE_ITEMS, {"k_id": job_id})
    transaction.execute(_PURGE, {"k_id": job_id})


def forget_items(transaction: Transaction, job_id: str) -> None:
    """Delete the job's items, and keep the job."""
    transaction.execute(_PURGE_ITEMS, {"k_id": job_id})


def cancelled_before(connection: Connection, milliseconds: int) -> list[str]:
    """The jobs that ended with their network before then."""
    values = {"before": milliseconds, "failed": FAILED, "error": orjson.dumps(CANCELLED).decode()}
    return [row[0] for row in connection.execute(_ORPHANS, values).all()]
