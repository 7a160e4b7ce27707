"""Digests of ended tokens and keys, with the reason, for 24 hours.

The response to such a token says why it no longer works. The rows may outlive their network.
"""

import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

from storage import database, secrets, timestamps
from storage.database import Connection, Transaction

USED = "used"
REPLACED = "replaced"
ROTATED = "rotated"
UNREGISTERED = "unregistered"
WITHDRAWN = "withdrawn"
DISINVITED = "disinvited"
NETWORK_EXPIRED = "network expired"
NETWORK_DELETED = "network deleted"
REVOKED = "revoked"

_RETENTION_MS = 24 * 3600 * 1000


class EndedTokenRow(SQLModel, table=True):
    """One token or key that ended."""

    __tablename__ = "ocpi_ended_tokens"

    digest: str = Field(primary_key=True, max_length=64)
    reason: str = Field(max_length=16)
    ended_at: int = Field(sa_type=BigInteger, index=True)


ENDED_TOKENS = database.table(EndedTokenRow)
_c = ENDED_TOKENS.c
_RECORD = {
    name: insert.on_conflict_do_update(
        index_elements=["digest"],
        set_={"reason": insert.excluded.reason, "ended_at": insert.excluded.ended_at},
    )
    for name, insert in database.dialect_inserts(ENDED_TOKENS).items()
}
_REASON = sqlalchemy.select(_c.reason).where(_c.digest == bindparam("digest"))
_PURGE = sqlalchemy.delete(ENDED_TOKENS).where(_c.ended_at < bindparam("before"))


def record(transaction: Transaction, digests: list[str], reason: str) -> None:
    """Record why tokens ended, in the transaction that ends them."""
    now = timestamps.now_ms()
    rows = [{"digest": digest, "reason": reason, "ended_at": now} for digest in digests]
    if rows:
        transaction.execute(_RECORD[transaction.dialect.name], rows)


def reason(connection: Connection, token: str) -> str | None:
    """Why *token* ended, or None if it did not end within the last 24 hours."""
    stored = connection.execute(_REASON, {"digest": secrets.digest(token)}).scalar()
    return None if stored is None else str(stored)


def purge(transaction: Transaction) -> None:
    """Delete the records of tokens that ended more than 24 hours ago."""
    transaction.execute(_PURGE, {"before": timestamps.now_ms() - _RETENTION_MS})
