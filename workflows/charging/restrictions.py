"""The elements of a tariff: which component prices a dimension at a moment of a session.

Times and dates are compared with the wall clock at the location, energy with the energy of the session so
far, durations with the time since the session started. Spec: 2.1.1 mod_tariffs 4.3 to 4.6.
"""

import calendar
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from functools import cached_property

from generated.ocpi_models import (
    KnownTariffDimensionType,
    PriceComponent,
    TariffElement,
    TariffRestrictions,
)

Dimension = KnownTariffDimensionType

MIDNIGHT = "00:00"
TENTHS_PER_KWH = 10_000
_DAY_END = "24:00"
_WEEKDAYS = [name.upper() for name in calendar.day_name]


class Kind(StrEnum):
    """What the vehicle does in a part of a session."""

    CHARGING = "CHARGING"
    PARKING = "PARKING"

    @property
    def dimension(self) -> Dimension:
        """The dimension that measures its time."""
        return Dimension.TIME if self is Kind.CHARGING else Dimension.PARKING_TIME


@dataclass(frozen=True)
class Moment:
    """What restrictions are compared with.

    Args:
        wall: the wall-clock time at the location, without a zone; None if the zone is unknown.
        elapsed: seconds since the session started, parking included.
        tenths: energy of the session so far, in tenths of a Wh.
        power: average power of the part that begins here, in hundredths of a kW; None if unknown.
    """

    wall: datetime | None
    elapsed: int
    tenths: int
    power: int | None


@dataclass(frozen=True)
class Component:
    """A price of a tariff: in the currency per kWh, hour or session; the step is in Wh or seconds."""

    element: int
    dimension: Dimension
    price: Decimal
    step: int


@dataclass(frozen=True)
class Condition:
    """A restriction, or a pair of them that names two ends of one range."""

    names: tuple[str, ...]
    holds: Callable[[Moment], bool]


@dataclass(frozen=True)
class Element:
    """An element of a tariff; it is active when all of its conditions hold."""

    components: tuple[Component, ...]
    conditions: tuple[Condition, ...]
    restrictions: TariffRestrictions


class Elements:
    """The elements of one tariff, or of several in a row, and the limits that their restrictions name."""

    def __init__(self, elements: Sequence[TariffElement]) -> None:
        self.all = [
            _element(index, each.price_components, each.restrictions or TariffRestrictions())
            for index, each in enumerate(elements)
        ]
        self.restrictions = [each.restrictions for each in self.all]

    def choose(self, moment: Moment, kind: Kind) -> dict[Dimension, Component]:
        """The component of each dimension that a part of this kind can have.

        For each dimension apart, the first active element that has a component of it. A dimension
        without a component is free.
        """
        chosen: dict[Dimension, Component] = {}
        dimensions = {Dimension.FLAT, Dimension.ENERGY, kind.dimension}
        for element in self.all:
            if all(condition.holds(moment) for condition in element.conditions):
                for component in element.components:
                    if component.dimension in dimensions:
                        chosen.setdefault(component.dimension, component)
        return chosen

    @cached_property
    def durations(self) -> set[int]:
        """Limits of the duration, in seconds."""
        pairs: list[tuple[int | None, int | None]] = [
            (each.min_duration, each.max_duration) for each in self.restrictions
        ]
        return {limit for pair in pairs for limit in pair if limit is not None}

    @cached_property
    def thresholds(self) -> list[int]:
        """Limits of the energy, in tenths of a Wh, in rising order."""
        limits = [limit for each in self.restrictions for limit in (each.min_kwh, each.max_kwh)]
        return sorted({_tenths(limit) for limit in limits if limit})

    @cached_property
    def power_limits(self) -> list[Decimal]:
        """Limits of the power, in kW."""
        limits = [limit for each in self.restrictions for limit in (each.min_power, each.max_power)]
        return [decimal_of(limit) for limit in limits if limit is not None]

    @cached_property
    def times(self) -> set[str]:
        """Wall-clock times at which an element may become active or inactive, midnight among them.

        Empty if no element depends on times, dates or days.
        """
        names = [limit for each in self.restrictions for limit in (each.start_time, each.end_time) if limit]
        has_days = any(each.start_date or each.end_date or each.day_of_week for each in self.restrictions)
        return {*names, MIDNIGHT} if names or has_days else set()


