"""A face of the program: one document, whose URLs they are, who may come in, how it answers and refuses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import jsonschema_rs

import errors
from handlers.contract import Contract, Schema

Authenticate = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer; *status_code* is OCPI's, where there is one."""

    body: bytes
    http_status: int
    headers: dict[str, str]
    status_code: int | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the document must declare its security scheme, and where it names the function."""

    type: str
    where: str | None
    scheme: str | None
    function: str


class Asked(Protocol):
    """What a face needs to know of a request that is answered."""

    @property
    def path(self) -> str:
        """The path of its URL."""

    @property
    def args(self) -> Any:
        """Its query, in order."""


class Face(ABC):
    """One document and how it is spoken."""

    title: ClassVar[str]
    scheme: ClassVar[Scheme]
    no_such_url: ClassVar[str]
    """What is said of an unknown URL."""
    tells_all: ClassVar[bool]
    """Is everything told that is wrong with a request, or the first thing."""
    fills_defaults: ClassVar[bool]
    """Do handlers get the defaults of parameters, or only what was sent."""
    one_success: ClassVar[bool]
    """Does every operation have one way to succeed, so that its handler need not say which."""

    authenticate: Authenticate
    """The function that the document names; there is one."""

    def __init__(self, book: Contract) -> None:
        self.book = book

    @abstractmethod
    def owns(self, path: str) -> bool:
        """Is *path* a URL of this face, known or unknown."""

    @abstractmethod
    def admit(self, environ: Mapping[str, Any], path: str) -> Any:
        """Who sends a request: what its handler gets as `user`.

        Raises:
            errors.Unauthorized: nobody that is known.
            errors.Forbidden: somebody who may not.
        """

    @abstractmethod
    def answer(self, result: Any, status: int, request: Asked) -> Reply:
        """What a handler returned, as an answer; *status*: the lowest success that is declared."""

    @abstractmethod
    def refuse(self, refusal: errors.Refusal) -> Reply:
        """A refusal as an answer."""

    @abstractmethod
    def not_for(self, caller: Any, method: str, allowed: list[str]) -> errors.Refusal:
        """The refusal of a method that *caller* may not use, who may use *allowed*."""

    @abstractmethod
    def misfit(
        self, where: str, value: Any, schema: Schema, validator: jsonschema_rs.Draft4Validator
    ) -> errors.SchemaRefusal:
        """The refusal of a value that does not fit; *where*: body, query, path or header."""

    @abstractmethod
    def supports(self, schema: Schema) -> str:
        """What this face does not implement of the schema of a body; empty: it does all."""

    @abstractmethod
    def owner(self, caller: Any) -> dict[str, Any]:
        """Whose request it is, as the log says it."""

    @abstractmethod
    def begin(self) -> None:
        """A handler is about to be called."""

    @abstractmethod
    def end(self, caller: Any, operation: str) -> None:
        """A handler has returned."""
