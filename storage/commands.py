"""Commands that we received as CPO or sent as eMSP. Spec: 2.1.1 mod_commands."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Index, bindparam, func
from sqlmodel import Field, SQLModel

import errors
from generated.ocpi_models import (
    CommandResponseType,
    CommandType,
    ReserveNow,
    Session,
    StartSession,
    StopSession,
    UnlockConnector,
)
from storage import database, secrets, timestamps
from storage.connections import PeerConnection
from storage.database import Connection, Transaction

RECEIVED = "received"
SENT = "sent"

REASON_LENGTH = 80

Command = ReserveNow | StartSession | StopSession | UnlockConnector


class CommandRow(SQLModel, table=True):
    """One command. *response* and *reason* are the direct response; *result* is the final result.

    *session_id*: the session that a STOP_SESSION names, or that began after a START_SESSION that we sent. The
    contract id, the location and the EVSE of such a START_SESSION tell which session that is.
    *delivered_at*, *gave_up_at*: when the peer took the result of a command that we received, or when we
    stopped posting it.
    """

    __tablename__ = "ocpi_commands"
    __table_args__ = (
        Index("ix_ocpi_commands_open", "network_id", "connection_id", "name", "result"),
        Index("ix_ocpi_commands_created", "network_id", "created_at"),
        Index("ix_ocpi_commands_auth_id", "connection_id", "auth_id"),
    )

    uid: str = Field(primary_key=True, max_length=43)
    network_id: int = Field(sa_type=BigInteger, foreign_key="gw_networks.id")
    connection_id: int = Field(sa_type=BigInteger, foreign_key="ocpi_connections.id")
    direction: str = Field(max_length=8)
    name: str = Field(max_length=16)
    request: str
    response: str | None = Field(default=None, max_length=15)
    reason: str | None = Field(default=None, max_length=REASON_LENGTH)
    result: str | None = Field(default=None, max_length=15)
    created_at: int = Field(sa_type=BigInteger)
    result_at: int | None = Field(default=None, sa_type=BigInteger)
    delivered_at: int | None = Field(default=None, sa_type=BigInteger)
    gave_up_at: int | None = Field(default=None, sa_type=BigInteger)
    session_id: str | None = Field(default=None, max_length=36)
    auth_id: str | None = Field(default=None, max_length=36)
    location_id: str | None = Field(default=None, max_length=39)
    evse_uid: str | None = Field(default=None, max_length=39)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which commands a list has; None for any. *direction*: RECEIVED or SENT."""

    direction: str | None = None
    connection_id: int | None = None


