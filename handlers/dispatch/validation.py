"""Validation of requests: Pydantic's errors as the problems that the responses of both APIs list."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

import errors
from errors import Problem
from handlers.dispatch import json_body
from openapi.field_types import RULE, BulkRequest, Model

Loc = tuple[str | int, ...]

MAX_PROBLEMS = 10
"""The most problems in a response; for a bulk request, the most per item and the most bad items."""
_TOO_MANY = 1000
_MAX_MESSAGE = 200
_MAX_NAME = 80
_SHORT_MESSAGES = {
    "enum": "Input should be one of the values that the contract lists",
    "string_pattern_mismatch": "String does not match the required pattern",
}


def read_body(
    raw: bytes, adapter: TypeAdapter[Any], report: Callable[[str, str], None]
) -> tuple[Any, list[Problem]]:
    """Validate the JSON text *raw* with *adapter*; returns the value and its problems, one per place.

    *report*: see openapi/field_types.py.
    """
    try:
        value = adapter.validate_json(raw, context=report)
    except ValidationError as error:
        return None, _of_body(_details(error), orjson.loads(raw))
    return value, _inexact_extensions(value, raw)


def read_bulk(raw: bytes, model: type[BulkRequest]) -> tuple[BulkRequest | None, list[Problem]]:
    """Validate the JSON text *raw* as a bulk request; returns it and the problems of the first bad items.

    A model alone would stop at the first bad item, because Pydantic would otherwise keep a million errors.
    """
    body = orjson.loads(raw)
    try:
        model.outer().model_validate(body)
    except ValidationError as error:
        return None, _of_body(_details(error), body)
    adapter, problems, bad = model.item_adapter(), list[Problem](), 0
    items: list[Any] = []
    for index, item in enumerate(body[model.items_field]):
        try:
            items.append(adapter.validate_json(orjson.dumps(item)))
        except ValidationError as error:
            details, place = _details(error)[:MAX_PROBLEMS], (model.items_field, index)
            problems += _of_body([{**each, "loc": (*place, *each["loc"])} for each in details], body)
            bad += 1
            if bad == MAX_PROBLEMS:
                break
    fields: dict[str, Any] = {model.items_field: items}
    return (None, problems) if problems else (model.model_construct(**fields), [])


def _of_body(details: list[ErrorDetails], body: Any) -> list[Problem]:
    problems: dict[Loc, Problem] = {}
    for detail in details:
        path, value = _place(body, detail["loc"])
        if detail["type"] == "missing":
            path = (*path, detail["loc"][-1])
        problem = _problem(("body", *path), detail["type"], detail["msg"], value)
        # A value that no member of a union accepts has one error per member. The last error that is not about
        # the JSON type is the most helpful.
        if path not in problems or _is_about_type(problems[path]) or not _is_about_type(problem):
            problems[path] = problem
    return list(problems.values())


def _inexact_extensions(value: Any, raw: bytes) -> list[Problem]:
    """The numbers in extension members of the stored object *value* that cannot be kept exactly.

    The schema allows any extension member, so this is a rule: conformance 19.
    """
    if json_body.INEXACT.encode() not in raw or not _keeps_extensions(value):
        return []
    return [
        Problem(("body", *loc), "Input has more digits than can be kept exactly", RULE)
        for loc in _inexact(orjson.loads(value.json_text()), ())
    ]


def _keeps_extensions(value: Any) -> bool:
    """Whether *value* is stored with its extension members. Credentials and commands ignore theirs."""
    return isinstance(value, Model) and value.model_config.get("extra") == "allow"


def _inexact(value: Any, loc: Loc) -> Iterator[Loc]:
    if isinstance(value, dict) and json_body.INEXACT in value:
        yield loc
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _inexact(item, (*loc, key))


def of_parameters(error: ValidationError, places: dict[str, tuple[str, str]]) -> list[Problem]:
    """The problems of parameters; *places*: where each is in the request, and its name there."""
    return [
        _problem(places[str(detail["loc"][0])], detail["type"], detail["msg"], detail["input"])
        for detail in error.errors(include_url=False, include_context=False)
    ]


@contextlib.contextmanager
def result_obeys_rules() -> Iterator[None]:
    """Refuse a request that would make a stored object invalid.

    Raises:
        errors.RuleBroken: a model raised a ValidationError inside.
    """
    try:
        yield
    except ValidationError as error:
        problems = [
            _problem(("body", *each["loc"]), each["type"], each["msg"], None) for each in _details(error)
        ]
        raise errors.RuleBroken(message(problems), problems[:MAX_PROBLEMS]) from None


def refusal(problems: list[Problem], limit: int = MAX_PROBLEMS) -> errors.Refusal:
    """The refusal for *problems*, with the first *limit* of them. It is a broken rule if all problems are."""
    kind = errors.RuleBroken if all(problem.kind == RULE for problem in problems) else errors.SchemaViolation
    return kind(message(problems), problems[:limit])


def message(problems: Sequence[Problem]) -> str:
    """The problems with their paths, as one sentence."""
    lines = [f"{_dotted(problem.loc)}: {problem.message}" for problem in problems]
    more = f"; and {len(lines) - MAX_PROBLEMS} more" if len(lines) > MAX_PROBLEMS else ""
    return "; ".join(lines[:MAX_PROBLEMS]) + more


def _details(error: ValidationError) -> list[ErrorDetails]:
    """Pydantic's errors, without inputs, which would decode the whole body again for every missing field."""
    if error.error_count() > _TOO_MANY:  # an object with a hundred thousand wrong members
        text = f"Input has {error.error_count()} errors"
        return [ErrorDetails(type="too_many_errors", loc=(), msg=text, input=None)]
    return error.errors(include_url=False, include_context=False, include_input=False)


def _dotted(loc: Loc) -> str:
    """`evses.0.status` for a member of the body, the name of a parameter, or `body` for the whole body."""
    return ".".join(map(str, loc[1:])) or str(loc[0])


def _is_about_type(problem: Problem) -> bool:
    return problem.kind.endswith("_type")


def _place(value: Any, loc: Loc) -> tuple[Loc, Any]:
    """The real path of *loc* in *value*, and the value there. Pydantic's *loc* also names union members."""
    path: list[str | int] = []
    for key in loc:
        with contextlib.suppress(LookupError, TypeError):
            value = value[key]
            path.append(key)
    return tuple(path), value


def _problem(loc: Loc, kind: str, text: str, value: Any) -> Problem:
    if isinstance(value, dict) and json_body.INEXACT in value:
        kind, text = "float_precision", "Input has more digits than can be kept exactly"
    if len(text) > _MAX_MESSAGE:
        text = _SHORT_MESSAGES.get(kind, "Input is not valid")
    loc = tuple(key[:_MAX_NAME] if isinstance(key, str) else key for key in loc)
    scalar = value if isinstance(value, str | int | float) else None
    return Problem(loc, text, kind, scalar)
