"""The installation: one row that ties the database to its secret key. docs/security-cases.md "Tokens".

The first start writes the row. It holds a ciphertext that only the right secret key decrypts.
"""

import sqlalchemy
from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from storage import database, secrets, timestamps
from storage.connections import CONNECTIONS
from storage.database import Connection, Transaction
from storage.idempotency import TABLE as IDEMPOTENCY

_ID = 1
_PLAINTEXT = "ocpi-gateway"


class InstallationRow(SQLModel, table=True):
    """The only row."""

    __tablename__ = "gw_installation"

    id: int = Field(primary_key=True)
    key_check: str
    created_at: int = Field(sa_type=BigInteger)


INSTALLATION = database.table(InstallationRow)
_KEY_CHECK = sqlalchemy.select(INSTALLATION.c.key_check)
_CIPHERTEXTS = sqlalchemy.union_all(
    *(
        sqlalchemy.select(column).where(column.is_not(None))
        for column in (CONNECTIONS.c.peer_token, CONNECTIONS.c.former_peer_token, IDEMPOTENCY.c.answer)
    )
)


def key_check(connection: Connection) -> str | None:
    """The ciphertext that only the secret key of this database decrypts; None before the first start."""
    return connection.execute(_KEY_CHECK).scalar()


def ciphertexts(connection: Connection) -> list[str]:
    """All stored ciphertexts: the peers' tokens, and responses kept for an Idempotency-Key."""
    return list(connection.execute(_CIPHERTEXTS).scalars())


def add(transaction: Transaction) -> None:
    """Store the row, encrypted with this process's secret key."""
    row = {"id": _ID, "key_check": secrets.encrypt(_PLAINTEXT), "created_at": timestamps.now_ms()}
    transaction.execute(sqlalchemy.insert(INSTALLATION), row)