def decimal_of(number: float) -> Decimal:
    """The number as it is written in JSON."""
    return Decimal(str(number))


def _tenths(kwh: float) -> int:
    """The first whole tenth of a Wh that is not below *kwh*."""
    return int((decimal_of(kwh) * TENTHS_PER_KWH).to_integral_value(ROUND_CEILING))


def _element(index: int, prices: Sequence[PriceComponent], restrictions: TariffRestrictions) -> Element:
    """An element with the components of the dimensions that OCPI 2.1.1 defines."""
    components = tuple(
        Component(index, each.type, decimal_of(each.price), each.step_size)
        for each in prices
        if isinstance(each.type, Dimension)
    )
    return Element(components, tuple(_conditions(restrictions)), restrictions)


def _conditions(restrictions: TariffRestrictions) -> Iterator[Condition]:
    if restrictions.start_time or restrictions.end_time:
        yield Condition(("start_time", "end_time"), _times(restrictions.start_time, restrictions.end_time))
    if restrictions.start_date or restrictions.end_date:
        yield Condition(("start_date", "end_date"), _dates(restrictions.start_date, restrictions.end_date))
    if restrictions.day_of_week:
        yield Condition(("day_of_week",), _days({str(day) for day in restrictions.day_of_week}))
    yield from _ranges(restrictions)


def _times(start: str | None, end: str | None) -> Callable[[Moment], bool]:
    """From *start* until before *end*, over midnight if the end is not later; equal times are a whole day."""
    first = start or MIDNIGHT
    last = _DAY_END if end in (None, MIDNIGHT) else end or _DAY_END

    def holds(moment: Moment) -> bool:
        if moment.wall is None:
            return False
        time = f"{moment.wall:%H:%M}"
        return first <= time < last if first < last else time >= first or time < last

    return holds


def _dates(start: str | None, end: str | None) -> Callable[[Moment], bool]:
    def holds(moment: Moment) -> bool:
        if moment.wall is None:
            return False
        day = moment.wall.date().isoformat()
        return (start is None or start <= day) and (end is None or day < end)

    return holds


def _days(days: set[str]) -> Callable[[Moment], bool]:
    def holds(moment: Moment) -> bool:
        return moment.wall is not None and _WEEKDAYS[moment.wall.weekday()] in days

    return holds


def _ranges(restrictions: TariffRestrictions) -> Iterator[Condition]:
    energy = restrictions.min_kwh, restrictions.max_kwh
    if energy != (None, None):
        in_range = _range(*(None if limit is None else Decimal(_tenths(limit)) for limit in energy))
        yield Condition(("min_kwh", "max_kwh"), lambda moment: in_range(Decimal(moment.tenths)))
    power = restrictions.min_power, restrictions.max_power
    if power != (None, None):
        yield Condition(("min_power", "max_power"), _power(_range(*map(_optional_decimal, power))))
    duration = restrictions.min_duration, restrictions.max_duration
    if duration != (None, None):
        has_length = _range(*map(_optional_decimal, duration))
        yield Condition(("min_duration", "max_duration"), lambda moment: has_length(Decimal(moment.elapsed)))


def _range(low: Decimal | None, high: Decimal | None) -> Callable[[Decimal], bool]:
    """Whether a number is in a range; the lower end is included, the upper one is not."""
    return lambda number: (low is None or low <= number) and (high is None or number < high)


def _power(in_range: Callable[[Decimal], bool]) -> Callable[[Moment], bool]:
    """Whether the power, in kW, is known and in the range."""
    return lambda moment: moment.power is not None and in_range(Decimal(moment.power) / 100)


def _optional_decimal(number: float | None) -> Decimal | None:
    return None if number is None else decimal_of(number)
