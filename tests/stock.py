"""The stock `connexion.FlaskApp` on the same contract: the reference of what handlers/compile.py compiles.

Same handlers, same security function, same envelope. Its own are routing, security, validation and
argument passing, which is what the compiler replaces.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import flask
from starlette.exceptions import HTTPException

import errors
from handlers import auth, compile, contract, envelope  # noqa: A004  (the room's own name)
from handlers.normalise import Known
from storage import remarks

with warnings.catch_warnings():  # importing connexion 3.3 warns about starlette's test client
    warnings.simplefilter("ignore")
    from connexion import FlaskApp
    from connexion.exceptions import ProblemException
    from connexion.lifecycle import ConnexionRequest, ConnexionResponse
    from connexion.resolver import Resolver
    from connexion.security import ApiKeySecurityHandler

BY_STATUS = {401: errors.Unauthorized, 404: errors.NotFound, 415: errors.UnsupportedMedia}


class EnvelopeResolver(Resolver):
    """Finds the handlers, and does around them what the compiler does around them."""

    def __init__(self, compiled: flask.Flask) -> None:
        """*compiled*: our own application, whose operations know who may call and how to normalise."""
        super().__init__()
        views = [view for view in compiled.view_functions.values() if isinstance(view, compile.PathView)]
        self.known = {
            f"{o.handler.__module__}.{o.id}": (view, o) for view in views for o in view.operations.values()
        }

    def resolve_function_from_operation_id(self, operation_id: str) -> Callable[..., flask.Response]:
        handler = super().resolve_function_from_operation_id(operation_id)
        view, operation = self.known[operation_id]

        @functools.wraps(handler)
        def enveloped(**arguments: Any) -> flask.Response:
            remarks.begin()
            caller = arguments["user"]
            if caller.kind not in operation.callers:
                raise view.not_for(caller, flask.request.method)
            arguments.pop("token_info", None)
            for name in (operation.path.upper | operation.query.upper) & arguments.keys():
                arguments[name] = arguments[name].upper()
            if operation.body is not None and "body" in arguments:
                arguments["body"] = _normal(operation.body, arguments["body"])
            return compile.respond(envelope.enveloped(handler(**arguments), flask.request))

        return enveloped


def _normal(body: compile.Body, value: Any) -> Any:
    if body.stem is None or value is None:
        return value
    if body.partial:
        return body.book.normal(body.stem, Known.PARTIAL)(value)
    return body.book.normalise(body.stem, value)


class Face(ApiKeySecurityHandler):
    """The function that the contract names, and then the rule of handlers/app.py on whose URLs these are."""

    def _resolve_func(self, security_scheme: dict[str, Any]) -> Callable[..., Any]:
        authenticate = super()._resolve_func(security_scheme)

        def known(authorization: str, request: ConnexionRequest) -> dict[str, Any] | None:
            found: dict[str, Any] | None = authenticate(authorization)
            if found is not None:
                auth.face(found["sub"], request.scope["path"])
            return found

        return known


def create_app(compiled: flask.Flask) -> FlaskApp:
    """The stock application beside *compiled*, our own."""
    app = FlaskApp("stock", auth_all_paths=True, security_map={"apiKey": Face})
    app.add_api(contract.GENERATED / "ocpi_runtime.json", resolver=EnvelopeResolver(compiled))
    app.add_error_handler(errors.Refusal, _refuse)
    app.add_error_handler(ProblemException, _refuse_problem)
    app.add_error_handler(HTTPException, _refuse_http)
    app.add_error_handler(Exception, _refuse_crash)
    return app


def _refuse(_request: ConnexionRequest, refusal: errors.Refusal) -> ConnexionResponse:
    reply = envelope.refused(refusal)
    return ConnexionResponse(
        body=reply.body, status_code=reply.http_status, headers=reply.headers, mimetype="application/json"
    )


def _refuse_problem(request: ConnexionRequest, problem: ProblemException) -> ConnexionResponse:
    kind = BY_STATUS.get(problem.status, errors.SchemaRefusal)
    return _refuse(request, kind(problem.detail or problem.title or ""))


def _refuse_http(request: ConnexionRequest, error: HTTPException) -> ConnexionResponse:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _refuse(request, errors.MethodNotAllowed(error.detail, allowed.split(", ")))
    refusal = BY_STATUS.get(error.status_code, errors.ClientError)(error.detail or "")
    refusal.http_status = error.status_code
    return _refuse(request, refusal)


def _refuse_crash(request: ConnexionRequest, _error: Exception) -> ConnexionResponse:
    return _refuse(request, errors.ServerError("Unexpected failure; it has been logged."))
