"""Prices. docs/pricing.md has the rules, tests/data/prices the worked examples."""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from generated.ocpi_models import Tariff
from workflows.charging import pricing
from workflows.charging.pricing import Bill, Kind, Slice

DATA = Path(__file__).parents[2] / "data" / "prices"
ZONE = "Europe/Amsterdam"
NAMES = {"F": "FLAT", "E": "ENERGY", "T": "TIME", "P": "PARKING_TIME"}
EXAMPLES = [line.split("|") for line in (DATA / "examples.txt").read_text().splitlines()]


def tariff(elements: list[dict[str, Any]]) -> Tariff:
    """A tariff from the short form of the examples."""
    long = []
    for element in elements:
        components = [
            {"type": NAMES[kind], "price": price, "step_size": step} for kind, price, step in element["c"]
        ]
        restrictions = {"restrictions": element["r"]} if "r" in element else {}
        long.append({"price_components": components, **restrictions})
    body = {"id": "X", "currency": "EUR", "elements": long, "last_updated": "2026-01-01T00:00:00Z"}
    return Tariff.model_validate_json(json.dumps(body))


TARIFFS = {
    name: tariff(json.loads(elements))
    for name, _, elements in (
        line.partition(" ") for line in (DATA / "tariffs.txt").read_text().splitlines() if line
    )
}


def timeline(text: str) -> list[Slice]:
    """Slices from `C360/1000 P120`: seconds of charging with Wh, and of parking."""
    slices = []
    for item in text.split():
        seconds, _, energy = item[1:].partition("/")
        kind = Kind.CHARGING if item[0] == "C" else Kind.PARKING
        slices.append(Slice(kind, int(seconds), int(Decimal(energy or "0") * 10)))
    return slices


def shown(bill: Bill) -> set[str]:
    """The lines as the examples show them: type and element, billed quantity, cost."""
    letters = {long: short for short, long in NAMES.items()}
    four = Decimal("0.0001")
    return {
        f"{letters[line.component.dimension]}{line.component.element} {line.billed.normalize():f} "
        f"{line.cost.quantize(four, ROUND_HALF_EVEN).normalize():f}"
        for line in bill.lines
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_a_worked_example_has_its_lines_and_its_total(example: list[str]) -> None:
    _, name, start, slices, lines, total, _ = example
    begin = datetime.fromisoformat(start or "2026-06-02T10:00+02:00").astimezone(UTC)
    bill = pricing.bill(TARIFFS[name], begin, timeline(slices), ZONE)

    assert set(lines.split(",")) == shown(bill)
    assert Decimal(total) == bill.total
