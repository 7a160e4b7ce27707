"""Charging sessions. Spec: 2.1.1 mod_sessions."""

from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field

import errors
from generated.ocpi_models import Session, SessionStatus
from openapi.field_types import time_order
from storage import timestamps, tokens
from storage.database import Connection, Transaction
from storage.objects import (
    Change,
    ObjectColumns,
    Party,
    Stored,
    Window,
)
from storage.outbox import PushedTable

FINAL = frozenset({SessionStatus.COMPLETED, SessionStatus.INVALID})


class SessionRow(ObjectColumns, table=True):
    """A session of ours or of a peer. *reader*: the one peer that may see it.

    *started_at*: `start_datetime` in milliseconds; None in a row that is older than the column.
    """

    __tablename__ = "ocpi_sessions"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id"),
        Index("ix_ocpi_sessions_network_seq", "network_id", "seq"),
        Index("ix_ocpi_sessions_network_updated", "network_id", "last_updated"),
        Index("ix_ocpi_sessions_network_reader", "network_id", "reader", "seq"),
        Index("ix_ocpi_sessions_network_started", "network_id", "started_at"),
    )

    reader: str | None = Field(default=None, max_length=6)
    started_at: int | None = Field(default=None, sa_type=BigInteger)


_DOCUMENTS = PushedTable(SessionRow, "sessions")

get = _DOCUMENTS.get
page = _DOCUMENTS.page
send_again = _DOCUMENTS.send_again

_MOST_AT_ONCE = 100


def started_at(connection: Connection, network_id: int, party: Party, start: str) -> list[Session]:
    """The first sessions of a party that started at an instant, at most 100."""
    scope = {"country_code": party[0], "party_id": party[1], "started_at": timestamps.parse(start)}
    found = page(connection, network_id, Window(limit=_MOST_AT_ONCE), scope)
    return list(map(Session.model_validate_json, found.documents))


def put(transaction: Transaction, network_id: int, party: Party, session: Session) -> Stored:
    """Store a session unless the stored one is newer.

    Raises:
        errors.RuleBroken: it would leave a final status. Spec: 2.1.1 mod_sessions 4.1.
    """
    columns = _columns(transaction, network_id, session)
    if _DOCUMENTS.add(transaction, network_id, party, session, {"id": session.id, **columns}):
        return Stored.CREATED
    locked = _DOCUMENTS.lock(transaction, network_id, party, session.id)
    old = Session.model_validate_json(locked.document)
    is_stale = time_order(session.last_updated) < time_order(old.last_updated)
    if is_stale or not may_follow(old, session):
        return Stored.STALE
    _DOCUMENTS.update(transaction, locked, session, is_stamped=False, **columns)
    return Stored.UPDATED


def update(
    transaction: Transaction,
    network_id: int,
    party: Party,
    session_id: str,
    change: Change[Session],
) -> Stored:
    """Apply *change* to a session.

    Raises:
        errors.NotFound: there is no such session.
        errors.RuleBroken: it would leave a final status.
    """
    locked = _DOCUMENTS.lock(transaction, network_id, party, session_id)
    old = Session.model_validate_json(locked.document)
    new = change.apply(old)
    if new is None:
        return Stored.UNCHANGED
    if not may_follow(old, new):
        return Stored.STALE
    columns = _columns(transaction, network_id, new)
    _DOCUMENTS.update(transaction, locked, new, is_stamped=change.is_stamped, **columns)
    return Stored.UPDATED


def _columns(transaction: Transaction, network_id: int, session: Session) -> dict[str, Any]:
    """The columns of a session's row that follow from its content."""
    reader = tokens.issuer(transaction, network_id, session.auth_id)
    return {"reader": reader, "started_at": timestamps.parse(session.start_datetime)}


def may_follow(old: Session, new: Session) -> bool:
    """Whether *new* may replace *old*; False for a late update of a session that has ended.

    Conformance 142.

    Raises:
        errors.RuleBroken: it would leave a final status.
    """
    if old.status not in FINAL:
        return True
    if time_order(new.last_updated) <= time_order(old.last_updated):
        return False
    if new.status != old.status:
        raise errors.RuleBroken(f"status: a session that is {old.status} stays {old.status}")
    return True
