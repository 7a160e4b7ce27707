"""Connexion's operations, compiled once at start into plain Flask views.

Connexion reads the bundle and resolves every operationId to its handler and the security scheme to
its function; here each operation becomes a validator, a normaliser and a call. A construct of the
contract that is not implemented stops the program at start and names the operation. The stock
`connexion.FlaskApp` on the same contract is the reference. Measurements: DECISIONS.md.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import flask
import jsonschema_rs

import errors
from handlers import contract, envelope, limits
from handlers.contract import Contract
from handlers.envelope import Reply, Request
from settings import settings
from storage import remarks
from storage.access import REGISTRATION, Caller

with warnings.catch_warnings():  # importing connexion 3.3 warns about starlette's test client
    warnings.simplefilter("ignore")
    from connexion.resolver import RelativeResolver
    from connexion.spec import Specification
    from connexion.utils import get_function_from_name

METHODS = ("get", "put", "post", "patch", "delete")
ALL_METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)

Handler = Callable[..., Any]
Authenticate = Callable[[str], dict[str, Any] | None]


class Unsupported(Exception):
    """The contract asks for something that the compiler does not implement."""


class Parameters:
    """The parameters of one operation in one place: path or query."""

    def __init__(self, book: Contract, where: str, parameters: list[dict[str, Any]]) -> None:
        mine = [parameter for parameter in parameters if parameter["in"] == where]
        self.where = where
        self.schemas = {parameter["name"]: _resolved(book, parameter["schema"]) for parameter in mine}
        for name, schema in self.schemas.items():
            if schema.get("type") not in ("string", "integer") and "enum" not in schema:
                raise Unsupported(f"parameter {name}: only strings and integers are implemented")
        self.integers = {name for name, s in self.schemas.items() if s.get("type") == "integer"}
        self.upper = {name for name, s in self.schemas.items() if s.get("x-normalise") == "upper"}
        self.validator = book.validator(
            {
                "type": "object",
                "properties": self.schemas,
                "required": [p["name"] for p in mine if p.get("required")],
            }
        )

    def read(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The values as the handler gets them.

        Raises:
            errors.SchemaRefusal: the message names the parameter.
        """
        values: dict[str, Any] = {name: given[name] for name in self.schemas if name in given}
        for name in self.integers & values.keys():
            if _INTEGER.fullmatch(values[name]):
                values[name] = int(values[name])
        if not self.validator.is_valid(values):
            raise errors.SchemaRefusal(contract.explain(self.validator, values))
        for name in self.upper & values.keys():
            values[name] = values[name].upper()
        return values


class Body:
    """The request body of one operation."""

    def __init__(self, book: Contract, definition: dict[str, Any]) -> None:
        media = definition["content"]
        if list(media) != ["application/json"]:
            raise Unsupported(f"media types {sorted(media)}: only application/json is implemented")
        schema = media["application/json"]["schema"]
        self.required = definition.get("required", False)
        self.validator = book.validator(schema)
        stem: tuple[str | None, bool] = book.stem(schema) or (None, False)
        self.stem, self.partial = stem
        self.book = book

    def read(self, environ: dict[str, Any]) -> Any:
        """The body in its canonical form.

        Raises:
            errors.Refusal: as `limits.read`; SchemaRefusal names the field; RuleRefusal likewise.
        """
        value = limits.read(environ)
        if value is limits.ABSENT:
            if self.required:
                raise errors.SchemaRefusal("body: is required")
            return None
        if self.stem is not None and not self.partial and self.book.strict(self.stem).is_valid(value):
            return self.book.normal(self.stem)(value)  # nothing in it is lax: the usual case
        if not self.validator.is_valid(value):
            raise errors.SchemaRefusal(contract.explain(self.validator, value))
        if self.stem is None or value is None:
            return value
        if self.partial:
            return self.book.normal(self.stem, partial=True)(value)
        return self.book.normalise(self.stem, value)


class Operation:
    """One operation of the contract, ready to be called."""

    def __init__(self, book: Contract, handler: Handler, raw: dict[str, Any], item: dict[str, Any]) -> None:
        parameters = [_followed(book, p) for p in (*item.get("parameters", ()), *raw.get("parameters", ()))]
        if odd := {p["in"] for p in parameters} - {"path", "query"}:
            raise Unsupported(f"parameters in {sorted(odd)} are not implemented")
        self.id: str = raw["operationId"]
        self.handler = handler
        self.callers = _callers(raw)
        self.path = Parameters(book, "path", parameters)
        self.query = Parameters(book, "query", parameters)
        self.body = Body(book, raw["requestBody"]) if "requestBody" in raw else None
        self.wants = _wants(handler)
        self.responses = {status: _response(book, r) for status, r in raw["responses"].items()}

    def call(self, caller: Caller, segments: Mapping[str, str]) -> Any:
        """Judge the request and hand it to the handler.

        Raises:
            errors.Refusal: the request is refused.
        """
        remarks.begin()
        arguments = {**self.path.read(segments), **self.query.read(_single(flask.request.args))}
        if self.body is not None:
            arguments["body"] = self.body.read(flask.request.environ)
        arguments["user"] = caller
        if self.wants is not None:
            arguments = {name: value for name, value in arguments.items() if name in self.wants}
        result = self.handler(**arguments)
        remarks.keep(caller.network_id, caller.connection_id, self.id)
        return result


