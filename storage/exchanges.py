"""Exchanges: requests that our networks received from peers and back offices, and calls to peers.

The rows have no secrets: workflows/peers/redaction.py removes them first. docs/architecture.md "Exchanges".
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, ColumnElement, Index, Select, bindparam, func
from sqlmodel import Field, SQLModel

from storage import database, secrets
from storage.access import ACCESS
from storage.connections import CONNECTIONS
from storage.database import Connection, Transaction
from storage.ended_tokens import ENDED_TOKENS
from storage.networks import NETWORKS
from storage.objects import AutoIncrement, Party

IN = "in"
OUT = "out"
_SUCCESS = 1000

Values = dict[str, str | int | None]
"""A new exchange: its values by column."""

_WRITERS_LOCK_ID = 0x0C9122  # arbitrary, for pg_advisory_xact_lock
_PURGED_AT_ONCE = 500


class ExchangeSummary(SQLModel):
    """An exchange without headers and bodies. Instants in milliseconds.

    *peer*: the peer's party as in `NL/TNM`. *caller*: the kind of the token of a request that we received.
    *status*: the HTTP status, None if no answer came; then *error* says why. *lost_before*: how many
    exchanges of the network, just before this one, did not fit into the queue and are not stored.
    *request_cut*, *response_cut*: the body is not stored whole, because it is too long or not text.
    """

    id: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    network_id: int = Field(sa_type=BigInteger)
    connection_id: int | None = Field(default=None, sa_type=BigInteger)
    peer: str | None = Field(default=None, max_length=6)
    direction: str = Field(max_length=3)
    caller: str | None = Field(default=None, max_length=12)
    module: str = Field(max_length=16)
    method: str = Field(max_length=20)
    url: str
    status: int | None = None
    status_code: int | None = None
    status_message: str | None = None
    error: str | None = None
    started_at: int = Field(sa_type=BigInteger)
    duration_ms: int
    request_id: str = Field(max_length=64)
    request_cut: bool = False
    response_cut: bool = False
    lost_before: int = 0


class Exchange(ExchangeSummary, table=True):
    """An exchange with its headers, a JSON list of pairs, and its bodies."""

    __tablename__ = "ocpi_exchanges"
    __table_args__ = (
        Index("ix_ocpi_exchanges_network", "network_id", "id"),
        Index("ix_ocpi_exchanges_request", "network_id", "request_id"),
        {"sqlite_autoincrement": True},  # ids are cursors, so they are not reused
    )

    request_headers: str
    request_body: str | None = None
    response_headers: str
    response_body: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which exchanges of a network are wanted; None for any.

    *status*: an HTTP status or an OCPI status code. *text*: occurs in the URL, the headers, a body, the
    status message or the error. *since*, *before*: ids, both exclusive.
    """

    peer: str | None = None
    direction: str | None = None
    module: str | None = None
    status: int | None = None
    text: str | None = None
    since: int | None = None
    before: int | None = None

    def values(self) -> dict[str, Any]:
        """The conditions that are set, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose token it is or was. *peer*: the party of the connection."""

    network_id: int
    connection_id: int | None
    peer: Party | None


EXCHANGES = database.table(Exchange)

_c = EXCHANGES.c
_OF_NETWORK = _c.network_id == bindparam("network_id")
_ADD = sqlalchemy.insert(EXCHANGES)
_LIVE = sqlalchemy.select(NETWORKS.c.id).where(
    NETWORKS.c.id.in_(bindparam("networks", expanding=True)), NETWORKS.c.deleting.is_(False)
)
_SERIALIZE = sqlalchemy.select(func.pg_advisory_xact_lock(_WRITERS_LOCK_ID))
_GET = sqlalchemy.select(EXCHANGES).where(_OF_NETWORK, _c.id == bindparam("id"))
_OF_REQUESTS = sqlalchemy.select(_c.request_id, _c.id).where(
    _OF_NETWORK, _c.request_id.in_(bindparam("request_ids", expanding=True))
)
_NEWEST = sqlalchemy.select(func.max(_c.id)).where(_OF_NETWORK)
_WRITTEN = (
    sqlalchemy.select(_c.module)
    .distinct()
    .where(
        _OF_NETWORK,
        _c.id > bindparam("first"),
        _c.id <= bindparam("last"),
        _c.direction == IN,
        _c.method.in_(("PUT", "PATCH", "POST", "DELETE")),
        _c.status_code == bindparam("success"),
    )
)
_DELETE = sqlalchemy.delete(EXCHANGES).where(_c.network_id == bindparam("k_network_id"))
_FIRST_TO_TRIM = (
    sqlalchemy.select(_c.id)
    .where(_c.network_id == bindparam("k_network_id"))
    .order_by(_c.id.desc())
    .offset(bindparam("kept"))
    .limit(1)
    .scalar_subquery()
)
# Whoever deletes the network may hold these rows; on PostgreSQL waiting for them could be a deadlock.
_TRIM = sqlalchemy.delete(EXCHANGES).where(
    _c.id.in_(
        sqlalchemy.select(_c.id)
        .where(_c.network_id == bindparam("k_network_id"), _c.id <= _FIRST_TO_TRIM)
        .with_for_update(skip_locked=True)
    )
)
_OLDEST = sqlalchemy.select(_c.id).order_by(_c.id).limit(_PURGED_AT_ONCE)
_PURGE = sqlalchemy.delete(EXCHANGES).where(
    _c.id.in_(
        sqlalchemy.select(_c.id)
        .where(_c.id.in_(_OLDEST), _c.started_at < bindparam("started_before"))
        .with_for_update(skip_locked=True)
    )
)
_OWNERS = tuple(
    sqlalchemy.select(NETWORKS.c.id, connection_id, CONNECTIONS.c.country_code, CONNECTIONS.c.party_id)
    .join_from(digest.table, NETWORKS, network_id == NETWORKS.c.id)
    .outerjoin(CONNECTIONS, connection_id == CONNECTIONS.c.id)
    .where(digest == bindparam("digest"))
    for digest, network_id, connection_id in (
        (ACCESS.c.digest, ACCESS.c.network_id, ACCESS.c.connection_id),
        (ENDED_TOKENS.c.digest, ENDED_TOKENS.c.former_network_id, ENDED_TOKENS.c.former_connection_id),
    )
)


