"""What every process does beside serving: ends what is over, takes over what a dead process left.

Every duty is written so that several processes may do it at once and a crash in the middle is made good
by the next round: what is to be done is told by the database alone. Design sections 6, 7 and 10.
"""

import logging
import threading
import time
from collections.abc import Callable

from storage import database, ended_tokens, erasure, idempotency, instants, jobs, networks
from workflows import engine, orders

log = logging.getLogger("ocpi_gateway")

_ROUND_SECONDS = 1.0
_REAP_SECONDS = 2.0
_RECONCILE_SECONDS = 5.0
_PURGE_SECONDS = 300.0
_LATE_MS = 60_000
_KEPT_MS = 24 * 3600 * 1000
_SETTLES_MS = 30_000


class Caretaker(threading.Thread):
    """Looks after networks and jobs as long as the process lives."""

    def __init__(self) -> None:
        super().__init__(name="caretaker", daemon=True)
        self._suspects: set[str] = set()
        self._due = dict.fromkeys((self.end_networks, self.reap, self.reconcile, self.purge), 0.0)

    def run(self) -> None:
        """Do what is due, and never give up."""
        every: dict[Callable[[], None], float] = dict(
            zip(self._due, (_ROUND_SECONDS, _REAP_SECONDS, _RECONCILE_SECONDS, _PURGE_SECONDS), strict=True)
        )
        while True:
            time.sleep(_ROUND_SECONDS)
            for duty, seconds in every.items():
                if time.monotonic() < self._due[duty]:
                    continue
                self._due[duty] = time.monotonic() + seconds
                try:
                    duty()
                except Exception as error:  # noqa: BLE001  (the next round makes it good)
                    log.warning("duty_failed", extra={"duty": duty.__name__, "reason": type(error).__name__})

    @staticmethod
    def end_networks() -> None:
        """End networks whose time is over and those that are half deleted; sweep what came late."""
        with database.connect() as connection:
            doomed = networks.doomed(connection)
            buried = networks.buried_since(connection, instants.now_ms() - _LATE_MS)
        for network_id in doomed:
            log.info("network_ends", extra={"network": network_id})
            orders.end(network_id, ended_tokens.NETWORK_EXPIRED)
        for network_id in buried:
            with database.transaction() as transaction:
                erasure.erase(transaction, network_id)

    def reap(self) -> None:
        """Take over the jobs of dead processes."""
        self._suspects = engine.reap(self._suspects)

    @staticmethod
    def reconcile() -> None:
        """A job that the engine gave up on has failed."""
        settled = instants.now_ms() - _SETTLES_MS
        with database.connect() as connection:
            unfinished = jobs.unfinished(connection)
        for job in unfinished:
            if job.updated_at < settled and engine.lost(job.run):
                message = "The job ended without a result; order it again."
                with database.transaction() as transaction:
                    jobs.end(
                        transaction,
                        job.id,
                        jobs.FAILED,
                        {"code": "unknown_error", "message": message, "retryable": True},
                    )

    @staticmethod
    def purge() -> None:
        """Forget what is a day old."""
        before = instants.now_ms() - _KEPT_MS
        with database.transaction() as transaction:
            idempotency.purge(transaction)
        with database.transaction() as transaction:
            ended_tokens.purge(transaction)
        with database.connect() as connection:
            cancelled = jobs.cancelled_before(connection, before)
        for job_id in cancelled:
            with database.transaction() as transaction:
                jobs.forget(transaction, job_id)
        engine.purge(before)
