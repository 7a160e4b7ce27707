"""Instants as OCPI writes them: text in UTC with `Z`, and as milliseconds where order matters.

The canonical text has no fraction when it is zero and three digits otherwise, so text order is
not time order; every comparison goes through milliseconds. Spec: 2.1.1 types 1.2.
"""

import functools
import time
from datetime import UTC, datetime, timedelta

import errors

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def now() -> str:
    """The present instant, canonical."""
    seconds, rest = divmod(now_ms(), 1000)
    fraction = f".{rest:03d}" if rest else ""
    return f"{_second(seconds)}{fraction}Z"


def text(milliseconds: int) -> str:
    """The canonical text of an instant given in milliseconds since 1970."""
    seconds, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03d}" if rest else ""
    return f"{_second(seconds)}{fraction}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """A whole second as text; the present one is asked for again and again."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


def parse(value: str) -> int:
    """Milliseconds since 1970 of any form that the contract accepts; finer digits are cut off.

    Raises:
        errors.RuleRefusal: the day does not exist (30 February), or its offset leads out of the calendar.
    """
    milliseconds = bound(value)
    try:
        _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise errors.RuleRefusal(f"{value} is not an instant that exists") from None
    return milliseconds


def bound(value: str) -> int:
    """The same for an instant that is only compared with, so it may lie outside the calendar.

    Raises:
        errors.RuleRefusal: the day does not exist.
    """
    try:
        moment = datetime.fromisoformat(_with_milliseconds(value.replace(" ", "+")))
    except ValueError:
        raise errors.RuleRefusal(f"{value} is not an instant that exists") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def canonical(value: str) -> str:
    """*value* in the one form that is stored and sent. Raises as `parse` does."""
    if len(value) == 20 and value[19] == "Z" and value[8:10] < "29":  # noqa: PLR2004 (the common form)
        return value
    return text(parse(value))


def _with_milliseconds(value: str) -> str:
    """*value* with at most three fraction digits, as fromisoformat wants three or six."""
    head, dot, tail = value.partition(".")
    if not dot:
        return value
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:3].ljust(3, '0')}{tail[digits:]}"
