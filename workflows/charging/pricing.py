"""The price of a session: pure functions, without a clock or a database.

Quantities are whole seconds and tenths of a Wh, prices and costs are Decimals. The only rounding of money
is that of the total, to 4 decimals, half-even. Spec: 2.1.1 mod_tariffs 4.2 and mod_cdrs 3.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from itertools import groupby

from generated.ocpi_models import Tariff
from workflows.charging import cuts, zones
from workflows.charging.cuts import Part, Slice
from workflows.charging.restrictions import TENTHS_PER_KWH, Component, Dimension, Elements, Kind

__all__ = ["Bill", "Component", "Dimension", "Kind", "Line", "Part", "Slice", "StepRule", "bill", "price"]

_PRECISION = 50
_FOUR_DECIMALS = Decimal("0.0001")
_TENTHS_PER_WH = 10
_SECONDS_PER_HOUR = 3600


class StepRule(StrEnum):
    """Which quantities are rounded up to the step of the component that was used last.

    OCPI 2.1.1 does not say it. SESSION is the rule of OCPI 2.2.1: the energy of the session once, and its
    time once: the parking time if any is priced, otherwise the charging time. The other rules explain
    the CDRs of other parties: LAST rounds the kind of time that came last, DIMENSION both kinds, SEGMENT
    each run of one component.
    """

    SESSION = "session"
    LAST = "last"
    DIMENSION = "dimension"
    SEGMENT = "segment"
    NONE = "none"


@dataclass(frozen=True)
class Charge:
    """A use of a component in a part; the quantity is in tenths of a Wh, seconds or sessions.

    *part*: the number of the part, counted from 0.
    """

    part: int
    component: Component
    quantity: int


@dataclass(frozen=True)
class Line:
    """What one component of a tariff costs.

    Args:
        component: the component with its price.
        measured: the priced quantity, in Wh (ENERGY), seconds (TIME, PARKING_TIME) or sessions (FLAT).
        billed: the quantity after rounding up to the step.
        cost: price times billed quantity, not rounded.
    """

    component: Component
    measured: Decimal
    billed: Decimal
    cost: Decimal


@dataclass(frozen=True)
class Bill:
    """The parts of a session, the lines of its price, and their sum; None if there is no tariff."""

    parts: list[Part]
    lines: list[Line]
    total: Decimal | None


def bill(tariff: Tariff | None, start: datetime, slices: Sequence[Slice], zone: str) -> Bill:
    """The price of a session that started at *start* (UTC) in the time zone *zone* (IANA).

    A back office may have sent a zone that does not exist; it counts as UTC.

    Each slice takes at least one second, unless the whole session takes none. A session without slices
    has just started and costs the flat fee alone. Without a tariff the price is unknown.
    """
    elements, local = Elements(tariff.elements if tariff else []), zones.named(zone) or zones.UTC
    parts = cuts.parts(elements, start, slices, local)
    if tariff is None:
        return Bill(parts, [], None)
    if parts:
        return Bill(parts, *price(parts))
    beginning = cuts.Piece(Kind.PARKING, start, elapsed=0, seconds=0, before=0, tenths=0)
    return Bill([], *price(list(cuts.judge(elements, [beginning], local))))


def price(parts: Sequence[Part], rule: StepRule = StepRule.SESSION) -> tuple[list[Line], Decimal]:
    """The lines and their total, rounded to 4 decimals."""
    charged = list(charges(parts))
    measured: dict[Component, int] = {}
    for each in charged:
        measured[each.component] = measured.get(each.component, 0) + each.quantity
    billed = dict(measured)
    for component, surplus in _surpluses(charged, rule):
        billed[component] += surplus
    with localcontext(prec=_PRECISION):
        lines = [
            line(each, quantity / per_unit(each.dimension), billed[each] / per_unit(each.dimension))
            for each, quantity in measured.items()
        ]
        return lines, _total(billed).quantize(_FOUR_DECIMALS)


def charges(parts: Sequence[Part]) -> Iterator[Charge]:
    """What each part is charged for. One flat fee is charged, in the first part that has one."""
    flat = 1
    for number, part in enumerate(parts):
        quantities = {
            Dimension.FLAT: flat,
            Dimension.ENERGY: part.tenths,
            part.kind.dimension: part.seconds,
        }
        for dimension, component in part.chosen.items():
            if quantities[dimension] > 0:
                yield Charge(number, component, quantities[dimension])
        if Dimension.FLAT in part.chosen:
            flat = 0


def _surpluses(charged: Sequence[Charge], rule: StepRule) -> Iterator[tuple[Component, int]]:
    """What rounding up adds to the quantity of a component."""
    for dimension in _rounded_dimensions([each.component.dimension for each in charged], rule):
        segments = [each for each in charged if each.component.dimension is dimension]
        if rule is StepRule.SEGMENT:
            runs = [list(run) for _, run in groupby(segments, key=lambda charge: charge.component)]
        else:
            runs = [segments] if segments else []
        for run in runs:
            last = run[-1].component
            step = last.step * int(per_unit(dimension))
            if step > 0:
                yield last, -sum(each.quantity for each in run) % step


def _rounded_dimensions(used: Sequence[Dimension], rule: StepRule) -> list[Dimension]:
    """The dimensions that *rule* rounds; *used* are those of the charges in the order of time."""
    if rule is StepRule.NONE:
        return []
    times = [each for each in used if each in (Dimension.TIME, Dimension.PARKING_TIME)]
    if rule in (StepRule.DIMENSION, StepRule.SEGMENT):
        return [Dimension.ENERGY, Dimension.TIME, Dimension.PARKING_TIME]
    if rule is StepRule.LAST:
        return [Dimension.ENERGY, *times[-1:]]
    has_parking = Dimension.PARKING_TIME in times
    return [Dimension.ENERGY, Dimension.PARKING_TIME if has_parking else Dimension.TIME]


def line(component: Component, measured: Decimal, billed: Decimal) -> Line:
    """A line with its cost. Quantities: as in `Line`."""
    per_price = _per_price(component.dimension) // per_unit(component.dimension)
    with localcontext(prec=_PRECISION):
        return Line(component, measured, billed, component.price * billed / per_price)


def per_unit(dimension: Dimension) -> Decimal:
    """How many tenths of a Wh are a Wh; seconds and sessions are counted as they are."""
    return Decimal(_TENTHS_PER_WH if dimension is Dimension.ENERGY else 1)


def _per_price(dimension: Dimension) -> int:
    """How many tenths of a Wh, seconds or sessions a price is for."""
    if dimension is Dimension.FLAT:
        return 1
    return TENTHS_PER_KWH if dimension is Dimension.ENERGY else _SECONDS_PER_HOUR


def _total(billed: dict[Component, int]) -> Decimal:
    """The sum of all costs; what has one unit is added up before it is divided."""
    sums: dict[int, Decimal] = {}
    for component, quantity in billed.items():
        unit = _per_price(component.dimension)
        sums[unit] = sums.get(unit, Decimal(0)) + component.price * quantity
    return sum((amount / unit for unit, amount in sums.items()), Decimal(0))
