"""A second way to compute prices: walk through the session second by second, with exact fractions.

It shares no code with the program. Random sessions lie where prices change: around midnight, changes of
the clock, and the limits of their own tariff.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from price_examples import element

from workflows.charging.pricing import Bill, Kind, Slice

Json = dict[str, Any]
Key = tuple[str, int]

SECOND = timedelta(seconds=1)
DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
STARTS = [
    ("Europe/Amsterdam", "2026-06-02T10:00+02:00"),
    ("Europe/Amsterdam", "2026-06-05T23:50+02:00"),
    ("Europe/Amsterdam", "2026-03-29T01:50+01:00"),
    ("Europe/Amsterdam", "2026-10-25T02:50+02:00"),
    ("America/New_York", "2026-11-01T01:50-04:00"),
    ("Australia/Lord_Howe", "2026-04-05T01:50+11:00"),
    ("Asia/Kolkata", "2026-12-31T23:50+05:30"),
    ("UTC", "2028-02-28T23:50+00:00"),
]


@dataclass(frozen=True)
class Session:
    """A session and the elements of its tariff as JSON."""

    elements: list[Json]
    start: datetime
    slices: list[Slice]
    zone: str


@dataclass(frozen=True)
class Walked:
    """Quantities by dimension and element, in seconds, Wh or sessions, and the total."""

    billed: dict[Key, Fraction]
    total: Fraction


def compared(bill: Bill) -> Walked:
    """*bill* in the form of a walked price."""
    billed = {
        (str(each.component.dimension), each.component.element): Fraction(each.billed) for each in bill.lines
    }
    assert bill.total is not None
    return Walked(billed, Fraction(bill.total))


# Random sessions


def draw_session(source: random.Random) -> Session:
    zone, around = source.choice(STARTS)
    start = datetime.fromisoformat(around).astimezone(UTC) + source.randint(-600, 900) * SECOND
    slices = [_draw_slice(source) for _ in range(source.randint(1, 5))]
    elements = [
        _draw_element(source, start.astimezone(ZoneInfo(zone)), slices) for _ in range(source.randint(1, 4))
    ]
    return Session(elements, start, slices, zone)


def _draw_slice(source: random.Random) -> Slice:
    seconds = source.choice([1, 2, source.randint(1, 60), source.randint(1, 900)])
    if source.random() < 0.3:
        return Slice(Kind.PARKING, seconds, source.choice([0, 0, 5]))
    kw = source.choice([0, 16, 16, 3.7, 11, 22.08, 150, source.uniform(0, 350)])
    return Slice(Kind.CHARGING, seconds, round(kw * seconds / 0.36))


def _draw_element(source: random.Random, start: datetime, slices: list[Slice]) -> Json:
    types = source.sample("FETP", source.randint(1, 4))
    components = [
        [type_, source.choice([0, 0.25, 0.3333, 2, 12.5]), source.choice([0, 1, 60, 300, 500])]
        for type_ in types
    ]
    return element(components, _draw_restrictions(source, start, slices))


def _draw_restrictions(source: random.Random, start: datetime, slices: list[Slice]) -> Json:
    tenths, seconds = sum(each.tenths for each in slices), sum(each.seconds for each in slices)
    restrictions: Json = {}

    def limit(names: str, probability: float, values: list[Any]) -> None:
        first, second = sorted(values)
        for name, value in zip(
            names.split(), source.choice([values, [first, None], [None, second]]), strict=True
        ):
            if value is not None and source.random() < probability:
                restrictions[name] = value

    near = [start + source.randint(-40, 60) * timedelta(minutes=1) for _ in range(2)]
    if source.random() < 0.5:
        limit("start_time end_time", 0.7, [f"{each:%H:%M}" for each in near])
    limit(
        "start_date end_date",
        0.1,
        [f"{start + source.randint(-1, 2) * timedelta(days=1):%Y-%m-%d}" for _ in near],
    )
    limit("min_kwh max_kwh", 0.3, [round(source.randint(0, tenths + 9) / 10_000, 4) for _ in near])
    limit("min_power max_power", 0.2, [source.choice([3.7, 11, 16, 50]) for _ in near])
    limit("min_duration max_duration", 0.3, [source.randint(0, seconds + 9) for _ in near])
    if source.random() < 0.2:
        restrictions["day_of_week"] = source.sample(DAYS, source.randint(0, 5))
    return restrictions


# The walk


@dataclass
class Second:
    """A second of a session; *before* is the energy of the session at its start, in tenths of a Wh.

    The first second between two cuts has the energy up to the next cut, the others have none.
    """

    kind: Kind
    wall: datetime
    elapsed: int
    before: Fraction
    energy: int = 0
    power: int = 0


def walk(session: Session) -> Walked:
    """The price of a session of at least one second."""
    charges: list[tuple[Key, Fraction]] = []
    limits = [_exact(each.get("restrictions", {})) for each in session.elements]
    flats = 1
    for group in _groups(session):
        time = "TIME" if group[0].kind is Kind.CHARGING else "PARKING_TIME"
        types = ("FLAT", "ENERGY", time)
        first = _chosen(session.elements, limits, types, group[0])
        for second in group:
            chosen = _chosen(session.elements, limits, types, second)
            assert chosen == first, "A price changes between two cuts."
            for type_, quantity in zip(types, (flats, Fraction(second.energy, 10), 1), strict=True):
                if chosen[type_] is not None and quantity:
                    charges.append(((type_, chosen[type_]), Fraction(quantity)))
                    flats -= type_ == "FLAT"
    return _billed(session.elements, charges)


def _exact(restrictions: Json) -> Json:
    """Restrictions with exact numbers."""
    return {name: Fraction(str(v)) if isinstance(v, int | float) else v for name, v in restrictions.items()}


def _groups(session: Session) -> Iterator[list[Second]]:
    """The seconds between two cuts."""
    limits = [each.get("restrictions", {}) for each in session.elements]
    start, elapsed, before = session.start, 0, 0
    for slice_ in session.slices:
        walls = [
            (start + second * SECOND).astimezone(ZoneInfo(session.zone)) for second in range(slice_.seconds)
        ]
        cuts = _energy_cuts(slice_, before, limits)
        for second in _clock_cuts(walls, limits) | {
            each[name] - elapsed
            for each in limits
            for name in ("min_duration", "max_duration")
            if name in each
        }:
            if 0 < second < slice_.seconds:
                cuts.setdefault(second, round(before + Fraction(slice_.tenths * second, slice_.seconds)))
        edges = sorted((cuts | {0: before, slice_.seconds: before + slice_.tenths}).items())
        for (first, energy), (end, next_energy) in pairwise(edges):
            exact = [
                before + Fraction(slice_.tenths * second, slice_.seconds) for second in range(first, end)
            ]
            group = [
                Second(
                    slice_.kind,
                    walls[second].replace(tzinfo=None),
                    elapsed + second,
                    max(running, Fraction(energy)),
                )
                for second, running in zip(range(first, end), exact, strict=True)
            ]
            group[0].energy = next_energy - energy
            if slice_.kind is Kind.CHARGING:
                for each in group:
                    each.power = round(Fraction((next_energy - energy) * 36, end - first))
            yield group
        start, elapsed, before = (
            start + slice_.seconds * SECOND,
            elapsed + slice_.seconds,
            before + slice_.tenths,
        )


def _energy_cuts(slice_: Slice, before: int, limits: list[Json]) -> dict[int, int]:
    """The seconds of a slice at which the session reaches a limit, and the energy there."""
    cuts = {}
    for kwh in sorted({each[name] for each in limits for name in ("min_kwh", "max_kwh") if name in each}):
        limit = Fraction(str(kwh)) * 10_000
        if before < limit < before + slice_.tenths and slice_.seconds > 1:
            second = 1
            while before + Fraction(slice_.tenths * second, slice_.seconds) < limit:
                second += 1
            cuts[min(second, slice_.seconds - 1)] = int(limit)
    return cuts


def _clock_cuts(walls: list[datetime], limits: list[Json]) -> set[int]:
    """The seconds of a slice at which the clock shows a time of the tariff, or is moved."""
    named = {each[name] for each in limits for name in ("start_time", "end_time") if name in each}
    if not named and not any(
        each.keys() & {"start_date", "end_date"} or each.get("day_of_week") for each in limits
    ):
        return set()
    shown = {
        second
        for second, wall in enumerate(walls)
        if not wall.second and f"{wall:%H:%M}" in {*named, "00:00"}
    }
    moved = {second for second, (a, b) in enumerate(pairwise(walls), 1) if a.utcoffset() != b.utcoffset()}
    return shown | moved


def _chosen(
    elements: list[Json], limits: list[Json], types: tuple[str, ...], second: Second
) -> dict[str, int | None]:
    """The index of the element that prices each of *types*."""
    active = [index for index, each in enumerate(limits) if _matches(each, second)]
    return {
        type_: next(
            (i for i in active if any(c["type"] == type_ for c in elements[i]["price_components"])), None
        )
        for type_ in types
    }


def _matches(limits: Json, second: Second) -> bool:
    day, time = second.wall.date().isoformat(), second.wall.time().isoformat("minutes")
    first, last = limits.get("start_time", "00:00"), limits.get("end_time", "00:00")
    last = "24:00" if last == "00:00" else last
    values = {"kwh": second.before / 10_000, "power": Fraction(second.power, 100), "duration": second.elapsed}
    return (
        (first <= time < last if first < last else not last <= time < first)
        and limits.get("start_date", day) <= day < limits.get("end_date", "9999")
        and (not limits.get("day_of_week") or DAYS[second.wall.weekday()] in limits["day_of_week"])
        and all(limits[f"min_{name}"] <= value for name, value in values.items() if f"min_{name}" in limits)
        and all(value < limits[f"max_{name}"] for name, value in values.items() if f"max_{name}" in limits)
    )


def _billed(elements: list[Json], charges: list[tuple[Key, Fraction]]) -> Walked:
    billed: dict[Key, Fraction] = {}
    last: dict[str, Key] = {}
    for key, quantity in charges:
        billed[key] = billed.get(key, Fraction(0)) + quantity
        last[key[0]] = key
    for type_ in ("ENERGY", "PARKING_TIME" if "PARKING_TIME" in last else "TIME"):
        if type_ in last:
            step = _component(elements, last[type_])["step_size"]
            used = sum(quantity for key, quantity in billed.items() if key[0] == type_)
            if step:
                billed[last[type_]] += -used % step
    per_price = {"FLAT": 1, "ENERGY": 1000, "TIME": 3600, "PARKING_TIME": 3600}
    exact = sum(
        Fraction(str(_component(elements, key)["price"])) * quantity / per_price[key[0]]
        for key, quantity in billed.items()
    )
    return Walked(billed, Fraction(round(exact * 10_000), 10_000))


def _component(elements: list[Json], key: Key) -> Json:
    return next(each for each in elements[key[1]]["price_components"] if each["type"] == key[0])
