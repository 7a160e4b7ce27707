"""Keys of the gateway API: who may provision networks, and for which organization.

docs/gateway.md "Keys and organizations".

A key is `ogk_` and 43 characters; only its digest is stored. The administrator's first key has the
id `admin`. Only the first start stores it; afterward only scripts/keys changes keys.
"""

import hmac
import uuid
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

from storage import database, ended_tokens, networks, secrets, timestamps
from storage.database import Connection, Transaction
from storage.networks import ORGANIZATIONS

USER = "user"
ADMIN = "admin"
_PREFIX = "ogk_"
_FIRST = "admin"


class KeyRow(SQLModel, table=True):
    """One key."""

    __tablename__ = "gw_keys"

    id: str = Field(primary_key=True, max_length=36)
    organization_id: str = Field(max_length=36, foreign_key="gw_organizations.id")
    role: str = Field(max_length=5)
    digest: str = Field(max_length=64, unique=True)
    last4: str = Field(max_length=4)
    created_at: int = Field(sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Member:
    """Who sent a gateway request: the role, and the organization that the request acts in."""

    kind: str
    organization_id: str


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key, which is shown once."""

    id: str
    organization_id: str
    key: str


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key without its secret."""

    id: str
    organization: str
    organization_id: str
    role: str
    last4: str
    created_at: int


KEYS = database.table(KeyRow)
_c = KEYS.c
_IDENTIFY = sqlalchemy.select(_c.digest, _c.role, _c.organization_id).where(_c.digest == bindparam("digest"))
_LISTED = (
    sqlalchemy.select(_c.id, ORGANIZATIONS.c.name, _c.organization_id, _c.role, _c.last4, _c.created_at)
    .select_from(KEYS.join(ORGANIZATIONS, _c.organization_id == ORGANIZATIONS.c.id))
    .order_by(_c.created_at, _c.id)
)
_REVOKE = sqlalchemy.delete(KEYS).where(_c.id == bindparam("k_id")).returning(_c.digest)


def identify(connection: Connection, key: str) -> Member | None:
    """The member with this *key*, or None."""
    digest = secrets.digest(key)
    row = connection.execute(_IDENTIFY, {"digest": digest}).first()
    if row is None or not hmac.compare_digest(row[0], digest):
        return None
    return Member(row[1], row[2])


def mint(transaction: Transaction, organization: str, role: str) -> Minted:
    """Create a key for *organization*, and the organization if it is new; only the digest is stored."""
    key = secrets.mint(_PREFIX)
    owner = networks.organization(transaction, organization)
    minted = Minted(str(uuid.uuid4()), owner, key)
    _add(transaction, minted.id, owner, role, key)
    return minted


def add_first_admin(transaction: Transaction, organization_id: str, token: str) -> None:
    """Store *token* as the administrator's key, in the organization."""
    _add(transaction, _FIRST, organization_id, ADMIN, token)


def is_admin(connection: Connection, token: str) -> bool:
    """Whether *token* is a live key of an administrator."""
    member = identify(connection, token)
    return member is not None and member.kind == ADMIN


def _add(transaction: Transaction, key_id: str, organization_id: str, role: str, key: str) -> None:
    row = {
        "id": key_id,
        "organization_id": organization_id,
        "role": role,
        "digest": secrets.digest(key),
        "last4": key[-4:],
        "created_at": timestamps.now_ms(),
    }
    transaction.execute(sqlalchemy.insert(KEYS), row)


def listed(connection: Connection) -> list[ListedKey]:
    """Every key, oldest first."""
    return [ListedKey(*row) for row in connection.execute(_LISTED)]


def revoke(transaction: Transaction, key_id: str) -> bool:
    """Delete the key; False if there is none with this id."""
    digests = list(transaction.execute(_REVOKE, {"k_id": key_id}).scalars())
    ended_tokens.record(transaction, [(digest, None, None) for digest in digests], ended_tokens.REVOKED)
    return bool(digests)
