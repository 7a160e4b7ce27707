"""The operations of an API as Flask views.

Connexion reads the document and finds the handler of every operation. An operation is prepared once,
when the program starts: its generated models validate parameters and body, and the handler is called
with the result. `connexion.FlaskApp` does this at every request, at 3 to 6 times the CPU (DECISIONS.md);
it is the reference in tests/dispatch/test_parity.py.
"""

import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import flask
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import MultiDict

from errors import Problem
from handlers.dispatch import json_body, validation
from handlers.dispatch.apis import Api
from handlers.dispatch.response_check import ResponseCheck
from openapi.field_types import EXTENSION, BulkRequest, Model, extension_members
from settings import settings

with warnings.catch_warnings():  # importing connexion 3.3 warns about starlette's test client
    warnings.simplefilter("ignore")
    from connexion.operations import OpenAPIOperation  # type: ignore[attr-defined]
    from connexion.resolver import Resolver
    from connexion.spec import OpenAPISpecification
    from connexion.utils import get_function_from_name

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
ALL_METHODS = [*METHODS, "HEAD", "OPTIONS", "TRACE", "CONNECT"]

Handler = Callable[..., Any]


class Parameters:
    """The parameters of one operation, read by a model whose fields are arguments of the handler."""

    def __init__(self, api: Api, operation_id: str, declared: list[dict[str, Any]]) -> None:
        class_name = "".join(word.capitalize() for word in operation_id.split("_")) + "Parameters"
        self.model: type[Model] | None = getattr(api.models, class_name) if declared else None
        self.query = [p["name"] for p in declared if p["in"] == "query"]
        headers = [argument_name(p["name"]) for p in declared if p["in"] == "header"]
        self.headers = {name: f"HTTP_{name.upper()}" for name in headers}
        self.places = {argument_name(p["name"]): (p["in"], p["name"]) for p in declared}
        """By argument: where the parameter is in a request, and its name there."""

    def read(self, path: dict[str, str], problems: list[Problem]) -> dict[str, Any]:
        """The handler's arguments; errors are added to *problems*."""
        if self.model is None:
            return {}
        values = path
        if self.query:
            values = path | self._query(flask.request.args, problems)
        if self.headers:
            environ = flask.request.environ
            values = values | {name: environ[key] for name, key in self.headers.items() if key in environ}
        try:
            return dict(self.model.model_validate_strings(values))
        except ValidationError as error:
            problems += validation.of_parameters(error, self.places)
            return {}

    def _query(self, args: MultiDict[str, str], problems: list[Problem]) -> dict[str, str]:
        values = {}
        for name in self.query:
            if name in args:
                values[name], *more = args.getlist(name)
                if more:
                    problems.append(Problem(("query", name), "Input should be given once", "given_twice"))
        return values


