"""Whether the totals and the charging periods of a CDR agree with each other. docs/pricing.md P22, P23."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

from generated.gateway_models import CdrRule, CdrRuleName
from generated.ocpi_models import CDR
from workflows.charging import periods
from workflows.charging.periods import Reading
from workflows.charging.restrictions import TENTHS_PER_KWH, decimal_of

_SECONDS_PER_HOUR = 3600
_WH_PER_KWH = 1000
_SLACK_SECONDS = Decimal("3.6")
_TOLERANCE, _PER_PERIOD = Decimal("0.001"), Decimal("0.0001")  # kWh or hours


def rules(cdr: CDR, readings: Sequence[Reading]) -> Iterator[CdrRule]:
    """The rules that the quantities of a CDR break."""
    yield from _energy(cdr, readings)
    yield from _times(cdr, readings)
    yield from _order(cdr, readings)


def _energy(cdr: CDR, readings: Sequence[Reading]) -> Iterator[CdrRule]:
    total = decimal_of(cdr.total_energy)
    measured = Decimal(sum(each.tenths for each in readings)) / TENTHS_PER_KWH
    if _agree(measured, total, readings):
        return
    if total > 0 and _agree(measured / _WH_PER_KWH, total, readings):
        text = (
            f"The periods have {measured:f} of ENERGY, total_energy is {total:f} kWh: the periods are in Wh."
        )
        yield CdrRule(name=CdrRuleName.cdrs_energy_in_wh, text=text)
        return
    text = f"total_energy is {total:f} kWh, the periods have {measured:f} kWh."
    yield CdrRule(name=CdrRuleName.cdrs_total_energy, text=text)


def _times(cdr: CDR, readings: Sequence[Reading]) -> Iterator[CdrRule]:
    total = decimal_of(cdr.total_time)
    charging, parking = (
        _hours(Decimal(sum(seconds or 0 for seconds in kind)))
        for kind in zip(*((each.charging, each.parking) for each in readings), strict=True)
    )
    has_time = any(each.charging is not None or each.parking is not None for each in readings)
    if has_time and not _agree(charging + parking, total, readings):
        text = f"total_time is {total:f} h, the periods have {charging + parking:.4f} h."
        yield CdrRule(name=CdrRuleName.cdrs_total_time, text=text)
    length = periods.instant(cdr.stop_date_time) - periods.instant(cdr.start_date_time)
    hours = _hours(decimal_of(length.total_seconds()))
    if not _agree(hours, total, readings):
        text = f"total_time is {total:f} h, from start_date_time to stop_date_time it is {hours:.4f} h."
        yield CdrRule(name=CdrRuleName.cdrs_total_time, text=text)
    if cdr.total_parking_time is not None:
        stated = decimal_of(cdr.total_parking_time)
        if has_time and not _agree(parking, stated, readings):
            text = f"total_parking_time is {stated:f} h, the periods have {parking:.4f} h of PARKING_TIME."
            yield CdrRule(name=CdrRuleName.cdrs_total_parking_time, text=text)


def _hours(seconds: Decimal) -> Decimal:
    return seconds / _SECONDS_PER_HOUR


def _agree(one: Decimal, other: Decimal, readings: Sequence[Reading]) -> bool:
    return abs(one - other) <= _TOLERANCE + _PER_PERIOD * len(readings)


def _order(cdr: CDR, readings: Sequence[Reading]) -> Iterator[CdrRule]:
    start, stop = periods.instant(cdr.start_date_time), periods.instant(cdr.stop_date_time)
    starts = [each.start for each in readings]
    is_rising = all(one < other for one, other in pairwise(starts))
    if not is_rising or starts[0] < start or starts[-1] > stop:
        text = "The starts of the charging periods do not rise, or lie outside of the session."
        yield CdrRule(name=CdrRuleName.cdrs_period_order, text=text)
    if starts[0] > start:
        late = (starts[0] - start).total_seconds()
        text = f"The first charging period begins {late:.0f} s after the session."
        yield CdrRule(name=CdrRuleName.cdrs_period_gap, text=text)
    longer = [
        index
        for index, each in enumerate(readings)
        if (each.charging or 0) + (each.parking or 0) > each.length + _SLACK_SECONDS
    ]
    if longer:
        text = f"The time of charging period {longer[0]} (counted from 0) exceeds its length"
        more = f", as in {len(longer) - 1} more" if longer[1:] else ""
        yield CdrRule(name=CdrRuleName.cdrs_period_overlong, text=f"{text}{more}.")
