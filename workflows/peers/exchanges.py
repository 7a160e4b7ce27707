"""Records exchanges with peers and back offices. docs/architecture.md "Exchanges".

Requests and calls only put what they have into a queue. One thread takes it every half second, removes the
secrets, and writes everything in one transaction. A crash loses what is still in the queue.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import errors
from settings import settings
from storage import database, exchanges, timestamps
from storage.database import Connection
from storage.exchanges import OUT, Values
from storage.objects import Party
from workflows.peers import exchange_rows
from workflows.peers.exchange_rows import BODY_BYTES, Observed

log = logging.getLogger("ocpi_gateway")

QUEUE_LIMIT = 2000
"""The most exchanges that wait to be written."""
_AT_ONCE = 500
"""The most exchanges of one transaction: others wait for it to write."""
_ROUND_SECONDS = 0.5
_STOP_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose call to a peer it is. The caller of `client.call` passes it, otherwise nothing is recorded.

    *request_id* is sent as X-Request-ID. storage.exchanges.ids_of finds the stored exchange by it.
    """

    network_id: int
    connection_id: int | None
    peer: Party | None
    module: str
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))


class Recorder:
    """The queue of observed exchanges, and the functions that write them."""

    def __init__(self) -> None:
        self._queue: deque[Observed] = deque()
        self._taken: list[Observed] = []
        self._lost: Counter[int] = Counter()
        self._lost_since_log = 0
        self._untrimmed: Counter[int] = Counter()
        self._counting = threading.Lock()
        self._flushing = threading.Lock()
        self.is_filling = threading.Event()

    def put(self, observed: Observed) -> None:
        """Put an exchange into the queue, or count it if the queue is full."""
        count = len(self._queue)
        if count >= QUEUE_LIMIT:
            self._lose([observed])
            return
        if self._lost and observed.network_id is not None:
            with self._counting:
                observed.lost_before += self._lost.pop(observed.network_id, 0)
        self._queue.append(observed)
        if count >= QUEUE_LIMIT // 2:
            self.is_filling.set()

    def _lose(self, observed: list[Observed]) -> None:
        """Count exchanges that are not written, until the next one of their network takes the number."""
        with self._counting:
            self._lost_since_log += len(observed)
            for each in observed:
                if each.network_id is not None:
                    self._lost[each.network_id] += 1 + each.lost_before

    def flush(self) -> None:
        """Write what is in the queue.

        Raises:
            errors.Unavailable: the database is unavailable; the exchanges are kept for the next time.
        """
        with self._flushing:
            if self._lost_since_log:
                log.warning("exchanges_lost", extra={"count": self._lost_since_log})
                self._lost_since_log = 0
            while self._taken or self._queue:
                if not self._taken:
                    count = min(len(self._queue), _AT_ONCE)
                    self._taken = [self._queue.popleft() for _ in range(count)]
                try:
                    self._write()
                except errors.Unavailable:
                    raise
                except Exception as error:  # noqa: BLE001  (the next exchanges may be fine)
                    _warn(error)
                    self._lose(self._taken)
                self._taken = []

    def _write(self) -> None:
        with database.connect() as connection:
            rows = [row for each in self._taken if (row := self._row(connection, each)) is not None]
        if rows:
            with database.transaction() as transaction:
                exchanges.add(transaction, rows)
        self._untrimmed.update(each.network_id for each in self._taken if each.network_id is not None)

    def _row(self, connection: Connection, observed: Observed) -> Values | None:
        try:
            return exchange_rows.row(connection, observed)
        except errors.Unavailable:
            raise
        except Exception as error:  # noqa: BLE001  (the others are fine)
            _warn(error)
            self._lose([observed])
            return None

    def trim(self) -> None:
        """Delete the oldest exchanges of networks that have many new ones."""
        kept = settings().exchanges_kept
        for network_id, count in list(self._untrimmed.items()):
            if count > kept // 20:
                with database.transaction() as transaction:
                    exchanges.trim(transaction, network_id, kept)
                del self._untrimmed[network_id]


def _warn(error: Exception) -> None:
    """Log the kind of an error. Its message and its traceback could show secrets."""
    log.warning("exchanges_failed", extra={"reason": type(error).__name__})


RECORDER = Recorder()


class Writer(threading.Thread):
    """The thread that writes exchanges while the process lives."""

    def __init__(self) -> None:
        super().__init__(name="exchanges", daemon=True)
        self._is_stopping = False

    def run(self) -> None:
        """Write every half second, or earlier if the queue fills up."""
        while not self._is_stopping:
            RECORDER.is_filling.wait(_ROUND_SECONDS)
            RECORDER.is_filling.clear()
            try:
                RECORDER.flush()
                RECORDER.trim()
            except Exception as error:  # noqa: BLE001  (the next round tries again)
                _warn(error)
                time.sleep(_ROUND_SECONDS)

    def stop(self) -> None:
        """Write the rest, and end."""
        self._is_stopping = True
        RECORDER.is_filling.set()
        self.join(_STOP_SECONDS)
        with contextlib.suppress(errors.Unavailable):
            RECORDER.flush()


@contextlib.contextmanager
def outgoing(
    origin: Origin | None, method: str, url: str, headers: Mapping[str, str], body: bytes | str | None
) -> Iterator[Observed]:
    """Observe one call to a peer, and record it when it has ended. Without an origin nothing is recorded."""
    content = body.encode() if isinstance(body, str) else body or b""
    observed = Observed(
        direction=OUT,
        method=method,
        url=url,
        started_at=timestamps.now_ms(),
        request_id="" if origin is None else origin.request_id,
        request_headers=list(headers.items()),
        request_body=content[:BODY_BYTES],
        request_cut=len(content) > BODY_BYTES,
    )
    began = time.perf_counter()
    try:
        yield observed
    except errors.PeerUnusable as failure:
        if observed.status is None and observed.error is None:
            observed.error = failure.message
        raise
    finally:
        if origin is not None:
            observed.duration_ms = round((time.perf_counter() - began) * 1000)
            observed.network_id, observed.connection_id = origin.network_id, origin.connection_id
            observed.peer, observed.module = origin.peer, origin.module
            RECORDER.put(observed)
