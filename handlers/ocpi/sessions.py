"""Charging sessions, in both roles. Spec: 2.1.1 mod_sessions."""

from typing import Any, Unpack

from handlers.envelope import Answer, found, stored
from handlers.listing import Asked, require, window
from handlers.patch import over, same
from settings import settings
from storage import database, sessions
from storage.access import Caller
from storage.objects import Document, Page

# CPO interface


def list_sessions(user: Caller, **asked: Unpack[Asked]) -> Page:
    """Our sessions; a peer sees those of its own drivers."""
    if settings().sessions_require_date_from:  # Spec: 2.1.1 mod_sessions 2.1.1
        require(asked, "date_from")
    with database.connect() as connection:
        return sessions.page(connection, user.network_id, window(asked), user.addressed())


def get_session(user: Caller, country_code: str, party_id: str, session_id: str) -> Document:
    """One of our sessions."""
    party = user.own(country_code, party_id)
    with database.connect() as connection:
        return found(sessions.get(connection, user.network_id, party, session_id, user.addressed()))


def put_session(
    user: Caller, country_code: str, party_id: str, session_id: str, body: dict[str, Any]
) -> Answer | None:
    """The back office stores one of its sessions."""
    return _put(user, country_code, party_id, session_id, body)


def patch_session(
    user: Caller, country_code: str, party_id: str, session_id: str, body: dict[str, Any]
) -> None:
    """The back office changes one of its sessions."""
    _patch(user, country_code, party_id, session_id, body)


# eMSP interface


def list_received_sessions(user: Caller, **asked: Unpack[Asked]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return sessions.page(connection, user.network_id, window(asked), user.pushed())


def get_received_session(user: Caller, country_code: str, party_id: str, session_id: str) -> Document:
    """A session as it is stored here."""
    with database.connect() as connection:
        return found(
            sessions.get(connection, user.network_id, user.readable(country_code, party_id), session_id)
        )


def put_received_session(
    user: Caller, country_code: str, party_id: str, session_id: str, body: dict[str, Any]
) -> Answer | None:
    """A peer pushes a session."""
    return _put(user, country_code, party_id, session_id, body)


def patch_received_session(
    user: Caller, country_code: str, party_id: str, session_id: str, body: dict[str, Any]
) -> None:
    """A peer changes a session."""
    _patch(user, country_code, party_id, session_id, body)


def _put(
    user: Caller, country_code: str, party_id: str, session_id: str, body: dict[str, Any]
) -> Answer | None:
    party = user.owner(country_code, party_id)
    same(session_id, body["id"], "id")
    with database.transaction() as transaction:
        return stored(sessions.put(transaction, user.network_id, party, body))


def _patch(user: Caller, country_code: str, party_id: str, session_id: str, body: dict[str, Any]) -> None:
    party = user.owner(country_code, party_id)
    with database.transaction() as transaction:
        sessions.revise(transaction, user.network_id, party, session_id, over(body, "Session"))
