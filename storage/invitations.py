"""Invitations: the Tokens A that no peer has used yet. docs/gateway.md "Invitation"."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import bindparam

import errors
from storage import access, connections, ended_tokens, secrets
from storage.access import ACCESS, REGISTRATION
from storage.database import Connection, Transaction
from storage.objects import Party


@dataclass(frozen=True, slots=True)
class Invitation:
    """A Token A by its last four characters. *party*: the only party that may use it. Instants in ms."""

    id: str
    party: Party | None
    last4: str
    created_at: int


_c = ACCESS.c
_OPEN = (_c.network_id == bindparam("network"), _c.kind == REGISTRATION)
_FIELDS = (_c.invitation_id, _c.country_code, _c.party_id, _c.last4, _c.created_at)
_PAGE = (
    sqlalchemy.select(*_FIELDS)
    .where(*_OPEN)
    .order_by(_c.created_at, _c.invitation_id)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_COUNT = sqlalchemy.select(sqlalchemy.func.count()).select_from(ACCESS).where(*_OPEN)
_OF_TOKEN = sqlalchemy.select(*_FIELDS).where(_c.digest == bindparam("digest"))
_WITHDRAW = (
    sqlalchemy.delete(ACCESS)
    .where(*_OPEN, _c.invitation_id == bindparam("invitation_id"))
    .returning(*access.ENDED)
)


def create(transaction: Transaction, network_id: int, party: Party | None) -> tuple[Invitation, str]:
    """Store a new invitation, for *party* only if it is not None. Returns it with its Token A.

    Raises:
        errors.NotFound: the network has ended.
    """
    _lock(transaction, network_id)
    token_a = access.mint(transaction, REGISTRATION, network_id, invited=party)
    row = transaction.execute(_OF_TOKEN, {"digest": secrets.digest(token_a)}).one()
    return _invitation(row), token_a


def page(connection: Connection, network_id: int, offset: int, limit: int) -> tuple[list[Invitation], int]:
    """The open invitations of the network, oldest first, and how many there are."""
    values = {"network": network_id}
    rows = connection.execute(_PAGE, {**values, "offset": offset, "limit": limit})
    return [_invitation(row) for row in rows], int(connection.execute(_COUNT, values).scalar_one())


def withdraw(transaction: Transaction, network_id: int, invitation_id: str) -> None:
    """End the Token A of an open invitation.

    Raises:
        errors.NotFound: there is none, or the network has ended.
    """
    _lock(transaction, network_id)
    values = {"network": network_id, "invitation_id": invitation_id}
    ended = transaction.execute(_WITHDRAW, values).all()
    if not ended:
        raise errors.NotFound(errors.NOTHING_HERE)
    ended_tokens.record(transaction, [tuple(row) for row in ended], ended_tokens.DISINVITED)


def _lock(transaction: Transaction, network_id: int) -> None:
    if not connections.lock(transaction, network_id):
        raise errors.NotFound(errors.NOTHING_HERE)


def _invitation(row: Any) -> Invitation:
    party = None if row.country_code is None else (row.country_code, row.party_id)
    return Invitation(row.invitation_id, party, row.last4, row.created_at)
