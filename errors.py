"""Every refusal of the program, by what went wrong. How an API answers one is in handlers/dispatch.

Refusal
├── ClientError           the request is at fault
│   ├── BadRequest            not HTTP as it must be
│   ├── Unauthorized          no token, or one that is not valid here
│   ├── Forbidden             the caller is known, but may not do this
│   ├── NotFound              no such object, or somebody else's
│   ├── MethodNotAllowed      the URL exists, but not for this method and caller
│   ├── Conflict              it contradicts what exists
│   ├── TooLarge              the body is over the limit
│   ├── UnsupportedMedia      the body is not JSON by its own headers
│   ├── TooMany               a quota is used up
│   ├── Malformed             not JSON, or JSON that cannot be kept
│   ├── SchemaViolation       the contract's schema does not allow it
│   ├── RuleBroken            well formed, but a rule forbids it
│   ├── NotEnough             not enough information
│   └── UnknownLocation       a command names a location that does not exist here
└── ServerError           the program or a peer is at fault
    ├── CannotStart           the program ends with the message
    ├── Unavailable           the database, or the issuer of a JWT, cannot be reached
    ├── PeerUnusable          the peer's API did not answer as it must
    ├── NoCommonVersion       the peer offers no version that is spoken here
    └── MissingEndpoints      the peer lacks endpoints that are required here
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NOTHING_HERE = "There is no such object, or it is not yours."
"""One text for what is missing and for what is somebody else's: they must not be told apart."""


class Refusal(Exception):
    """A request is not served; *message* says what to change, for the person who debugs the client.

    *data*: what else the answer has to carry, where OCPI asks for it.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    @property
    def fields(self) -> list[str]:
        """The names of the fields that are wrong, as far as they are known; never what was sent."""
        return []


class ClientError(Refusal):
    """The request is at fault."""


class BadRequest(ClientError):
    """The request is not HTTP/1.1, or can be read in two ways."""


class Unauthorized(ClientError):
    """No token, an unknown one, or one that is not valid at this URL."""


class Forbidden(ClientError):
    """The caller is known, but its role or organization may not do this."""


class NotFound(ClientError):
    """No such object, or somebody else's: the two cannot be told apart."""


class MethodNotAllowed(ClientError):
    """The URL exists, but this caller may only use the methods *allowed* on it."""

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(ClientError):
    """The request contradicts what exists."""


class TooMany(ClientError):
    """A quota is used up; *retry_after*: seconds until another try may succeed."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooLarge(ClientError):
    """The body is over the limit."""


class UnsupportedMedia(ClientError):
    """The body is not JSON by its own headers, or is compressed."""


class Malformed(ClientError):
    """Not JSON, or JSON that cannot be kept exactly."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request.

    *loc*: where, beginning with body, query, path or header. *message*: what it should be. *kind*: a
    name for programs, such as `missing`. *given*: the scalar that was sent, where it may be repeated.
    """

    loc: tuple[str | int, ...]
    message: str
    kind: str
    given: str | float | bool | None = None


class _Invalid(ClientError):
    """The content of the request is at fault, for *problems* if they are told apart."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @property
    def fields(self) -> list[str]:
        """The paths of the fields; without problems, the path that the message begins with."""
        if self.problems:
            return [".".join(map(str, problem.loc)) for problem in self.problems]
        return [self.message.partition(": ")[0]]


class SchemaViolation(_Invalid):
    """The contract's schema does not allow the request."""


class RuleBroken(_Invalid):
    """The request is well formed, but a rule forbids it."""


class NotEnough(ClientError):
    """Not enough information. Spec: 2.1.1 mod_tokens 2.2.2."""


class UnknownLocation(ClientError):
    """A command names a location that does not exist here."""


class ServerError(Refusal):
    """The program or a peer is at fault."""


class CannotStart(ServerError):
    """The program cannot start; *message* says why, and what to do."""


class Unavailable(ServerError):
    """The database, or the issuer of a JWT, cannot be reached."""


class PeerUnusable(ServerError):
    """The peer's API did not answer as it must."""


class NoCommonVersion(ServerError):
    """The peer offers no version that is spoken here."""


class MissingEndpoints(ServerError):
    """The peer lacks endpoints that are required here."""
