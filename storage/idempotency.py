"""Idempotency keys of the gateway's POST requests: one key, one effect. docs/gateway.md "Idempotency".

The response is encrypted because it holds tokens. A key is kept for a day, or as long as the network that
it created, whichever is shorter. A refused request stores no key.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

from storage import database, secrets, timestamps
from storage.database import Connection, Transaction
from storage.networks import ALIVE, NETWORKS

RETENTION_MS = 24 * 3600 * 1000


class IdempotencyRow(SQLModel, table=True):
    """One key that was used."""

    __tablename__ = "gw_idempotency"

    organization_id: str = Field(primary_key=True, max_length=36)
    operation: str = Field(primary_key=True, max_length=64)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: str = Field(max_length=64)
    answer: str
    network_id: int = Field(sa_type=BigInteger, index=True)
    created_at: int = Field(sa_type=BigInteger, index=True)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a key: the organization, the operation, and a fingerprint of the body."""

    organization_id: str
    operation: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The key's first request: whether it was the same, and its response as JSON text."""

    same: bool
    network_id: int
    response: str


TABLE = database.table(IdempotencyRow)
_c = TABLE.c
_GET = (
    sqlalchemy.select(_c.fingerprint, _c.network_id, _c.answer)
    .select_from(TABLE.join(NETWORKS, NETWORKS.c.id == _c.network_id))
    .where(
        *ALIVE,
        _c.organization_id == bindparam("organization_id"),
        _c.operation == bindparam("operation"),
        _c.key == bindparam("key"),
        _c.created_at > bindparam("since"),
    )
)
_FORGET = sqlalchemy.delete(TABLE).where(
    _c.organization_id == bindparam("organization_id"),
    _c.operation == bindparam("operation"),
    _c.key == bindparam("key"),
)
_ADD = sqlalchemy.insert(TABLE)
_PURGE = sqlalchemy.delete(TABLE).where(_c.created_at <= bindparam("since"))


def fingerprint(body: Any) -> str:
    """A digest of a body; the order of members does not matter."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def earlier_use(connection: Connection, use: Use) -> Earlier | None:
    """The first use of the key within the last day, or None."""
    row = connection.execute(_GET, {**_key(use), **_since()}).first()
    if row is None:
        return None
    return Earlier(row[0] == use.fingerprint, row[1], secrets.decrypt(row[2]))


def store(transaction: Transaction, use: Use, network_id: int, response: str) -> None:
    """Store the response, which is JSON text, in the transaction whose effect it describes."""
    transaction.execute(_FORGET, _key(use))
    transaction.execute(
        _ADD,
        {
            **_key(use),
            "fingerprint": use.fingerprint,
            "answer": secrets.encrypt(response),
            "network_id": network_id,
            "created_at": timestamps.now_ms(),
        },
    )


def _since() -> dict[str, int]:
    now = timestamps.now_ms()
    return {"now": now, "since": now - RETENTION_MS}


def purge(transaction: Transaction) -> None:
    """Delete keys after a day."""
    transaction.execute(_PURGE, {"since": timestamps.now_ms() - RETENTION_MS})


def _key(use: Use) -> dict[str, str]:
    return {"organization_id": use.organization_id, "operation": use.operation, "key": use.key}
