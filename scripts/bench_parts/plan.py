"""The variants, operations and sizes of the benchmark, and its results."""

from dataclasses import dataclass, field

from bench_parts.load import Sample

PROGRAM, FLOOR, THE_RIVAL = "program", "floor", "rival"
OPERATIONS = ("page of 50", "GET location", "PUT location", "PATCH EVSE status")
FIRST, LINKED, JUMP, DATED = DEEP = (
    "first page",
    "page 1801 by Link",
    "page 1801 by offset",
    "page by dates",
)
LIMIT, FEW, MANY, DEEP_OFFSET = 50, 500, 100_000, 90_000

Row = dict[str, Sample]


@dataclass
class Results:
    """Every finished round: (place, operation) to one row per round."""

    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, place: str, operation: str, row: Row) -> None:
        """Record a finished round of one operation."""
        self.rows.setdefault((place, operation), []).append(row)
