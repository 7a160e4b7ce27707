"""Answers of the gateway: JSON as it is, refusals as `detail`. gateway-api.md 2.4.

A handler returns a dict, or None for an empty body; the status is the one success that the contract
declares for its operation.
"""

from typing import Any

import orjson

import errors
from errors import Problem
from handlers.face import Reply

_UNPROCESSABLE = 422
_INPUT_LENGTH = 100
_REFUSED = 400


def answered(result: Any, status: int) -> Reply:
    """What a handler returned, as an answer."""
    return Reply(b"" if result is None else orjson.dumps(result), status, {})


def refused(refusal: errors.Refusal) -> Reply:
    """A refusal as an answer."""
    headers = refusal.headers
    if isinstance(refusal, errors.Unauthorized):
        headers = {"WWW-Authenticate": "Bearer"}
    if isinstance(refusal, errors.SchemaRefusal):
        problems = refusal.problems or [Problem(("body",), refusal.message, "value_error")]
        return Reply(orjson.dumps({"detail": [_told(p) for p in problems]}), _UNPROCESSABLE, headers)
    return Reply(orjson.dumps({"detail": refusal.message[:1000]}), _status(refusal), headers)


def _status(refusal: errors.Refusal) -> int:
    """An HTTP error for what OCPI says in a 200."""
    if refusal.http_status >= _REFUSED:
        return refusal.http_status
    kind = errors.ServerError if isinstance(refusal, errors.ServerError) else errors.Conflict
    return kind.http_status


def _told(problem: Problem) -> dict[str, Any]:
    """A problem as FastAPI would tell it; what was sent only if it is short, and never a header."""
    told: dict[str, Any] = {"loc": problem.loc, "msg": problem.message, "type": problem.kind}
    given = problem.given
    if given is not None and problem.loc[0] != "header" and len(str(given)) <= _INPUT_LENGTH:
        told["input"] = given
    return told
