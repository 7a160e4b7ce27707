"""Drivers' tokens. Spec: 2.1.1 mod_tokens.

A token's key is (uid, type). `auth_since` is when the token got its `auth_id`. Sessions and CDRs belong to
the party that pushed a contract id first, so a party cannot claim them by changing an older token. Our own
tokens have two columns that OCPI lacks: a standing (ALLOWED, BLOCKED, EXPIRED, NO_CREDIT) and the locations
that they are restricted to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, Index, UniqueConstraint, bindparam, select
from sqlmodel import Field

import errors
from generated.ocpi_models import Token, TokenType
from storage import timestamps
from storage.database import Connection, Transaction
from storage.objects import (
    Change,
    Document,
    ObjectColumns,
    Party,
    Stored,
    encode,
)
from storage.outbox import PushedTable


class TokenRow(ObjectColumns, table=True):
    """A token of ours or of a peer."""

    __tablename__ = "ocpi_tokens"
    __table_args__ = (
        UniqueConstraint("network_id", "country_code", "party_id", "id", "type"),
        Index("ix_ocpi_tokens_network_seq", "network_id", "seq"),
        Index("ix_ocpi_tokens_network_updated", "network_id", "last_updated"),
        Index("ix_ocpi_tokens_network_auth_id", "network_id", "auth_id", "auth_since"),
    )

    type: str = Field(max_length=5)
    auth_id: str = Field(max_length=36)
    auth_since: int = Field(sa_type=BigInteger)
    standing: str | None = Field(default=None, max_length=11)
    restricted_to: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The data for real-time authorization."""

    valid: bool
    standing: str | None
    restricted_to: frozenset[str] | None
    language: str | None


_DOCUMENTS = PushedTable(
    TokenRow,
    "tokens",
    key=("id", "type"),
    preserved=("standing", "restricted_to"),
    since={"auth_since": "auth_id"},
)
page = _DOCUMENTS.page
send_again = _DOCUMENTS.send_again

_c = _DOCUMENTS.table.c
_BY_UID = select(_c.type, _c.document, _c.standing, _c.restricted_to).where(
    _c.network_id == bindparam("network_id"),
    _c.country_code == bindparam("country_code"),
    _c.party_id == bindparam("party_id"),
    _c.id == bindparam("uid"),
)
_ISSUER = (
    select(_c.country_code + "/" + _c.party_id)
    .where(_c.network_id == bindparam("network_id"), _c.auth_id == bindparam("auth_id"))
    .order_by(_c.auth_since, _c.seq)
    .limit(1)
)
_RECEIVED = (
    _c.network_id == bindparam("network_id"),
    sqlalchemy.or_(_c.country_code != bindparam("country_code"), _c.party_id != bindparam("party_id")),
)
_COUNT_RECEIVED = select(sqlalchemy.func.count()).select_from(_DOCUMENTS.table).where(*_RECEIVED)
_NTH_RECEIVED = (
    select(_c.document).where(*_RECEIVED).order_by(_c.seq).limit(1).offset(bindparam("number"))
)  # fmt: skip
_RECEIVED_BY_UID = (
    select(_c.country_code, _c.party_id, _c.document)
    .where(*_RECEIVED, _c.id == bindparam("uid"), _c.type == bindparam("type"))
    .order_by(_c.seq)
)
_UPDATE = sqlalchemy.update(_DOCUMENTS.table).where(
    _c.network_id == bindparam("k_network_id"),
    _c.country_code == bindparam("k_country_code"),
    _c.party_id == bindparam("k_party_id"),
    _c.id == bindparam("k_uid"),
    _c.type == bindparam("k_type"),
)
_SET_STANDING = _UPDATE.values(standing=bindparam("standing"), restricted_to=bindparam("restricted_to"))
_CLEAR_STANDING = _UPDATE.values(standing=None)


def get(
    connection: Connection, network_id: int, party: Party, uid: str, type_: TokenType | None
) -> Document | None:
    """The token's document, or None. Without *type_*: the only token with this uid, else the RFID token."""
    rows = _rows_by_type(connection, network_id, party, uid)
    row = rows.get(_resolve_type(rows, type_))
    return None if row is None else Document(row.document)


def _rows_by_type(connection: Connection, network_id: int, party: Party, uid: str) -> dict[str, Any]:
    values = {"network_id": network_id, "country_code": party[0], "party_id": party[1], "uid": uid}
    return {row.type: row for row in connection.execute(_BY_UID, values)}


def _resolve_type(rows: Mapping[str, object], type_: TokenType | None) -> str:
    """Conformance 168."""
    if type_ is not None:
        return type_.value
    return next(iter(rows)) if len(rows) == 1 else TokenType.RFID.value


