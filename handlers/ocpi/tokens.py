"""Tokens: who may charge, in both roles; and real-time authorization. Spec: 2.1.1 mod_tokens."""

from typing import Any, Unpack

from handlers.envelope import Answer, found, stored
from handlers.listing import Asked, window
from handlers.patch import over, same
from storage import database, tokens
from storage.access import Caller
from storage.objects import Document, Page
from workflows import authorization

# CPO interface


def list_received_tokens(user: Caller, **asked: Unpack[Asked]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return tokens.page(connection, user.network_id, window(asked), user.pushed())


def get_received_token(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    type: str | None = None,  # noqa: A002  (the contract's name)
) -> Document:
    """A token as it is stored here."""
    with database.connect() as connection:
        return found(
            tokens.get(connection, user.network_id, user.readable(country_code, party_id), token_uid, type)
        )


def put_received_token(
    user: Caller, country_code: str, party_id: str, token_uid: str, body: dict[str, Any]
) -> Answer | None:
    """A peer pushes a token."""
    return _put(user, country_code, party_id, token_uid, body)


def patch_received_token(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    body: dict[str, Any],
    type: str | None = None,  # noqa: A002  (the contract's name)
) -> None:
    """A peer changes a token."""
    _patch(user, country_code, party_id, token_uid, body, type)


# eMSP interface


def list_tokens(user: Caller, **asked: Unpack[Asked]) -> Page:
    """Our drivers' tokens."""
    with database.connect() as connection:
        return tokens.page(connection, user.network_id, window(asked), {})


def get_token(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    type: str | None = None,  # noqa: A002  (the contract's name)
) -> Document:
    """One of our drivers' tokens."""
    with database.connect() as connection:
        return found(
            tokens.get(connection, user.network_id, user.own(country_code, party_id), token_uid, type)
        )


def put_token(
    user: Caller, country_code: str, party_id: str, token_uid: str, body: dict[str, Any]
) -> Answer | None:
    """The back office stores a token."""
    return _put(user, country_code, party_id, token_uid, body)


def patch_token(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    body: dict[str, Any],
    type: str | None = None,  # noqa: A002  (the contract's name)
) -> None:
    """The back office changes a token."""
    _patch(user, country_code, party_id, token_uid, body, type)


def authorize_token(
    user: Caller,
    token_uid: str,
    body: dict[str, Any] | None = None,
    type: str | None = None,  # noqa: A002  (the contract's name)
    token_type: str | None = None,
) -> dict[str, Any]:
    """Real-time authorization. Spec: 2.1.1 mod_tokens 2.2.2; both names of the type are read."""
    return authorization.authorize(user, token_uid, type or token_type or tokens.RFID, body)


def authorize_token_of_party(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    body: dict[str, Any] | None = None,
    type: str | None = None,  # noqa: A002  (the contract's name)
    token_type: str | None = None,
) -> dict[str, Any]:
    """The same under the URL of the seed reference; the party must be ours."""
    user.own(country_code, party_id)
    return authorize_token(user, token_uid, body, type, token_type)


def _put(
    user: Caller, country_code: str, party_id: str, token_uid: str, body: dict[str, Any]
) -> Answer | None:
    party = user.owner(country_code, party_id)
    same(token_uid, body["uid"], "uid")
    with database.transaction() as transaction:
        return stored(tokens.put(transaction, user.network_id, party, body))


def _patch(
    user: Caller,
    country_code: str,
    party_id: str,
    token_uid: str,
    body: dict[str, Any],
    kind: str | None,
) -> None:
    party = user.owner(country_code, party_id)
    with database.transaction() as transaction:
        tokens.revise(transaction, user.network_id, party, token_uid, kind, over(body, "Token"))
