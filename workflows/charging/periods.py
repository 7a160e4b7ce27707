"""Charging periods and totals as Sessions and CDRs carry them: written from parts, and read again.

Spec: 2.1.1 mod_cdrs 3.1, 4.1, 4.2 and 4.3.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from generated.ocpi_models import CdrDimension, ChargingPeriod, KnownCdrDimensionType
from workflows.charging.cuts import Part, Piece
from workflows.charging.restrictions import TENTHS_PER_KWH, Kind, decimal_of

_FOUR_DECIMALS = Decimal("0.0001")
_SECONDS_PER_HOUR = 3600
_NEARLY_EQUAL = Decimal("3.6")  # seconds; an hour with 3 decimals is not more exact

_DIMENSIONS = {
    Kind.CHARGING: KnownCdrDimensionType.TIME,
    Kind.PARKING: KnownCdrDimensionType.PARKING_TIME,
}


@dataclass(frozen=True)
class Totals:
    """The totals of a session: energy in kWh, times in hours. The total time includes parking."""

    total_energy: float
    total_time: float
    total_parking_time: float


def charging_periods(parts: Sequence[Part]) -> list[ChargingPeriod]:
    """One period per part: its energy, if any, and its time of one kind.

    The running total of each dimension is rounded to 4 decimals, so that volumes add up to the totals.
    """
    seconds = dict.fromkeys(Kind, 0)
    periods = []
    for part in parts:
        before = _hours(seconds[part.kind])
        seconds[part.kind] += part.seconds
        volume = _hours(seconds[part.kind]) - before
        dimensions = [CdrDimension(type=_DIMENSIONS[part.kind], volume=float(volume))]
        if part.tenths:
            energy = CdrDimension(type=KnownCdrDimensionType.ENERGY, volume=part.tenths / TENTHS_PER_KWH)
            dimensions.insert(0, energy)
        start = f"{part.start:%Y-%m-%dT%H:%M:%SZ}"
        periods.append(ChargingPeriod(start_date_time=start, dimensions=dimensions))
    return periods


def totals(parts: Sequence[Part]) -> Totals:
    """The sums of the volumes of the charging periods of *parts*."""
    parking = _hours(_seconds(parts, Kind.PARKING))
    return Totals(
        total_energy=sum(part.tenths for part in parts) / TENTHS_PER_KWH,
        total_time=float(_hours(_seconds(parts, Kind.CHARGING)) + parking),
        total_parking_time=float(parking),
    )


def _seconds(parts: Iterable[Part], kind: Kind) -> int:
    return sum(part.seconds for part in parts if part.kind is kind)


def _hours(seconds: int) -> Decimal:
    return (Decimal(seconds) / _SECONDS_PER_HOUR).quantize(_FOUR_DECIMALS)


@dataclass(frozen=True)
class Reading:
    """A charging period as it was measured, with times in seconds and energy in tenths of a Wh.

    Args:
        start: an instant in UTC.
        length: seconds until the next period or the end of the session, by their timestamps.
        charging: seconds of TIME; None if the period has no such dimension.
        parking: seconds of PARKING_TIME; None if the period has no such dimension.
        tenths: ENERGY.
    """

    start: datetime
    length: Decimal
    charging: int | None
    parking: int | None
    tenths: int


def read(periods: Sequence[ChargingPeriod], end: str) -> list[Reading]:
    """The periods of a Session or CDR that ends at *end*, a `DateTime`.

    Hours with 4 decimals are inexact by up to 0.18 s. The timestamps say the exact time of a period that
    has one kind of time, if they agree with its volume.
    """
    starts = [instant(period.start_date_time) for period in periods]
    ends = [*starts[1:], instant(end)]
    return [_reading(*each) for each in zip(periods, starts, ends, strict=True)]


def instant(time: str) -> datetime:
    """The instant of a `DateTime`."""
    return datetime.fromisoformat(time)


def _reading(period: ChargingPeriod, start: datetime, end: datetime) -> Reading:
    length = Decimal((end - start) // timedelta(microseconds=1)) / 1_000_000
    charging, parking, energy = (
        _volume(period, dimension) for dimension in (*_DIMENSIONS.values(), KnownCdrDimensionType.ENERGY)
    )
    is_one_kind = charging is None or parking is None
    return Reading(
        start,
        length,
        None if charging is None else _whole_seconds(charging, length if is_one_kind else None),
        None if parking is None else _whole_seconds(parking, length if is_one_kind else None),
        round((energy or 0) * TENTHS_PER_KWH),
    )


def _volume(period: ChargingPeriod, dimension: KnownCdrDimensionType) -> Decimal | None:
    """The sum of the volumes of a dimension, which is rarely present twice."""
    volumes = [decimal_of(each.volume) for each in period.dimensions if each.type is dimension]
    return sum(volumes, Decimal(0)) if volumes else None


def _whole_seconds(hours: Decimal, length: Decimal | None) -> int:
    seconds = hours * _SECONDS_PER_HOUR
    return round(seconds if length is None or abs(seconds - length) > _NEARLY_EQUAL else length)


def pieces(readings: Iterable[Reading], session_start: datetime) -> Iterator[Piece]:
    """The periods in their places; one with both kinds of time becomes two pieces with the same start.

    The energy belongs to the charging, if there is any.
    """
    tenths = 0
    for each in readings:
        elapsed = (each.start - session_start) // timedelta(seconds=1)
        has_charging = each.charging is not None or each.parking is None
        if has_charging:
            yield Piece(Kind.CHARGING, each.start, elapsed, each.charging or 0, tenths, each.tenths)
        if each.parking is not None:
            own = 0 if has_charging else each.tenths
            yield Piece(Kind.PARKING, each.start, elapsed, each.parking, tenths, own)
        tenths += each.tenths
