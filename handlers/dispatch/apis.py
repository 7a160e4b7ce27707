"""An API: an OpenAPI document, the models generated from it, and how its requests are answered."""

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
"""After how long another try may find the database again."""

Authenticate = Callable[[str], dict[str, Any] | None]
"""A security function as Connexion calls it: from the header to `{"sub": caller}`, or None."""


class Api(ABC):
    """One document and what its URLs have in common."""

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
        """Whether *path* belongs to this API, as a known URL or an unknown one."""

    @abstractmethod
    def identify(self, environ: Mapping[str, Any], path: str) -> Any:
        """Who sends the request: the `user` of its handler.

        Raises:
            errors.Unauthorized: no credentials, or unknown ones.
            errors.Forbidden: the caller is known, but may not act as it wants to.
        """

    @abstractmethod
    def respond(self, result: Any, status: int, user: Any, operation_id: str) -> flask.Response:
        """The response to what a handler returned; *status* is the lowest success of the operation."""

    @abstractmethod
    def refuse(self, refusal: errors.Refusal) -> flask.Response:
        """The response to a refused request."""

    @abstractmethod
    def method_not_allowed(self, user: Any, method: str, allowed: list[str]) -> errors.Refusal:
        """The refusal of a method that *user* may not use on a URL, as opposed to those *allowed*."""

    @abstractmethod
    def report(self, kind: str, example: str) -> None:
        """Take note of a deviation that a model tolerated in a body."""

    @abstractmethod
    def log_fields(self, user: Any) -> dict[str, Any]:
        """Whose request it is, for the access log."""

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
    """A JSON response; an empty one has no media type."""
    response = flask.Response(body, status, headers, content_type="application/json")
    if not body:
        del response.headers["Content-Type"]
    return response
