"""What is wrong with a request, thing by thing, in the words of Pydantic, which clients know.

The validator itself tells either the first error or every one of a million. So a refused value is
walked from the outside in: each object, list and scalar is judged by its own schema without what is
inside it, a list item is entered only if it is refused, and the walk ends after MOST problems. A
message is made from the schema alone and never repeats what was sent.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from errors import Problem
from handlers import limits
from handlers.contract import Contract, Schema

MOST = 20
CHOSEN_BY = "x-chosen-by"
"""A union of two: the first for objects with the member that it names, the second for all else."""

Loc = tuple[str | int, ...]

_LISTED = 12
_ANNOTATIONS = frozenset(
    {"description", "title", "example", "default", "format", "deprecated", "externalDocs"}
)
_STRUCTURE = frozenset({"$ref", "allOf", "anyOf", "oneOf", CHOSEN_BY, "properties", "items", "nullable"})
_TYPES = {
    "string": ("string_type", "a valid string", str),
    "integer": ("int_type", "a valid integer", int),
    "number": ("float_type", "a valid number", (int, float)),
    "boolean": ("bool_type", "a valid boolean", bool),
    "array": ("list_type", "a list", list),
    "object": ("dict_type", "an object", dict),
}
_TEXTS = {
    "minLength": ("string_too_short", "String should have at least {} characters"),
    "maxLength": ("string_too_long", "String should have at most {} characters"),
    "pattern": ("string_pattern_mismatch", "String should match pattern '{}'"),
    "minimum": ("greater_than_equal", "Input should be greater than or equal to {}"),
    "maximum": ("less_than_equal", "Input should be less than or equal to {}"),
    "exclusiveMinimum": ("greater_than", "Input should be greater than {}"),
    "exclusiveMaximum": ("less_than", "Input should be less than {}"),
    "multipleOf": ("multiple_of", "Input should be a multiple of {}"),
    "minItems": ("too_short", "List should have at least {} items"),
    "maxItems": ("too_long", "List should have at most {} items"),
    "uniqueItems": ("unique_items", "List items should differ from each other"),
    "minProperties": ("too_short", "Object should have at least {} members"),
    "maxProperties": ("too_long", "Object should have at most {} members"),
    "not": ("not_allowed", "Input has a form that is not allowed here"),
}
_JUDGED = frozenset({*_TEXTS, "type", "enum", "required", "additionalProperties"})
_ENDS_THE_WALK = ("type", "maxItems", "maxProperties")


class Explainer:
    """Explains refusals by the schemas of one document."""

    def __init__(self, book: Contract) -> None:
        self._book = book
        self._shells: dict[int, tuple[Schema, jsonschema_rs.Draft4Validator]] = {}
        self._wholes: dict[int, tuple[Schema, jsonschema_rs.Draft4Validator]] = {}

    def problems(self, schema: Schema, value: Any, where: str) -> list[Problem]:
        """What is wrong with *value*, which *schema* refuses; at most MOST.

        *where* is body, or one of query, path, header: then *value* holds each parameter by its name.
        """
        found = list(itertools.islice(self._walk(schema, value, (where,)), MOST))
        return found or [Problem((where,), "Input is refused by the contract", "value_error")]

    def unexplained(self, schema: Schema, seen: tuple[int, ...] = ()) -> str:
        """The first thing in *schema* that is not implemented here; empty: there is none."""
        schema = self._book.followed(schema)
        if id(schema) in seen:
            return ""
        seen = (*seen, id(schema))
        odd = schema.keys() - _ANNOTATIONS - _STRUCTURE - _JUDGED
        if odd:
            return f"keywords {sorted(odd)}"
        if schema.get("nullable") and not isinstance(schema.get("type"), str):
            return "nullable without a type"
        if CHOSEN_BY in schema and len(schema.get("anyOf", ())) != len(("first", "second")):
            return f"{CHOSEN_BY} without anyOf of two"
        return next(filter(None, (self.unexplained(inner, seen) for inner in _inner(schema))), "")

    def _walk(self, schema: Schema, value: Any, loc: Loc) -> Iterator[Problem]:
        schema = self._book.followed(schema)
        if value is None and schema.get("nullable"):
            return
        if CHOSEN_BY in schema:
            first, second = schema["anyOf"]
            has_it = isinstance(value, dict) and schema[CHOSEN_BY] in value
            yield from self._walk(first if has_it else second, value, loc)
            return
        failed = self._failed(schema, value)
        for keyword, members in failed.items():
            yield from _told(schema, keyword, members, value, loc)
        if not failed.keys() & {*_ENDS_THE_WALK}:
            yield from self._inside(schema, value, loc)

    def _failed(self, schema: Schema, value: Any) -> dict[str, list[str]]:
        """The keywords of *schema* that refuse *value* itself, with the members at fault if they name any."""
        failed: dict[str, list[str]] = {}
        for error in self._shell(schema).iter_errors(value):
            keyword = error.kind.name
            names = failed.setdefault(keyword, [])
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
                names.append(error.kind.property)
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
                names += error.kind.unexpected[:MOST]
        return {"type": []} if "type" in failed else failed

    def _inside(self, schema: Schema, value: Any, loc: Loc) -> Iterator[Problem]:
        """What is wrong in the parts of *value*."""
        for part in schema.get("allOf", ()):
            yield from self._walk(part, value, loc)
        for union in ("anyOf", "oneOf"):
            if union in schema and not self._whole({union: schema[union]}, schema[union]).is_valid(value):
                yield from self._union(schema[union], value, loc)
        if isinstance(value, dict):
            members = schema.get("properties", {})
            others = schema.get("additionalProperties")
            known = [name for name in members if name in value]
            for name in value if isinstance(others, dict) else known:
                yield from self._walk(members.get(name, others), value[name], (*loc, _short(name)))
        elif isinstance(value, list) and "items" in schema:
            item = self._whole(schema["items"], schema["items"])
            for index, inner in enumerate(value):
                if not item.is_valid(inner):
                    yield from self._walk(schema["items"], inner, (*loc, index))

    def _union(self, shapes: list[Schema], value: Any, loc: Loc) -> Iterator[Problem]:
        """By the one shape that is of the value's type; else nobody knows which was meant."""
        fitting = [shape for shape in map(self._book.followed, shapes) if _fits(shape, value)]
        if len(fitting) == 1:
            yield from self._walk(fitting[0], value, loc)
        else:
            yield Problem(loc, "Input has none of the forms that are allowed", "union", _scalar(value, loc))

    def _shell(self, schema: Schema) -> jsonschema_rs.Draft4Validator:
        """The validator of *schema* without what is inside."""
        if id(schema) not in self._shells:
            shell = {key: schema[key] for key in schema.keys() & (_JUDGED | {"nullable"})}
            if isinstance(shell.get("additionalProperties"), dict):
                del shell["additionalProperties"]
            if "properties" in schema:
                shell["properties"] = {name: {} for name in schema["properties"]}
            self._shells[id(schema)] = schema, self._book.validator(shell)
        return self._shells[id(schema)][1]

    def _whole(self, schema: Schema, key: Any) -> jsonschema_rs.Draft4Validator:
        """The validator of all of *schema*, kept under *key*, which lives as long as the document."""
        if id(key) not in self._wholes:
            self._wholes[id(key)] = key, self._book.validator(schema)
        return self._wholes[id(key)][1]


