"""Owners of objects: the connection whose peer may write for a party.

docs/gateway.md "Parties of a connection".

Within a network an owner belongs to one connection. The table also has the own party of each connection, so
that one lookup finds the connection of any owner.
"""

from collections.abc import Collection, Sequence

import sqlalchemy
from sqlalchemy import BigInteger, ColumnElement, Table, bindparam
from sqlmodel import Field, SQLModel

import errors
from storage import database
from storage.database import Connection, Transaction

OWN = "own"
LISTED = "listed"
CLAIMED = "claimed"
"""Why an owner belongs to a connection: it is the peer's own party; the connection lists it; the connection
may write for any party, and was the first to write for this one."""

_MOST = 1000
"""How many parties a connection may have, as in the contract."""

Party = tuple[str, str]
"""Country code and party id, both upper case."""


class PartyRow(SQLModel, table=True):
    """One owner of one connection. *basis*: OWN, LISTED or CLAIMED.

    It has no foreign key: its check would lock the network's row after the owner's, and a registration locks
    them in the other order.
    """

    __tablename__ = "ocpi_connection_parties"

    network_id: int = Field(primary_key=True, sa_type=BigInteger)
    country_code: str = Field(primary_key=True, max_length=2)
    party_id: str = Field(primary_key=True, max_length=3)
    connection_id: int = Field(sa_type=BigInteger, index=True)
    basis: str = Field(max_length=7)


PARTIES = database.table(PartyRow)
_c = PARTIES.c
_KEY = ["network_id", "country_code", "party_id"]
_HOLDER = sqlalchemy.select(_c.connection_id).where(*(_c[name] == bindparam(f"k_{name}") for name in _KEY))
_NAME = (_c.country_code + "/" + _c.party_id).label("name")
_HOLDERS = sqlalchemy.select(_NAME, _c.connection_id).where(
    _c.network_id == bindparam("network_id"), _NAME.in_(bindparam("names", expanding=True))
)
_OWN_PARTY = sqlalchemy.select(_c.country_code, _c.party_id).where(
    _c.connection_id == bindparam("connection_id"), _c.basis == OWN
)
_NAMED = (
    sqlalchemy.select(_c.connection_id, _c.country_code, _c.party_id)
    .where(_c.network_id == bindparam("network_id"), _c.basis != CLAIMED)
    .order_by(_c.basis.desc(), _c.country_code, _c.party_id)  # the own party first
)
_INSERTS = database.dialect_inserts(PARTIES)
_SET_OWN = {
    name: insert.on_conflict_do_update(
        index_elements=_KEY, set_={"connection_id": insert.excluded.connection_id, "basis": OWN}
    )
    for name, insert in _INSERTS.items()
}
_LIST = {
    name: insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={"connection_id": insert.excluded.connection_id, "basis": LISTED},
        where=_c.basis == CLAIMED,
    ).returning(_c.connection_id)
    for name, insert in _INSERTS.items()
}
_CLAIM = {name: insert.on_conflict_do_nothing(index_elements=_KEY) for name, insert in _INSERTS.items()}
_DROP = sqlalchemy.delete(PARTIES).where(_c.connection_id == bindparam("k_connection"), _c.basis != OWN)
_KEEP_AS_CLAIMED = (
    sqlalchemy.update(PARTIES)
    .where(_c.connection_id == bindparam("k_connection"), _c.basis == LISTED)
    .values(basis=CLAIMED)
)


def owner_of(table: Table) -> ColumnElement[bool]:
    """Whether the owner of a row of *table* belongs to the connection with the id `owner_of`."""
    same = (_c[name] == table.c[name] for name in _KEY)
    return sqlalchemy.exists().where(*same, _c.connection_id == bindparam("owner_of"))


def reader_of(table: Table) -> ColumnElement[bool]:
    """Whether the reader of a row of *table* belongs to the connection with the id `reader_of`."""
    names = sqlalchemy.select(_c.country_code + "/" + _c.party_id)
    reader: ColumnElement[bool] = table.c.reader.in_(names.where(_c.connection_id == bindparam("reader_of")))
    return reader