_TABLE = database.table(CommandRow)
_c = _TABLE.c
_SENT_HERE = (_c.connection_id == bindparam("k_connection"), _c.direction == SENT)
_RESULT = sqlalchemy.select(_c.name, _c.result).where(*_SENT_HERE, _c.uid == bindparam("k_uid"))
_OPEN = (
    sqlalchemy.select(_c.uid)
    .where(
        *_SENT_HERE,
        _c.name == bindparam("k_name"),
        _c.result.is_(None),
        func.coalesce(_c.response, CommandResponseType.ACCEPTED.value) == CommandResponseType.ACCEPTED.value,
        _c.created_at > bindparam("since"),
    )
    .limit(2)
)
_SET_RESULT = (
    sqlalchemy.update(_TABLE)
    .where(*_SENT_HERE, _c.uid == bindparam("k_uid"), _c.result.is_(None))
    .values(result=bindparam("outcome"), result_at=bindparam("now"))
)
_SET_RESPONSE = (
    sqlalchemy.update(_TABLE)
    .where(_c.uid == bindparam("k_uid"))
    .values(response=bindparam("answer"), reason=bindparam("words"))
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
_ASSIGN_SESSION = (
    sqlalchemy.update(_TABLE)
    .where(
        *_SENT_HERE,
        _c.name == CommandType.START_SESSION.value,
        _c.session_id.is_(None),
        _c.auth_id == bindparam("k_auth_id"),
        _c.location_id == bindparam("k_location_id"),
        _c.evse_uid.is_(None) | _c.evse_uid.in_(bindparam("evse_uids", expanding=True)),
    )
    .values(session_id=bindparam("session"))
)
_ONE = sqlalchemy.select(_TABLE).where(_c.network_id == bindparam("network_id"), _c.uid == bindparam("k_uid"))


def new_uid() -> str:
    """A unique and unguessable uid. Conformance 199."""
    return secrets.mint()


def record(
    transaction: Transaction,
    network_id: int,
    connection_id: int,
    direction: str,
    name: str,
    request: str,
    response: str | None = None,
    reason: str | None = None,
    session_id: str | None = None,
) -> str:
    """Store a command, with *request* as JSON text. Returns its uid."""
    uid = new_uid()
    row = {
        "uid": uid,
        "network_id": network_id,
        "connection_id": connection_id,
        "direction": direction,
        "name": name,
        "request": request,
        "response": response,
        "reason": reason,
        "session_id": session_id,
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


def record_sent(
    transaction: Transaction, peer: PeerConnection, uid: str, name: CommandType, command: Command
) -> None:
    """Store a command before it is sent to *peer*. *uid*: the last segment of its `response_url`."""
    row = CommandRow(
        uid=uid,
        network_id=peer.network_id,
        connection_id=peer.id,
        direction=SENT,
        name=name.value,
        request=command.json_text(),
        created_at=timestamps.now_ms(),
    )
    if isinstance(command, StopSession):
        row.session_id = command.session_id
    if isinstance(command, StartSession):
        row.auth_id = command.token.auth_id
        row.location_id, row.evse_uid = command.location_id, command.evse_uid
    transaction.execute(sqlalchemy.insert(_TABLE), row.model_dump())


def store_response(transaction: Transaction, uid: str, response: str | None, reason: str | None) -> None:
    """Store the CPO's direct response, and its reason; without a response, why there is none."""
    words = reason and reason[:REASON_LENGTH]
    transaction.execute(_SET_RESPONSE, {"k_uid": uid, "answer": response, "words": words})


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


def assign_session(transaction: Transaction, connection_id: int, session: Session) -> None:
    """Let a session that a CPO pushed first now be that of the START_SESSIONs that it follows from."""
    values = {
        "k_connection": connection_id,
        "k_auth_id": session.auth_id,
        "k_location_id": session.location.id,
        "evse_uids": [evse.uid for evse in session.location.evses or ()],
        "session": session.id,
    }
    transaction.execute(_ASSIGN_SESSION, values)


def name_of(connection: Connection, connection_id: int, uid: str) -> str | None:
    """The name of a command that we sent over this connection, or None."""
    row = connection.execute(_RESULT, {"k_connection": connection_id, "k_uid": uid}).first()
    return row.name if row else None


def only_open(connection: Connection, connection_id: int, name: str, since: int) -> str | None:
    """The uid of the command *name* of this connection whose result is awaited.

    *since*: the earliest time of such a command. None unless there is exactly one.
    """
    values = {"k_connection": connection_id, "k_name": name, "since": since}
    rows = connection.execute(_OPEN, values).scalars().all()
    return rows[0] if len(rows) == 1 else None


def get(connection: Connection, network_id: int, uid: str) -> CommandRow | None:
    """The network's command with this uid, or None."""
    found = database.rows(connection, CommandRow, _ONE, {"network_id": network_id, "k_uid": uid})
    return found[0] if found else None


def page(
    connection: Connection, network_id: int, wanted: Filter, offset: int, limit: int
) -> tuple[list[CommandRow], int]:
    """The network's commands that match, oldest first, and how many there are."""
    some = sqlalchemy.select(_TABLE).where(_c.network_id == network_id)
    if wanted.direction is not None:
        some = some.where(_c.direction == wanted.direction)
    if wanted.connection_id is not None:
        some = some.where(_c.connection_id == wanted.connection_id)
    count = connection.execute(some.with_only_columns(func.count())).scalar_one()
    ordered = some.order_by(_c.created_at, _c.uid).offset(offset).limit(limit)
    return database.rows(connection, CommandRow, ordered, {}), int(count)
