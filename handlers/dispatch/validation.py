"""What is wrong with a request: Pydantic's errors, as the responses of both APIs list them."""

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

MOST = 10
"""How many problems a response lists; of a bulk request, of each of as many items."""
_TOO_MANY = 1000
_LONGEST_MESSAGE = 200
_LONGEST_NAME = 80
_SHORT_MESSAGES = {
    "enum": "Input should be one of the values that the contract lists",
    "string_pattern_mismatch": "String does not match the required pattern",
}


def read_body(
    raw: bytes, adapter: TypeAdapter[Any], report: Callable[[str, str], None]
) -> tuple[Any, list[Problem]]:
    """The JSON text *raw* as what *adapter* validates, and what is wrong with it, each place once.

    *report*: see openapi/field_types.py.
    """
    try:
        value = adapter.validate_json(raw, context=report)
    except ValidationError as error:
        return None, _of_body(_details(error), orjson.loads(raw))
    return value, _inexact_extensions(value, raw)


def read_bulk(raw: bytes, model: type[BulkRequest]) -> tuple[BulkRequest | None, list[Problem]]:
    """The JSON text *raw* as a bulk request, and what is wrong with it: problems of up to MOST bad items.

    A model would stop at the first bad item: without that rule, Pydantic keeps a million errors.
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
            details, place = _details(error)[:MOST], (model.items_field, index)
            problems += _of_body([{**each, "loc": (*place, *each["loc"])} for each in details], body)
            bad += 1
            if bad == MOST:
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
        # A value that no member of a union accepts has an error for each: the last one that is about more
        # than its JSON type says most.
        if path not in problems or _is_about_type(problems[path]) or not _is_about_type(problem):
            problems[path] = problem
    return list(problems.values())


def _inexact_extensions(value: Any, raw: bytes) -> list[Problem]:
    """The numbers in extension members of the model *value* that cannot be kept exactly."""
    if json_body.INEXACT.encode() not in raw or not isinstance(value, Model):
        return []
    return [
        Problem(("body", *loc), "Input has more digits than can be kept exactly", "float_precision")
        for loc in _inexact(orjson.loads(value.json_text()), ())
    ]


def _inexact(value: Any, loc: Loc) -> Iterator[Loc]:
    if isinstance(value, dict) and json_body.INEXACT in value:
        yield loc
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _inexact(item, (*loc, key))


def of_parameters(error: ValidationError, places: dict[str, tuple[str, str]]) -> list[Problem]:
    """What *error* says about parameters; *places*: where each is in the request, and its name there."""
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
        raise errors.RuleBroken(message(problems), problems[:MOST]) from None


def refusal(problems: list[Problem], most: int = MOST) -> errors.Refusal:
    """The refusal for *problems*, of which it keeps *most*; who only breaks rules has the right form."""
    kind = errors.RuleBroken if all(problem.kind == RULE for problem in problems) else errors.SchemaViolation
    return kind(message(problems), problems[:most])


def message(problems: Sequence[Problem]) -> str:
    """Every problem with its full path, as one sentence for a person."""
    lines = [f"{_dotted(problem.loc)}: {problem.message}" for problem in problems]
    more = f"; and {len(lines) - MOST} more" if len(lines) > MOST else ""
    return "; ".join(lines[:MOST]) + more


def _details(error: ValidationError) -> list[ErrorDetails]:
    """Pydantic's errors, without the inputs: it would decode the whole body again for every missing field."""
    if error.error_count() > _TOO_MANY:  # an object with a hundred thousand wrong members
        text = f"Input has {error.error_count()} errors"
        return [ErrorDetails(type="too_many_errors", loc=(), msg=text, input=None)]
    return error.errors(include_url=False, include_context=False, include_input=False)


def _dotted(loc: Loc) -> str:
    """`evses.0.status` for a member of the body; a parameter's name; `body` for the whole of it."""
    return ".".join(map(str, loc[1:])) or str(loc[0])


def _is_about_type(problem: Problem) -> bool:
    return problem.kind.endswith("_type")


def _place(value: Any, loc: Loc) -> tuple[Loc, Any]:
    """The keys of *loc* that lead anywhere in *value*, and where: Pydantic names union members in between."""
    path: list[str | int] = []
    for key in loc:
        with contextlib.suppress(LookupError, TypeError):
            value = value[key]
            path.append(key)
    return tuple(path), value


def _problem(loc: Loc, kind: str, text: str, value: Any) -> Problem:
    if isinstance(value, dict) and json_body.INEXACT in value:
        kind, text = "float_precision", "Input has more digits than can be kept exactly"
    if len(text) > _LONGEST_MESSAGE:
        text = _SHORT_MESSAGES.get(kind, "Input is not valid")
    loc = tuple(key[:_LONGEST_NAME] if isinstance(key, str) else key for key in loc)
    scalar = value if isinstance(value, str | int | float) else None
    return Problem(loc, text, kind, scalar)
