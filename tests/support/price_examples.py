"""The worked examples of prices: tariffs, sessions, and the lines and totals that were worked out by hand."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from generated.ocpi_models import Tariff
from workflows.charging.pricing import Kind, Slice

DATA = Path(__file__).parent.parent / "data"
ZONE = "Europe/Amsterdam"
DIMENSIONS = {"F": "FLAT", "E": "ENERGY", "T": "TIME", "P": "PARKING_TIME"}
USUAL_START = "2026-06-02T10:00+02:00"


@dataclass(frozen=True)
class Example:
    """A row of examples.txt; lines are written as there: dimension and element, quantity, cost."""

    number: str
    tariff: Tariff
    start: datetime
    slices: list[Slice]
    lines: list[str]
    total: Decimal
    note: str


def tariff_of(elements: list[dict[str, Any]]) -> Tariff:
    body = {
        "id": "1",
        "currency": "EUR",
        "elements": elements,
        "last_updated": "2026-01-01T00:00:00Z",
    }
    return Tariff.model_validate_json(json.dumps(body))


def element(components: list[list[Any]], restrictions: dict[str, Any] | None = None) -> dict[str, Any]:
    """An element of a tariff from its short form: ["E", 0.25, 1] is 0.25 per kWh with a step of 1 Wh."""
    prices = [
        {"type": DIMENSIONS[type_], "price": price, "step_size": step} for type_, price, step in components
    ]
    return {"price_components": prices} | ({"restrictions": restrictions} if restrictions else {})


def tariffs() -> dict[str, Tariff]:
    """The tariffs of tariffs.txt by name; CX is the "Complex Tariff example" of the specification."""
    rows = [row.split(" ", 1) for row in (DATA / "prices" / "tariffs.txt").read_text().splitlines()]
    short = {name: json.loads(elements) for name, elements in rows}
    found = {
        name: tariff_of([element(each["c"], each.get("r")) for each in elements])
        for name, elements in short.items()
    }
    specification = json.loads((DATA / "specification" / "examples.json").read_text())["mod_tariffs"]
    [complex_] = [each["value"] for each in specification if each["section"] == "Complex Tariff example"]
    return found | {"CX": Tariff.model_validate_json(json.dumps(complex_))}


def _slice(text: str) -> Slice:
    seconds, _, wh = text[1:].partition("/")
    return Slice(Kind.CHARGING if text[0] == "C" else Kind.PARKING, int(seconds), int(Decimal(wh or 0) * 10))


def examples() -> list[Example]:
    known = tariffs()
    read = []
    for row in (DATA / "prices" / "examples.txt").read_text().splitlines():
        number, name, start, timeline, lines, total, note = row.split("|")
        began = datetime.fromisoformat(start or USUAL_START).astimezone(UTC)
        slices = [_slice(each) for each in timeline.split()]
        read.append(Example(number, known[name], began, slices, lines.split(","), Decimal(total), note))
    return read
