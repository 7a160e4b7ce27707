"""Charging sessions, in both roles. Spec: 2.1.1 mod_sessions."""

from typing import Unpack

import errors
from generated.ocpi_models import Session, SessionPatch
from handlers.dispatch.pagination import PageQuery, window
from handlers.dispatch.patch import change, require_same
from handlers.dispatch.responses import Ignored, Written, require_found, written
from storage import commands, database, sessions
from storage.access import Caller
from storage.objects import Document, Page, Stored
from workflows.permissions import (
    addressed_scope,
    received_scope,
    require_own_party,
    require_readable,
    require_writable,
    writing,
)

# CPO interface


def list_sessions(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """Our sessions; a peer sees those of its own drivers."""
    if user.tolerances.sessions_require_date_from and query["date_from"] is None:
        raise errors.SchemaViolation("date_from: Field required")  # Spec: 2.1.1 mod_sessions 2.1.1
    with database.connect() as connection:
        return sessions.page(connection, user.network_id, window(query), addressed_scope(user))


def get_session(user: Caller, country_code: str, party_id: str, session_id: str) -> Document:
    """One of our sessions."""
    party = require_own_party(user, country_code, party_id)
    scope = addressed_scope(user)
    with database.connect() as connection:
        return require_found(sessions.get(connection, user.network_id, party, session_id, scope=scope))


def put_session(
    user: Caller, country_code: str, party_id: str, session_id: str, body: Session
) -> Written | Ignored:
    """Our back office stores a session, or a peer pushes one."""
    party = require_writable(user, country_code, party_id)
    require_same(session_id, body.id, "id")
    with writing(user, party) as transaction:
        outcome = sessions.put(transaction, user.network_id, party, body)
        if outcome is Stored.CREATED and user.connection_id is not None:
            commands.assign_session(transaction, user.connection_id, body)
        return written(outcome)


def patch_session(
    user: Caller, country_code: str, party_id: str, session_id: str, body: SessionPatch
) -> Written | Ignored:
    """Our back office, or a peer, changes a session."""
    party = require_writable(user, country_code, party_id)
    changes = change(body, appends_periods=user.tolerances.append_charging_periods)
    with writing(user, party) as transaction:
        return written(sessions.update(transaction, user.network_id, party, session_id, changes))


# eMSP interface


def list_received_sessions(user: Caller, **query: Unpack[PageQuery]) -> Page:
    """What peers pushed; a peer sees its own."""
    with database.connect() as connection:
        return sessions.page(connection, user.network_id, window(query), received_scope(user))


def get_received_session(user: Caller, country_code: str, party_id: str, session_id: str) -> Document:
    """A session as it is stored here."""
    party = require_readable(user, country_code, party_id)
    with database.connect() as connection:
        return require_found(sessions.get(connection, user.network_id, party, session_id))


put_received_session, patch_received_session = put_session, patch_session
