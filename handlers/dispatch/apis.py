"""The base class of an API: an OpenAPI document, its generated models, and the form of its responses."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import flask
import orjson

import errors

GENERATED = Path(__file__).parent.parent.parent / "generated"
UNAVAILABLE_SECONDS = 1
"""The Retry-After while the database is unavailable."""

Authenticate = Callable[[str], dict[str, Any] | None]
"""A security function as Connexion calls it: from the header to `{"sub": caller}`, or None."""


class Api(ABC):
    """One document and what its URLs share."""

    name: ClassVar[str]
    """The name of the document and its models in generated/."""
    title: ClassVar[str]
    unknown_url: ClassVar[str]
    """The message of a 404 for a URL that the document does not have."""
    authentication_scheme: ClassVar[str]
    """The scheme of the Authorization header."""

    authenticate: Authenticate
    """The function that the document's security scheme names."""

    def __init__(self) -> None:
        self.document, self.models = self.load()

    def load(self) -> tuple[dict[str, Any], ModuleType]:
        """The document, and the module of its models."""
        document = orjson.loads((GENERATED / f"{self.name}_runtime.json").read_bytes())
        return document, importlib.import_module(f"generated.{self.name}_models")

    @abstractmethod
    def owns(self, path: str) -> bool:
        """Whether *path* belongs to this API, whether the document has it or not."""

    @abstractmethod
    def identify(self, environ: Mapping[str, Any], path: str) -> Any:
        """The caller, which the handler gets as `user`.

        Raises:
            errors.Unauthorized: the credentials are missing or unknown.
            errors.Forbidden: the caller is known, but may not act in that organization.
        """

    @abstractmethod
    def respond(self, result: Any, status: int, user: Any, operation_id: str) -> flask.Response:
        """The response for a handler's *result*; *status* is the lowest success status of the operation."""

    @abstractmethod
    def refuse(self, refusal: errors.Refusal) -> flask.Response:
        """The response to a refused request."""

    @abstractmethod
    def method_not_allowed(self, user: Any, method: str, allowed: list[str]) -> errors.Refusal:
        """The refusal of a method that *user* may not use on a URL; *allowed* are the methods it may use."""

    @abstractmethod
    def report(self, kind: str, example: str) -> None:
        """Record a deviation that a model tolerated in a body."""

    @abstractmethod
    def record(self, response: flask.Response) -> None:
        """Record the exchange that *response* ends."""

    @abstractmethod
    def log_fields(self, user: Any) -> dict[str, Any]:
        """The fields of the access log that identify the caller."""

    def headers(self, refusal: errors.Refusal) -> dict[str, str]:
        """The HTTP headers of a refusal. RFC 9110 10.2.3, 11.6.1, 15.5.6."""
        match refusal:
            case errors.Unauthorized():
                return {"WWW-Authenticate": self.authentication_scheme}
            case errors.MethodNotAllowed():
                return {"Allow": ", ".join(refusal.allowed)}
            case errors.TooMany():
                return {"Retry-After": str(refusal.retry_after)}
            case errors.Unavailable():
                return {"Retry-After": str(UNAVAILABLE_SECONDS)}
        return {}


def json_response(body: bytes | str, status: int, headers: Mapping[str, str] | None = None) -> flask.Response:
    """A JSON response, without a media type if it is empty."""
    response = flask.Response(body, status, headers, content_type="application/json")
    if not body:
        del response.headers["Content-Type"]
    return response
