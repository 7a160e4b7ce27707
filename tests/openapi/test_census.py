"""The contract has every row of the specification's property tables and every value of its enums.

tests/data/specification holds both; scripts/specification_data.py extracts them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import contracts
import pytest

DATA = Path(__file__).parents[1] / "data/specification"
SCHEMAS: dict[str, Any] = contracts.ocpi().document["components"]["schemas"]
REF = "#/components/schemas/"

# Deliberate differences from a table: "Schema.property: difference" and the reason.
ERRATA = {
    "Hours.twentyfourseven: cardinality 1, contract ?": (
        "one of two: the table gives each alternative the cardinality that it has when it is "
        "chosen; x-rules one_of requires one of them (conformance 131)"
    ),
    "ErrorEnvelope.status_message: cardinality ?, contract 1": "our refusals always have a message",
    "UnknownLocationEnvelope.status_message: cardinality ?, contract 1": "likewise",
}

PLAIN = {
    "string": "string",
    "CiString": "string",
    "boolean": "boolean",
    "number": "number",
    "int": "integer",
}


class Row(NamedTuple):
    """One row of a property table."""

    name: str
    type: str
    length: int | None
    cardinality: str


def property_tables() -> dict[str, list[Row]]:
    """The property tables by the heading above them."""
    tables = json.loads((DATA / "properties.json").read_text())
    return {name: [Row(*row) for row in rows] for name, rows in tables.items()}


def enums() -> dict[str, list[str]]:
    """The values of each enum, in the order of its table."""
    values: dict[str, list[str]] = json.loads((DATA / "enums.json").read_text())
    return values


def schemas_of(table: str) -> list[str]:
    """The schemas that a property table describes."""
    if table == "Response format":
        return [name for name in SCHEMAS if re.search("(?<!OrError)(?<!OrLocation)(Envelope|Page)$", name)]
    return ["VersionDetails" if table == "Data" else table]


def resolved(schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of the schema that *schema* refers to, or "", and the schema itself."""
    if len(schema.get("allOf", ())) == 1:
        schema = schema["allOf"][0]
    if "$ref" not in schema:
        return "", schema
    name = schema["$ref"].removeprefix(REF)
    return name, SCHEMAS[name]


def is_of_type(row: Row, name: str, schema: dict[str, Any]) -> bool:
    """Whether *schema*, whose name is *name* or "", is of the type `row.type`."""
    if row.type in ("DateTime", "URL"):
        keys = ("type", "pattern", "maxLength")
        return [SCHEMAS[row.type][key] for key in keys] == [schema.get(key) for key in keys]
    if row.type in PLAIN:
        return bool(schema.get("type") == PLAIN[row.type])
    if row.type == "Array or Object or String":
        return schema.get("type") in ("array", "object", "string")
    return name == row.type


def differences(table: str, schema_name: str, rows: list[Row]) -> Iterator[str]:
    """The differences between the schema and the table."""
    schema = SCHEMAS[schema_name]
    described = {row.name: row for row in rows}
    may_lack = {"data"} if table == "Response format" else set()  # not every response has data
    expected = [name for name in described if name in schema["properties"] or name not in may_lack]
    if sorted(expected) != sorted(schema["properties"]):
        yield f"{schema_name}: properties {expected}, contract {list(schema['properties'])}"
    for name in expected:
        if name in schema["properties"]:
            yield from property_differences(schema_name, described[name], schema)


def property_differences(schema_name: str, row: Row, schema: dict[str, Any]) -> Iterator[str]:
    """The differences between one property and its row."""
    where = f"{schema_name}.{row.name}"
    name, found = resolved(schema["properties"][row.name])
    required = row.name in schema.get("required", ())
    if row.cardinality in ("*", "+"):
        shape = (found.get("type"), required, found.get("minItems", 0))
        cardinality = {("array", True, 1): "+", ("array", False, 0): "*"}.get(shape, str(shape))
        name, found = resolved(found.get("items", {}))
    else:
        cardinality = "1" if required else "?"
    if row.cardinality not in (cardinality, "* or ?"):
        yield f"{where}: cardinality {row.cardinality}, contract {cardinality}"
    if not is_of_type(row, name, found):
        yield f"{where}: type {row.type}, contract {name or found.get('type')}"
    if row.length is not None:
        longest = found.get("maxLength") or len(str(found.get("maximum")))
        if longest != row.length:
            yield f"{where}: length {row.length}, contract {longest}"


def all_differences() -> set[str]:
    """The differences of every table from every schema that it describes."""
    return {
        difference
        for table, rows in property_tables().items()
        for schema_name in schemas_of(table)
        for difference in differences(table, schema_name, rows)
    }


def test_the_specification_has_36_property_tables_with_183_rows_and_23_enums() -> None:
    counted = property_tables()

    assert (36, 183, 23) == (len(counted), sum(map(len, counted.values())), len(enums()))


@pytest.mark.parametrize("table", property_tables())
def test_the_contract_matches_a_property_table(table: str) -> None:
    names = schemas_of(table)
    found = {d for name in names for d in differences(table, name, property_tables()[table])} - ERRATA.keys()

    assert set() == found
    assert names


@pytest.mark.parametrize("enum", enums())
@pytest.mark.ocpi(48)
def test_an_enum_has_the_values_of_its_table_in_their_order(enum: str) -> None:
    schema = SCHEMAS[enum]
    schema = SCHEMAS[f"Known{enum}"] if schema.get("x-extensible") else schema

    assert enums()[enum] == schema["enum"]


@pytest.mark.parametrize("erratum", ERRATA)
def test_an_erratum_still_differs_and_has_a_reason(erratum: str) -> None:
    assert erratum in all_differences()
    assert ERRATA[erratum]
