"""The gateway API: plain JSON, authenticated by keys and JWTs. docs/gateway.md "Errors"."""

import re
from collections.abc import Mapping
from typing import Any

import flask
import orjson

import errors
from errors import Problem
from handlers.dispatch import auth, bearer
from handlers.dispatch.apis import Api, json_response
from openapi.field_types import Model
from storage.keys import Member

_URLS = re.compile(r"/(?:ocpi/(?:cpos|templates)|ocpp)(?:/|\Z)")
_BEARER = re.compile(r"bearer ([^ ]+)", re.IGNORECASE)
_MAX_MESSAGE = 1000
_MAX_INPUT = 100
_NO_CONTENT, _UNPROCESSABLE = 204, 422
_STATUSES: dict[type[errors.Refusal], int] = {
    errors.BadRequest: 400,
    errors.Malformed: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.ClientError: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.SchemaViolation: _UNPROCESSABLE,
    errors.TooMany: 429,
    errors.ServerError: 500,
    errors.Unavailable: 503,
}


class GatewayApi(Api):
    """Virtual networks, their templates and the catalog."""

    name = "gateway"
    title = "Gateway API"
    unknown_url = "No such URL; /docs lists the URLs."
    authentication_scheme = "Bearer"

    def owns(self, path: str) -> bool:
        """Whether *path* is in one of the gateway's three URL trees."""
        return _URLS.match(path) is not None

    def identify(self, environ: Mapping[str, Any], path: str) -> Member:
        """The member, in the organization of the request."""
        del path
        match = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        if match is None:
            raise errors.Unauthorized("Send 'Authorization: Bearer ...'.")
        identity = self.authenticate(match[1])
        if identity is None:
            raise errors.Unauthorized(auth.ended_reason(match[1]) or "Unknown token.")
        return bearer.within(identity["sub"], environ.get("HTTP_X_ORGANIZATION_ID"))

    def respond(self, result: Any, status: int, user: Member, operation_id: str) -> flask.Response:
        """*result* without an envelope."""
        del user, operation_id
        if result is None:
            return json_response(b"", _NO_CONTENT)
        return json_response(
            result.json_text() if isinstance(result, Model) else orjson.dumps(result), status
        )

    def refuse(self, refusal: errors.Refusal) -> flask.Response:
        """`detail`: a sentence, or the list of problems of a 422."""
        status = next(_STATUSES[kind] for kind in type(refusal).__mro__ if kind in _STATUSES)
        detail: Any = refusal.message[:_MAX_MESSAGE]
        if isinstance(refusal, errors.SchemaViolation | errors.RuleBroken) and refusal.problems:
            status, detail = _UNPROCESSABLE, [_presented(problem) for problem in refusal.problems]
        elif status == _UNPROCESSABLE:
            detail = [_presented(Problem(("body",), detail, "value_error"))]
        return json_response(orjson.dumps({"detail": detail}), status, self.headers(refusal))

    def method_not_allowed(self, user: Member, method: str, allowed: list[str]) -> errors.Refusal:
        """403 if *user* may use no method here, else 405."""
        if not allowed:
            return errors.Forbidden(f"The role {user.kind} may not do this.")
        return errors.MethodNotAllowed(f"{method} is not allowed here; use {', '.join(allowed)}.", allowed)

    def report(self, kind: str, example: str) -> None:
        """Do nothing: only deviations of peers are recorded."""

    def record(self, response: flask.Response) -> None:
        """Do nothing: only exchanges with peers and back offices are recorded."""

    def log_fields(self, user: Member) -> dict[str, Any]:
        """The organization of the request."""
        return {"organization": user.organization_id}


def _presented(problem: Problem) -> dict[str, Any]:
    """A problem in FastAPI's form, with the sent value if it is short and cannot be a secret."""
    entry: dict[str, Any] = {"loc": problem.loc, "msg": problem.message, "type": problem.kind}
    value = problem.value
    may_be_secret = problem.loc[0] == "header" or problem.loc[-1] == "token"
    if value is not None and not may_be_secret and len(str(value)) <= _MAX_INPUT:
        entry["input"] = value
    return entry
