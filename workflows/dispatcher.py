"""The dispatcher: one thread of each process that runs what is due on the agenda.

docs/architecture.md "The agenda". It looks for lanes with due entries once a second, and at once when this
process has put something on the agenda. A lane runs in one thread of one process at a time. A process keeps
its lanes until it ends; another process then takes them.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import errors
from settings import settings
from storage import agenda, database, outbox
from storage.agenda import AgendaRow, LaneRow
from storage.executor_lease import DeadSlots
from workflows.charging import due_work, results
from workflows.networks import ends
from workflows.peers import push
from workflows.peers.push import PacedClient

log = logging.getLogger("ocpi_gateway")

_POLL_SECONDS = 1.0
_TAKE_OVER_SECONDS = 2.0
_ENTRIES_PER_TURN = 100
"""The most entries that a lane runs before other lanes get its thread."""

_FAILED_SECONDS = 5.0
"""How long a lane rests after an unexpected error."""

_WORK: dict[str, Callable[[LaneRow, AgendaRow, PacedClient], None]] = {
    outbox.PUSH: push.deliver,
    agenda.EXPIRY: lambda _lane, entry, _paced: ends.expire(entry),
    agenda.ERASURE: lambda _lane, entry, _paced: ends.erase_late_rows(entry),
    agenda.RESULT: results.deliver,
    **dict.fromkeys(due_work.WORK, due_work.run),
}
"""What runs an entry, by its kind. It deletes the entry, or says when it is tried again."""


class Dispatcher(threading.Thread):
    """The thread that hands due lanes to the worker threads."""

    def __init__(self, slot: int) -> None:
        """*slot*: the number of this process's slot."""
        super().__init__(name="dispatcher", daemon=True)
        self._slot = slot
        self._workers = ThreadPoolExecutor(settings().work_threads, "work")
        self._callers = ThreadPoolExecutor(settings().push_threads, "push")
        self._running: set[str] = set()
        self._stopping = threading.Event()
        self._next_take_over = 0.0
        self._dead_slots = DeadSlots()

    def run(self) -> None:
        """Dispatch until the program ends."""
        self._attempt(self._release_own)
        while not self._stopping.is_set():
            self._attempt(self._take_over)
            self._attempt(self._dispatch)
            agenda.wait(_POLL_SECONDS)

    def stop(self) -> None:
        """Begin nothing more. Running calls to peers end by their deadline."""
        self._stopping.set()
        agenda.announce()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._callers.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _attempt(action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  (the next round tries again)
            log.warning("dispatch_failed", extra={"duty": action.__name__, "reason": type(error).__name__})

    def _release_own(self) -> None:
        """Release the lanes of the process that had this slot before."""
        with database.connect() as connection:
            is_left = self._slot in agenda.slots(connection)
        if is_left:
            with database.transaction() as transaction:
                agenda.release(transaction, self._slot)

    def _dispatch(self) -> None:
        with database.connect() as connection:
            lanes = agenda.due_lanes(connection, self._slot)
        for lane in lanes:
            if lane not in self._running and not self._stopping.is_set():
                self._running.add(lane)
                pool = self._callers if agenda.calls_peers(lane) else self._workers
                pool.submit(self._run_lane, lane)

    def _run_lane(self, lane: str) -> None:
        """Run the due entries of a lane, if this process owns it or can take it."""
        try:
            with database.connect() as connection:
                row = agenda.owned(connection, lane, self._slot)
            if row is None:
                with database.transaction() as transaction:
                    agenda.take_lane(transaction, lane, self._slot)
            with contextlib.closing(PacedClient()) as paced:
                for _ in range(_ENTRIES_PER_TURN):
                    if self._stopping.is_set() or not self._run_next(lane, paced):
                        break
        except errors.Unavailable:
            time.sleep(_POLL_SECONDS)
        except Exception:
            log.exception("work_failed", extra={"lane": lane})
            time.sleep(_POLL_SECONDS)  # the lane is still due
        finally:
            self._running.discard(lane)
            agenda.announce()  # something may have become due after the last look

    def _run_next(self, lane: str, paced: PacedClient) -> bool:
        """Run the next due entry; False if there is none or the lane rests."""
        with database.connect() as connection:
            row = agenda.owned(connection, lane, self._slot)
            entry = agenda.next_entry(connection, lane) if row else None
        if row is None or entry is None or agenda.rests(row):
            return False
        try:
            _WORK[entry.kind](row, entry, paced)
        except errors.Unavailable:
            raise
        except Exception as error:
            log.exception("work_failed", extra={"lane": lane})
            with database.transaction() as transaction:
                agenda.fail(transaction, entry, f"unexpected: {type(error).__name__}", parked=False)
                agenda.rest(transaction, lane, seconds=_FAILED_SECONDS, failures=row.failures + 1)
        return True

    def _take_over(self) -> None:
        """Release the lanes of dead processes."""
        if time.monotonic() < self._next_take_over:
            return
        self._next_take_over = time.monotonic() + _TAKE_OVER_SECONDS
        with database.connect() as connection:
            slots = agenda.slots(connection) - {self._slot}
        for slot in self._dead_slots.among(slots):
            log.info("takes_over", extra={"slot": slot})
            with database.transaction() as transaction:
                agenda.release(transaction, slot)
