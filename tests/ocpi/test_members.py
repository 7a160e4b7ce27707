"""Members that are null, absent, empty, or outside the specification. Conformance 29 and 30."""

import pytest
from examples import example
from nodes import Node, one_database, outcome
from surface import KEYS, Push, put_in, shape

SHAPES = ["Location", "EVSE", "Connector", "Session", "CDR", "Tariff", "Token"]


def _properties(schema: str, *, required: bool) -> list[str]:
    definition = shape(schema)
    optional = definition["properties"].keys() - definition["required"]
    optional |= set(definition.get("x-optional-on-input", ()))
    return [name for name in definition["properties"] if (name not in optional) is required]


@pytest.mark.ocpi(29)
@pytest.mark.parametrize("schema", SHAPES)
def test_an_optional_member_that_is_null_equals_an_absent_one(node: Node, schema: str) -> None:
    optional = set(_properties(schema, required=False)) - {"last_updated"}
    without = {k: v for k, v in example(schema).items() if k not in optional}
    with_null = {**without, **dict.fromkeys(optional)}
    first, second = Push(node), Push(node)

    assert (201, 1000) == outcome(first(schema, without))
    assert (201, 1000) == outcome(second(schema, with_null))
    assert without == first.stored(schema, without)
    assert without == second.stored(schema, with_null)


@one_database
@pytest.mark.ocpi(29)
@pytest.mark.parametrize("schema", SHAPES)
def test_a_required_member_that_is_null_is_2001(node: Node, schema: str) -> None:
    push = Push(node)

    for name in _properties(schema, required=True):
        with_null = {**example(schema), name: None}
        if name in (KEYS.get(schema), "id"):
            path = push.path(schema, example(schema))
            response = push(schema, with_null) if schema == "CDR" else push.peer(schema).put(path, with_null)
        else:
            response = push(schema, with_null)

        assert (400, 2001) == outcome(response), name
        assert name in response.json()["status_message"]


@one_database
@pytest.mark.ocpi(29)
@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("Location", "related_locations"), ("Location", "evses"), ("Location", "directions"),
        ("Location", "facilities"), ("Location", "images"), ("EVSE", "status_schedule"),
        ("EVSE", "capabilities"), ("EVSE", "directions"), ("EVSE", "parking_restrictions"),
        ("EVSE", "images"),
        ("Session", "charging_periods"), ("CDR", "tariffs"), ("Tariff", "tariff_alt_text"),
    ],
)  # fmt: skip
def test_a_list_without_a_minimum_may_be_null_empty_or_absent(node: Node, schema: str, name: str) -> None:
    for variant in (None, [], ...):
        push = Push(node)
        body = put_in(example(schema), name, variant)

        assert (201, 1000) == outcome(push(schema, body)), variant
        assert [] == push.stored(schema, body).get(name, []), variant


@pytest.mark.ocpi(30)
@pytest.mark.parametrize("schema", SHAPES)
def test_extension_members_come_back_at_every_level(node: Node, schema: str) -> None:
    push = Push(node)
    body = example(schema, publish=True, custom={"a": [1, {"b": None}]}, organization="XXX", x="\u00e9")

    assert (201, 1000) == outcome(push(schema, body))
    assert body == push.stored(schema, body)
    if schema == "Location":
        deep = example(schema, evses=[example("EVSE", custom=1, connectors=[example("Connector", custom=2)])])
        assert (200, 1000) == outcome(push(schema, deep))
        assert deep == push.stored(schema, deep)
