"""Timestamps: text in UTC with `Z` as in OCPI, and milliseconds since 1970 for comparisons.

Our own timestamps have whole seconds, because some peers cannot read fractions. A peer's timestamp keeps its
fraction, truncated to milliseconds; a fraction of zero is dropped. So texts do not sort like instants, and
every comparison uses milliseconds. Spec: 2.1.1 types 1.2; docs/architecture.md "Timestamps".
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
    """The current time in whole seconds."""
    return authored(now_ms())


def authored(milliseconds: int) -> str:
    """The text of an instant, truncated to whole seconds."""
    return f"{_second(milliseconds // 1000)}Z"


def stamp(*earlier: str) -> str:
    """The current time in whole seconds, or the latest of *earlier* if that is later."""
    return max(now(), *earlier, key=parse)


def text(milliseconds: int) -> str:
    """The canonical text of an instant, with its milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03d}" if rest else ""
    return f"{_second(seconds)}{fraction}Z"


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """The text of a whole second. The cache serves the current one, which every response needs."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


def parse(value: str) -> int:
    """Milliseconds since 1970 from any form that the contract accepts; finer digits are truncated.

    Raises:
        errors.RuleBroken: the day does not exist (February 30), or the instant is out of range.
    """
    milliseconds = bound(value)
    try:
        _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise errors.RuleBroken(f"{value} is not an instant that exists") from None
    return milliseconds


def bound(value: str) -> int:
    """Like `parse`, but for the bound of a list, which may be out of range.

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
