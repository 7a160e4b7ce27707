"""Every refusal of the program: one class a meaning, with its OCPI code and its HTTP status.

Refusal
├── ClientError            2000
│   ├── BadRequest         2000, HTTP 400: not HTTP as it must be
│   ├── Unauthorized       2000, HTTP 401
│   ├── Forbidden          2000, HTTP 403
│   ├── NotFound           2000, HTTP 404
│   ├── MethodNotAllowed   2000, HTTP 405
│   ├── Conflict           2000, HTTP 409
│   ├── TooLarge           2000, HTTP 413
│   ├── UnsupportedMedia   2000, HTTP 415
│   ├── TooMany            2000, HTTP 429
│   ├── Malformed          2001, HTTP 400: not JSON, or JSON that cannot be kept
│   ├── SchemaRefusal      2001, HTTP as the setting says (400); 422 at the gateway: the schema refuses it
│   ├── RuleRefusal        2001, HTTP 200: well formed, but a rule refuses it
│   ├── NotEnough          2002, HTTP 200
│   └── UnknownLocation    2003, HTTP 200
└── ServerError            3000, HTTP 500
    ├── CannotStart        no answer to a request: the program ends with the message
    ├── Unavailable        3000, HTTP 503: the database, or the issuer of a JWT, cannot be reached
    ├── PeerUnusable       3001, HTTP 200
    ├── NoCommonVersion    3002, HTTP 200
    └── MissingEndpoints   3003, HTTP 200

The OCPI codes are said by the peer API alone. Spec: 2.1.1 status_codes; the HTTP statuses: DECISIONS.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

NOTHING_HERE = "There is no such object, or it is not yours."
"""One text for what is missing and for what is somebody else's: they must not be told apart."""


class Refusal(Exception):
    """A request is not served; *message* says what to mend, in words for the person who debugs."""

    status_code: ClassVar[int] = 2000
    http_status: ClassVar[int] = 200

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the refusal."""
        return {}

    @property
    def fields(self) -> list[str]:
        """The names of the fields that are wrong, as far as they are known; never what was sent."""
        return []


class ClientError(Refusal):
    """Spec: 2.1.1 status_codes, 2xxx."""


class BadRequest(ClientError):
    """The request is not HTTP/1.1, or can be read in two ways."""

    http_status = 400


class Unauthorized(ClientError):
    """No token, an unknown one, or one that this URL does not know."""

    http_status = 401

    @property
    def headers(self) -> dict[str, str]:
        """The scheme to use. RFC 7235 3.1."""
        return {"WWW-Authenticate": "Token"}


class Forbidden(ClientError):
    """Who asks is known, but may not: a role or an organization that is not theirs."""

    http_status = 403


class NotFound(ClientError):
    """No such object, or somebody else's: the two cannot be told apart."""

    http_status = 404


class MethodNotAllowed(ClientError):
    """The URL exists, the method is not for this token."""

    http_status = 405

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        """What the token may do here. RFC 9110 15.5.6."""
        return {"Allow": ", ".join(self.allowed)}


class Conflict(ClientError):
    """What is asked for cannot stand beside what there is."""

    http_status = 409


class TooMany(ClientError):
    """A quota is used up; *retry_after*: seconds until it may be worth asking again."""

    http_status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """When to ask again. RFC 9110 10.2.3."""
        return {"Retry-After": str(self.retry_after)}


class TooLarge(ClientError):
    """The body is over the cap."""

    http_status = 413


class UnsupportedMedia(ClientError):
    """The body is not JSON by its own headers, or is compressed."""

    http_status = 415


class Malformed(ClientError):
    """Not JSON, or JSON that cannot be kept exactly."""

    status_code = 2001
    http_status = 400


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


class SchemaRefusal(ClientError):
    """The contract's schema refuses the request, for *problems* if they were told apart.

    In the peer API settings may turn its HTTP status into 200.
    """

    status_code = 2001
    http_status = 400

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @property
    def fields(self) -> list[str]:
        """The paths of the fields; the message begins with the path if there is only one problem."""
        if self.problems:
            return [".".join(map(str, problem.loc)) for problem in self.problems]
        return [self.message.partition(": ")[0]]


class RuleRefusal(ClientError):
    """Well formed, but a rule refuses it."""

    status_code = 2001


class NotEnough(ClientError):
    """Not enough information. Spec: 2.1.1 mod_tokens 2.2.2."""

    status_code = 2002


class UnknownLocation(ClientError):
    """A command names a location that is not known here."""

    status_code = 2003


class ServerError(Refusal):
    """Spec: 2.1.1 status_codes, 3xxx."""

    status_code = 3000
    http_status = 500


class CannotStart(ServerError):
    """The program cannot start; *message* says why, and what to do."""


class Unavailable(ServerError):
    """The database, or the issuer of a JWT, cannot be reached."""

    http_status = 503

    @property
    def headers(self) -> dict[str, str]:
        """When to ask again, in seconds. RFC 9110 10.2.3."""
        return {"Retry-After": "1"}


class PeerUnusable(ServerError):
    """The peer's API did not answer as it must."""

    status_code = 3001
    http_status = 200


class NoCommonVersion(ServerError):
    """The peer offers no version that is spoken here."""

    status_code = 3002
    http_status = 200


class MissingEndpoints(ServerError):
    """The peer lacks endpoints that are required here."""

    status_code = 3003
    http_status = 200
