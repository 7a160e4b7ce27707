"""Authentication by OCPI token. The contract's security scheme names `ocpi_token`."""

from typing import Any

import errors
from storage import access, database, ended_tokens
from storage.access import Caller
from workflows.peers.redaction import from_base64

_SCHEME = "token"
_WORDS = 2
_UNKNOWN = "Unknown token."
_FORM = "Send 'Authorization: Token <token>'."
_REASONS = {
    ended_tokens.USED: "This Token A has been used; it works once. Ask for a new one to register again.",
    ended_tokens.REPLACED: "A newer registration of your party replaced the one of this token.",
    ended_tokens.ROTATED: "A newer token replaced this one.",
    ended_tokens.UNREGISTERED: "The registration of this token has ended; register with a new Token A.",
    ended_tokens.WITHDRAWN: "The registration that this token was sent for did not complete.",
    ended_tokens.DISINVITED: "The invitation with this Token A was withdrawn.",
    ended_tokens.NETWORK_EXPIRED: "The network of this token has expired.",
    ended_tokens.NETWORK_DELETED: "The network of this token was deleted.",
    ended_tokens.REVOKED: "This key was revoked.",
}


def ocpi_token(authorization: str) -> dict[str, Any] | None:
    """The caller of an Authorization header in the form that Connexion requires, or None.

    Spec: 2.1.1 transport_and_format, Security and authentication. The scheme is case-insensitive (RFC 7235),
    the token is compared byte by byte.
    """
    words = authorization.split(" ")
    if len(words) != _WORDS or words[0].lower() != _SCHEME or not words[1]:
        return None
    with database.connect() as connection:
        caller = access.identify(connection, words[1])
    if caller is not None and caller.is_first_use:
        with database.transaction() as transaction:
            access.confirm(transaction, caller)
    return None if caller is None else {"sub": caller}


def explain_refusal(authorization: str | None) -> str:
    """Why an Authorization header is refused, for the developer of the client."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != _SCHEME or not token:
        return _FORM
    if " " in token:
        return f"The header has more than one token. {_FORM}"
    reason = ended_reason(token)
    if reason is not None:
        return reason
    decoded = from_base64(token)
    if decoded and _is_ours(decoded):
        return "The token is Base64-encoded, which OCPI 2.2 asks for. OCPI 2.1.1 sends it as it is."
    return _UNKNOWN


def ended_reason(token: str) -> str | None:
    """A sentence that says why one of our tokens or keys no longer works; None if it is unknown."""
    with database.connect() as connection:
        reason = access.ended_reason(connection, token)
    return None if reason is None else _REASONS[reason]


def _is_ours(token: str) -> bool:
    """Whether *token* is one of our tokens, live or ended."""
    with database.connect() as connection:
        return bool(access.identify(connection, token) or access.ended_reason(connection, token))


def require_role(caller: Caller, path: str) -> None:
    """Refuse a token under the URLs of the other role. docs/architecture.md "Order of refusal".

    Raises:
        errors.Unauthorized: the token belongs to the other role.
    """
    segment = path.split("/", 3)[2] if path.count("/") > 1 else ""
    if segment in ("cpo", "emsp") and segment != access.url_segment(caller.role):
        raise errors.Unauthorized(_UNKNOWN)
