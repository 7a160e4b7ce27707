"""Objects of a network by id, whoever owns them: our own party, or a peer that pushed them.

An id identifies an object only together with its owner. docs/gateway.md "Objects".
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, Row, Select, Table, bindparam, func, select

import errors
from generated.ocpi_models import TokenType
from settings import settings
from storage import database, parties
from storage.cdrs import CDRRow
from storage.database import Connection
from storage.networks import Network
from storage.objects import Party
from storage.sessions import SessionRow
from storage.tariffs import TariffRow
from storage.tokens import TokenRow


class Kind(StrEnum):
    """A kind of object, by the name of its module."""

    SESSIONS = "sessions"
    CDRS = "cdrs"
    TARIFFS = "tariffs"
    TOKENS = "tokens"


_TABLES = {
    Kind.SESSIONS: database.table(SessionRow),
    Kind.CDRS: database.table(CDRRow),
    Kind.TARIFFS: database.table(TariffRow),
    Kind.TOKENS: database.table(TokenRow),
}


@dataclass(frozen=True)
class Listed:
    """An object of a list, with its owner.

    *connection_id*: the connection that its owner belongs to. For a session or CDR of our own, it is the
    connection of the driver's eMSP. *document*: its JSON text; None if it is too long for a list.
    """

    owner: Party
    is_own: bool
    connection_id: int | None
    document: str | None


@dataclass(frozen=True)
class Owned(Listed):
    """An object with its owner, as in `Listed`."""

    document: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects a list has. *is_own*: None for both. *connection_id*: as in `Listed`."""

    is_own: bool | None = None
    connection_id: int | None = None


def find(
    connection: Connection,
    network: Network,
    kind: Kind,
    object_id: str,
    country_code: str | None = None,
    party_id: str | None = None,
    type_: str | None = None,
) -> Owned:
    """The object of the owner with *country_code* and *party_id*.

    Without them, it is our own object, else the only one. *type_*: the type of a token. Without it, it is the
    owner's only token with this uid, else the RFID token.

    Raises:
        errors.NotFound: there is no such object.
        errors.Conflict: several owners have one, and none was named.
    """
    is_cdr = kind is Kind.CDRS
    values = {**_own(network), "id": object_id.lower() if is_cdr else object_id}
    owners: dict[Party, dict[str | None, Row[Any]]] = {}
    for row in connection.execute(_by_id(kind), values):
        wanted = (country_code, row.country_code), (party_id, row.party_id), (type_, row.type)
        if all(value in (None, column) for value, column in wanted):
            owners.setdefault((row.country_code, row.party_id), {})[row.type] = row
    owner = _chosen(network, kind, object_id, list(owners))
    rows = owners[owner]
    row = next(iter(rows.values())) if len(rows) == 1 else rows[TokenType.RFID]
    return Owned(owner, bool(row.is_own), _connection_ids(connection, network, [row])[0], row.document)


def _chosen(network: Network, kind: Kind, object_id: str, owners: list[Party]) -> Party:
    """Our own party if it is one of *owners*, else the only one."""
    if network.party in owners:
        return network.party
    if not owners:
        raise errors.NotFound(errors.NOTHING_HERE)
    if len(owners) > 1:
        names = ", ".join(sorted("/".join(owner) for owner in owners))
        raise errors.Conflict(
            f"{names} all have {kind} with the id {object_id}; name one with country_code and party_id."
        )
    return owners[0]


def page(
    connection: Connection, network: Network, kind: Kind, wanted: Filter, offset: int, limit: int
) -> tuple[list[Listed], int]:
    """The objects that match, in creation order, and how many there are.

    Documents are left out that are longer than PAGE_BYTES divided by *limit* + 1.
    """
    peer = {"owner_of": wanted.connection_id, "reader_of": wanted.connection_id}
    values = _own(network) | (peer if wanted.connection_id is not None else {})
    some, count = _page(kind, is_own=wanted.is_own, has_connection=wanted.connection_id is not None)
    window = {"offset": offset, "limit": limit, "short": settings().page_bytes // (limit + 1)}
    rows = connection.execute(some, {**values, **window}).all()
    connection_ids = _connection_ids(connection, network, rows)
    listed = [
        Listed((row.country_code, row.party_id), bool(row.is_own), connection_id, row.document)
        for row, connection_id in zip(rows, connection_ids, strict=True)
    ]
    return listed, int(connection.execute(count, values).scalar_one())


def _own(network: Network) -> dict[str, Any]:
    return {"network_id": network.id, "own_country": network.country_code, "own_party": network.party_id}


def _connection_ids(connection: Connection, network: Network, rows: Sequence[Row[Any]]) -> list[int | None]:
    """The connection of each row, as in `Listed`."""
    names = [row.reader if row.is_own else f"{row.country_code}/{row.party_id}" for row in rows]
    holders = parties.holders(connection, network.id, {name for name in names if name is not None})
    return [holders.get(name) for name in names]


@functools.cache
def _by_id(kind: Kind) -> Select[Any]:
    """The objects with an id, of every owner."""
    c = _TABLES[kind].c
    key = c.folded_id if kind is Kind.CDRS else c.id
    return _of_network(kind).add_columns(c.document).where(key == bindparam("id"))


@functools.cache
def _page(kind: Kind, *, is_own: bool | None, has_connection: bool) -> tuple[Select[Any], Select[Any]]:
    """The statements of a page and of its count."""
    table = _TABLES[kind]
    c = table.c
    document = sqlalchemy.case((c.document_bytes <= bindparam("short"), c.document)).label("document")
    objects = _of_network(kind).add_columns(document)
    if is_own is not None:
        objects = objects.where(_is_own(table) if is_own else ~_is_own(table))
    if has_connection:
        objects = objects.where(parties.peer_of(table))
    count = objects.with_only_columns(func.count())
    return objects.order_by(c.seq).offset(bindparam("offset")).limit(bindparam("limit")), count


def _of_network(kind: Kind) -> Select[Any]:
    """The objects of the network, without their documents."""
    table = _TABLES[kind]
    c = table.c
    optional = (c[name] if name in c else sqlalchemy.null().label(name) for name in ("reader", "type"))
    return select(c.country_code, c.party_id, _is_own(table).label("is_own"), *optional).where(
        c.network_id == bindparam("network_id")
    )


def _is_own(table: Table) -> ColumnElement[bool]:
    """Whether a row belongs to our own party."""
    return (table.c.country_code == bindparam("own_country")) & (table.c.party_id == bindparam("own_party"))