def add(transaction: Transaction, exchanges: Sequence[Values]) -> None:
    """Store exchanges of networks that still exist.

    Their ids become visible in order, so that followers miss none.
    """
    if transaction.dialect.name == "postgresql":
        transaction.execute(_SERIALIZE)
    networks = {exchange["network_id"] for exchange in exchanges}
    live = set(transaction.execute(_LIVE, {"networks": list(networks)}).scalars())
    stored = [exchange for exchange in exchanges if exchange["network_id"] in live]
    if stored:
        transaction.execute(_ADD, stored)


def page(
    connection: Connection, network_id: int, wanted: Filter, limit: int
) -> tuple[list[ExchangeSummary], int]:
    """At most *limit* exchanges, and the cursor from which a follower continues.

    They are newest first; with `since`, oldest first.
    """
    newest = connection.execute(_NEWEST, {"network_id": network_id}).scalar() or 0
    conditions = wanted.values()
    values = {"network_id": network_id, "newest": newest, "limit": limit, **conditions}
    if wanted.text is not None:
        values["text"] = re.sub("([/%_])", r"/\1", wanted.text)  # LIKE would read them as wildcards
    rows = connection.execute(_page(frozenset(conditions)), values).mappings()
    found = [ExchangeSummary.model_construct(**row) for row in rows]
    is_full = wanted.since is not None and len(found) == limit
    return found, int(found[-1].id or 0) if is_full else max(newest, wanted.since or 0)


@functools.cache
def _page(names: frozenset[str]) -> Select[Any]:
    """The statement of a page for one combination of conditions."""
    text = func.coalesce(_c.request_body, "") + _c.url + _c.request_headers + _c.response_headers
    text += func.coalesce(_c.response_body, "") + func.coalesce(_c.error, "")
    text += func.coalesce(_c.status_message, "")
    conditions: dict[str, ColumnElement[bool]] = {
        "peer": _c.peer == bindparam("peer"),
        "direction": _c.direction == bindparam("direction"),
        "module": _c.module == bindparam("module"),
        "status": (_c.status == bindparam("status")) | (_c.status_code == bindparam("status")),
        "text": sqlalchemy.type_coerce(text, sqlalchemy.String).icontains(bindparam("text"), escape="/"),
        "since": _c.id > bindparam("since"),
        "before": _c.id < bindparam("before"),
    }
    summary = [_c[name] for name in ExchangeSummary.model_fields]
    chosen = [condition for name, condition in conditions.items() if name in names]
    return (
        sqlalchemy.select(*summary)
        .where(_OF_NETWORK, _c.id <= bindparam("newest"), *chosen)
        .order_by(_c.id if "since" in names else _c.id.desc())
        .limit(bindparam("limit"))
    )


def get(connection: Connection, network_id: int, exchange_id: int) -> Exchange | None:
    """The exchange of the network with this id, or None."""
    found = database.rows(connection, Exchange, _GET, {"network_id": network_id, "id": exchange_id})
    return found[0] if found else None


def ids_of(connection: Connection, network_id: int, request_ids: Sequence[str]) -> dict[str, int]:
    """The ids of stored exchanges by request id. A new exchange is stored after half a second."""
    values = {"network_id": network_id, "request_ids": list(request_ids)}
    return {row.request_id: row.id for row in connection.execute(_OF_REQUESTS, values)}


def written_modules(connection: Connection, network_id: int, first: int, last: int) -> set[str]:
    """The modules to which successful writes came in the exchanges after *first* up to *last*."""
    values = {"network_id": network_id, "first": first, "last": last, "success": _SUCCESS}
    return set(connection.execute(_WRITTEN, values).scalars())


def delete_all(transaction: Transaction, network_id: int) -> None:
    """Delete the exchanges of a network."""
    transaction.execute(_DELETE, {"k_network_id": network_id})


def trim(transaction: Transaction, network_id: int, kept: int) -> None:
    """Delete all but the newest *kept* exchanges of a network."""
    transaction.execute(_TRIM, {"k_network_id": network_id, "kept": kept})


def purge(transaction: Transaction, before_ms: int) -> bool:
    """Delete some exchanges that started before this instant, of any network; False if no more are found."""
    return transaction.execute(_PURGE, {"started_before": before_ms}).rowcount == _PURGED_AT_ONCE


def owner_of(connection: Connection, token: str) -> Owner | None:
    """Whose *token* it is, or was until it ended; None if it is unknown or its network is deleted."""
    digest = secrets.digest(token)
    for statement in _OWNERS:
        row = connection.execute(statement, {"digest": digest}).first()
        if row is not None:
            network_id, connection_id, country_code, party_id = row
            peer = None if country_code is None else (country_code, party_id)
            return Owner(network_id, connection_id, peer)
    return None
