"""Virtual cars at the EVSEs of our networks. docs/charging.md "A session".

A car waits until it is plugged in, then it has a session. Its row goes when the session ends, or when the car
does not come. One car is at an EVSE at a time. Instants are in milliseconds of the network's clock.
"""

from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Index, bindparam
from sqlmodel import Field, SQLModel

from storage import database
from storage.database import Connection, Transaction


class CarRow(SQLModel, table=True):
    """One car. *session_id*, *started_at*, *ends_at*: None until it is plugged in.

    *command_uid*: the command that it comes for, if any. *energy_wh* and *minutes*: what the driver wants,
    None for a full battery and for the usual time. *slices*, *tariff* and *zone*: the plan of the session,
    its price and its time zone; the first two are JSON text.
    """

    __tablename__ = "gw_cars"
    __table_args__ = (Index("ix_gw_cars_session", "network_id", "session_id", unique=True),)

    network_id: int = Field(primary_key=True, sa_type=BigInteger)
    evse_uid: str = Field(primary_key=True, max_length=39)
    location_id: str = Field(max_length=39)
    connector_id: str = Field(max_length=36)
    session_id: str | None = Field(default=None, max_length=36)
    command_uid: str | None = Field(default=None, max_length=43)
    auth_id: str = Field(max_length=36)
    auth_method: str = Field(max_length=12)
    scenario: str | None = Field(default=None, max_length=20)
    started_at: int | None = Field(default=None, sa_type=BigInteger)
    ends_at: int | None = Field(default=None, sa_type=BigInteger)
    energy_wh: int | None = None
    minutes: int | None = None
    slices: str = "[]"
    tariff: str | None = None
    zone: str = Field(default="UTC", max_length=255)


CARS = database.table(CarRow)

_c = CARS.c
_OF_NETWORK = _c.network_id == bindparam("k_network")
_AT_EVSE = (_OF_NETWORK, _c.evse_uid == bindparam("k_evse"))
_GET = sqlalchemy.select(CARS).where(*_AT_EVSE)
_OF_SESSION = sqlalchemy.select(CARS).where(_OF_NETWORK, _c.session_id == bindparam("session_id"))
_OCCUPIED = sqlalchemy.select(_c.evse_uid).where(
    _OF_NETWORK, _c.evse_uid.in_(bindparam("evse_uids", expanding=True))
)
_CHARGING = sqlalchemy.select(sqlalchemy.func.count()).where(_OF_NETWORK, _c.session_id.is_not(None))
_DELETE = sqlalchemy.delete(CARS).where(*_AT_EVSE)


def add(transaction: Transaction, car: CarRow) -> None:
    """Store a car at a free EVSE, with the network locked."""
    transaction.execute(sqlalchemy.insert(CARS), car.model_dump())


def start(transaction: Transaction, car: CarRow) -> None:
    """Store a car that has been plugged in."""
    delete(transaction, car.network_id, car.evse_uid)
    add(transaction, car)


def get(connection: Connection, network_id: int, evse_uid: str) -> CarRow | None:
    """The car at an EVSE, or None."""
    return _car(connection, _GET, {"k_network": network_id, "k_evse": evse_uid})


def of_session(connection: Connection, network_id: int, session_id: str) -> CarRow | None:
    """The car of a running session, or None."""
    return _car(connection, _OF_SESSION, {"k_network": network_id, "session_id": session_id})


def _car(connection: Connection, statement: Any, values: dict[str, Any]) -> CarRow | None:
    row = connection.execute(statement, values).mappings().first()
    return None if row is None else CarRow.model_construct(None, **row)


def occupied(connection: Connection, network_id: int, evse_uids: list[str]) -> set[str]:
    """Those of some EVSEs that have a car."""
    values = {"k_network": network_id, "evse_uids": evse_uids}
    return set(connection.execute(_OCCUPIED, values).scalars())


def charging(connection: Connection, network_id: int) -> int:
    """How many sessions of a network run."""
    return int(connection.execute(_CHARGING, {"k_network": network_id}).scalar_one())


def delete(transaction: Transaction, network_id: int, evse_uid: str) -> None:
    """Remove the car from an EVSE."""
    transaction.execute(_DELETE, {"k_network": network_id, "k_evse": evse_uid})
