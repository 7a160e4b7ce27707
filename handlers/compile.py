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

import errors
from errors import Problem
from handlers import contract, limits
from handlers.contract import Contract, Schema
from handlers.face import Face, Reply
from handlers.normalise import Known
from handlers.problems import MOST
from settings import settings

with warnings.catch_warnings():  # importing connexion 3.3 warns about starlette's test client
    warnings.simplefilter("ignore")
    from connexion.resolver import Resolver
    from connexion.spec import OpenAPISpecification
    from connexion.utils import get_function_from_name

METHODS = ("get", "put", "post", "patch", "delete")
ALL_METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)

_PARAMETER = frozenset({"name", "in", "description", "required", "schema", "example", "examples"})

Handler = Callable[..., Any]


class Unsupported(Exception):
    """The contract asks for something that the compiler does not implement."""


class Parameters:
    """The parameters of one operation in one place: path, query or header."""

    def __init__(self, face: Face, where: str, parameters: list[dict[str, Any]]) -> None:
        mine = [parameter for parameter in parameters if parameter["in"] == where]
        self.face = face
        self.where = where
        self.schemas = {parameter["name"]: face.book.followed(parameter["schema"]) for parameter in mine}
        for name, schema in self.schemas.items():
            if schema.get("type") not in ("string", "integer") and "enum" not in schema:
                raise Unsupported(f"parameter {name}: only strings and integers are implemented")
        self.integers = {name for name, s in self.schemas.items() if s.get("type") == "integer"}
        self.upper = {name for name, s in self.schemas.items() if s.get("x-normalise") == "upper"}
        self.defaults = {
            name: s["default"] for name, s in self.schemas.items() if face.fills_defaults and "default" in s
        }
        self.schema = {
            "type": "object",
            "properties": self.schemas,
            "required": [p["name"] for p in mine if p.get("required")],
        }
        self.validator = face.book.validator(self.schema)

    @property
    def arguments(self) -> list[str]:
        """What a handler calls them."""
        return [_argument(name) if self.where == "header" else name for name in self.schemas]

    def read(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The values as the handler gets them; what the contract does not name is not read.

        Raises:
            errors.SchemaRefusal: the message names the parameter.
        """
        if not self.schemas:
            return {}
        values: dict[str, Any] = {name: given[name] for name in self.schemas if name in given}
        for name in self.integers & values.keys():
            if _INTEGER.fullmatch(values[name]):
                values[name] = int(values[name])
        if not self.validator.is_valid(values):
            raise self.face.misfit(self.where, values, self.schema, self.validator)
        for name in self.upper & values.keys():
            values[name] = values[name].upper()
        return {**self.defaults, **values} if self.defaults else values


class Query(Parameters):
    """The query parameters of one operation."""

    def __init__(self, face: Face, parameters: list[dict[str, Any]]) -> None:
        super().__init__(face, "query", parameters)

    def take(self, asked: Any) -> dict[str, Any]:
        """The values of a request's query, each given once.

        Raises:
            errors.SchemaRefusal: the message names the parameter.
        """
        for name in self.schemas:
            if len(asked.getlist(name)) > 1:
                twice = Problem(("query", name), "Input should be given once", "given_twice")
                raise errors.SchemaRefusal(f"{name}: is given more than once", [twice])
        return self.read(asked)


class Headers(Parameters):
    """The header parameters of one operation."""

    def __init__(self, face: Face, parameters: list[dict[str, Any]]) -> None:
        super().__init__(face, "header", parameters)
        self.keys = {name: f"HTTP_{_argument(name).upper()}" for name in self.schemas}

    def take(self, environ: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a request, by the arguments' names.

        Raises:
            errors.SchemaRefusal: the message names the header.
        """
        values = self.read({name: environ[key] for name, key in self.keys.items() if key in environ})
        return {_argument(name): value for name, value in values.items()}


class Body:
    """The request body of one operation."""

    def __init__(self, face: Face, definition: dict[str, Any]) -> None:
        media = definition["content"]
        if list(media) != ["application/json"]:
            raise Unsupported(f"media types {sorted(media)}: only application/json is implemented")
        self.schema = media["application/json"]["schema"]
        if odd := face.supports(self.schema):
            raise Unsupported(f"request body: {odd} are not implemented")
        self.face = face
        self.required = definition.get("required", False)
        self.validator = face.book.validator(self.schema)
        stem: tuple[str | None, bool] = face.book.stem(self.schema) or (None, False)
        self.stem, self.partial = stem
        self.book = face.book

    def read(self, environ: dict[str, Any]) -> Any:
        """The body in its canonical form.

        Raises:
            errors.Refusal: as `limits.read`; SchemaRefusal names the field; RuleRefusal likewise.
        """
        value = limits.read(environ)
        if value is limits.ABSENT:
            if self.required:
                missing = Problem(("body",), "Field required", "missing")
                raise errors.SchemaRefusal("body: is required", [missing])
            return None
        if self.stem is not None and not self.partial and self.book.strict(self.stem).is_valid(value):
            return self.book.normal(self.stem, Known.STRICT)(value)  # nothing in it is lax: the usual case
        if not self.validator.is_valid(value):
            raise self.face.misfit("body", value, self.schema, self.validator)
        if self.stem is None or value is None:
            return value
        if self.partial:
            return self.book.normal(self.stem, Known.PARTIAL)(value)
        return self.book.normalise(self.stem, value)


class Operation:
    """One operation of the contract, ready to be called."""

    def __init__(self, face: Face, handler: Handler, raw: dict[str, Any], item: dict[str, Any]) -> None:
        self.face = face
        self.id: str = raw["operationId"]
        self.handler = handler
        self.callers = _callers(raw)
        parameters = _parameters(face.book, raw, item)
        self.path = Parameters(face, "path", parameters)
        self.query = Query(face, parameters)
        headers = Headers(face, parameters)
        self.headers = headers if headers.schemas else None
        self.body = _body(face, raw)
        self.read = self._read_all if face.tells_all else self._read
        self.wants = _wants(handler)
        _check_arguments(
            handler, [*self.path.arguments, *self.query.arguments, *headers.arguments], self.body
        )
        self.responses = {status: _response(face.book, r) for status, r in raw["responses"].items()}
        """The schema of each status's body, None where there is no body."""
        self.success = _success(face, raw)

    def call(self, caller: Any, segments: Mapping[str, str]) -> Any:
        """Judge the request and hand it to the handler.

        Raises:
            errors.Refusal: the request is refused.
        """
        self.face.begin()
        arguments = self.read(segments)
        arguments["user"] = caller
        if self.wants is not None:
            arguments = {name: value for name, value in arguments.items() if name in self.wants}
        result = self.handler(**arguments)
        self.face.end(caller, self.id)
        return result

    def _read(self, segments: Mapping[str, str]) -> dict[str, Any]:
        """The arguments; the first refusal ends it."""
        arguments = {**self.path.read(segments), **self.query.take(flask.request.args)}
        if self.headers is not None:
            arguments.update(self.headers.take(flask.request.environ))
        if self.body is not None:
            arguments["body"] = self.body.read(flask.request.environ)
        return arguments

    def _read_all(self, segments: Mapping[str, str]) -> dict[str, Any]:
        """The arguments, or one refusal for everything that the schemas refuse."""
        environ, headers, body = flask.request.environ, self.headers, self.body
        parts: list[Callable[[], dict[str, Any]]] = [
            lambda: self.path.read(segments),
            lambda: self.query.take(flask.request.args),
        ]
        if headers is not None:
            parts.append(lambda: headers.take(environ))
        if body is not None:
            parts.append(lambda: {"body": body.read(environ)})
        arguments: dict[str, Any] = {}
        problems: list[Problem] = []
        for part in parts:
            try:
                arguments.update(part())
            except errors.SchemaRefusal as refusal:
                problems += refusal.problems
        if problems:
            raise errors.SchemaRefusal(f"{len(problems)} problems", problems[:MOST])
        return arguments


class PathView:
    """Every method of one URL: one Flask view."""

    def __init__(self, face: Face, operations: dict[str, Operation], *, check_responses: bool) -> None:
        self.face = face
        self.operations = operations
        self.check_responses = check_responses
        self.declared = [method.upper() for method in METHODS if method.upper() in operations]

    def allowed(self, caller: Any) -> list[str]:
        """The methods that *caller* may use here."""
        return [m for m in self.declared if caller.kind in self.operations[m].callers]

    def __call__(self, **segments: str) -> flask.Response:
        """Serve the request."""
        caller = flask.g.caller
        method = flask.request.method
        if method == "OPTIONS":
            answer = flask.Response(status=204, headers={"Allow": ", ".join([*self.declared, "OPTIONS"])})
            del answer.headers["Content-Type"]
            return answer
        operation = self.operations.get("GET" if method == "HEAD" else method)
        if operation is None or caller.kind not in operation.callers:
            raise self.not_for(caller, method)
        result = operation.call(caller, segments)
        reply = self.face.answer(result, operation.success, flask.request)
        if self.check_responses:
            check(operation, reply)
        return respond(reply)

    def not_for(self, caller: Any, method: str) -> errors.Refusal:
        """The refusal of a method that is not for this token."""
        return self.face.not_for(caller, method, self.allowed(caller))


class _Judged(OpenAPISpecification):
    """A document that `scripts/generate` had Connexion judge: at each start it would take a second."""

    @classmethod
    def _validate_spec(cls, spec: Any) -> None:
        """It is what was judged: `scripts/generate --check` says so."""


def install(app: flask.Flask, face: Face, *, check_responses: bool) -> None:
    """Add a view for every URL of *face* to *app*, and tell the face how it authenticates.

    Raises:
        Unsupported: the contract uses something that is not implemented; the operation is named.
    """
    specification = _Judged(face.book.document)  # type: ignore[no-untyped-call]
    resolver = Resolver()
    authenticate: set[str] = set()
    for path, item in face.book.document["paths"].items():
        operations = {}
        for method in item.keys() & set(METHODS):
            resolved = specification.operation_cls.from_spec(  # type: ignore[no-untyped-call]
                specification, path=path, method=method, resolver=resolver
            )
            try:
                operations[method.upper()] = Operation(face, resolved.function, item[method], item)
                authenticate.add(_security(face, resolved, authenticate))
            except Unsupported as error:
                raise Unsupported(f"{method.upper()} {path}: {error}") from None
        rule = specification.base_path + re.sub(r"{(\w+)}", r"<\1>", path)
        view = PathView(face, operations, check_responses=check_responses)
        app.add_url_rule(rule, path, view, methods=ALL_METHODS, provide_automatic_options=False)
    face.authenticate = get_function_from_name(authenticate.pop())  # type: ignore[no-untyped-call]


def _callers(raw: dict[str, Any]) -> frozenset[str]:
    """Who may use an operation, with those whom a setting lets in."""
    also = (kinds for name, kinds in raw.get("x-callers-if", {}).items() if getattr(settings(), name))
    return frozenset(raw["x-callers"]).union(*also)


def _security(face: Face, operation: Any, others: set[str]) -> str:
    """The name of the function that authenticates *operation*, and all *others* as well."""
    requirements = operation.security
    if len(requirements) != 1 or len(requirements[0]) != 1:
        raise Unsupported(f"security {requirements}: exactly one scheme is implemented")
    scheme = operation.security_schemes[next(iter(requirements[0]))]
    wanted = face.scheme
    if (scheme["type"], scheme.get("in"), scheme.get("scheme")) != (wanted.type, wanted.where, wanted.scheme):
        raise Unsupported(f"security scheme {scheme['type']} is not implemented")
    function = str(scheme[wanted.function])
    if others - {function}:
        raise Unsupported(f"{function} beside {sorted(others)}: one way to authenticate is implemented")
    return function


def _parameters(book: Contract, raw: dict[str, Any], item: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of an operation, each with its $ref followed."""
    parameters = [book.followed(p) for p in (*item.get("parameters", ()), *raw.get("parameters", ()))]
    for parameter in parameters:
        if odd := parameter.keys() - _PARAMETER:
            raise Unsupported(f"parameter {parameter['name']}: {sorted(odd)} are not implemented")
    if odd := {p["in"] for p in parameters} - {"path", "query", "header"}:
        raise Unsupported(f"parameters in {sorted(odd)} are not implemented")
    return parameters


def _body(face: Face, raw: dict[str, Any]) -> Body | None:
    if "requestBody" in raw:
        return Body(face, face.book.followed(raw["requestBody"]))
    return None


def _success(face: Face, raw: dict[str, Any]) -> int:
    """The lowest success that an operation declares; the only one where the face asks for that."""
    declared = sorted(int(status) for status in raw["responses"] if status.startswith("2"))
    if not declared or (face.one_success and len(declared) > 1):
        raise Unsupported(f"successes {declared}: exactly one is implemented")
    return declared[0]


def _argument(header: str) -> str:
    """What a handler calls a header parameter."""
    return header.lower().replace("-", "_")


def _check_arguments(handler: Handler, names: list[str], body: Body | None) -> None:
    """Refuse a contract that gives *handler* one argument twice, or not all that it needs."""
    if len(names) != len({*names, "user", "body"}) - len(("user", "body")):
        raise Unsupported(f"parameters {sorted(names)}: two would be the same argument")
    given = {*names, "user", *(["body"] if body else [])}
    needed = {
        name
        for name, parameter in inspect.signature(handler).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    if missing := needed - given:
        raise Unsupported(f"the handler needs {sorted(missing)}, which the contract does not give")


def _wants(handler: Handler) -> frozenset[str] | None:
    """The argument names of *handler*; None when it takes any."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters)


def _response(book: Contract, response: dict[str, Any]) -> Schema | None:
    """The schema of a response's body."""
    media = book.followed(response).get("content")
    if media is None:
        return None
    if list(media) != ["application/json"]:
        raise Unsupported(f"media types {sorted(media)}: only application/json is implemented")
    schema: Schema = media["application/json"]["schema"]
    return schema


def check(operation: Operation, reply: Reply) -> None:
    """Refuse to send what the contract does not promise.

    Raises:
        errors.ServerError: the answer and what is wrong with it.
    """
    status = str(reply.http_status)
    if status not in operation.responses:
        raise errors.ServerError(f"{operation.id}: {status} is not in the contract")
    schema = operation.responses[status]
    if schema is None:
        return
    validator = operation.face.book.validator(schema, close=True)
    value = limits.decode(reply.body) if reply.body else None
    if not validator.is_valid(value):
        raise errors.ServerError(f"{operation.id}: {contract.explain(validator, value)}")


def respond(reply: Reply) -> flask.Response:
    """*reply* as Flask sends it."""
    response = flask.Response(reply.body, reply.http_status, reply.headers, content_type="application/json")
    if not reply.body:
        del response.headers["Content-Type"]
    flask.g.status_code = reply.status_code
    return response
