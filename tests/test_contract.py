"""The published contract: fresh, complete, bounded, exemplified, and each operation has its handler."""

import functools
import importlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from handlers import contract

ROOT = Path(__file__).parent.parent
BOOK = contract.ocpi()
DOCUMENT = BOOK.document
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
MODULES = (
    "versions", "credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands",
)  # fmt: skip
PAGES = {
    "credentials", "transport_and_format", "version_information_endpoint",
    *(f"mod_{module}" for module in MODULES[2:]),
}  # fmt: skip

# Strings that a request may carry and that may hold control characters: nobody looks at them.
UNREAD = {
    "WrappedCommandResponse/properties/status_message",
    "WrappedCommandResponse/properties/timestamp",
}


class Operation(NamedTuple):
    """An operation and where it stands."""

    path: str
    item: dict[str, Any]
    method: str
    raw: dict[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Its parameters, those of its path included."""
        given = (*self.item.get("parameters", ()), *self.raw.get("parameters", ()))
        return [followed(parameter) for parameter in given]

    @property
    def bodies(self) -> dict[str, dict[str, Any]]:
        """Its JSON bodies: "request", and each response by status."""
        found = {status: followed(response) for status, response in self.raw["responses"].items()}
        if "requestBody" in self.raw:
            found["request"] = self.raw["requestBody"]
        return {place: body["content"]["application/json"] for place, body in found.items()}


def followed(node: dict[str, Any]) -> dict[str, Any]:
    """*node*, or what its $ref leads to."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


OPERATIONS = [
    Operation(path, item, method, item[method])
    for path, item in DOCUMENT["paths"].items()
    for method in ("get", "put", "post", "patch", "delete")
    if method in item
]
for_each_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[operation.raw["operationId"] for operation in OPERATIONS]
)


def nodes(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping below *node* that is contract and not an example's value, with its place."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from nodes(item, f"{place}/{index}")
    elif isinstance(node, dict):
        yield place, node
        for key, value in node.items():
            if key in ("properties", "examples"):  # names, which may be any word
                for name, named in value.items():
                    yield from nodes(named, f"{place}/{key}/{name}")
            elif key not in ("example", "value", "x-alpha-2"):
                yield from nodes(value, f"{place}/{key}")


def of_type(*types: str) -> dict[str, dict[str, Any]]:
    """The schemas of some types, wherever they stand."""
    return {place: node for place, node in nodes(DOCUMENT) if node.get("type") in types}


def fault(schema: dict[str, Any], value: Any) -> str:
    """What is wrong with *value*; members that the schema does not name are wrong."""
    validator = closed(json.dumps(schema))
    return "" if validator.is_valid(value) else contract.explain(validator, value)


@functools.cache
def closed(schema: str) -> jsonschema_rs.Draft4Validator:
    """The validator of a schema, compiled once: many operations share one."""
    return BOOK.validator(json.loads(schema), close=True)


def handler(operation: Operation) -> Any:
    """The function that an operationId addresses."""
    module, name = operation.raw["operationId"].split(".")
    return getattr(importlib.import_module(f"handlers.{module}"), name)


def test_generated_is_fresh() -> None:
    check = [ROOT / "scripts" / "generate", "--check"]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)

    assert "" == checked.stdout + checked.stderr
    assert not checked.returncode


def test_no_reference_dangles() -> None:
    references = {node["$ref"] for _, node in nodes(DOCUMENT) if "$ref" in node}

    assert len(references) > 150
    for reference in references:
        assert followed({"$ref": reference})


def test_operation_ids_are_unique() -> None:
    ids = [operation.raw["operationId"] for operation in OPERATIONS]

    assert sorted(set(ids)) == sorted(ids)
    assert len(ids) > 60


@for_each_operation
def test_an_operation_id_leads_to_a_handler(operation: Operation) -> None:
    module = operation.raw["operationId"].split(".")[0]

    assert module in MODULES
    assert [module] == operation.raw["tags"]
    assert callable(handler(operation))


@pytest.mark.parametrize("module", MODULES)
def test_a_public_function_of_a_module_is_an_operation(module: str) -> None:
    public = {
        member
        for name, member in vars(importlib.import_module(f"handlers.{module}")).items()
        if callable(member) and not name.startswith("_") and member.__module__ == f"handlers.{module}"
    }

    assert public
    assert set() == public - set(map(handler, OPERATIONS))