class Body:
    """The request body of one operation."""

    def __init__(self, api: Api, definition: dict[str, Any]) -> None:
        schema_name = definition["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        # LocationIn, the published form of a Location in a request, is read by the model Location.
        self.model = getattr(api.models, schema_name.removesuffix("OrNull").removesuffix("In"))
        self.adapter: TypeAdapter[Any] = TypeAdapter(self.model)
        self.report = api.report
        self.required = definition.get("required", False)
        self.is_bulk = isinstance(self.model, type) and issubclass(self.model, BulkRequest)
        self.keeps_extensions = getattr(self.model, "model_config", {}).get("extra") == "allow"

    def read(self, environ: dict[str, Any], problems: list[Problem]) -> Any:
        """The body as a model, None without one; what is wrong is added to *problems*.

        Raises:
            errors.Refusal: the body is not JSON, or JSON that cannot be kept exactly.
        """
        raw = json_body.read(environ)
        if not self.required and raw in (b"", b"null"):
            return None
        if not raw:
            problems.append(Problem(("body",), "Field required", "missing"))
            return None
        if self.is_bulk:
            value, found = validation.read_bulk(raw, self.model)
        else:
            value, found = validation.read_body(raw, self.adapter, self.report)
        problems += found
        if self.keeps_extensions and not found:
            for name in extension_members(value):
                self.report(EXTENSION, name)
        return value


class Operation:
    """One operation of the contract, ready to be called."""

    def __init__(self, api: Api, resolved: OpenAPIOperation, raw: dict[str, Any]) -> None:
        """*resolved*: the operation from Connexion; *raw*: the operation in the document."""
        self.api = api
        self.id: str = raw["operationId"]
        self.handler: Handler = resolved.function
        self.callers = frozenset(raw["x-callers"])
        self.callers_if: dict[str, list[str]] = raw.get("x-callers-if", {})
        self.parameters = Parameters(api, self.id, resolved.parameters)
        self.body = Body(api, raw["requestBody"]) if "requestBody" in raw else None
        self.max_problems = validation.MAX_PROBLEMS
        if self.body is not None and self.body.is_bulk:
            self.max_problems *= validation.MAX_PROBLEMS
        self.success = min(int(status) for status in raw["responses"] if status.startswith("2"))
        arguments = {*self.parameters.places, "user", *(["body"] if self.body else [])}
        self.unused = arguments - _accepted_arguments(self.handler, arguments)

    def admits(self, user: Any) -> bool:
        """Whether *user* may use it, by its kind of token or by what is tolerated of it."""
        return user.kind in self.callers or any(
            user.kind in kinds and getattr(user.tolerances, name) for name, kinds in self.callers_if.items()
        )

    def __call__(self, user: Any, path: dict[str, str]) -> flask.Response:
        """Validate the request, call the handler, respond.

        Raises:
            errors.Refusal: the request is refused.
        """
        problems: list[Problem] = []
        arguments = self.parameters.read(path, problems)
        if self.body is not None:
            arguments["body"] = self.body.read(flask.request.environ, problems)
        if problems:
            raise validation.refusal(problems, self.max_problems)
        arguments["user"] = user
        for name in self.unused:
            del arguments[name]
        return self.api.respond(self.handler(**arguments), self.success, user, self.id)


class PathItemView:
    """One URL of a document with all its methods, as a Flask view."""

    def __init__(self, api: Api, operations: dict[str, Operation], check: ResponseCheck | None) -> None:
        self.api = api
        self.operations = operations
        self.check = check

    def allowed(self, user: Any) -> list[str]:
        """The methods that *user* may use here."""
        return [method for method, operation in self.operations.items() if operation.admits(user)]

    def __call__(self, **path: str) -> flask.Response:
        """Serve the request."""
        method, user = flask.request.method, flask.g.user
        if method == "OPTIONS":
            response = flask.Response(status=204, headers={"Allow": ", ".join([*self.operations, "OPTIONS"])})
            del response.headers["Content-Type"]
            return response
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None or not operation.admits(user):
            raise self.api.method_not_allowed(user, method, self.allowed(user))
        response = operation(user, path)
        if self.check is not None:
            self.check(operation.id, response)
        return response


class _ValidatedSpecification(OpenAPISpecification):
    """A document that `scripts/generate` has validated, so that a start does not spend a second on it."""

    @classmethod
    def _validate_spec(cls, spec: Any) -> None:
        """Do nothing: `scripts/generate --check` validates the document."""


def register(app: flask.Flask, api: Api) -> None:
    """Add a view for every URL of *api* to *app*, and find the function that authenticates its callers.

    Raises:
        TypeError: a handler needs an argument that the contract does not have.
    """
    specification = _ValidatedSpecification(api.document)  # type: ignore[no-untyped-call]
    resolver = Resolver()
    check = ResponseCheck(api.document) if settings().validate_responses else None
    for path, item in api.document["paths"].items():
        operations = {}
        for method in METHODS:
            if raw := item.get(method.lower()):
                resolved = OpenAPIOperation.from_spec(  # type: ignore[no-untyped-call]
                    specification, path=path, method=method.lower(), resolver=resolver
                )
                operations[method] = Operation(api, resolved, raw)
        rule = specification.base_path + re.sub(r"{(\w+)}", r"<\1>", path)
        view = PathItemView(api, operations, check)
        app.add_url_rule(rule, path, view, methods=ALL_METHODS, provide_automatic_options=False)
    (scheme,) = specification.security_schemes.values()
    (function,) = (value for key, value in scheme.items() if key.endswith("InfoFunc"))
    api.authenticate = get_function_from_name(function)  # type: ignore[no-untyped-call]


def argument_name(parameter: str) -> str:
    """The name of a handler's argument for a parameter: `idempotency_key` for `Idempotency-Key`."""
    return parameter.lower().replace("-", "_")


def _accepted_arguments(handler: Handler, arguments: set[str]) -> set[str]:
    """The *arguments* that *handler* accepts.

    Raises:
        TypeError: it requires others.
    """
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return arguments
    needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    if missing := needed - arguments:
        raise TypeError(f"{handler.__qualname__} needs {sorted(missing)}, which the contract does not have")
    return arguments & {parameter.name for parameter in parameters}
