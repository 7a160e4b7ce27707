"""Durable jobs in the program and in DBOS: failed steps, abandoned workflows, deletion."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy
from bulk import ENDED, Job, count_settled, order_job
from crashable_node import CrashableNode, environment, is_sqlite, until
from dbos import PortableWorkflowError
from gateway_orders import example
from migrated import new_database
from nodes import Gateway, in_transaction, one_database

import errors
from storage import database, jobs, locations, networks, sites, timestamps
from workflows import engine
from workflows.networks import provisioning, templates

ATTEMPTS = 101
"""The number of starts after which DBOS abandons a workflow: one and 100 recoveries, its default."""
LONG_AGO_MS = 60_000
LOCATION = example("OcpiCreateLocationRequest")


@pytest.fixture
def crashable_node(database_url: str, tmp_path: Path) -> Iterator[CrashableNode]:
    """A node on a fresh database."""
    with contextlib.ExitStack() as stack:
        node = CrashableNode(environment(new_database(database_url, tmp_path), str(tmp_path)))
        stack.callback(node.kill)
        node.start()
        yield node


def execute(node: CrashableNode, text: str, **values: Any) -> None:
    """Change one row in the database of a killed node."""
    engine = sqlalchemy.create_engine(node.database, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        assert connection.execute(sqlalchemy.text(text), values).rowcount == 1


def interrupted_job(node: CrashableNode) -> Job:
    """A job whose process is killed between two steps."""
    job = order_job(node, 2000)
    until(lambda: count_settled(node, job))
    node.kill()
    assert count_settled(node, job) < len(job.names)
    return job


@one_database
@pytest.mark.ocpi(208)
def test_a_job_that_dbos_abandons_fails(crashable_node: CrashableNode) -> None:
    job = interrupted_job(crashable_node)
    schema = "" if is_sqlite(crashable_node.database) else "dbos."
    attempts = f"UPDATE {schema}workflow_status SET recovery_attempts = :n WHERE workflow_uuid = :job"  # noqa: S608
    execute(crashable_node, attempts, n=ATTEMPTS, job=job.id)
    execute(
        crashable_node,
        "UPDATE gw_jobs SET updated_at = updated_at - :ago WHERE id = :job",
        ago=LONG_AGO_MS,
        job=job.id,
    )
    before = count_settled(crashable_node, job)

    crashable_node.start()

    until(lambda: crashable_node.read(job.status_url)["status"] in ENDED)
    failed = crashable_node.read(job.status_url)
    assert ("FAILED", "unknown_error", True) == (
        failed["status"],
        failed["error"]["code"],
        failed["error"]["retryable"],
    )
    assert before == count_settled(crashable_node, job) == failed["results"]["created_count"]


def test_a_location_with_a_duplicate_id_fails_alone(gateway: Gateway) -> None:
    """Two locations get the same id only by chance or if the operator guesses it."""
    network = in_transaction(networks.get, int(gateway.ready()["cpo_id"]))
    job_id, items = str(uuid.uuid4()), [{"item": {**LOCATION, "name": name}, "prefix": None} for name in "AB"]
    item = templates.item_from(orjson.dumps(items[0]["item"]))
    plan = templates.plan_site(item, job_id, 0, network.name, network.party, None)
    document = sites.stamped(plan.document, timestamps.now())

    with database.transaction() as transaction:
        locations.add(transaction, network.id, network.party, document, published=True)
        jobs.create(
            transaction, network.organization_id, network.id, jobs.SITES, items, jobs.PROVISIONING, job_id
        )
        provisioning.provision_now(transaction, job_id)

    results = in_transaction(jobs.results, job_id)
    assert [1] == [created.index for created in results.created]
    [failed] = results.failed
    assert (0, "duplicate_identity", "id") == (failed.index, failed.error.code, failed.error.param)


@pytest.mark.parametrize(
    "error",
    [errors.Unavailable("locked"), PortableWorkflowError("locked", name="OperationalError", code=None)],
    ids=["raised", "replayed"],
)
def test_a_step_is_retried_while_the_database_fails(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    outcomes = [error, error, True]

    def step(*_: Any) -> bool:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(engine, "step", step)

    assert engine.patient_step(provisioning.advance, "job")
    assert [] == outcomes


def test_a_cancelled_job_outlives_the_other_jobs_of_its_network(gateway: Gateway) -> None:
    network = in_transaction(networks.get, int(gateway.ready()["cpo_id"]))
    job_id, before = str(uuid.uuid4()), timestamps.now_ms()

    with database.transaction() as transaction:
        jobs.create(
            transaction, network.organization_id, network.id, jobs.SITES, [None], jobs.PENDING, job_id
        )
        jobs.end_network(transaction, network.id)
        jobs.purge(transaction, before)

    assert None is in_transaction(jobs.get, network.job_id)
    assert jobs.CANCELLED == in_transaction(jobs.get, job_id).failure
    in_transaction(jobs.purge, timestamps.now_ms() + 1)
    assert None is in_transaction(jobs.get, job_id)
