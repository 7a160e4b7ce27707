"""The oracle's normalization of documents, from the `x-` keys of the contract."""

import enum
import functools
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

import errors
from openapi import field_types
from openapi.iso_3166 import ALPHA_3
from storage import deviations, timestamps

Schema = Mapping[str, Any]
Normal = Callable[[Any], Any]
Rule = Callable[[Any], None]


class SchemaState(enum.Enum):
    """Which schema a document has passed before normalization."""

    ACCEPTED = enum.auto()
    """The request schema accepted it."""
    PARTIAL = enum.auto()
    """The same for a PATCH: null clears a field."""
    STRICT = enum.auto()
    """The strict schema accepted it, so little is left to do, in place."""


_SIX = Decimal("0.000001")
_DECIMALS = 6
_SCHEMAS = "#/components/schemas/"


class Normalizer:
    """Creates a function for each schema whose values change."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self.schemas = schemas
        self._functions: dict[tuple[str, SchemaState], Normal | None] = {}

    def of(self, name: str, state: SchemaState = SchemaState.ACCEPTED) -> Normal:
        """The function for the strict schema *name* and a document in *state*."""
        return self._named(name, state) or _as_it_is

    def _named(self, name: str, state: SchemaState) -> Normal | None:
        key = (name, state)
        if key not in self._functions:
            self._functions[key] = self._create(self.schemas[name], name, state)
        return self._functions[key]

    def _create(self, schema: Schema, name: str, state: SchemaState) -> Normal | None:  # noqa: PLR0911  (one per kind)
        if "$ref" in schema:
            return self._named(schema["$ref"].removeprefix(_SCHEMAS), _whole(state))
        if len(schema.get("allOf", ())) == 1:
            return self._create(schema["allOf"][0], name, _whole(state))
        if schema.get("type") == "object":
            return (
                self._touched(schema, name)
                if state is SchemaState.STRICT
                else self._object(schema, name, state)
            )
        if schema.get("type") == "array":
            return self._array(schema, name, state)
        if schema.get("x-extensible"):
            listed = self.schemas[schema["anyOf"][0]["$ref"].removeprefix(_SCHEMAS)]
            return _extensible(frozenset(listed["enum"]), name)
        if state is SchemaState.STRICT and schema.get("x-normalise") in _SAME_WHEN_STRICT:
            return None
        if schema.get("x-normalise") == "coordinate":
            return functools.partial(_coordinate, schema["maxLength"])
        if schema.get("x-normalise") == "country":
            return _country
        return _SCALARS.get(schema.get("x-normalise", ""))

    def _members(self, schema: Schema, state: SchemaState) -> list[tuple[str, Normal | None]]:
        return [
            (
                key,
                self._create(value, key, state if value.get("x-patch") == "merge-by-uid" else _whole(state)),
            )
            for key, value in schema["properties"].items()
        ]

    def _object(self, schema: Schema, name: str, state: SchemaState) -> Normal:
        members = self._members(schema, state)
        partial = state is SchemaState.PARTIAL
        rules = [] if partial else _rules(schema.get("x-rules", {}), name)

        def normal(value: dict[str, Any]) -> dict[str, Any]:
            result = {}
            for key, member in members:
                item = value.get(key)
                if item is not None:
                    result[key] = item if member is None else member(item)
                elif partial and key in value:
                    result[key] = None
            for rule in rules:
                rule(result)
            return result

        return normal

    def _touched(self, schema: Schema, name: str) -> Normal | None:
        members = [(key, member) for key, member in self._members(schema, SchemaState.STRICT) if member]
        rules = _rules(schema.get("x-rules", {}), name)
        if not members and not rules:
            return None

        def touched(value: dict[str, Any]) -> dict[str, Any]:
            for key, member in members:
                item = value.get(key)
                if item is not None:
                    value[key] = member(item)
            for rule in rules:
                rule(value)
            return value

        return touched

    def _array(self, schema: Schema, name: str, state: SchemaState) -> Normal | None:
        if state is SchemaState.PARTIAL:
            item = self._named(schema["items"]["$ref"].removeprefix(_SCHEMAS), state)
        else:
            item = self._create(schema["items"], name, state)
        rules = _rules(schema.get("x-rules", {}), name)
        if item is None and not rules:
            return None
        each = item or _as_it_is

        def normal(value: list[Any]) -> list[Any]:
            result = [each(element) for element in value]
            for rule in rules:
                rule(result)
            return result

        return normal


def _whole(state: SchemaState) -> SchemaState:
    """The state of a member: a PATCH merges some lists and replaces everything else."""
    return SchemaState.ACCEPTED if state is SchemaState.PARTIAL else state


def _as_it_is(value: Any) -> Any:
    return value


def _datetime(value: str) -> str:
    result = timestamps.canonical(value)
    if value[-6:-5] in ("+", "-"):
        deviations.note(field_types.OFFSET, f"{value} read as {result}")
    return result


def _upper(value: str) -> str:
    return value.upper()


def _integer(value: float) -> int:
    return int(value)


def _number(value: float | str) -> float:
    return float(value) if isinstance(value, str) else value


def _coordinate(longest: int, value: str) -> str:
    """Six decimals, half-even; truncated if rounding would exceed *longest* (99.9999999)."""
    if value[-_DECIMALS - 1 : -_DECIMALS] == ".":
        return value
    result = _six(value, ROUND_HALF_EVEN)
    if len(result) > longest - (not result.startswith("-")):
        result = _six(value, ROUND_DOWN)
    if len(value.partition(".")[2]) > _DECIMALS:
        deviations.note(field_types.DECIMALS, f"{value} read as {result}")
    return result


def _six(value: str, rounding: str) -> str:
    """*value* with six decimals, its sign and leading zeros as they were."""
    sign = "-" if value.startswith("-") else ""
    width = len(value.partition(".")[0]) - len(sign)
    integer, _, decimals = str(abs(Decimal(value).quantize(_SIX, rounding))).partition(".")
    return f"{sign}{integer.rjust(width, '0')}.{decimals}"


def _country(value: str) -> str:
    if len(value) == 3:
        return value
    if value not in ALPHA_3:
        raise errors.RuleBroken(f"country: {value} is not an ISO 3166-1 country")
    deviations.note(field_types.ALPHA_2, f"country {value} to {ALPHA_3[value]}")
    return ALPHA_3[value]


def _extensible(listed: frozenset[str], name: str) -> Normal:
    """Keep a value that the specification does not list, and note it. Conformance 48."""

    def normal(value: str) -> str:
        if value not in listed:
            deviations.note(field_types.UNLISTED, f"{name}: {value}")
        return value

    return normal


_SAME_WHEN_STRICT = frozenset({"coordinate", "country", "integer", "number"})
"""Strict values of these types are canonical."""

_SCALARS: dict[str, Normal] = {
    "datetime": _datetime,
    "upper": _upper,
    "integer": _integer,
    "number": _number,
}


def _rules(arguments: Mapping[str, Any], name: str = "") -> list[Rule]:
    makers: dict[str, Callable[[Any, str], Rule]] = {
        "unique": _unique,
        "increasing": functools.partial(_ordered, strictly=True),
        "not_decreasing": functools.partial(_ordered, strictly=False),
        "one_of": _one_of,
    }
    return [makers[kind](argument, name) for kind, argument in arguments.items()]


def _unique(key: str, name: str) -> Rule:
    def rule(items: list[dict[str, Any]]) -> None:
        seen = set()
        for item in items:
            if item[key] in seen:
                raise errors.RuleBroken(f"{name}: {key} {item[key]} occurs twice")
            seen.add(item[key])

    return rule


def _ordered(pair: list[str], _name: str, *, strictly: bool) -> Rule:
    first, second = pair

    def rule(result: dict[str, Any]) -> None:
        begin, end = result.get(first), result.get(second)
        if begin is None or end is None:
            return
        begin, end = _comparable(begin), _comparable(end)
        if end < begin or (strictly and end == begin):
            raise errors.RuleBroken(f"{second}: must be later than {first}")

    return rule


def _comparable(value: str) -> Any:
    """A time of day as text, an instant as milliseconds."""
    return value if len(value) == 5 else timestamps.parse(value)


def _one_of(names: list[str], _name: str) -> Rule:
    def rule(result: dict[str, Any]) -> None:
        if not any(name in result for name in names):
            raise errors.RuleBroken(f"{names[0]}: one of {' and '.join(names)} must be given")

    return rule
