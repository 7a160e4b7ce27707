"""JSON that cannot be stored exactly is refused: duplicate members, depth, numbers, encoding."""

import json
import math
from decimal import Decimal
from typing import Any

import contracts
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import errors
from handlers.dispatch import json_body


def decode(raw: bytes) -> Any:
    """The value that a model gets for *raw*."""
    return orjson.loads(json_body.exact(raw))


NUMBER = contracts.ocpi().validator({"$ref": "#/components/schemas/Number"})
MAXIMUM = Decimal("99999999999.9999")

repeatably = settings(deadline=None, derandomize=True, max_examples=200)
numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['":', '\\":', '{"a":1}']
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=30,
)
literals = st.from_regex(r"(0|[1-9][0-9]{0,20})(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@pytest.mark.ocpi(41, 51)
@repeatably
@given(values, st.booleans())
def test_a_value_of_doubles_and_dicts_is_read_exactly(value: Any, escape: Any) -> None:
    raw = json.dumps(value, ensure_ascii=escape, indent=1 if escape else None).encode()

    assert repr(value) == repr(decode(raw))


@pytest.mark.ocpi(41, 43)
@repeatably
@given(literals)
@example("0.30000000000000001")
@example("0.1000000000000000055511151231257827")
@example("1e-400")
@example("1e-324")
@example("1.2345678901234e-320")
@example("99999999999.99990")
@example("99999999999.9999000000000000001")
@example("18446744073709551617")
def test_a_number_is_read_exactly_or_refused(literal: str) -> None:
    try:
        value = decode(literal.encode())
    except errors.Malformed:
        assert math.isinf(float(literal))
        return
    exact = Decimal(repr(float(literal))) == Decimal(literal)

    assert (exact and Decimal(literal) <= MAXIMUM) == NUMBER.is_valid(value)
    if NUMBER.is_valid(value):
        assert Decimal(literal) == Decimal(repr(value))


@pytest.mark.ocpi(41, 43)
@pytest.mark.parametrize("literal", ["0.12345678901234567890", "1e-400", "123456789.123456789012"])
def test_the_refusal_of_an_inexact_number_names_its_field(literal: str) -> None:
    value = decode(b'{"volume": %s}' % literal.encode())
    schema = {"type": "object", "properties": {"volume": {"$ref": "#/components/schemas/Number"}}}
    validator = contracts.ocpi().validator(schema)

    assert not validator.is_valid(value)
    assert "volume" in contracts.explain(validator, value)


@pytest.mark.ocpi(43)
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000])
def test_a_number_outside_json_or_the_doubles_is_refused(text: str) -> None:
    with pytest.raises(errors.Malformed):
        decode(f'{{"volume": {text}}}'.encode())


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_32_is_read_and_depth_33_is_refused(opening: str, closing: str) -> None:
    fits, deeper = (f"{opening * depth}1{closing * depth}".encode() for depth in (32, 33))

    assert json.loads(fits) == decode(fits)
    with pytest.raises(errors.Malformed, match="deeper than 32"):
        decode(deeper)


@pytest.mark.parametrize("depth", [1000, 100_000])
def test_extreme_depth_is_refused(depth: int) -> None:
    with pytest.raises(errors.Malformed):
        decode(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'{"id":"1","id":"1"}', "id"),
        (b'{"a":1,"b":[{"uid":"1"},{"uid":"1","uid":"2"}]}', "uid"),
        (b'{"id":"1","\\u0069d":"2"}', "id"),
        (b'{"id" : "1" ,\n"id"\t:\r"2"}', "id"),
        (b'{"x":"\\":","id":"1","id":"2"}', "id"),
        (b'{"":1,"":2}', ""),
    ],
)
def test_a_duplicate_member_is_refused(raw: bytes, name: str) -> None:
    with pytest.raises(errors.Malformed, match=f"^{name}: occurs twice in the same object"):
        decode(raw)


@repeatably
@given(st.dictionaries(texts, numbers, min_size=1, max_size=5), st.data())
def test_any_generated_duplicate_member_is_refused(value: dict[str, Any], data: st.DataObject) -> None:
    members = [f"{json.dumps(key)}:{json.dumps(member)}" for key, member in value.items()]
    members.insert(data.draw(st.integers(0, len(members))), data.draw(st.sampled_from(members)))

    with pytest.raises(errors.Malformed, match="twice"):
        decode(f"{{{','.join(members)}}}".encode())


@pytest.mark.ocpi(51)
@pytest.mark.parametrize(
    "raw",
    [
        b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), b"\x00",
        b"", b"{", b'{"a":1}{}', b"{'a':1}", b'{"a":1,}', b"[1,]", b'"\n"', b"01", b"+1", b"1.",
        b"undefined", b"//\n1", b"true false",
    ],
)  # fmt: skip
def test_a_body_that_is_not_json_in_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.Malformed, match="not valid JSON"):
        decode(raw)
