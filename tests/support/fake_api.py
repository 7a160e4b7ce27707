"""A small document like the gateway's, and handlers that record their arguments.

It tests the dispatch between the contract and the handlers, independently of the real operations.
"""

import hashlib
import importlib
import json
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
import flask.testing
import pytest

import settings as settings_module
from handlers.dispatch import apis, app, auth, documents
from handlers.dispatch.gateway_api import GatewayApi
from handlers.dispatch.ocpi_api import OcpiApi
from openapi.field_types import Model
from storage import networks
from storage.keys import Member

ROOT = Path(__file__).parent.parent.parent
Client = flask.testing.FlaskClient

HOME, OTHER = "1f8d2d8e-home", "2a9e3f9f-other"
MEMBERS = {"user": Member("user", HOME), "admin": Member("admin", HOME)}
KEY = "Idempotency-Key"
SECRET = "hunter2-hunter2"


def text(least: int = 1, most: int = 10, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, **more}


def thing(required: list[str], **properties: Any) -> dict[str, Any]:
    needed = {"required": required} if required else {}
    return {"type": "object", "properties": properties, **needed}


def body(schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def parameter(name: str, where: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema, **more}


def operation(name: str, status: str = "200", **more: Any) -> dict[str, Any]:
    answer = {"description": "Done."}
    if status != "204":
        answer |= {"content": {"application/json": {"schema": {"type": "object"}}}}
    body = {
        "operationId": name,
        "x-openapi-router-controller": "handlers.fake",
        "x-callers": ["user", "admin"],
        "responses": {status: answer},
    }
    return {**body, **more}


SCHEMAS = {
    "Color": {"type": "string", "enum": ["red", "green", "blue"]},
    "LocationFromTemplateRequest": thing(
        ["template"], template=text(), count={"type": "integer", "minimum": 1}
    ),
    "OcpiCreateLocationRequest": thing(
        ["name", "at"],
        name=text(most=5),
        at={"$ref": "#/components/schemas/Place"},
        color={"$ref": "#/components/schemas/Color"},
        note=text(nullable=True),
        tags={"type": "array", "maxItems": 2, "items": text(pattern="^[a-z]+$")},
        numbers={"$ref": "#/components/schemas/Numbers"},
    ),
    "Place": thing(["x"], x={"type": "number", "maximum": 90}),
    "Numbers": {"type": "object", "additionalProperties": {"type": "integer", "nullable": True}},
    "LocationBulkItem": {
        "anyOf": [
            {"$ref": "#/components/schemas/LocationFromTemplateRequest"},
            {"$ref": "#/components/schemas/OcpiCreateLocationRequest"},
        ],
        "x-chosen-by": "template",
    },
    "LocationBulkCreateRequest": thing(
        ["locations"],
        locations={
            "type": "array",
            "minItems": 1,
            "maxItems": 10_000,
            "items": {"$ref": "#/components/schemas/LocationBulkItem"},
        },
    ),
    "Name": thing([], name=text()),
}
PAGE = [
    parameter("page", "query", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1}),
    parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
    parameter("color", "query", {"$ref": "#/components/schemas/Color"}),
    parameter("X-Organization-Id", "header", text(most=64)),
]
CREATE = operation(
    "create", "202", requestBody=body({"$ref": "#/components/schemas/LocationBulkCreateRequest"})
)
CREATE |= {
    "parameters": [parameter(KEY, "header", text(most=255, pattern="^[!-~]+$"))],
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "A small API", "version": "1"},
    "servers": [{"url": "/"}],
    "security": [{"gatewayBearer": []}],
    "paths": {
        "/ocpi/cpos": {"get": operation("page", parameters=PAGE), "post": CREATE},
        "/ocpi/cpos/{cpo_id}": {
            "parameters": [parameter("cpo_id", "path", {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"})],
            "get": operation("get"),
            "delete": operation("delete", "204"),
            "patch": operation(
                "patch",
                requestBody=body({"$ref": "#/components/schemas/Name"}),
                parameters=[parameter("n", "query", text(2))],
            ),
        },
        "/ocpi/templates/cpos": {"get": operation("fail", **{"x-callers": ["admin"]})},
    },
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {
            "gatewayBearer": {"type": "http", "scheme": "bearer", "x-bearerInfoFunc": "handlers.fake.member"}
        },
    },
}


def models_of(document: dict[str, Any]) -> types.ModuleType:
    """The models that scripts/generate generates from *document*.

    Raises:
        ValueError: the document has something that is not implemented.
    """
    text = json.dumps(document, sort_keys=True)
    name = f"fake_models_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    source = json.loads(text)
    source["components"].setdefault("parameters", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        problems = list(importlib.import_module("unsupported").unsupported(source))
        source = importlib.import_module("model_schemas").for_models(source)
    if problems:
        raise ValueError("; ".join(f"{' '.join(keys)}: {problem}" for keys, problem in problems))
    with tempfile.TemporaryDirectory() as place:
        document, models = Path(place) / "document.json", Path(place) / f"{name}.py"
        document.write_text(json.dumps(source))
        generator = Path(sys.executable).parent / "datamodel-codegen"
        subprocess.run([generator, "--input", document, "--output", models], cwd=ROOT, check=True)
        module = types.ModuleType(name)
        sys.modules[name] = module
        exec(compile(models.read_text(), name, "exec"), module.__dict__)  # noqa: S102  (generated just now)
    return module


class FakeHandlers(types.ModuleType):
    """Handlers that record their arguments and return *result* or raise *failure*."""

    def __init__(self, place: Path) -> None:
        super().__init__("handlers.fake")
        self.place = place
        self.forget()

    def forget(self) -> None:
        """Reset the recorded arguments, the result and the failure."""
        self.arguments: dict[str, Any] = {}
        self.result: Any = {"done": True}
        self.failure: Exception | None = None

    def assemble(self, document: dict[str, Any] | None = None) -> flask.Flask:
        """The application with *document* and OCPI."""
        document = document or DOCUMENT
        (self.place / "gateway.json").write_text(json.dumps(document))
        (self.place / "gateway.yaml").write_text("openapi: 3.0.3\n")

        class FakeApi(GatewayApi):
            def load(self) -> tuple[dict[str, Any], types.ModuleType]:
                return document, models_of(document)

        return app.assemble([FakeApi(), OcpiApi()])

    def member(self, token: str) -> dict[str, Any] | None:
        """The security function."""
        return {"sub": MEMBERS[token]} if token in MEMBERS else None

    def _serve(self, **arguments: Any) -> Any:
        if isinstance(arguments.get("body"), Model):
            arguments["body"] = arguments["body"].model_dump(mode="json", exclude_unset=True)
        self.arguments = arguments
        if self.failure is not None:
            raise self.failure
        return self.result

    def page(self, user: Member, page: int, limit: int, color: str | None = None) -> Any:
        return self._serve(user=user, page=page, limit=limit, color=color)

    def create(self, user: Member, body: Any, idempotency_key: str | None = None) -> Any:
        return self._serve(user=user, body=body, idempotency_key=idempotency_key)

    def get(self, cpo_id: str) -> Any:
        return self._serve(cpo_id=cpo_id)

    def delete(self, cpo_id: str) -> None:
        self._serve(cpo_id=cpo_id)

    def patch(self, cpo_id: str, body: Any, n: str = "") -> Any:
        return self._serve(cpo_id=cpo_id, body=body, n=n)

    def fail(self) -> Any:
        return self._serve()


@contextmanager
def install_handlers(place: Path) -> Iterator[FakeHandlers]:
    """The handlers, installed for Connexion; documents are read from *place*; two organizations exist."""
    handlers = FakeHandlers(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "handlers.fake", handlers)
        patch.setattr(networks, "organization_exists", lambda _, key: key in {HOME, OTHER})
        patch.setattr(auth, "ended_reason", lambda _token: None)  # there is no database
        patch.setenv("OCPI_GATEWAY_VALIDATE_RESPONSES", "1")
        for name in ("ocpi_runtime.json", "ocpi.json", "ocpi.yaml"):
            (place / name).write_bytes((apis.GENERATED / name).read_bytes())
        patch.setattr(apis, "GENERATED", place)
        patch.setattr(documents, "GENERATED", place)
        settings_module.settings.cache_clear()
        yield handlers
    settings_module.settings.cache_clear()


def bearer(kind: str = "user", **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {kind}", **more}


def post(client: Client, value: Any, **headers: str) -> Any:
    """The response to a bulk creation."""
    return client.post("/ocpi/cpos", json=value, headers=bearer() | headers)


def problems(response: Any) -> list[dict[str, Any]]:
    """The problems of a 422, each in FastAPI's form."""
    assert 422 == response.status_code, response.text
    assert {"detail"} == response.json.keys()
    assert 1 <= len(response.json["detail"]) <= 20
    for problem in response.json["detail"]:
        assert {"loc", "msg", "type"} <= problem.keys() <= {"loc", "msg", "type", "input"}
        assert problem["loc"][0] in {"body", "query", "path", "header"}
    return list(response.json["detail"])


@pytest.fixture(scope="module")
def installed_handlers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeHandlers, Client]]:
    """The handlers, and a client of both APIs without a token."""
    with install_handlers(tmp_path_factory.mktemp("documents")) as handlers:
        yield handlers, handlers.assemble().test_client()


@pytest.fixture
def fake_handlers(installed_handlers: tuple[FakeHandlers, Client]) -> FakeHandlers:
    """The handlers, reset."""
    installed_handlers[0].forget()
    return installed_handlers[0]


@pytest.fixture
def client(installed_handlers: tuple[FakeHandlers, Client], fake_handlers: FakeHandlers) -> Client:
    """The client, with reset handlers."""
    assert fake_handlers
    return installed_handlers[1]
