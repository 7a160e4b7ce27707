"""Tokens, in both roles, and real-time authorization. Spec: 2.1.1 mod_tokens."""

from typing import Unpack

from generated.ocpi_models import AuthorizationInfo, LocationReferences, Token, TokenPatch, TokenType
from handlers.dispatch.pagination import PageQuery, window
from handlers.dispatch.patch import change, require_same
from handlers.dispatch.responses import Ignored, Written, require_found, written
from storage import database, tokens
from storage.access import Caller
from storage.objects import Document, Page
from workflows.charging import authorization
from workflows.permissions import (
    received_scope,
    require_own_party,
    require_readable,
    require_writable,
    writing,
)

# CPO interface


def list_received_tokens(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return tokens.page(connection, user.network_id, window(query), received_scope(user))


def get_received_token(
    user: Caller, country_code: str, party_id: str, token_uid: str, type: TokenType | None
) -> Document:
    """A token that a peer pushed."""
    party = require_readable(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(tokens.get(connection, user.network_id, party, token_uid, type))


def put_token(
    user: Caller, country_code: str, party_id: str, token_uid: str, body: Token
) -> Written | Ignored:
    """Our back office stores a token, or a peer pushes one."""
    party = require_writable(user, country_code, party_id)
    require_same(token_uid, body.uid, "uid")
    with writing(user, party) as transaction:
        return written(tokens.put(transaction, user.network_id, party, body))


def patch_token(
    user: Caller, country_code: str, party_id: str, token_uid: str, body: TokenPatch, type: TokenType | None
) -> Written | Ignored:
    """Our back office, or a peer, changes a token."""
    party = require_writable(user, country_code, party_id)
    with writing(user, party) as transaction:
        return written(
            tokens.update(transaction, user.network_id, party, token_uid, type, change(body, "uid"))
        )


put_received_token, patch_received_token = put_token, patch_token


# eMSP interface


def list_tokens(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """Our drivers' tokens."""
    with database.connect() as connection:
        return tokens.page(connection, user.network_id, window(query), {})


def get_token(
    user: Caller, country_code: str, party_id: str, token_uid: str, type: TokenType | None
) -> Document:
    """One of our drivers' tokens."""
    party = require_own_party(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(tokens.get(connection, user.network_id, party, token_uid, type))


def get_token_by_uid(user: Caller, token_uid: str, type: TokenType | None) -> Document:
    """One of our drivers' tokens, at the URL that hubs use."""
    with database.connect() as connection:
        return require_found(tokens.get(connection, user.network_id, user.party, token_uid, type))


def authorize_token(
    user: Caller,
    token_uid: str,
    type: TokenType | None,
    token_type: TokenType | None,
    body: LocationReferences | None,
) -> AuthorizationInfo:
    """Real-time authorization. Spec: 2.1.1 mod_tokens 2.2.2, which has both names for the type."""
    return authorization.authorize(user, token_uid, type or token_type or TokenType.RFID, body)


def authorize_token_of_party(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    type: TokenType | None,
    token_type: TokenType | None,
    body: LocationReferences | None,
) -> AuthorizationInfo:
    """Real-time authorization at the URL of the library ocpi-python; the party must be ours."""
    require_own_party(user, country_code, party_id)
    return authorize_token(user, token_uid, type, token_type, body)
