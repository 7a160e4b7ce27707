"""The stock `connexion.FlaskApp` on the same contract: the reference for handlers/dispatch.

Same handlers, same security function, same envelope. Its own are routing, security, validation and
argument passing, which is what handlers/dispatch replaces.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import flask
import orjson
from starlette.exceptions import HTTPException

import errors
from handlers.dispatch import auth, validation
from handlers.dispatch.apis import GENERATED
from handlers.dispatch.ocpi_api import OcpiApi
from handlers.dispatch.operations import Operation, PathItemView
from storage import deviations

with warnings.catch_warnings():  # importing connexion 3.3 warns about starlette's test client
    warnings.simplefilter("ignore")
    from connexion import FlaskApp
    from connexion.exceptions import ProblemException
    from connexion.lifecycle import ConnexionRequest, ConnexionResponse
    from connexion.resolver import Resolver
    from connexion.security import ApiKeySecurityHandler

BY_STATUS = {401: errors.Unauthorized, 404: errors.NotFound, 415: errors.UnsupportedMedia}


class EnvelopeResolver(Resolver):
    """Finds the handlers and wraps them like handlers/dispatch."""

    def __init__(self, compiled: flask.Flask) -> None:
        """*compiled*: our application, whose operations have the callers and models."""
        super().__init__()
        views = [view for view in compiled.view_functions.values() if isinstance(view, PathItemView)]
        self.operations = {
            f"{o.handler.__module__}.{o.id}": (view, o) for view in views for o in view.operations.values()
        }

    def resolve_function_from_operation_id(self, operation_id: str) -> Callable[..., flask.Response]:
        handler = super().resolve_function_from_operation_id(operation_id)
        view, operation = self.operations[operation_id]

        @functools.wraps(handler)
        def enveloped(**arguments: Any) -> flask.Response:
            deviations.begin()
            caller = arguments["user"]
            if caller.kind not in operation.callers:
                raise view.api.method_not_allowed(caller, flask.request.method, view.allowed(caller))
            body = model_of(operation, arguments.get("body"))
            sent = {name: str(arguments[name]) for name in operation.parameters.places if name in arguments}
            arguments = {"user": caller}
            if operation.parameters.model is not None:
                arguments |= dict(operation.parameters.model.model_validate_strings(sent))
            if operation.body is not None:
                arguments["body"] = body
            for name in operation.unused:
                del arguments[name]
            return view.api.respond(handler(**arguments), operation.success, caller, operation.id)

        return enveloped


def model_of(operation: Operation, body: Any) -> Any:
    """The body as a model, because the stock application does not create one."""
    if operation.body is None or body is None:
        return None
    value, problems = validation.read_body(orjson.dumps(body), operation.body.adapter, operation.body.report)
    if problems:
        raise validation.refusal(problems)
    return value


class TokenSecurityHandler(ApiKeySecurityHandler):
    """The security function of the contract, followed by the check of the token's role."""

    def _resolve_func(self, security_scheme: dict[str, Any]) -> Callable[..., Any]:
        authenticate = super()._resolve_func(security_scheme)

        def caller_with_role(authorization: str, request: ConnexionRequest) -> dict[str, Any] | None:
            found: dict[str, Any] | None = authenticate(authorization)
            if found is not None:
                auth.require_role(found["sub"], request.scope["path"])
            return found

        return caller_with_role


def create_app(compiled: flask.Flask) -> FlaskApp:
    """The stock application for comparison with *compiled*, ours."""
    app = FlaskApp("stock", auth_all_paths=True, security_map={"apiKey": TokenSecurityHandler})
    app.add_api(GENERATED / "ocpi_runtime.json", resolver=EnvelopeResolver(compiled))
    app.add_error_handler(errors.Refusal, _refuse)
    app.add_error_handler(ProblemException, _refuse_problem)
    app.add_error_handler(HTTPException, _refuse_http)
    app.add_error_handler(Exception, _refuse_crash)
    return app


def _refuse(_request: ConnexionRequest, refusal: errors.Refusal) -> ConnexionResponse:
    with flask.Flask("stock").app_context():
        response = OcpiApi().refuse(refusal)
    return ConnexionResponse(
        body=response.get_data(),
        status_code=response.status_code,
        headers={key: value for key, value in response.headers.items() if not key.startswith("Content-")},
        mimetype="application/json",
    )


def _refuse_problem(request: ConnexionRequest, problem: ProblemException) -> ConnexionResponse:
    kind = BY_STATUS.get(problem.status, errors.SchemaViolation)
    return _refuse(request, kind(problem.detail or problem.title or ""))


def _refuse_http(request: ConnexionRequest, error: HTTPException) -> ConnexionResponse:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _refuse(request, errors.MethodNotAllowed(error.detail, allowed.split(", ")))
    answer = _refuse(request, BY_STATUS.get(error.status_code, errors.BadRequest)(error.detail or ""))
    answer.status_code = error.status_code
    return answer


def _refuse_crash(request: ConnexionRequest, _error: Exception) -> ConnexionResponse:
    return _refuse(request, errors.ServerError("Unexpected failure; it has been logged."))
