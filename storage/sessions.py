"""Charging sessions. Spec: 2.1.1 mod_sessions."""

import functools

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

import errors
from storage import instants, tokens
from storage.objects import (
    Body,
    Change,
    Document,
    ObjectColumns,
    Page,
    Party,
    Shelf,
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


_SHELF = Shelf(SessionRow)


def get(
    network_id: int, party: Party, session_id: str, readers: dict[str, list[str]] | None = None
) -> Document | None:
    """The session, or None; with *readers* None as well if it concerns none of them."""
    return _SHELF.get(network_id, party, session_id, scope=readers)


def page(network_id: int, window: Window, scope: dict[str, list[str]]) -> Page:
    """Sessions of the network, oldest first."""
    return _SHELF.page(network_id, window, scope)


def put(network_id: int, party: Party, body: Body) -> Stored:
    """Store a session over what is not newer.

    Raises:
        errors.RuleRefusal: it would leave a final status. Spec: 2.1.1 mod_sessions 4.1.
    """
    columns = {"id": body["id"], **_columns(network_id, body)}
    if _SHELF.add(network_id, party, body, columns):
        return Stored.CREATED
    outcome = Stored.UPDATED

    def replace(old: Body) -> Body | None:
        nonlocal outcome
        late = instants.parse(body["last_updated"]) < instants.parse(old["last_updated"])
        new = None if late else admitted(old, body)
        outcome = Stored.STALE if new is None else Stored.UPDATED
        return new

    _revise(network_id, party, body["id"], replace)
    return outcome


def _columns(network_id: int, body: Body) -> dict[str, str | None]:
    return {"reader": tokens.issuer(network_id, body["auth_id"])}


def revise(network_id: int, party: Party, session_id: str, change: Change) -> None:
    """Replace a session by `change` of it.

    Raises:
        errors.NotFound: there is no such session.
        errors.RuleRefusal: it would leave a final status.
    """

    def inside(old: Body) -> Body | None:
        new = change(old)
        return None if new is None else admitted(old, new)

    if not _revise(network_id, party, session_id, inside):
        raise errors.NotFound(errors.NOTHING_HERE)


def _revise(network_id: int, party: Party, session_id: str, change: Change) -> bool:
    columns = functools.partial(_columns, network_id)
    return _SHELF.revise(network_id, party, session_id, change=change, columns=columns)


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
