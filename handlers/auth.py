"""Who is calling. The contract's security scheme names `ocpi_token`; nothing else authenticates."""

from typing import Any

import errors
from storage import access
from storage.access import Caller

_SCHEME = "token"
_WORDS = 2


def ocpi_token(authorization: str) -> dict[str, Any] | None:
    """The caller behind an Authorization header, as Connexion wants it, or None.

    Spec: 2.1.1 transport_and_format, Security and authentication. The scheme is compared without
    regard to case (RFC 7235), the token byte by byte.
    """
    words = authorization.split(" ")
    if len(words) != _WORDS or words[0].lower() != _SCHEME or not words[1]:
        return None
    caller = access.identify(words[1])
    return None if caller is None else {"sub": caller}


def face(caller: Caller, path: str) -> None:
    """Refuse a token under the URLs of the role that it was not minted for. Design section 10.

    Raises:
        errors.Unauthorized: it is another role's.
    """
    segment = path.split("/", 3)[2] if path.count("/") > 1 else ""
    if segment in ("cpo", "emsp") and segment != access.opens(caller.role):
        raise errors.Unauthorized("Unknown token.")
