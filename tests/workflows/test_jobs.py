"""Durable jobs between the program and its engine: what ends them when a step does not."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy
from bulk import ENDED, Job, ordered, settled
from crashable_node import Mortal, environment, fresh_database, is_sqlite, until
from dbos import PortableWorkflowError
from nodes import Gateway, at_once

import errors
from storage import database, jobs, locations, networks, sites, timestamps
from workflows import engine
from workflows.networks import provisioning, templates

ATTEMPTS = 101
"""How often the engine starts a workflow before it gives it up: DBOS's default of 100 recoveries."""
LONG_AGO_MS = 60_000
PLACE = {
    "name": "Brussels Midi Hub",
    "address": "Place Victor Horta 1",
    "city": "Brussels",
    "country": "BE",
    "coordinates": {"latitude": 50.8357, "longitude": 4.3353},
}


@pytest.fixture
def mortal(database_url: str, tmp_path: Path) -> Iterator[Mortal]:
    """A node on a fresh database."""
    with contextlib.ExitStack() as stack:
        made = Mortal(environment(fresh_database(database_url, tmp_path), str(tmp_path)))
        stack.callback(made.kill)
        made.start()
        yield made


def execute(node: Mortal, text: str, **values: Any) -> None:
    """Change the database of a node that is dead."""
    engine = sqlalchemy.create_engine(node.database, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        assert connection.execute(sqlalchemy.text(text), values).rowcount == 1


def killed_at_work(node: Mortal) -> Job:
    """A job whose process was killed between two steps."""
    job = ordered(node, 2000)
    until(lambda: settled(node, job))
    node.kill()
    assert settled(node, job) < len(job.names)
    return job


@pytest.mark.ocpi(208)
def test_a_job_that_the_engine_gives_up_has_failed(mortal: Mortal) -> None:
    job = killed_at_work(mortal)
    schema = "" if is_sqlite(mortal.database) else "dbos."
    attempts = f"UPDATE {schema}workflow_status SET recovery_attempts = :n WHERE workflow_uuid = :job"  # noqa: S608
    execute(mortal, attempts, n=ATTEMPTS, job=job.id)
    execute(
        mortal,
        "UPDATE gw_jobs SET updated_at = updated_at - :ago WHERE id = :job",
        ago=LONG_AGO_MS,
        job=job.id,
    )
    before = settled(mortal, job)

    mortal.start()

    until(lambda: mortal.read(job.status_url)["status"] in ENDED)
    failed = mortal.read(job.status_url)
    assert ("FAILED", "unknown_error", True) == (
        failed["status"],
        failed["error"]["code"],
        failed["error"]["retryable"],
    )
    assert before == settled(mortal, job) == failed["results"]["created_count"]


def test_a_location_whose_id_the_network_has_is_refused_by_itself(gateway: Gateway) -> None:
    """Nothing but chance, or a back office that guesses it, gives two locations of a network one id."""
    network = at_once(networks.get, int(gateway.ready()["cpo_id"]))
    job_id, items = str(uuid.uuid4()), [{"item": {**PLACE, "name": name}, "prefix": None} for name in "AB"]
    item = templates.item_from(orjson.dumps(items[0]["item"]))
    plan = templates.plan_site(item, job_id, 0, network.name, network.party, None)
    document = sites.stamped(plan.document, timestamps.now())

    with database.transaction() as transaction:
        locations.add(transaction, network.id, network.party, document, published=True)
        jobs.create(
            transaction, network.organization_id, network.id, jobs.SITES, items, jobs.PROVISIONING, job_id
        )
        provisioning.provision_now(transaction, job_id)

    results = at_once(jobs.results, job_id)
    assert [1] == [created.index for created in results.created]
    [failed] = results.failed
    assert (0, "duplicate_identity", "id") == (failed.index, failed.error.code, failed.error.param)


@pytest.mark.parametrize(
    "error",
    [errors.Unavailable("locked"), PortableWorkflowError("locked", name="OperationalError", code=None)],
    ids=["raised", "replayed"],
)
def test_a_step_is_repeated_while_the_database_fails(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    outcomes = [error, error, True]

    def step(*_: Any) -> bool:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(engine, "step", step)

    assert provisioning._run_step("job")
    assert [] == outcomes


def test_a_cancelled_job_is_deleted_later_than_the_others_of_its_network(gateway: Gateway) -> None:
    network = at_once(networks.get, int(gateway.ready()["cpo_id"]))
    job_id, before = str(uuid.uuid4()), timestamps.now_ms()

    with database.transaction() as transaction:
        jobs.create(
            transaction, network.organization_id, network.id, jobs.SITES, [None], jobs.PENDING, job_id
        )
        jobs.end_network(transaction, network.id)
        jobs.purge(transaction, before)

    assert None is at_once(jobs.get, network.job_id)
    assert jobs.CANCELLED == at_once(jobs.get, job_id).failure
    at_once(jobs.purge, timestamps.now_ms() + 1)
    assert None is at_once(jobs.get, job_id)
