"""Background duties of every process: resume and fail jobs, store contacts with peers, purge old rows.

Several processes may do a duty at once, and the next round completes a duty that a crash interrupted,
because the work that is due follows from the database alone. docs/architecture.md "Maintenance".
"""

import logging
import threading
import time
from collections.abc import Callable

from generated.gateway_models import ProvisioningErrorCode, ProvisioningErrorDetail
from settings import settings
from storage import contacts, database, ended_tokens, exchanges, idempotency, jobs, timestamps
from storage.executor_lease import DeadSlots
from workflows import engine

log = logging.getLogger("ocpi_gateway")

_ROUND_SECONDS = 1.0
_TAKE_OVER_SECONDS = 2.0
_CONTACTS_SECONDS = 2.0
_RECONCILE_SECONDS = 5.0
_PURGE_SECONDS = 300.0
_DAY_MS = 24 * 3600 * 1000
_RETENTION_MS = _DAY_MS
_SETTLED_MS = 30_000
"""Jobs that changed more recently are not reconciled: their workflow may be about to end them."""

_ABANDONED = ProvisioningErrorDetail(
    code=ProvisioningErrorCode.unknown_error,
    message="The job ended without a result; order it again.",
    retryable=True,
)


class Maintenance(threading.Thread):
    """The thread that does the duties while the process lives."""

    def __init__(self) -> None:
        super().__init__(name="maintenance", daemon=True)
        self._dead_slots = DeadSlots()
        duties = (self.take_over, self.store_contacts, self.reconcile, self.purge)
        self._due: dict[Callable[[], None], float] = dict.fromkeys(duties, 0.0)

    def run(self) -> None:
        """Do each duty at its interval. A duty that fails is tried again in the next round."""
        intervals = (_TAKE_OVER_SECONDS, _CONTACTS_SECONDS, _RECONCILE_SECONDS, _PURGE_SECONDS)
        every: dict[Callable[[], None], float] = dict(zip(self._due, intervals, strict=True))
        while True:
            time.sleep(_ROUND_SECONDS)
            for duty, seconds in every.items():
                if time.monotonic() < self._due[duty]:
                    continue
                self._due[duty] = time.monotonic() + seconds
                try:
                    duty()
                except Exception as error:  # noqa: BLE001  (the next round tries again)
                    log.warning("duty_failed", extra={"duty": duty.__name__, "reason": type(error).__name__})

    def take_over(self) -> None:
        """Resume the jobs of dead processes."""
        engine.take_over(self._dead_slots)

    @staticmethod
    def store_contacts() -> None:
        """Store the last contacts with peers."""
        taken = contacts.take()
        if taken:
            with database.transaction() as transaction:
                contacts.store(transaction, taken)

    @staticmethod
    def reconcile() -> None:
        """Fail the jobs that the engine will not run again."""
        settled = timestamps.now_ms() - _SETTLED_MS
        with database.connect() as connection:
            unfinished = [job.id for job in jobs.unfinished(connection) if job.updated_at < settled]
        for job_id in engine.abandoned(unfinished):
            with database.transaction() as transaction:
                jobs.end(transaction, job_id, jobs.FAILED, _ABANDONED)

    @staticmethod
    def purge() -> None:
        """Delete expired keys, tokens, jobs and records of the engine after a day, and old exchanges."""
        before = timestamps.now_ms() - _RETENTION_MS
        with database.transaction() as transaction:
            idempotency.purge(transaction)
        with database.transaction() as transaction:
            ended_tokens.purge(transaction)
        with database.transaction() as transaction:
            jobs.purge(transaction, before)
        engine.purge(before)
        oldest = timestamps.now_ms() - settings().exchanges_days * _DAY_MS
        has_more = True
        while has_more:
            with database.transaction() as transaction:
                has_more = exchanges.purge(transaction, oldest)
