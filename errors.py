"""Every refusal of the program, by cause. handlers/dispatch turns them into responses.

Refusal
├── ClientError           the request is at fault
│   ├── BadRequest            the HTTP request is invalid
│   ├── Unauthorized          no token, or one that is not valid here
│   ├── Forbidden             the caller is known, but may not do this
│   ├── NotFound              the object does not exist or belongs to another party
│   ├── MethodNotAllowed      the URL exists, but not for this method and caller
│   ├── Conflict              the request contradicts what exists
│   ├── TooLarge              the body is over the limit
│   ├── UnsupportedMedia      the headers say that the body is not JSON
│   ├── TooMany               a quota is used up
│   ├── Malformed             not JSON, or JSON that cannot be stored exactly
│   ├── SchemaViolation       the contract's schema does not allow the request
│   ├── RuleBroken            a rule beyond the schema forbids the request
│   ├── NotEnough             not enough information
│   └── UnknownLocation       a command names a location that does not exist here
└── ServerError           the program or a peer is at fault
    ├── CannotStart           the program ends with the message
    ├── Unavailable           the database, or the issuer of a JWT, cannot be reached
    ├── PeerUnusable          the peer's API did not respond as required
    ├── NoCommonVersion       the peer does not offer version 2.1.1
    └── MissingEndpoints      the peer lacks endpoints that are required here
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NOTHING_HERE = "There is no such object, or it is not yours."
"""The same text whether the object is missing or belongs to another party, which must not be disclosed."""


class Refusal(Exception):
    """A request is refused. *message* says what to change, for the developer of the client.

    *data*: the data of the response, if OCPI requires any.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    @property
    def fields(self) -> list[str]:
        """The names of the invalid fields, as far as they are known; never their values."""
        return []


class ClientError(Refusal):
    """The request is at fault."""


class BadRequest(ClientError):
    """The request is not valid HTTP/1.1, or is ambiguous."""


class Unauthorized(ClientError):
    """No token, an unknown one, or one that is not valid at this URL."""


class Forbidden(ClientError):
    """The caller is known, but its role or organization may not do this."""


class NotFound(ClientError):
    """The object does not exist or belongs to another party; the response is the same."""


class MethodNotAllowed(ClientError):
    """The URL exists, but this caller may only use the methods *allowed* on it."""

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(ClientError):
    """The request contradicts what exists."""


class TooMany(ClientError):
    """A quota is used up. *retry_after*: seconds until a retry may succeed."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooLarge(ClientError):
    """The body is over the limit."""


class UnsupportedMedia(ClientError):
    """The headers say that the body is not JSON, or that it is compressed."""


class Malformed(ClientError):
    """The body is not JSON, or JSON that cannot be stored exactly."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in a request.

    *loc*: the place, beginning with body, query, path or header. *message*: what it should be. *kind*: a
    name for programs, such as `missing`. *value*: the scalar that was sent, if it may be repeated.
    """

    loc: tuple[str | int, ...]
    message: str
    kind: str
    value: str | float | bool | None = None


class _Invalid(ClientError):
    """The content of the request is invalid. *problems* lists the errors, if they are known one by one."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @property
    def fields(self) -> list[str]:
        """The paths of the invalid fields; without problems, the path at the start of the message."""
        if self.problems:
            return [".".join(map(str, problem.loc)) for problem in self.problems]
        return [self.message.partition(": ")[0]]


class SchemaViolation(_Invalid):
    """The contract's schema does not allow the request."""


class RuleBroken(_Invalid):
    """The request obeys the schema, but a rule forbids it."""


class NotEnough(ClientError):
    """Not enough information. Spec: 2.1.1 mod_tokens 2.2.2."""


class UnknownLocation(ClientError):
    """A command names a location that does not exist here."""


class ServerError(Refusal):
    """The program or a peer is at fault."""


class CannotStart(ServerError):
    """The program cannot start. *message* says why and what to do."""


class Unavailable(ServerError):
    """The database, or the issuer of a JWT, cannot be reached."""


class PeerUnusable(ServerError):
    """The peer's API did not respond as required."""


class NoCommonVersion(ServerError):
    """The peer does not offer version 2.1.1."""


class MissingEndpoints(ServerError):
    """The peer lacks endpoints that are required here."""