@for_each_operation
def test_an_operation_says_what_it_does_who_may_and_where_it_is_specified(operation: Operation) -> None:
    pages = re.findall(r"Spec 2\.1\.1 (\w+),? [\w.]+", operation.raw["description"])
    callers = set(operation.raw["x-callers"])

    assert 3 < len(operation.raw["summary"]) < 80
    assert pages
    assert set(pages) <= PAGES
    assert callers
    assert callers <= {"registration", "callback", "peer", "operator"}


@for_each_operation
def test_an_operation_declares_the_refusals_that_all_share(operation: Operation) -> None:
    expected = {"400", "401", "405", "500", "503"}
    expected |= {"413", "415"} if "requestBody" in operation.raw else set()
    expected |= {"404"} if "{" in operation.path else set()
    declared = operation.raw["responses"].keys()

    assert expected == declared - {"200", "201"}
    assert "200" in declared
    for status in expected:
        assert {"$ref": "#/components/schemas/Refusal"} == operation.bodies[status]["schema"]


@for_each_operation
def test_a_response_declares_its_headers(operation: Operation) -> None:
    expected = {"401": {"WWW-Authenticate"}, "405": {"Allow"}}
    if "offset" in [parameter["name"] for parameter in operation.parameters]:
        expected["200"] = {"Link", "X-Total-Count", "X-Limit"}
    if operation.method == "post" and operation.path.endswith("/cdrs"):
        expected |= {"200": {"Location"}, "201": {"Location"}}
    responses = operation.raw["responses"].items()
    declared = {status: followed(response).get("headers", {}) for status, response in responses}

    assert expected == {status: headers.keys() for status, headers in declared.items() if headers}
    for header in (followed(h) for headers in declared.values() for h in headers.values()):
        assert header["description"]
        assert "" == fault(header["schema"], header["schema"]["example"])


# Examples


@for_each_operation
def test_an_operation_has_examples_that_fit(operation: Operation) -> None:
    for place, media in operation.bodies.items():
        assert media["examples"], f"{place} has no example"
        for name, example in media["examples"].items():
            assert "" == fault(media["schema"], followed(example)["value"]), f"{place}: {name}"
            assert followed(example)["summary"]


@for_each_operation
def test_a_parameter_is_described_and_has_an_example_that_fits(operation: Operation) -> None:
    segments = [p["name"] for p in operation.parameters if p["in"] == "path"]

    assert sorted(re.findall(r"{(\w+)}", operation.path)) == sorted(segments)
    for parameter in operation.parameters:
        assert parameter["description"]
        assert "" == fault(parameter["schema"], parameter["example"])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_has_an_example_that_fits(name: str) -> None:
    assert SCHEMAS[name]["description"]
    assert "" == fault({"$ref": f"#/components/schemas/{name}"}, SCHEMAS[name]["example"])


# Bounds


def test_every_number_is_bounded() -> None:
    numbers = of_type("integer", "number")

    assert [] == [p for p, n in numbers.items() if "enum" not in n and not {"minimum", "maximum"} <= n.keys()]
    assert len(numbers) > 30


def test_every_string_and_every_list_is_bounded() -> None:
    strings, lists = of_type("string"), of_type("array")

    assert [] == [place for place, node in strings.items() if not {"enum", "maxLength"} & node.keys()]
    assert [] == [place for place, node in lists.items() if "maxItems" not in node]
    assert len(strings) > 200
    assert len(lists) > 30


@pytest.mark.ocpi(32)
def test_no_schema_has_a_format() -> None:
    """Each tool judges `format: date-time` in its own way, so dates are patterns."""
    assert [] == [place for place, node in nodes(DOCUMENT) if isinstance(node.get("format"), str)]


def reachable(schema: Any, place: str, seen: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping below *schema*, also behind references."""
    for where, node in nodes(schema, place):
        yield where, node
        reference = node.get("$ref", "")
        if reference and reference not in seen:
            seen.add(reference)
            yield from reachable(followed(node), reference.rpartition("/")[2], seen)


@pytest.mark.ocpi(51)
def test_no_string_of_a_request_may_hold_nul() -> None:
    """What SQLite keeps and PostgreSQL refuses must not come that far."""
    seen: set[str] = set()
    requests = [
        (operation.raw["operationId"], part["schema"])
        for operation in OPERATIONS
        for part in (*operation.parameters, operation.bodies.get("request", {"schema": {}}))
    ]
    strings = {
        place: node
        for name, schema in requests
        for place, node in reachable(schema, name, seen)
        if node.get("type") == "string"
    }
    nul = [p for p, n in strings.items() if any(BOOK.validator(n).is_valid("\0" * x) for x in (1, 2, 3, 10))]

    assert UNREAD == set(nul)
    assert len(strings) > 100
