"""Instants: text in UTC with `Z` as OCPI writes it, and milliseconds since 1970 where order matters.

What we author has whole seconds, because some peers read no fractions. What a peer sent keeps its
fraction, cut to milliseconds; a fraction of zero is left out. So the order of texts is not the order of
instants, and every comparison uses milliseconds. Spec: 2.1.1 types 1.2; docs/architecture.md "Timestamps".
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
    """The present instant as we author it."""
    return authored(now_ms())


def authored(milliseconds: int) -> str:
    """The text of an instant that we author: the whole second in which it lies."""
    return f"{_second(milliseconds // 1000)}Z"


def stamp(*earlier: str) -> str:
    """The present instant as we author it, or the latest of *earlier* if that is later."""
    return max(now(), *earlier, key=parse)


def text(milliseconds: int) -> str:
    """The canonical text of an instant that keeps its milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03d}" if rest else ""
    return f"{_second(seconds)}{fraction}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """The text of a whole second. The cache serves the present one, which every answer needs."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


def parse(value: str) -> int:
    """Milliseconds since 1970 of any form that the contract accepts; finer digits are cut off.

    Raises:
        errors.RuleBroken: the day does not exist (30 February), or the offset leads out of the calendar.
    """
    milliseconds = bound(value)
    try:
        _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise errors.RuleBroken(f"{value} is not an instant that exists") from None
    return milliseconds


def bound(value: str) -> int:
    """As `parse`, for the bound of a list, which may lie outside the calendar.

    Raises:
        errors.RuleBroken: the day does not exist.
    """
    try:
        moment = datetime.fromisoformat(_with_milliseconds(value.replace(" ", "+")))
    except ValueError:
        raise errors.RuleBroken(f"{value} is not an instant that exists") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def canonical(value: str) -> str:
    """*value* in the one form that is stored and sent.

    Raises:
        errors.RuleBroken: as `parse`.
    """
    if len(value) == 20 and value[19] == "Z" and value[8:10] < "29":  # noqa: PLR2004  (the common form)
        return value
    return text(parse(value))


def _with_milliseconds(value: str) -> str:
    """*value* with at most three digits of fraction, because fromisoformat reads three or six."""
    head, dot, tail = value.partition(".")
    if not dot:
        return value
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:3].ljust(3, '0')}{tail[digits:]}"
