"""Commands that we received as CPO or sent as eMSP. Spec: 2.1.1 mod_commands."""

from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Index, bindparam
from sqlmodel import Field, SQLModel

import errors
from storage import database, secrets, timestamps
from storage.database import Connection, Transaction

RECEIVED = "received"
SENT = "sent"


class CommandRow(SQLModel, table=True):
    """One command. *response* and *reason* are the direct response; *result* is the final result.

    *delivered_at*, *gave_up_at*: when the peer took the result of a command that we received, or when we
    stopped posting it.
    """

    __tablename__ = "ocpi_commands"
    __table_args__ = (Index("ix_ocpi_commands_open", "network_id", "connection_id", "name", "result"),)

    uid: str = Field(primary_key=True, max_length=43)
    network_id: int = Field(sa_type=BigInteger, foreign_key="gw_networks.id")
    connection_id: int = Field(sa_type=BigInteger, foreign_key="ocpi_connections.id")
    direction: str = Field(max_length=8)
    name: str = Field(max_length=16)
    request: str
    response: str | None = Field(default=None, max_length=15)
    reason: str | None = Field(default=None, max_length=80)
    result: str | None = Field(default=None, max_length=15)
    created_at: int = Field(sa_type=BigInteger)
    result_at: int | None = Field(default=None, sa_type=BigInteger)
    delivered_at: int | None = Field(default=None, sa_type=BigInteger)
    gave_up_at: int | None = Field(default=None, sa_type=BigInteger)


_TABLE = database.table(CommandRow)
_c = _TABLE.c
_SENT_HERE = (_c.connection_id == bindparam("k_connection"), _c.direction == SENT)
_RESULT = sqlalchemy.select(_c.name, _c.result).where(*_SENT_HERE, _c.uid == bindparam("k_uid"))
_OPEN = (
    sqlalchemy.select(_c.uid).where(*_SENT_HERE, _c.name == bindparam("k_name"), _c.result.is_(None)).limit(2)
)
_SET_RESULT = (
    sqlalchemy.update(_TABLE)
    .where(*_SENT_HERE, _c.uid == bindparam("k_uid"), _c.result.is_(None))
    .values(result=bindparam("outcome"), result_at=bindparam("now"))
)
_SET_RESPONSE = (
    sqlalchemy.update(_TABLE).where(_c.uid == bindparam("k_uid")).values(response=bindparam("answer"))
)
_OWN = (_c.uid == bindparam("k_uid"), _c.direction == RECEIVED)
_RECEIVED = sqlalchemy.select(_TABLE).where(*_OWN)
_SET_OWN_RESULT = (
    sqlalchemy.update(_TABLE)
    .where(*_OWN, _c.result.is_(None))
    .values(result=bindparam("outcome"), result_at=bindparam("now"))
)
_DELIVERED = sqlalchemy.update(_TABLE).where(*_OWN).values(delivered_at=bindparam("now"))
_GAVE_UP = sqlalchemy.update(_TABLE).where(*_OWN).values(gave_up_at=bindparam("now"))


def record(
    transaction: Transaction,
    network_id: int,
    connection_id: int,
    direction: str,
    name: str,
    request: str,
    response: str | None = None,
    reason: str | None = None,
) -> str:
    """Store a command, with *request* as JSON text. Returns its unguessable uid. Conformance 199."""
    uid = secrets.mint()
    row = {
        "uid": uid,
        "network_id": network_id,
        "connection_id": connection_id,
        "direction": direction,
        "name": name,
        "request": request,
        "response": response,
        "reason": reason,
        "created_at": timestamps.now_ms(),
    }
    transaction.execute(sqlalchemy.insert(_TABLE), row)
    return uid


def received(connection: Connection, uid: str) -> Any | None:
    """The row of a command that we received, or None."""
    return connection.execute(_RECEIVED, {"k_uid": uid}).first()


def set_result(transaction: Transaction, uid: str, outcome: str) -> bool:
    """Set the result of a command that we received; False if it has one."""
    values = {"k_uid": uid, "outcome": outcome, "now": timestamps.now_ms()}
    return transaction.execute(_SET_OWN_RESULT, values).rowcount == 1


def end_delivery(transaction: Transaction, uid: str, *, is_delivered: bool) -> None:
    """Record that the peer has taken a result, or that we stopped posting it."""
    statement = _DELIVERED if is_delivered else _GAVE_UP
    transaction.execute(statement, {"k_uid": uid, "now": timestamps.now_ms()})


def store_response(transaction: Transaction, uid: str, response: str) -> None:
    """Store the CPO's direct response."""
    transaction.execute(_SET_RESPONSE, {"k_uid": uid, "answer": response})


def store_result(transaction: Transaction, connection_id: int, uid: str, name: str, outcome: str) -> None:
    """Store the result of a command that we sent over this connection. The first result is final.

    Raises:
        errors.NotFound: no such command was sent over this connection.
        errors.RuleBroken: another result is stored already.
    """
    key = {"k_connection": connection_id, "k_uid": uid}
    row = transaction.execute(_RESULT, key).first()
    if row is None or row.name != name:
        raise errors.NotFound(errors.NOTHING_HERE)
    transaction.execute(_SET_RESULT, {**key, "outcome": outcome, "now": timestamps.now_ms()})
    if row.result not in (None, outcome):
        raise errors.RuleBroken(f"result: {row.result} is stored already")


def name_of(connection: Connection, connection_id: int, uid: str) -> str | None:
    """The name of a command that we sent over this connection, or None."""
    row = connection.execute(_RESULT, {"k_connection": connection_id, "k_uid": uid}).first()
    return row.name if row else None


def only_open(connection: Connection, connection_id: int, name: str) -> str | None:
    """The uid of the open command *name* of this connection; None unless there is exactly one."""
    rows = connection.execute(_OPEN, {"k_connection": connection_id, "k_name": name}).scalars().all()
    return rows[0] if len(rows) == 1 else None
