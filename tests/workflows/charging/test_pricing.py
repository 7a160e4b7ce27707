"""Prices: the worked examples, what every price has in common, and a second way to compute them."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from price_examples import ZONE, Example, examples, tariff_of, tariffs
from price_walk import Session, compared, draw_session, walk

from generated.ocpi_models import KnownCdrDimensionType
from workflows.charging import cuts, periods, pricing
from workflows.charging.cuts import Piece
from workflows.charging.pricing import Bill, Kind, Line, Part, Slice, StepRule
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


SESSIONS = st.randoms(use_true_random=False).map(draw_session)
few = settings(max_examples=20, deadline=None)


def elements_of(session: Session) -> Elements:
    return Elements(tariff_of(session.elements).elements)


def bill_of(session: Session) -> Bill:
    return pricing.bill(tariff_of(session.elements), session.start, session.slices, session.zone)


def received(session: Session, parts: list[Part]) -> list[Part]:
    """The parts that a receiver of *parts* reads from their charging periods."""
    end = session.start + sum(each.seconds for each in session.slices) * SECOND
    readings = periods.read(periods.charging_periods(parts), f"{end:%Y-%m-%dT%H:%M:%SZ}")
    pieces = periods.pieces(readings, session.start)
    return list(cuts.judge(elements_of(session), pieces, ZoneInfo(session.zone)))


@given(SESSIONS)
@few
def test_lines_are_not_negative_and_add_up_to_the_total(session: Session) -> None:
    bill = bill_of(session)

    assert all(0 <= line.measured <= line.billed and line.cost >= 0 for line in bill.lines)
    assert bill.total == sum((line.cost for line in bill.lines), Decimal(0)).quantize(FOUR_DECIMALS)


@given(SESSIONS, st.data())
@few
def test_the_order_of_dimensions_changes_nothing(session: Session, data: st.DataObject) -> None:
    shuffled = [
        each | {"price_components": data.draw(st.permutations(each["price_components"]))}
        for each in session.elements
    ]

    assert compared(bill_of(session)) == compared(bill_of(replace(session, elements=shuffled)))


@given(SESSIONS, st.data())
@few
def test_splitting_a_period_changes_only_what_is_rounded_per_period(
    session: Session, data: st.DataObject
) -> None:
    """The power of a half differs from that of the whole by its rounding, so it must not matter here.

    Nor may a part pass a limit of the energy. It does so only if it passes several within a second or two,
    which are cut at one instant. docs/pricing.md P9.
    """
    assume("power" not in str(session.elements))
    parts = bill_of(session).parts
    for limit in elements_of(session).thresholds:
        assume(not any(part.moment.tenths < limit < part.moment.tenths + part.tenths for part in parts))
    pieces = [
        half for part in parts for half in halves(part, data.draw(st.integers(1, max(1, part.seconds - 1))))
    ]

    split = list(cuts.judge(elements_of(session), pieces, ZoneInfo(session.zone)))

    assert len(split) >= len(parts)
    for rule in (StepRule.SESSION, StepRule.SEGMENT):
        lines, total = pricing.price(split, rule)
        assert (set(lines), total) == (set(pricing.price(parts, rule)[0]), pricing.price(parts, rule)[1])


def halves(part: Part, second: int) -> list[Piece]:
    whole = Piece(part.kind, part.start, part.moment.elapsed, part.seconds, part.moment.tenths, part.tenths)
    if part.seconds == 1:
        return [whole]
    energy = part.tenths * second // part.seconds
    rest = Piece(
        part.kind,
        part.start + second * SECOND,
        whole.elapsed + second,
        part.seconds - second,
        whole.before + energy,
        part.tenths - energy,
    )
    return [replace(whole, seconds=second, tenths=energy), rest]


@given(SESSIONS)
@few
def test_a_receiver_of_the_periods_computes_the_same_price(session: Session) -> None:
    bill = bill_of(session)

    again = received(session, bill.parts)

    assert bill.parts == again
    assert (bill.lines, bill.total) == pricing.price(again)


@given(SESSIONS)
@few
def test_volumes_add_up_to_the_totals(session: Session) -> None:
    parts = bill_of(session).parts
    totals = periods.totals(parts)
    volumes = dict.fromkeys(KnownCdrDimensionType, Decimal(0))
    for each in (dimension for period in periods.charging_periods(parts) for dimension in period.dimensions):
        volumes[KnownCdrDimensionType(each.type)] += Decimal(str(each.volume))

    parking = volumes[KnownCdrDimensionType.PARKING_TIME]
    assert Decimal(str(totals.total_energy)) == volumes[KnownCdrDimensionType.ENERGY]
    assert Decimal(str(totals.total_time)) == volumes[KnownCdrDimensionType.TIME] + parking
    assert Decimal(str(totals.total_parking_time)) == parking
    assert totals.total_energy == pytest.approx(sum(each.tenths for each in session.slices) / 10_000)


@pytest.mark.parametrize("number", range(25))
def test_a_walk_through_every_second_gives_the_same_price(number: int) -> None:
    """scripts/prices does this with 10,000 sessions, and has the controls."""
    session = draw_session(random.Random(f"7 {number}"))

    assert walk(session) == compared(bill_of(session))


def test_without_a_tariff_the_price_is_unknown_and_the_periods_are_not() -> None:
    slices = [Slice(Kind.CHARGING, 60, 10), Slice(Kind.CHARGING, 60, 20), Slice(Kind.PARKING, 60, 0)]

    bill = pricing.bill(None, examples()[0].start, slices, ZONE)

    assert ([], None) == (bill.lines, bill.total)
    assert [(120, 30), (60, 0)] == [(part.seconds, part.tenths) for part in bill.parts]


@pytest.mark.parametrize("slices", [[], [Slice(Kind.CHARGING, 0, 0)]])
def test_a_session_that_just_started_costs_the_flat_fee(slices: list[Slice]) -> None:
    bill = pricing.bill(tariffs()["CX"], examples()[0].start, slices, ZONE)

    assert ["F0 1 2.5"] == [written(line) for line in bill.lines]
    assert Decimal("2.5") == bill.total


@pytest.mark.parametrize(
    ("step_rule", "total"),
    [
        ("session", "1.0167"),
        ("last", "1.0167"),
        ("dimension", "1.1667"),
        ("segment", "1.1667"),
        ("none", "0.8833"),
    ],
)
def test_other_step_rules_give_other_prices(step_rule: str, total: str) -> None:
    """Example 13: 21 minutes of charging and 16 of parking, both in steps of 10."""
    [example] = [each for each in examples() if each.number == "13"]
    bill = pricing.bill(example.tariff, example.start, example.slices, ZONE)

    assert Decimal(total) == pricing.price(bill.parts, StepRule(step_rule))[1]
