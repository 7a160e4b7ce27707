"""Prices: the worked examples, what every price has in common, and a second way to compute them."""

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from price_examples import ZONE, Example, examples

from generated.ocpi_models import ChargingPeriod, KnownCdrDimensionType
from workflows.charging import cuts, periods, pricing
from workflows.charging.pricing import Line, Part
from workflows.charging.restrictions import Elements

LETTERS = {"FLAT": "F", "ENERGY": "E", "TIME": "T", "PARKING_TIME": "P"}
FOUR_DECIMALS = Decimal("0.0001")
SECOND = timedelta(seconds=1)


def written(line: Line) -> str:
    """*line* as in the table of examples."""
    cost = line.cost.quantize(FOUR_DECIMALS)
    numbers = [
        f"{each:f}".rstrip("0").rstrip(".") if each % 1 else f"{each:.0f}" for each in (line.billed, cost)
    ]
    return f"{LETTERS[line.component.dimension]}{line.component.element} {' '.join(numbers)}"


@pytest.mark.parametrize("example", examples(), ids=lambda each: f"{each.number}: {each.note}")
def test_a_worked_example_costs_what_was_worked_out_by_hand(example: Example) -> None:
    bill = pricing.bill(example.tariff, example.start, example.slices, ZONE)

    assert example.lines == [written(line) for line in bill.lines]
    assert example.total == bill.total


def test_all_worked_examples_are_read() -> None:
    assert [str(number) for number in range(1, 40)] == [each.number for each in examples()]


def read_again(periods_: list[ChargingPeriod], example: Example, end: datetime) -> list[Part]:
    """The parts that a receiver reads from charging periods."""
    readings = periods.read(periods_, f"{end:%Y-%m-%dT%H:%M:%SZ}")
    pieces = periods.pieces(readings, example.start)
    return list(cuts.judge(Elements(example.tariff.elements), pieces, ZoneInfo(ZONE)))


@pytest.mark.parametrize("example", examples(), ids=lambda each: each.number)
def test_a_receiver_of_the_periods_computes_the_same_price(example: Example) -> None:
    bill = pricing.bill(example.tariff, example.start, example.slices, ZONE)
    sent = periods.charging_periods(bill.parts)
    totals = periods.totals(bill.parts)
    end = example.start + sum(each.seconds for each in example.slices) * SECOND

    received = read_again(sent, example, end)

    assert bill.parts == received
    assert (bill.lines, bill.total) == pricing.price(received)
    volumes = dict.fromkeys(KnownCdrDimensionType, Decimal(0))
    for each in (dimension for period in sent for dimension in period.dimensions):
        volumes[KnownCdrDimensionType(each.type)] += Decimal(str(each.volume))
    parking = volumes[KnownCdrDimensionType.PARKING_TIME]
    assert Decimal(str(totals.total_energy)) == volumes[KnownCdrDimensionType.ENERGY]
    assert Decimal(str(totals.total_time)) == volumes[KnownCdrDimensionType.TIME] + parking
    assert Decimal(str(totals.total_parking_time)) == parking
