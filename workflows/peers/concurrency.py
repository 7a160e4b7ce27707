"""Limits concurrent credentials exchanges: their number in this process, and one per token."""

import contextlib
import functools
import threading
from collections.abc import Iterator

import errors
from settings import settings

RETRY_SECONDS = 1
"""The Retry-After of a refused exchange."""

_tokens_in_exchange: set[str] = set()
_exchange_lock = threading.Lock()


@functools.cache
def _exchange_slots(count: int) -> threading.Semaphore:
    return threading.Semaphore(count)


@contextlib.contextmanager
def one_exchange(token: str) -> Iterator[None]:
    """Run one exchange per token at a time, and leave at least one thread for other requests.

    Raises:
        errors.TooMany: another exchange with this token is running, or too many are.
    """
    slots = _exchange_slots(settings().threads - 1)
    with _exchange_lock:
        if token in _tokens_in_exchange:
            raise errors.TooMany("A registration with this token is running; try again.", RETRY_SECONDS)
        if not slots.acquire(blocking=False):
            raise errors.TooMany("Too many registrations are running; try again.", RETRY_SECONDS)
        _tokens_in_exchange.add(token)
    try:
        yield
    finally:
        slots.release()
        _tokens_in_exchange.discard(token)
