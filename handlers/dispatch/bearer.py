"""Authentication for the gateway API. The contract's security scheme names `member`.

A bearer token is one of our opaque keys, or a JWT from the issuer in the settings. An invalid signature, exp,
iss or aud of a JWT gets 401, an invalid org_id or role gets 403. docs/gateway.md "Keys and organizations";
RFC 8725.
"""

import functools
import re
from typing import Any

import jwt

import errors
from handlers.dispatch import jwks
from settings import settings
from storage import database, keys, networks
from storage.keys import ADMIN, USER, Member

_JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*", re.ASCII)
_ORGANIZATION = re.compile(r"[!-~]{1,36}")
_SHARED = "HS256"


def member(token: str) -> dict[str, Any] | None:
    """The member with this *token* in the form that Connexion requires, or None.

    Raises:
        errors.Forbidden: a valid JWT has no valid role or organization.
        errors.Unavailable: the keys of the JWT's issuer cannot be fetched.
    """
    claims = _claims(token) if _JWT.fullmatch(token) else None
    caller = _key_holder(token) if claims is None else _bearer(claims)
    return None if caller is None else {"sub": caller}


def within(caller: Member, organization_header: str | None) -> Member:
    """The member in the organization of the request, which an admin may choose.

    *organization_header*: X-Organization-Id as it was sent.

    Raises:
        errors.Forbidden: the organization does not exist, or the member may not act in it.
    """
    if organization_header is None or organization_header == caller.organization_id:
        return caller
    if caller.kind != ADMIN or not _exists(organization_header):
        raise errors.Forbidden("X-Organization-Id names no organization that this token may act in.")
    return Member(caller.kind, organization_header)


def _key_holder(token: str) -> Member | None:
    with database.connect() as connection:
        return keys.identify(connection, token)


def _exists(organization_id: str) -> bool:
    if not _ORGANIZATION.fullmatch(organization_id):
        return False
    with database.connect() as connection:
        return networks.organization_exists(connection, organization_id)


def _bearer(claims: dict[str, Any]) -> Member:
    role, organization = claims.get("role"), claims.get("org_id")
    if role not in (USER, ADMIN):
        raise errors.Forbidden("The token's claim role must be user or admin.")
    if not isinstance(organization, str) or not _exists(organization):
        raise errors.Forbidden("The token's claim org_id names no organization.")
    return Member(role, organization)


def _claims(token: str) -> dict[str, Any] | None:
    """The claims of a valid JWT, else None. The settings decide how it is verified, not its header."""
    config = settings()
    required = ["exp", *(["iss"] if config.jwt_issuer else []), *(["aud"] if config.jwt_audience else [])]
    try:
        key, algorithms = _key(jwt.get_unverified_header(token))
        if key is None:
            return None
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            issuer=config.jwt_issuer or None,
            audience=config.jwt_audience or None,
            options={
                "require": required,
                "verify_aud": bool(config.jwt_audience),
                "verify_iat": False,  # clocks differ, and iat has no effect here
                "enforce_minimum_key_length": True,
            },
        )
    except jwt.PyJWTError:
        return None


def _key(header: dict[str, Any]) -> tuple[jwt.PyJWK | str | None, list[str]]:
    """The key for a token with this *header*, and the algorithm of that key."""
    config, algorithm = settings(), header.get("alg")
    if algorithm == _SHARED and config.jwt_secret:
        return config.jwt_secret, [_SHARED]
    if algorithm in jwks.ALGORITHMS and config.jwt_jwks_url:
        key = _key_set(config.jwt_jwks_url).find(header.get("kid"))
        return key, [key.algorithm_name] if key else []
    return None, []


@functools.lru_cache(maxsize=4)
def _key_set(url: str) -> jwks.KeySet:
    return jwks.KeySet(url)