def _inner(schema: Schema) -> Iterator[Schema]:
    yield from schema.get("properties", {}).values()
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            yield schema[name]
    for name in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(name, ())


def _told(schema: Schema, keyword: str, members: list[str], value: Any, loc: Loc) -> Iterator[Problem]:
    """One failed keyword in words."""
    given = _scalar(value, loc)
    if keyword == "required":
        for name in members:
            yield Problem((*loc, name), "Field required", "missing")
    elif keyword == "additionalProperties":
        for name in members:
            yield Problem((*loc, _short(name)), "Extra inputs are not permitted", "extra_forbidden")
    elif keyword == "type":
        yield _of_wrong_type(schema["type"], value, loc)
    elif keyword == "enum":
        yield Problem(loc, f"Input should be {_listed(schema['enum'])}", "enum", given)
    else:
        keyword = _exclusive(schema, keyword)
        kind, text = _TEXTS.get(keyword, ("value_error", "Input is refused by the contract"))
        limit = schema.get(keyword.replace("exclusiveM", "m") if schema.get(keyword) is True else keyword)
        text = text.format(limit)
        yield Problem(loc, text.removesuffix("s") if limit == 1 and text.endswith("s") else text, kind, given)


def _of_wrong_type(wanted: str, value: Any, loc: Loc) -> Problem:
    if isinstance(value, dict) and limits.INEXACT in value:
        return Problem(loc, "Input has more digits than can be kept exactly", "float_precision")
    kind, text, _ = _TYPES[wanted]
    if kind == "int_type" and loc[0] != "body":
        kind, text = "int_parsing", f"{text}, unable to parse string as an integer"
    return Problem(loc, f"Input should be {text}", kind, _scalar(value, loc))


def _exclusive(schema: Schema, keyword: str) -> str:
    """Draft 4 says `exclusiveMinimum: true` beside `minimum`."""
    other = f"exclusive{keyword[:1].upper()}{keyword[1:]}"
    return other if schema.get(other) is True else keyword


def _fits(schema: Schema, value: Any) -> bool:
    python = _TYPES.get(schema.get("type", ""), ("", "", object))[2]
    return isinstance(value, python) and (not isinstance(value, bool) or python in (bool, object))  # type: ignore[arg-type]


def _listed(options: list[Any]) -> str:
    """`'a', 'b' or 'c'`; of a long list only how long it is."""
    named = [repr(option) for option in options if option is not None]
    if len(named) > _LISTED:
        return f"one of the {len(named)} values that the contract lists"
    return " or ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _scalar(value: Any, loc: Loc) -> str | float | bool | None:
    """What may be repeated of what was sent; a parameter as the text that it was."""
    if not isinstance(value, str | int | float):
        return None
    return value if loc[0] == "body" else str(value)


def _short(name: str) -> str:
    return name[:80]