def peer_of(table: Table) -> ColumnElement[bool]:
    """Whether a row of *table* belongs to a connection by its owner or its reader.

    The parameters `owner_of` and `reader_of` are both the id of the connection.
    """
    return owner_of(table) | reader_of(table) if "reader" in table.c else owner_of(table)


def holders(connection: Connection, network_id: int, names: Collection[str]) -> dict[str, int]:
    """The connections that owners (`NL/TNM`) belong to, by owner."""
    rows = connection.execute(_HOLDERS, {"network_id": network_id, "names": sorted(names)})
    return {row.name: row.connection_id for row in rows}


def connection_of(connection: Connection, network_id: int, party: Party) -> int | None:
    """The connection that an owner belongs to, or None."""
    found = connection.execute(_HOLDER, _key(network_id, party)).scalar()
    return None if found is None else int(found)


def connection_of_reader(connection: Connection, network_id: int, reader: str | None) -> int | None:
    """The connection that sees an object with this *reader* (`NL/TNM`), or None."""
    if reader is None:
        return None
    country_code, _, party_id = reader.partition("/")
    return connection_of(connection, network_id, (country_code, party_id))


def named(connection: Connection, network_id: int) -> dict[int, list[Party]]:
    """By connection of the network: its own party, then those that it lists."""
    names: dict[int, list[Party]] = {}
    for row in connection.execute(_NAMED, {"network_id": network_id}):
        names.setdefault(row.connection_id, []).append((row.country_code, row.party_id))
    return names


def set_own(transaction: Transaction, network_id: int, party: Party, connection_id: int) -> None:
    """Let the own party of a peer belong to its connection, whichever connection had it before."""
    row = _row(network_id, party, connection_id, OWN)
    transaction.execute(_SET_OWN[transaction.dialect.name], row)


def set_list(transaction: Transaction, network_id: int, connection_id: int, listed: Sequence[Party]) -> None:
    """Let exactly the parties of *listed*, and its own, belong to a connection.

    Raises:
        errors.Conflict: one of them belongs to another connection, which is named; or they are too many.
    """
    transaction.execute(_DROP, {"k_connection": connection_id})
    others = {*listed} - {_own_party(transaction, connection_id)}
    if len(others) >= _MOST:
        raise errors.Conflict(f"parties: at most {_MOST} are possible, including the peer's own")
    statement = _LIST[transaction.dialect.name]
    for party in sorted(others):
        row = _row(network_id, party, connection_id, LISTED)
        if transaction.execute(statement, row).first() is None:
            holder = connection_of(transaction, network_id, party) or 0
            names = "/".join(party), "/".join(_own_party(transaction, holder))
            raise errors.Conflict(f"parties: {names[0]} belongs to the connection with {names[1]}")


def _own_party(connection: Connection, connection_id: int) -> Party:
    row = connection.execute(_OWN_PARTY, {"connection_id": connection_id}).one()
    return row.country_code, row.party_id


def set_any(transaction: Transaction, connection_id: int) -> None:
    """Let a connection keep the owners that it listed, unless another connection lists them later."""
    transaction.execute(_KEEP_AS_CLAIMED, {"k_connection": connection_id})


def claim(transaction: Transaction, network_id: int, party: Party, connection_id: int) -> None:
    """Let an owner belong to a connection unless it belongs to one.

    Raises:
        errors.NotFound: it belongs to another connection.
    """
    row = _row(network_id, party, connection_id, CLAIMED)
    transaction.execute(_CLAIM[transaction.dialect.name], row)
    if connection_of(transaction, network_id, party) != connection_id:
        raise errors.NotFound(errors.NOTHING_HERE)


def _key(network_id: int, party: Party) -> dict[str, int | str]:
    return {"k_network_id": network_id, "k_country_code": party[0], "k_party_id": party[1]}


def _row(network_id: int, party: Party, connection_id: int, basis: str) -> dict[str, int | str]:
    return {
        "network_id": network_id,
        "country_code": party[0],
        "party_id": party[1],
        "connection_id": connection_id,
        "basis": basis,
    }
