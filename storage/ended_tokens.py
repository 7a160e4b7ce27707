"""Digests of ended tokens and keys, with the reason, for 24 hours.

The response to such a token says why it no longer works. The rows may outlive their network.
"""

from collections.abc import Sequence

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
    """One token or key that ended, and its former network and connection. A key has no network."""

    __tablename__ = "ocpi_ended_tokens"

    digest: str = Field(primary_key=True, max_length=64)
    reason: str = Field(max_length=16)
    ended_at: int = Field(sa_type=BigInteger, index=True)
    former_network_id: int | None = Field(default=None, sa_type=BigInteger)
    former_connection_id: int | None = Field(default=None, sa_type=BigInteger)


ENDED_TOKENS = database.table(EndedTokenRow)
_c = ENDED_TOKENS.c
_RECORD = {
    name: insert.on_conflict_do_update(
        index_elements=["digest"],
        set_={
            column: insert.excluded[column]
            for column in ("reason", "ended_at", "former_network_id", "former_connection_id")
        },
    )
    for name, insert in database.dialect_inserts(ENDED_TOKENS).items()
}
_REASON = sqlalchemy.select(_c.reason).where(_c.digest == bindparam("digest"))
_PURGE = sqlalchemy.delete(ENDED_TOKENS).where(_c.ended_at < bindparam("before"))


Ended = tuple[str, int | None, int | None]
"""The digest of a token or key, and the network and the connection that it belonged to."""


def record(transaction: Transaction, ended: Sequence[Ended], reason: str) -> None:
    """Record why tokens ended, in the transaction that ends them."""
    common = {"reason": reason, "ended_at": timestamps.now_ms()}
    rows = [
        {"digest": digest, "former_network_id": network_id, "former_connection_id": connection_id, **common}
        for digest, network_id, connection_id in ended
    ]
    if rows:
        transaction.execute(_RECORD[transaction.dialect.name], rows)


def reason(connection: Connection, token: str) -> str | None:
    """Why *token* ended, or None if it did not end within the last 24 hours."""
    stored = connection.execute(_REASON, {"digest": secrets.digest(token)}).scalar()
    return None if stored is None else str(stored)


def purge(transaction: Transaction) -> None:
    """Delete the records of tokens that ended more than 24 hours ago."""
    transaction.execute(_PURGE, {"before": timestamps.now_ms() - _RETENTION_MS})
