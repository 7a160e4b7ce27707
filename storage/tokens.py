"""Drivers' tokens: who may charge. Spec: 2.1.1 mod_tokens.

(uid, type) is the key. `auth_since` tells when a token got its `auth_id`: whoever names a contract
first has its sessions and CDRs, and nobody can take them over by renaming an older token. Our own
tokens carry what OCPI has no field for: their standing (ALLOWED, BLOCKED, EXPIRED, NO_CREDIT) and the
locations that they are restricted to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, Index, UniqueConstraint, bindparam
from sqlmodel import Field

import errors
from storage import database, instants
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

RFID = "RFID"


class TokenRow(ObjectColumns, table=True):
    """A token, our own or one that a peer pushed."""

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
    """What real-time authorization looks at."""

    valid: bool
    standing: str | None
    restricted_to: frozenset[str] | None
    language: str | None


_SHELF = Shelf(
    TokenRow, key=("id", "type"), kept=("standing", "restricted_to"), since={"auth_since": "auth_id"}
)
_TABLE = database.table(TokenRow)
_c = _TABLE.c
_TYPES = sqlalchemy.select(_c.type).where(
    _c.network_id == bindparam("network_id"),
    _c.country_code == bindparam("country_code"),
    _c.party_id == bindparam("party_id"),
    _c.id == bindparam("uid"),
)
_ISSUER = (
    sqlalchemy.select(_c.country_code + "/" + _c.party_id)
    .where(_c.network_id == bindparam("network_id"), _c.auth_id == bindparam("auth_id"))
    .order_by(_c.auth_since, _c.seq)
    .limit(1)
)
_STANDING = sqlalchemy.select(_c.document, _c.standing, _c.restricted_to).where(
    _c.network_id == bindparam("network_id"),
    _c.country_code == bindparam("country_code"),
    _c.party_id == bindparam("party_id"),
    _c.id == bindparam("uid"),
    _c.type == bindparam("type"),
)
_JUDGE = (
    sqlalchemy.update(_TABLE)
    .where(
        _c.network_id == bindparam("k_network_id"),
        _c.country_code == bindparam("k_country_code"),
        _c.party_id == bindparam("k_party_id"),
        _c.id == bindparam("k_uid"),
        _c.type == bindparam("k_type"),
    )
    .values(standing=bindparam("standing"), restricted_to=bindparam("restricted_to"))
)


def _type(network_id: int, party: Party, uid: str, wanted: str | None) -> str:
    """The type meant: *wanted*, else RFID, else the only one. Conformance 168."""
    if wanted is not None:
        return wanted
    values = {"network_id": network_id, "country_code": party[0], "party_id": party[1], "uid": uid}
    with database.statement() as connection:
        known = set(connection.execute(_TYPES, values).scalars())
    return known.pop() if len(known) == 1 else RFID


def get(network_id: int, party: Party, uid: str, wanted: str | None) -> Document | None:
    """The token, or None."""
    return _SHELF.get(network_id, party, uid, _type(network_id, party, uid, wanted))


def page(network_id: int, window: Window, scope: Mapping[str, Any]) -> Page:
    """Tokens of the network, oldest first."""
    return _SHELF.page(network_id, window, scope)


def put(network_id: int, party: Party, body: Body) -> Stored:
    """Store a token over what is not newer."""
    columns = {"id": body["uid"], **_columns(body)}
    return _SHELF.put(network_id, party, body, columns)


def revise(network_id: int, party: Party, uid: str, wanted: str | None, change: Change) -> None:
    """Replace a token by `change` of it.

    Raises:
        errors.NotFound: there is no such token.
    """
    kind = _type(network_id, party, uid, wanted)

    before = ""

    def inside(old: Body) -> Body | None:
        nonlocal before
        before = old["auth_id"]
        new = change(old)
        if new is not None and new["type"] != kind:
            raise errors.RuleRefusal(f"type: {kind} is part of the token's key and cannot change")
        return new

    def columns(new: Body) -> dict[str, Any]:
        made = _columns(new)
        if new["auth_id"] == before:
            del made["auth_since"]
        return made

    if not _SHELF.revise(network_id, party, uid, kind, change=inside, columns=columns):
        raise errors.NotFound(errors.NOTHING_HERE)


def _columns(body: Body) -> dict[str, Any]:
    return {"type": body["type"], "auth_id": body["auth_id"], "auth_since": instants.now_ms()}


def issuer(network_id: int, auth_id: str) -> str | None:
    """The peer whose driver has the contract *auth_id*, as `NL/TNM`: the first that named it so."""
    values = {"network_id": network_id, "auth_id": auth_id}
    with database.statement() as connection:
        return connection.execute(_ISSUER, values).scalar()


def judge(
    network_id: int,
    party: Party,
    uid: str,
    kind: str,
    standing: str | None,
    restricted_to: list[str] | None,
) -> None:
    """Set what OCPI has no field for; *restricted_to*: location ids, None for everywhere."""
    values = {
        "k_network_id": network_id,
        "k_country_code": party[0],
        "k_party_id": party[1],
        "k_uid": uid,
        "k_type": kind,
        "standing": standing,
        "restricted_to": None if restricted_to is None else orjson.dumps(restricted_to).decode(),
    }
    with database.transaction() as connection:
        connection.execute(_JUDGE, values)


def standing(network_id: int, party: Party, uid: str, kind: str) -> Standing | None:
    """What is known of a token of ours, or None."""
    values = {
        "network_id": network_id,
        "country_code": party[0],
        "party_id": party[1],
        "uid": uid,
        "type": kind,
    }
    with database.statement() as connection:
        row = connection.execute(_STANDING, values).first()
    if row is None:
        return None
    body = orjson.loads(row.document)
    places = None if row.restricted_to is None else frozenset(orjson.loads(row.restricted_to))
    return Standing(body["valid"], row.standing, places, body.get("language"))
