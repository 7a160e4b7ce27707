"""The published documents: no internal keys, and a form that client generators handle."""

import json
import re
from typing import Any

import contracts
import pytest
import yaml
from contracts import Contract, nodes

OCPI, GATEWAY = contracts.ocpi(), contracts.gateway()
for_each_contract = pytest.mark.parametrize("contract", [OCPI, GATEWAY], ids=["ocpi", "gateway"])


def published(contract: Contract) -> dict[str, Any]:
    """The document that clients read."""
    document: dict[str, Any] = json.loads((contracts.GENERATED / f"{contract.name}.json").read_text())
    return document


@for_each_contract
def test_the_published_document_is_the_contract_without_internal_keys(
    contract: Contract,
) -> None:
    document = published(contract)
    internal = {key for _, node in nodes(contract.document) for key in node if key.startswith("x-")}
    assert {"x-callers", "x-openapi-router-controller"} <= internal
    assert {"x-enum-varnames"} >= {key for _, node in nodes(document) for key in node if key.startswith("x-")}
    assert document["paths"].keys() == contract.document["paths"].keys()
    schemas = {name.removesuffix("OrNull") for name in contract._schemas} | {"LocationReferencesIn"}
    assert schemas >= document["components"]["schemas"].keys()
    assert yaml.safe_load((contracts.GENERATED / f"{contract.name}.yaml").read_text()) == document


@for_each_contract
def test_the_description_of_a_published_property_names_its_default(contract: Contract) -> None:
    """Client generators make a property with a `default` required, or always send it."""
    schemas = published(contract)["components"]["schemas"]
    defaults = {
        (name, key): node["default"]
        for name, schema in contract.document["components"]["schemas"].items()
        for key, node in schema.get("properties", {}).items()
        if "default" in node
    }

    assert (len(defaults) > 3) == (contract is GATEWAY)
    for name, key in defaults:
        node = schemas[name]["properties"][key]
        assert "default" not in node
        assert re.search(r" The default is `\w[\w.]*`\.$", node["description"])


def test_a_published_body_that_may_be_absent_is_not_nullable() -> None:
    """openapi-python-client crashes on a body that is optional and nullable."""
    document = published(OCPI)
    bodies = [
        item[m].get("requestBody", {}) for item in document["paths"].values() for m in item if m == "post"
    ]
    optional = [
        body["content"]["application/json"]["schema"] for body in bodies if body.get("required") is False
    ]

    assert len(optional) == 2
    for schema in optional:
        assert "nullable" not in document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


@for_each_contract
def test_a_nullable_reference_is_not_a_separate_schema(contract: Contract) -> None:
    """Client generators would create additional classes for each `XOrNull`."""
    document = published(contract)
    runtime = {place for place, node in nodes(contract.document) if node.get("$ref", "").endswith("OrNull")}
    nullable = [node for _, node in nodes(document) if node.get("nullable") and "allOf" in node]

    assert not [name for name in document["components"]["schemas"] if name.endswith("OrNull")]
    assert len(runtime) > 10
    assert len(nullable) > 10
    for node in nullable:
        (reference,) = node["allOf"]
        assert document["components"]["schemas"][reference["$ref"].rpartition("/")[2]]


@for_each_contract
def test_no_reference_dangles(contract: Contract) -> None:
    document = published(contract)
    for reference in {node["$ref"] for _, node in nodes(document) if "$ref" in node}:
        kind, name = reference.split("/")[-2:]
        assert name in document["components"][kind]


@for_each_contract
def test_the_values_of_an_enumeration_have_names(contract: Contract) -> None:
    """Without them, a number or a version becomes `VALUE_1000` or `VALUE_0`."""
    for place, node in nodes(published(contract)):
        if any(not str(value)[0].isalpha() for value in node.get("enum", ())):
            assert len(node["enum"]) == len(node.get("x-enum-varnames", ())), place
            assert all(name.isidentifier() for name in node["x-enum-varnames"]), place


@for_each_contract
def test_every_union_is_a_named_schema(contract: Contract) -> None:
    """Client generators invent names such as `LocInner` for inline unions."""
    unions = [place for place, node in nodes(published(contract)) if {"anyOf", "oneOf"} & node.keys()]

    assert [] == [place for place in unions if not re.fullmatch(r"/components/schemas/\w+", place)]
    assert unions
