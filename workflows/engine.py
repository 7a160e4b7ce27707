"""The engine of durable jobs: DBOS, embedded, in the same database as everything else. Design section 7.

A job is put on the queue by the transaction that stores it. A process that serves runs the queue; it
holds a slot (storage/slots.py) whose name is the engine's executor id, so that the jobs of a process
that died are found, and those of one that lives are left alone.
"""

import contextlib
import functools
import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SQLAlchemyDatasource
from dbos import error as dbos_errors

from settings import settings
from storage import database, slots
from storage.database import Transaction

log = logging.getLogger("ocpi_gateway")

JOBS = "jobs"
_NAME = "ocpi-gateway"
_VERSION = "1"
"""Fixed: with the engine's own default, a hash of the source, a new release would strand running jobs."""

_AT_ONCE = 4
_POLL_SECONDS = 0.5
"""Each look costs a few ms of CPU: at 0.25 s an idle server took 3.6 % of a core."""
_SLOT = "slot"
_PENDING = "PENDING"
_LOST = frozenset({"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "SUCCESS"})


class _Running:
    """What this process needs while the engine runs."""

    def __init__(self) -> None:
        self.slot = slots.take()
        url = settings().database
        engine = database.create_dbos_engine()
        config: Any = {
            "name": _NAME,
            "system_database_url": url,
            "system_database_engine": engine,
            "application_version": _VERSION,
            "executor_id": f"{_SLOT}{self.slot.number}",
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "log_level": "ERROR",
            "notification_listener_polling_interval_sec": 60.0,  # jobs wait for no messages
            "use_listen_notify": False,
        }
        DBOS(config=config)
        self.datasource = SQLAlchemyDatasource.create(
            url, engine=engine, serializer=DBOSPortableJSONSerializer(), run_migrations=False
        )
        self.isolation: Any = "SERIALIZABLE" if database.is_sqlite() else "READ COMMITTED"


class Stopped(BaseException):
    """The program ends; the job goes on at the next start. No Exception, or the engine would record it."""


_running: list[_Running] = []
_stopping = threading.Event()


def _log_as_ours() -> None:
    """The engine's log goes where ours goes; that a job was cancelled is no error."""
    theirs = logging.getLogger("dbos")
    theirs.setLevel(logging.ERROR)
    theirs.handlers.clear()
    theirs.propagate = True
    if _is_news not in theirs.filters:
        theirs.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, dbos_errors.DBOSAwaitedWorkflowCancelledError)


def migrate() -> None:
    """Bring the engine's own tables up to date. Call it under `database.startup_lock()`."""
    _log_as_ours()
    url = settings().database
    DBOS.migrate(url)
    SQLAlchemyDatasource.migrate(url)


def start() -> None:
    """Work at jobs from now on, in this process; never before a fork."""
    with database.startup_lock():
        _running.append(_Running())
        _log_as_ours()
        DBOS.launch()
        queue = DBOS.retrieve_queue(JOBS)
        if queue is None or (queue.worker_concurrency, queue.polling_interval_sec) != (
            _AT_ONCE,
            _POLL_SECONDS,
        ):
            DBOS.register_queue(JOBS, worker_concurrency=_AT_ONCE, polling_interval_sec=_POLL_SECONDS)


def stop() -> None:
    """Let every job of this process end before its next step; the next start goes on with it."""
    _stopping.set()


def step(effect: Callable[..., None], *arguments: Any) -> None:
    """Run *effect* and record that it ran, in one transaction: both are there afterwards, or neither.

    Raises:
        Stopped: the program ends.
    """
    if _stopping.is_set():
        raise Stopped
    running = _running[0]

    def run_effect() -> None:
        effect(Transaction(running.datasource.sql_session().connection()), *arguments)

    running.datasource.run_tx_step({"name": "step", "isolation_level": running.isolation}, run_effect)


@functools.cache
def _client() -> DBOSClient:
    """What puts jobs on the queue, in processes too that do not work at them."""
    return DBOSClient(
        system_database_engine=database.create_dbos_engine(),
        serializer=DBOSPortableJSONSerializer(),
        application_name=_NAME,
        lazy=True,
        retry_connection_errors=False,
    )


def forget_client() -> None:
    """The settings have changed, and with them the database."""
    if _client.cache_info().currsize:
        _client().destroy()
        _client.cache_clear()


def run() -> str:
    """The name of the workflow that this thread runs."""
    return str(DBOS.workflow_id)


def enqueue(transaction: Transaction, workflow: str, job_id: str, run_name: str) -> None:
    """Put a run of a job on the queue, inside the transaction that stores it."""
    options: Any = {
        "queue_name": JOBS,
        "workflow_name": workflow,
        "workflow_id": run_name,
        "app_version": _VERSION,
    }
    _client().enqueue_in_transaction(transaction, options, job_id)


def cancel(run_name: str) -> None:
    """Let the run end before its next step."""
    _client().cancel_workflow(run_name)


def lost(run_name: str) -> bool:
    """Is nobody going to work at the run any more, without an error of ours or with it."""
    known = _client().list_workflows(workflow_ids=[run_name], load_input=False, load_output=False)
    return not known or known[0].status in _LOST


def purge(before_ms: int) -> None:
    """Delete what the engine remembers of workflows that ended before then."""
    ended = _client().list_workflows(
        status=["SUCCESS", "ERROR", "CANCELLED"], load_input=False, load_output=False, limit=500
    )
    old = [w.workflow_id for w in ended if (w.updated_at or 0) < before_ms]
    if old:
        _client().delete_workflows(old)


def reap(suspects: set[str]) -> set[str]:
    """Take over the jobs of processes that died; the executors that look dead now.

    Only those that looked dead the time before as well (*suspects*): a restart of PostgreSQL ends
    every lock for a moment.
    """
    running = _running[0]
    if not running.slot.still_held():
        log.warning("slot_lost", extra={"slot": running.slot.number})
    mine = f"{_SLOT}{running.slot.number}"
    working = DBOS.list_workflows(status=_PENDING, load_input=False, load_output=False)
    seen = set()
    for executor in {w.executor_id for w in working if w.executor_id} - {mine}:
        with slots.dead(int(executor.removeprefix(_SLOT))) as is_dead:
            if not is_dead:
                continue
            seen.add(executor)
            if executor in suspects:
                log.info("takes_over", extra={"executor": executor})
                with warnings.catch_warnings(), contextlib.suppress(KeyError):
                    DBOS._recover_pending_workflows([executor])  # noqa: SLF001  (3.4 has no public name for it)
    return seen
