"""The engine of durable jobs: DBOS, embedded, in the same database as everything else.

docs/architecture.md "A job".

The transaction that stores a job also enqueues its workflow, under the id of the job. Each server process
runs the queue. It holds a numbered slot (storage/executor_lease.py), and the slot's name is the engine's
executor id, so other processes can distinguish the jobs of a dead process from those of a live one.
"""

import contextlib
import functools
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SQLAlchemyDatasource

from settings import settings
from storage import database, executor_lease
from storage.database import Transaction
from storage.executor_lease import DeadSlots

log = logging.getLogger("ocpi_gateway")

_NAME = "ocpi-gateway"
_VERSION = "1"
"""Fixed: with the engine's default, a hash of the source, a new release would strand running jobs."""

JOBS = "jobs"
REGISTRATIONS = "registrations"
"""The queues. Jobs that wait for peers have their own, so that they do not delay the others."""

_QUEUES = {JOBS: (4, 1.0), REGISTRATIONS: (16, 1.0)}
"""How many jobs of a queue a process runs at once, and how often it polls, in seconds.

Each poll costs a few ms of CPU: at 0.25 s an idle server took 3.6 % of a core.
"""

_SLOT = "slot"
_PENDING = "PENDING"
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_PURGED_AT_ONCE = 500
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 5.0
_RETRY_SECONDS = 300.0
TRANSIENT = frozenset({"Unavailable", "OperationalError", "InterfaceError", "DBAPIError"})
"""Errors of the database, by name."""


class Stopped(BaseException):
    """The program ends and the job resumes at the next start.

    It is a BaseException, because the engine would record an Exception as the job's result.
    """


_stopping = threading.Event()


@functools.cache
def _slot() -> executor_lease.Slot:
    """The slot of this process."""
    return executor_lease.take()


@functools.cache
def _datasource() -> SQLAlchemyDatasource:
    """The datasource that runs the steps of this process."""
    return SQLAlchemyDatasource.create(
        settings().database,
        engine=database.dbos_engine(),
        serializer=DBOSPortableJSONSerializer(),
        run_migrations=False,
    )


def slot_number() -> int:
    """The number of this process's slot."""
    return _slot().number


def migrate() -> None:
    """Bring the engine's tables up to date. Call it under `database.startup_lock()`."""
    _redirect_log()
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
        _redirect_log()
        DBOS.launch()
        for name, expected in _QUEUES.items():
            queue = DBOS.retrieve_queue(name)
            if queue is None or (queue.worker_concurrency, queue.polling_interval_sec) != expected:
                DBOS.register_queue(name, worker_concurrency=expected[0], polling_interval_sec=expected[1])


def _redirect_log() -> None:
    """Send the engine's log to the root logger."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.ERROR)
    logger.handlers.clear()
    logger.propagate = True


def stop() -> None:
    """Stop every job of this process before its next step; the next start resumes it."""
    _stopping.set()


def require_running() -> None:
    """Raise if the program ends; call it where a job may stop.

    Raises:
        Stopped: it does.
    """
    if _stopping.is_set():
        raise Stopped


def step(effect: Callable[..., bool], *arguments: Any) -> bool:
    """Run *effect* and record its result in one transaction; a replay returns the recorded result.

    Raises:
        Stopped: the program ends.
        errors.Unavailable: the database stays locked.
    """
    require_running()
    isolation: Any = "SERIALIZABLE" if database.is_sqlite() else "READ COMMITTED"

    def run_effect() -> bool:
        return effect(Transaction(_datasource().sql_session().connection()), *arguments)

    with database.job_turn():
        return bool(_datasource().run_tx_step({"name": "step", "isolation_level": isolation}, run_effect))


def patient_step(effect: Callable[..., bool], *arguments: Any) -> bool:
    """As `step`. Retry transient database errors with back-off, up to 5 minutes."""
    deadline, wait = time.monotonic() + _RETRY_SECONDS, _FIRST_WAIT_SECONDS
    while True:
        try:
            return step(effect, *arguments)
        except Exception as error:
            if error_name(error) not in TRANSIENT or time.monotonic() > deadline:
                raise
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)


def error_name(error: Exception) -> str:
    """The name of an error's class, also of one that the engine replays, which has another class."""
    return str(getattr(error, "name", None) or type(error).__name__)


def enqueue(transaction: Transaction, workflow: str, job_id: str, queue: str = JOBS) -> None:
    """Enqueue the workflow of a job, inside the transaction that stores the job."""
    options: Any = {
        "queue_name": queue,
        "workflow_name": workflow,
        "workflow_id": job_id,
        "app_version": _VERSION,
    }
    # A client costs 0.2 ms. A cached one would be wrong after a test changes the settings.
    client = DBOSClient(
        system_database_engine=database.dbos_engine(),
        serializer=DBOSPortableJSONSerializer(),
        application_name=_NAME,
        lazy=True,
        retry_connection_errors=False,
    )
    client.enqueue_in_transaction(transaction, options, job_id)


def abandoned(job_ids: Iterable[str]) -> set[str]:
    """The jobs that the engine will not run again: their workflow is unknown, or it has ended."""
    candidates = set(job_ids)
    if not candidates:
        return candidates
    workflows = DBOS.list_workflows(workflow_ids=list(candidates), load_input=False, load_output=False)
    return candidates - {each.workflow_id for each in workflows if each.status not in _ENDED}


def purge(before_ms: int) -> None:
    """Delete the engine's records of workflows that ended before this instant."""
    ended = DBOS.list_workflows(status=_ENDED, load_input=False, load_output=False, limit=_PURGED_AT_ONCE)
    old = [each.workflow_id for each in ended if (each.updated_at or 0) < before_ms]
    if old:
        DBOS.delete_workflows(old)


def take_over(dead_slots: DeadSlots) -> None:
    """Resume the jobs of dead processes."""
    slot = _slot()
    if not slot.still_held():
        log.warning("slot_lost", extra={"slot": slot.number})
    running = DBOS.list_workflows(status=_PENDING, load_input=False, load_output=False)
    slots = {int(each.executor_id.removeprefix(_SLOT)) for each in running if each.executor_id}
    for number in dead_slots.among(slots - {slot.number}):
        executor = f"{_SLOT}{number}"
        log.info("takes_over", extra={"executor": executor})
        with warnings.catch_warnings(), contextlib.suppress(KeyError):
            # DBOS 3.4 has no public equivalent: resume_workflow resets the number of attempts.
            DBOS._recover_pending_workflows([executor])  # noqa: SLF001
