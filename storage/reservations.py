"""Reservations of EVSEs. Spec: 2.1.1 mod_commands 3.2. An EVSE has at most one; instants are real."""

from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

from storage import database
from storage.database import Connection, Transaction


class ReservationRow(SQLModel, table=True):
    """One reservation, for one token of one peer. *expires_at* in milliseconds."""

    __tablename__ = "gw_reservations"

    network_id: int = Field(primary_key=True, sa_type=BigInteger)
    evse_uid: str = Field(primary_key=True, max_length=39)
    location_id: str = Field(max_length=39)
    connection_id: int = Field(sa_type=BigInteger)
    reservation_id: int = Field(sa_type=BigInteger)
    token_uid: str = Field(max_length=36)
    token_type: str = Field(max_length=5)
    expires_at: int = Field(sa_type=BigInteger)


RESERVATIONS = database.table(ReservationRow)

_c = RESERVATIONS.c
_AT_EVSE = (_c.network_id == bindparam("k_network"), _c.evse_uid == bindparam("k_evse"))
_OF_EVSES = sqlalchemy.select(RESERVATIONS).where(
    _c.network_id == bindparam("k_network"), _c.evse_uid.in_(bindparam("evse_uids", expanding=True))
)
_SAME = sqlalchemy.select(RESERVATIONS).where(
    _c.network_id == bindparam("k_network"),
    _c.connection_id == bindparam("connection_id"),
    _c.location_id == bindparam("location_id"),
    _c.reservation_id == bindparam("reservation_id"),
)
_DELETE = sqlalchemy.delete(RESERVATIONS).where(*_AT_EVSE)


def add(transaction: Transaction, reservation: ReservationRow) -> None:
    """Store a reservation of an EVSE that has none, with the network locked."""
    transaction.execute(sqlalchemy.insert(RESERVATIONS), reservation.model_dump())


def of_evses(connection: Connection, network_id: int, evse_uids: list[str]) -> dict[str, ReservationRow]:
    """The reservations of some EVSEs, by EVSE."""
    rows = connection.execute(_OF_EVSES, {"k_network": network_id, "evse_uids": evse_uids}).mappings()
    return {row["evse_uid"]: ReservationRow(**row) for row in rows}


def same(
    connection: Connection, network_id: int, connection_id: int, location_id: str, reservation_id: int
) -> ReservationRow | None:
    """The reservation of a peer with this number at a location, or None."""
    values: dict[str, Any] = {
        "k_network": network_id,
        "connection_id": connection_id,
        "location_id": location_id,
        "reservation_id": reservation_id,
    }
    row = connection.execute(_SAME, values).mappings().first()
    return None if row is None else ReservationRow(**row)


def delete(transaction: Transaction, network_id: int, evse_uid: str) -> None:
    """Delete the reservation of an EVSE."""
    transaction.execute(_DELETE, {"k_network": network_id, "k_evse": evse_uid})
