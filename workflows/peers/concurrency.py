"""Limits the requests that call peers: their number in this process, and one registration per token."""

import contextlib
import functools
import threading
from collections.abc import Iterator

import errors
from settings import settings

RETRY_SECONDS = 1
"""The Retry-After of a refused request."""

_tokens_in_exchange: set[str] = set()
_exchange_lock = threading.Lock()


@functools.cache
def _call_slots(count: int) -> threading.Semaphore:
    return threading.Semaphore(count)


@contextlib.contextmanager
def call_slot() -> Iterator[None]:
    """Let a request call peers, and leave at least one thread for other requests.

    Raises:
        errors.TooMany: too many requests are calling peers.
    """
    slots = _call_slots(settings().threads - 1)
    if not slots.acquire(blocking=False):
        raise errors.TooMany("Too many requests are calling peers; try again.", RETRY_SECONDS)
    try:
        yield
    finally:
        slots.release()


@contextlib.contextmanager
def one_exchange(token: str) -> Iterator[None]:
    """Run one exchange per token at a time.

    Raises:
        errors.TooMany: another exchange with this token is running, or too many requests are calling peers.
    """
    with _exchange_lock:
        if token in _tokens_in_exchange:
            raise errors.TooMany("A registration with this token is running; try again.", RETRY_SECONDS)
        _tokens_in_exchange.add(token)
    try:
        with call_slot():
            yield
    finally:
        _tokens_in_exchange.discard(token)