class PathView:
    """Every method of one URL: one Flask view."""

    def __init__(self, operations: dict[str, Operation], *, check_responses: bool) -> None:
        self.operations = operations
        self.check_responses = check_responses
        self.declared = [method.upper() for method in METHODS if method.upper() in operations]

    def allowed(self, caller: Caller) -> list[str]:
        """The methods that *caller* may use here."""
        return [m for m in self.declared if caller.kind in self.operations[m].callers]

    def __call__(self, **segments: str) -> flask.Response:
        """Serve the request."""
        caller: Caller = flask.g.caller
        method = flask.request.method
        if method == "OPTIONS":
            answer = flask.Response(status=204, headers={"Allow": ", ".join([*self.declared, "OPTIONS"])})
            del answer.headers["Content-Type"]
            return answer
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None or caller.kind not in operation.callers:
            raise self.not_for(caller, method)
        request = Request(flask.request.path, list(flask.request.args.items()))
        reply = envelope.enveloped(operation.call(caller, segments), request)
        if self.check_responses:
            check(operation, reply)
        return respond(reply)

    def not_for(self, caller: Caller, method: str) -> errors.Refusal:
        """The refusal of a method that is not for this token. Conformance 9, 27, 67 to 70."""
        allowed = self.allowed(caller)
        if not allowed and caller.kind in (REGISTRATION, "callback"):
            return errors.Unauthorized("This token opens versions, details and credentials only.")
        may = ", ".join(allowed) or "nothing"
        return errors.MethodNotAllowed(f"{method} is not for this token; it may use {may} here.", allowed)


def install(app: flask.Flask, book: Contract, *, check_responses: bool) -> Authenticate:
    """Add a view for every URL of *book* to *app*; the function that authenticates.

    Raises:
        Unsupported: the contract uses something that is not implemented; the operation is named.
    """
    specification = Specification.from_dict(book.document)  # type: ignore[no-untyped-call]
    resolver = RelativeResolver("handlers")  # type: ignore[no-untyped-call]
    authenticate: set[str] = set()
    for path, item in book.document["paths"].items():
        operations = {}
        for method in item.keys() & set(METHODS):
            resolved = specification.operation_cls.from_spec(
                specification, path=path, method=method, resolver=resolver
            )
            try:
                operations[method.upper()] = Operation(book, resolved.function, item[method], item)
                authenticate.add(_security(resolved))
            except Unsupported as error:
                raise Unsupported(f"{method.upper()} {path}: {error}") from None
        rule = specification.base_path + re.sub(r"{(\w+)}", r"<\1>", path)
        view = PathView(operations, check_responses=check_responses)
        app.add_url_rule(rule, path, view, methods=ALL_METHODS, provide_automatic_options=False)
    function: Authenticate = get_function_from_name(authenticate.pop())  # type: ignore[no-untyped-call]
    return function


def _callers(raw: dict[str, Any]) -> frozenset[str]:
    """Who may use an operation, with those whom a setting lets in."""
    also = (kinds for name, kinds in raw.get("x-callers-if", {}).items() if getattr(settings(), name))
    return frozenset(raw["x-callers"]).union(*also)


def _security(operation: Any) -> str:
    """The name of the function that authenticates *operation*."""
    requirements = operation.security
    if len(requirements) != 1 or len(requirements[0]) != 1:
        raise Unsupported(f"security {requirements}: exactly one scheme is implemented")
    scheme = operation.security_schemes[next(iter(requirements[0]))]
    if (scheme["type"], scheme.get("in")) != ("apiKey", "header"):
        raise Unsupported(f"security scheme {scheme['type']} is not implemented")
    return str(scheme["x-apikeyInfoFunc"])


def _wants(handler: Handler) -> frozenset[str] | None:
    """The argument names of *handler*; None when it takes any."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters)


def _single(arguments: Any) -> dict[str, str]:
    """Query parameters, each given once."""
    for name, values in arguments.lists():
        if len(values) > 1:
            raise errors.SchemaRefusal(f"{name[:80]}: is given more than once")
    return dict(arguments.items())


def _followed(book: Contract, parameter: dict[str, Any]) -> dict[str, Any]:
    """A parameter with its $ref followed."""
    if "$ref" not in parameter:
        return parameter
    found: dict[str, Any] = book.document["components"]["parameters"][parameter["$ref"].split("/")[-1]]
    return found


def _resolved(book: Contract, schema: dict[str, Any]) -> dict[str, Any]:
    """A scalar schema with its $ref followed."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = book.document["components"]["schemas"][schema["$ref"].split("/")[-1]]
    return found


def _response(book: Contract, response: dict[str, Any]) -> jsonschema_rs.Draft4Validator | None:
    """The validator of a response's body, closed."""
    if "$ref" in response:
        response = book.document["components"]["responses"][response["$ref"].split("/")[-1]]
    if "content" not in response:
        return None
    return book.validator(response["content"]["application/json"]["schema"], close=True)


def check(operation: Operation, reply: Reply) -> None:
    """Refuse to send what the contract does not promise.

    Raises:
        errors.ServerError: the answer and what is wrong with it.
    """
    status = str(reply.http_status)
    if status not in operation.responses:
        raise errors.ServerError(f"{operation.id}: {status} is not in the contract")
    validator = operation.responses[status]
    value = limits.decode(reply.body)
    if validator is not None and not validator.is_valid(value):
        raise errors.ServerError(f"{operation.id}: {contract.explain(validator, value)}")


def respond(reply: Reply) -> flask.Response:
    """*reply* as Flask sends it."""
    response = flask.Response(reply.body, reply.http_status, reply.headers, content_type="application/json")
    flask.g.status_code = reply.status_code
    return response
