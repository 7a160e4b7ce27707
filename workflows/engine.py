"""The engine of durable jobs: DBOS, embedded, in the same database as everything else.

docs/architecture.md "A job".

The transaction that stores a job also enqueues its workflow, under the id of the job. A process that
serves runs the queue. It holds a numbered slot (storage/executor_lease.py), and the slot's name is the
engine's executor id, so other processes can tell the jobs of a dead process from those of a live one.
"""

import contextlib
import functools
import logging
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SQLAlchemyDatasource

from settings import settings
from storage import database, executor_lease
from storage.database import Transaction

log = logging.getLogger("ocpi_gateway")

_NAME = "ocpi-gateway"
_VERSION = "1"
"""Fixed: with the engine's default, a hash of the source, a new release would strand running jobs."""

_QUEUE = "jobs"
_CONCURRENCY = 4
_POLL_SECONDS = 0.5
"""Each poll costs a few ms of CPU: at 0.25 s an idle server took 3.6 % of a core."""

_SLOT = "slot"
_PENDING = "PENDING"
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_PURGED_AT_ONCE = 500


class Stopped(BaseException):
    """The program ends; the job goes on at the next start. No Exception, or the engine would record it."""


_stopping = threading.Event()


@functools.cache
def _slot() -> executor_lease.Slot:
    """The slot of this process."""
    return executor_lease.take()


@functools.cache
def _datasource() -> SQLAlchemyDatasource:
    """What runs the steps of this process."""
    return SQLAlchemyDatasource.create(
        settings().database,
        engine=database.dbos_engine(),
        serializer=DBOSPortableJSONSerializer(),
        run_migrations=False,
    )


def migrate() -> None:
    """Bring the engine's own tables up to date. Call it under `database.startup_lock()`."""
    _log_as_ours()
    DBOS.migrate(settings().database)
    SQLAlchemyDatasource.migrate(settings().database)


def start() -> None:
    """Run jobs in this process from now on. Never call it before a fork."""
    config: Any = {
        "name": _NAME,
        "system_database_url": settings().database,
        "system_database_engine": database.dbos_engine(),
        "application_version": _VERSION,
        "executor_id": f"{_SLOT}{_slot().number}",
        "serializer": DBOSPortableJSONSerializer(),
        "run_migrations": False,
        "log_level": "ERROR",
        "notification_listener_polling_interval_sec": 60.0,  # jobs wait for no messages
        "use_listen_notify": False,
    }
    with database.startup_lock():
        DBOS(config=config)
        _datasource()
        _log_as_ours()
        DBOS.launch()
        queue = DBOS.retrieve_queue(_QUEUE)
        wanted = (_CONCURRENCY, _POLL_SECONDS)
        if queue is None or (queue.worker_concurrency, queue.polling_interval_sec) != wanted:
            DBOS.register_queue(_QUEUE, worker_concurrency=_CONCURRENCY, polling_interval_sec=_POLL_SECONDS)


def _log_as_ours() -> None:
    """Let the engine's log go where ours goes."""
    theirs = logging.getLogger("dbos")
    theirs.setLevel(logging.ERROR)
    theirs.handlers.clear()
    theirs.propagate = True


def stop() -> None:
    """Let every job of this process stop before its next step; the next start resumes it."""
    _stopping.set()


def step(effect: Callable[..., bool], *arguments: Any) -> bool:
    """Run *effect* and record its result in one transaction; a replay returns the recorded result.

    Raises:
        Stopped: the program ends.
        errors.Unavailable: the database stays locked.
    """
    if _stopping.is_set():
        raise Stopped
    isolation: Any = "SERIALIZABLE" if database.is_sqlite() else "READ COMMITTED"

    def run_effect() -> bool:
        return effect(Transaction(_datasource().sql_session().connection()), *arguments)

    with database.job_turn():
        return bool(_datasource().run_tx_step({"name": "step", "isolation_level": isolation}, run_effect))


def enqueue(transaction: Transaction, workflow: str, job_id: str) -> None:
    """Enqueue the workflow of a job, inside the transaction that stores the job."""
    options: Any = {
        "queue_name": _QUEUE,
        "workflow_name": workflow,
        "workflow_id": job_id,
        "app_version": _VERSION,
    }
    # A client costs 0.2 ms; one that is kept would have to follow the settings in tests.
    client = DBOSClient(
        system_database_engine=database.dbos_engine(),
        serializer=DBOSPortableJSONSerializer(),
        application_name=_NAME,
        lazy=True,
        retry_connection_errors=False,
    )
    client.enqueue_in_transaction(transaction, options, job_id)


def given_up(job_ids: Iterable[str]) -> set[str]:
    """The jobs whose workflow is unknown or has ended, well or not: the engine runs them no more."""
    wanted = set(job_ids)
    if not wanted:
        return wanted
    workflows = DBOS.list_workflows(workflow_ids=list(wanted), load_input=False, load_output=False)
    return wanted - {each.workflow_id for each in workflows if each.status not in _ENDED}


def purge(before_ms: int) -> None:
    """Delete the engine's records of workflows that ended before this instant."""
    ended = DBOS.list_workflows(status=_ENDED, load_input=False, load_output=False, limit=_PURGED_AT_ONCE)
    old = [each.workflow_id for each in ended if (each.updated_at or 0) < before_ms]
    if old:
        DBOS.delete_workflows(old)


def take_over(suspects: set[str]) -> set[str]:
    """Resume the jobs of dead processes; the executors that look dead now.

    Only the jobs of executors that looked dead the time before as well (*suspects*): a restart of
    PostgreSQL ends every lock for a moment.
    """
    slot = _slot()
    if not slot.still_held():
        log.warning("slot_lost", extra={"slot": slot.number})
    running = DBOS.list_workflows(status=_PENDING, load_input=False, load_output=False)
    dead = set()
    for executor in {each.executor_id for each in running if each.executor_id} - {f"{_SLOT}{slot.number}"}:
        with executor_lease.dead(int(executor.removeprefix(_SLOT))) as is_dead:
            if not is_dead:
                continue
            dead.add(executor)
            if executor in suspects:
                log.info("takes_over", extra={"executor": executor})
                with warnings.catch_warnings(), contextlib.suppress(KeyError):
                    # DBOS 3.4 has no public name for it: resume_workflow forgets how often it was tried.
                    DBOS._recover_pending_workflows([executor])  # noqa: SLF001
    return dead
