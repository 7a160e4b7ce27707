"""Extract the facts for the tests from the pages of OCPI 2.1.1.

.venv/bin/python scripts/specification_data.py FOLDER    (the Markdown of the branch release-2.1.1-bugfixes)

It writes tests/data/specification: property tables, enums, method tables and JSON examples. Only facts are
kept: names, types, lengths, cardinalities, values, section names. The license of the specification (CC BY-ND)
allows no derived text, so no sentence is kept.
"""

import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

OUT = Path(__file__).parent.parent / "tests/data/specification"
COLUMNS_OF_PROPERTIES = 4
MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")


class Table(NamedTuple):
    """A table and the heading above it."""

    heading: str
    head: list[str]
    rows: list[list[str]]


def tables(text: str) -> Iterator[Table]:
    """The tables of a page."""
    heading = ""
    for is_table, lines in itertools.groupby(text.splitlines(), lambda line: line.lstrip().startswith("|")):
        if not is_table:
            heading = ([line for line in lines if line.startswith("#")] or [heading])[-1]
            continue
        head, _, *rows = ([cell.strip() for cell in line.strip()[1:].split("|")] for line in lines)
        yield Table(heading, [cell for cell in head if cell], rows)


def subject(heading: str) -> str:
    """`### 3.1 _Location_ Object` is about Location."""
    return re.sub(r"[#\d.*_]|\b(Object|object|class|enum)\b", " ", heading).strip()


def properties(page: str) -> Iterator[tuple[str, list[list[Any]]]]:
    """Name, type, length and cardinality of each row; a row without a type only announces a choice."""
    for table in tables(page):
        if len(table.head) != COLUMNS_OF_PROPERTIES or table.head[2] != "Card.":
            continue
        rows = []
        for name, kind, cardinality, *_ in table.rows:
            plain = re.sub(r"\[(\w+)\]\([^)]*\)", r"\1", kind)
            word, length = re.fullmatch(r"(.*?)(?:\((\d+)\))?", plain).groups()  # type: ignore[union-attr]
            if word:
                rows.append([name.strip("> "), word, int(length) if length else None, cardinality])
        yield subject(table.heading), rows


def enums(page: str) -> Iterator[tuple[str, list[str]]]:
    """The values of each enum, in the order of its table."""
    for table in tables(page):
        if "*enum*" in table.heading:
            column = 1 if "ModuleID" in table.head else 0
            yield subject(table.heading), [row[column] for row in table.rows]


def methods(page: str) -> dict[str, list[str]]:
    """The methods that each role offers to a peer: methods that the table does not mark n/a."""
    role = "cpo"
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        if match := re.match(r"### 2\.\d (CPO|eMSP) Interface", line):
            role = match[1].lower()
        if match := re.match(r"\| \[?(GET|POST|PUT|PATCH|DELETE)\b[^|]*\| *(n/a)?", line):
            found.setdefault(role, [])
            if not match[2]:
                found[role].append(match[1])
    return found


def examples(page: str) -> Iterator[dict[str, Any]]:
    """The JSON examples, each below the heading of its section."""
    section = ""
    for heading, block in re.findall(r"^#+ (.*)|^```json *\n((?:.*\n)*?)^```", page, re.MULTILINE):
        section = heading or section
        if block:
            text = re.sub(r"\A(PUT|PATCH) To URL: .*\n", "", block).strip()
            yield {"section": section, "value": json.loads(re.sub(r'\A"\w+": *', "", text))}


def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dictionary; a name must be unique."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            sys.exit(f"two tables for {name}")
        found[name] = value
    return found


def write(name: str, data: object) -> None:
    """Write one file; a row, which is a list of scalars, takes one line."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    flat = re.compile(r"\[\s+([^][{}]*?)\s+\]")
    text = flat.sub(lambda match: "[" + re.sub(r"\s*\n\s*", " ", match[1]) + "]", text)
    (OUT / name).write_text(text + "\n")


def main(folder: Path) -> None:
    """Write the four files."""
    pages = {path.stem: path.read_text() for path in sorted(folder.glob("*.md")) if path.stem != "changelog"}
    OUT.mkdir(parents=True, exist_ok=True)
    write("properties.json", unique(pair for page in pages.values() for pair in properties(page)))
    write("enums.json", unique(pair for page in pages.values() for pair in enums(page)))
    modules = {page_name.removeprefix("mod_"): page for page_name, page in pages.items()}
    write("methods.json", {module: methods(modules[module]) for module in MODULES})
    found = {page_name: list(examples(page)) for page_name, page in pages.items()}
    write("examples.json", {page_name: values for page_name, values in found.items() if values})


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  (the program and the folder)
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
