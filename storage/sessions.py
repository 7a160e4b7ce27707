"""Charging sessions. Spec: 2.1.1 mod_sessions."""

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

import errors
from storage import instants, tokens
from storage.database import Connection, Transaction
from storage.objects import (
    Body,
    Change,
    Document,
    DocumentTable,
    ObjectColumns,
    Page,
    Party,
    Stored,
    Window,
)

FINAL = frozenset({"COMPLETED", "INVALID"})


class SessionRow(ObjectColumns, table=True):
    """A session, our own or one that a peer pushed; *reader*: the one peer that may see it."""

    __tablename__ = "ocpi_sessions"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id"),
        Index("ix_ocpi_sessions_network_seq", "network_id", "seq"),
        Index("ix_ocpi_sessions_network_updated", "network_id", "last_updated"),
        Index("ix_ocpi_sessions_network_reader", "network_id", "reader", "seq"),
    )

    reader: str | None = Field(default=None, max_length=6)


_DOCUMENTS = DocumentTable(SessionRow)


def get(
    connection: Connection,
    network_id: int,
    party: Party,
    session_id: str,
    readers: dict[str, list[str]] | None = None,
) -> Document | None:
    """The session, or None; with *readers* None as well if it concerns none of them."""
    return _DOCUMENTS.get(connection, network_id, party, session_id, scope=readers)


def page(connection: Connection, network_id: int, window: Window, scope: dict[str, list[str]]) -> Page:
    """Sessions of the network, oldest first."""
    return _DOCUMENTS.page(connection, network_id, window, scope)


def put(transaction: Transaction, network_id: int, party: Party, body: Body) -> Stored:
    """Store a session over what is not newer.

    Raises:
        errors.RuleRefusal: it would leave a final status. Spec: 2.1.1 mod_sessions 4.1.
    """
    reader = tokens.issuer(transaction, network_id, body["auth_id"])
    if _DOCUMENTS.add(transaction, network_id, party, body, {"id": body["id"], "reader": reader}):
        return Stored.CREATED
    old = _DOCUMENTS.lock(transaction, network_id, party, body["id"])
    late = instants.parse(body["last_updated"]) < instants.parse(old.body["last_updated"])
    if late or admitted(old.body, body) is None:
        return Stored.STALE
    _DOCUMENTS.update(transaction, old, body, is_stamped=False, reader=reader)
    return Stored.UPDATED


def revise(transaction: Transaction, network_id: int, party: Party, session_id: str, change: Change) -> None:
    """Apply *change* to a session.

    Raises:
        errors.NotFound: there is no such session.
        errors.RuleRefusal: it would leave a final status.
    """
    old = _DOCUMENTS.lock(transaction, network_id, party, session_id)
    new = change.apply(old.body)
    if new is not None and admitted(old.body, new) is not None:
        reader = tokens.issuer(transaction, network_id, new["auth_id"])
        _DOCUMENTS.update(transaction, old, new, is_stamped=change.is_stamped, reader=reader)


def admitted(old: Body, new: Body) -> Body | None:
    """*new*, if a session may go there from *old*; None for what comes late to one that is over.

    Conformance 142.

    Raises:
        errors.RuleRefusal: it would leave a final status.
    """
    if old["status"] not in FINAL:
        return new
    if instants.parse(new["last_updated"]) <= instants.parse(old["last_updated"]):
        return None
    if new["status"] != old["status"]:
        raise errors.RuleRefusal(f"status: a session that is {old['status']} stays {old['status']}")
    return new