def put(
    transaction: Transaction, network_id: int, party: Party, token: Token, *, is_stamped: bool = False
) -> Stored:
    """Store a token unless the stored one is newer. *is_stamped*: its `last_updated` comes from us."""
    columns = {"id": token.uid, "type": token.type.value, **_contract_columns(token)}
    return _DOCUMENTS.put(transaction, network_id, party, token, columns, is_stamped=is_stamped)


def _contract_columns(token: Token) -> dict[str, Any]:
    return {"auth_id": token.auth_id, "auth_since": timestamps.now_ms()}


def update(
    transaction: Transaction,
    network_id: int,
    party: Party,
    uid: str,
    type_: TokenType | None,
    change: Change[Token],
) -> Stored:
    """Apply *change* to a token; *type_*: as in `get`.

    Raises:
        errors.NotFound: there is no such token.
        errors.RuleBroken: its type would change.
    """
    key = _resolve_type(_rows_by_type(transaction, network_id, party, uid), type_)
    locked = _DOCUMENTS.lock(transaction, network_id, party, uid, key)
    old = Token.model_validate_json(locked.document)
    new = change.apply(old)
    if new is None:
        return Stored.UNCHANGED
    if new.type != old.type:
        raise errors.RuleBroken(f"type: {old.type} is part of the token's key and cannot change")
    columns = {} if new.auth_id == old.auth_id else _contract_columns(new)
    _DOCUMENTS.update(transaction, locked, new, is_stamped=change.is_stamped, **columns)
    return Stored.UPDATED


def issuer(connection: Connection, network_id: int, auth_id: str) -> str | None:
    """The party (`NL/TNM`) that was the first to push a token with this *auth_id*, or None."""
    return connection.execute(_ISSUER, {"network_id": network_id, "auth_id": auth_id}).scalar()


def count_received(connection: Connection, network_id: int, own: Party) -> int:
    """How many tokens peers have pushed to the network of our party *own*."""
    return int(connection.execute(_COUNT_RECEIVED, _received(network_id, own)).scalar_one())


def received(connection: Connection, network_id: int, own: Party, number: int) -> Document | None:
    """A token that a peer has pushed; *number* counts from 0 in the order of arrival."""
    text = connection.execute(_NTH_RECEIVED, {**_received(network_id, own), "number": number}).scalar()
    return None if text is None else Document(text)


def received_by_uid(
    connection: Connection, network_id: int, own: Party, uid: str, type_: TokenType
) -> list[tuple[Party, Token]]:
    """The tokens with this uid and type that peers have pushed, with their owners, oldest first."""
    values = {**_received(network_id, own), "uid": uid, "type": type_.value}
    return [
        ((row.country_code, row.party_id), Token.model_validate_json(row.document))
        for row in connection.execute(_RECEIVED_BY_UID, values)
    ]


def _received(network_id: int, own: Party) -> dict[str, Any]:
    return {"network_id": network_id, "country_code": own[0], "party_id": own[1]}


def set_standing(
    transaction: Transaction,
    network_id: int,
    party: Party,
    uid: str,
    type_: TokenType,
    standing: str | None,
    restricted_to: list[str] | None,
) -> None:
    """Set a token's standing and the location ids that it is restricted to (None: unrestricted)."""
    values = {
        "standing": standing,
        "restricted_to": None if restricted_to is None else encode(restricted_to),
    }
    transaction.execute(_SET_STANDING, {**_key(network_id, party, uid, type_.value), **values})


def clear_standing(
    transaction: Transaction, network_id: int, party: Party, uid: str, type_: TokenType | None
) -> None:
    """Let only `valid` decide about a token, wherever it may be used; *type_*: as in `get`."""
    key = _resolve_type(_rows_by_type(transaction, network_id, party, uid), type_)
    transaction.execute(_CLEAR_STANDING, _key(network_id, party, uid, key))


def _key(network_id: int, party: Party, uid: str, type_: str) -> dict[str, Any]:
    return {
        "k_network_id": network_id,
        "k_country_code": party[0],
        "k_party_id": party[1],
        "k_uid": uid,
        "k_type": type_,
    }


def standing(
    connection: Connection, network_id: int, party: Party, uid: str, type_: TokenType
) -> Standing | None:
    """The standing of one of our tokens, or None if there is no such token."""
    row = _rows_by_type(connection, network_id, party, uid).get(type_.value)
    if row is None:
        return None
    token = Token.model_validate_json(row.document)
    location_ids = None if row.restricted_to is None else frozenset(orjson.loads(row.restricted_to))
    return Standing(token.valid, row.standing, location_ids, token.language)
