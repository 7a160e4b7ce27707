"""Connections between our networks and peers, whichever side registered. Spec: 2.1.1 credentials.

The key of a connection is (network, peer country code, peer party id); the peer has the opposite role. When
the peer unregisters, the connection and the pushed objects stay.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, UniqueConstraint, bindparam
from sqlmodel import Field, SQLModel

import errors
from settings import settings
from storage import agenda, database, parties, secrets, timestamps
from storage.database import Connection, Transaction
from storage.networks import ALIVE, NETWORKS, Network
from storage.objects import AutoIncrement, Party

REGISTERED = "REGISTERED"
UNREGISTERED = "UNREGISTERED"

OWN_PARTY = "own"
LISTED_PARTIES = "list"
ANY_PARTY = "any"
"""For which owners a peer may write: its own party, those that storage/parties.py lists, or any."""

BY_NETWORK = "NETWORK"
BY_PEER = "PEER"
"""Who initiated a registration."""

_NAME_LENGTH = 100


class ConnectionRow(SQLModel, table=True):
    """One peer of one network. Instants in milliseconds.

    The four columns that are named like settings replace them for this peer, unless they are None.
    """

    __tablename__ = "ocpi_connections"
    __table_args__ = (UniqueConstraint("network_id", "country_code", "party_id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    network_id: int = Field(sa_type=BigInteger, foreign_key="gw_networks.id")
    country_code: str = Field(max_length=2)
    party_id: str = Field(max_length=3)
    state: str = Field(max_length=12)
    writes_for: str = Field(default=OWN_PARTY, max_length=4)
    version: str = Field(max_length=8)
    versions_url: str = Field(max_length=255)
    endpoints: str
    business_details: str
    peer_token: str | None = None
    former_peer_token: str | None = None
    encodes_tokens: bool = False
    push: bool = True
    exchange_until: int | None = Field(default=None, sa_type=BigInteger)
    initiator: str | None = Field(default=None, max_length=7)
    peer_token_at: int | None = Field(default=None, sa_type=BigInteger)
    last_received_at: int | None = Field(default=None, sa_type=BigInteger)
    last_sent_at: int | None = Field(default=None, sa_type=BigInteger)
    last_error: str | None = None
    last_error_at: int | None = Field(default=None, sa_type=BigInteger)
    schema_refusal_status: int | None = None
    sessions_require_date_from: bool | None = None
    post_updates_registered: bool | None = None
    append_charging_periods: bool | None = None
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)

    @property
    def business_name(self) -> str | None:
        """The name in the peer's business details, which it may have left out."""
        name = orjson.loads(self.business_details).get("name")
        return name[:_NAME_LENGTH] if isinstance(name, str) else None

    @property
    def endpoint_urls(self) -> dict[str, str]:
        """The URLs of the peer's modules."""
        urls: dict[str, str] = orjson.loads(self.endpoints)
        return urls


CONNECTIONS = database.table(ConnectionRow)


@dataclass(frozen=True, slots=True)
class Tolerances:
    """What is tolerated of a peer: the settings of the same names, or what its connection has instead."""

    schema_refusal_status: int
    sessions_require_date_from: bool
    post_updates_registered: bool
    append_charging_periods: bool

    @classmethod
    def of(cls, columns: Sequence[Any]) -> "Tolerances":
        """The values of *columns*, in the order of the fields; None stands for the setting."""
        return cls(
            *(
                getattr(settings(), name) if value is None else value
                for name, value in zip(cls.__slots__, columns, strict=True)
            )
        )


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer sent during registration. *encodes_tokens*: it expects tokens in Base64."""

    party: Party
    versions_url: str
    version: str
    endpoints: Mapping[str, str]
    business_details: Mapping[str, Any]
    token: str
    encodes_tokens: bool = False


@dataclass(frozen=True, slots=True)
class PeerConnection:
    """A stored connection, for calls to the peer. The peer's tokens are encrypted.

    Each stored *peer_token* is a different ciphertext, so it also identifies the registration.
    """

    id: int
    network_id: int
    party: Party
    state: str
    versions_url: str
    endpoints: Mapping[str, str]
    peer_token: str | None
    former_peer_token: str | None
    encodes_tokens: bool
    push: bool

    @property
    def token(self) -> str | None:
        """The peer's token in the form that the peer expects; never log it.

        Raises:
            errors.ServerError: it was encrypted with another key.
        """
        return self._readable(self.peer_token)

    @property
    def former_token(self) -> str | None:
        """The peer's previous token, until the newer one has worked.

        Raises:
            errors.ServerError: it was encrypted with another key.
        """
        return self._readable(self.former_peer_token)

    def _readable(self, ciphertext: str | None) -> str | None:
        if ciphertext is None:
            return None
        token = secrets.decrypt(ciphertext)
        return in_base64(token) if self.encodes_tokens else token


def in_base64(token: str) -> str:
    """A token in Base64, as OCPI 2.2 sends it and some peers expect it in 2.1.1 as well."""
    return base64.b64encode(token.encode()).decode()


_c = CONNECTIONS.c
_OF_PARTY = sqlalchemy.select(CONNECTIONS).where(
    _c.network_id == bindparam("network_id"),
    _c.country_code == bindparam("country_code"),
    _c.party_id == bindparam("party_id"),
)
_BY_ID = sqlalchemy.select(CONNECTIONS).where(_c.id == bindparam("k_id"))
_OF_NETWORK = sqlalchemy.select(CONNECTIONS).where(_c.network_id == bindparam("network_id")).order_by(_c.id)
_ROW = sqlalchemy.select(CONNECTIONS).where(
    _c.network_id == bindparam("network_id"), _c.id == bindparam("k_id")
)
_PAGE = (
    sqlalchemy.select(CONNECTIONS)
    .where(_c.network_id == bindparam("network_id"))
    .order_by(_c.id)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_COUNT = (
    sqlalchemy.select(sqlalchemy.func.count())
    .select_from(CONNECTIONS)
    .where(_c.network_id == bindparam("network_id"))
)
_CHANGE = sqlalchemy.update(CONNECTIONS).where(
    _c.network_id == bindparam("k_network"), _c.id == bindparam("k_id")
)
_KEEP = {
    name: insert.on_conflict_do_update(
        index_elements=["network_id", "country_code", "party_id"],
        set_={
            column: insert.excluded[column]
            for column in (
                "state", "version", "versions_url", "endpoints", "business_details", "peer_token",
                "encodes_tokens", "peer_token_at", "last_sent_at", "updated_at",
            )
        } | {
            "former_peer_token": _c.peer_token,
            "exchange_until": None,
            "initiator": sqlalchemy.func.coalesce(insert.excluded.initiator, _c.initiator),
        },
    ).returning(_c.id)
    for name, insert in database.dialect_inserts(CONNECTIONS).items()
}  # fmt: skip
_END = (
    sqlalchemy.update(CONNECTIONS)
    .where(_c.id == bindparam("k_id"))
    .values(
        state=UNREGISTERED,
        peer_token=None,
        peer_token_at=None,
        former_peer_token=None,
        exchange_until=None,
        endpoints="{}",
        updated_at=bindparam("now"),
    )
)
_FORGET_FORMER = (
    sqlalchemy.update(CONNECTIONS)
    .where(_c.id == bindparam("k_id"), _c.peer_token == bindparam("k_peer_token"))
    .values(former_peer_token=None)
)
_WRITES_FOR = (
    sqlalchemy.update(CONNECTIONS).where(_c.id == bindparam("k_id")).values(writes_for=bindparam("writes"))
)
_LOCK = (
    sqlalchemy.select(NETWORKS.c.id)
    .where(NETWORKS.c.id == bindparam("network_id"), *ALIVE)
    .with_for_update()
)  # fmt: skip
_STATE = sqlalchemy.select(_c.state, _c.peer_token, _c.exchange_until).where(_c.id == bindparam("k_id"))
_BEGIN_EXCHANGE = (
    sqlalchemy.update(CONNECTIONS).where(_c.id == bindparam("k_id")).values(exchange_until=bindparam("until"))
)
_END_EXCHANGE = (
    sqlalchemy.update(CONNECTIONS)
    .where(_c.id == bindparam("k_id"), _c.peer_token == bindparam("k_peer_token"))
    .values(exchange_until=None)
)


def store(transaction: Transaction, network_id: int, peer: Peer, initiator: str | None = None) -> int:
    """Store the registration of *peer*, replacing an earlier one. Returns the connection's id.

    *initiator*: who initiated it; None if the credentials of an existing registration are renewed.
    """
    now = timestamps.now_ms()
    row = {
        "network_id": network_id,
        "country_code": peer.party[0],
        "party_id": peer.party[1],
        "state": REGISTERED,
        "version": peer.version,
        "versions_url": peer.versions_url,
        "endpoints": orjson.dumps(dict(peer.endpoints)).decode(),
        "business_details": orjson.dumps(dict(peer.business_details)).decode(),
        "peer_token": secrets.encrypt(peer.token),
        "encodes_tokens": peer.encodes_tokens,
        "push": True,
        "writes_for": OWN_PARTY,
        "initiator": initiator,
        "peer_token_at": now,
        "last_sent_at": now,
        "created_at": now,
        "updated_at": now,
    }
    connection_id = int(transaction.execute(_KEEP[transaction.dialect.name], row).scalar_one())
    parties.set_own(transaction, network_id, peer.party, connection_id)
    agenda.open_lane(transaction, agenda.connection_lane(connection_id), network_id)
    return connection_id


def lock(transaction: Transaction, network_id: int) -> bool:
    """Lock the network's connections until the transaction ends; False if the network has ended."""
    values = {"network_id": network_id, "now": timestamps.now_ms()}
    return transaction.execute(_LOCK, values).first() is not None


def is_registered(connection: Connection, connection_id: int) -> bool:
    """Whether the peer is registered."""
    row = connection.execute(_STATE, {"k_id": connection_id}).first()
    return row is not None and row.state == REGISTERED


def is_unchanged(connection: Connection, peer_connection: PeerConnection) -> bool:
    """Whether the connection is still the registration that *peer_connection* was read from."""
    row = connection.execute(_STATE, {"k_id": peer_connection.id}).first()
    return row is not None and (row.state, row.peer_token) == (REGISTERED, peer_connection.peer_token)


def exchange_runs(connection: Connection, connection_id: int) -> bool:
    """Whether we are renewing or ending this connection ourselves."""
    until = connection.execute(_STATE, {"k_id": connection_id}).one().exchange_until
    return until is not None and until > timestamps.now_ms()


def begin_exchange(transaction: Transaction, peer_connection: PeerConnection, seconds: float) -> None:
    """Record that we are renewing or ending this connection ourselves, for at most *seconds*."""
    until = timestamps.now_ms() + round(seconds * 1000)
    transaction.execute(_BEGIN_EXCHANGE, {"k_id": peer_connection.id, "until": until})


def end_exchange(transaction: Transaction, peer_connection: PeerConnection) -> None:
    """Record that the exchange has ended without a change."""
    transaction.execute(
        _END_EXCHANGE, {"k_id": peer_connection.id, "k_peer_token": peer_connection.peer_token}
    )


def end(transaction: Transaction, connection_id: int) -> None:
    """Unregister: delete the peer's tokens and endpoints and what it would be sent, keep its objects."""
    transaction.execute(_END, {"k_id": connection_id, "now": timestamps.now_ms()})
    agenda.clear_lane(transaction, agenda.connection_lane(connection_id))


def forget_former_token(transaction: Transaction, peer_connection: PeerConnection) -> None:
    """Delete the peer's former token, because its newer one works."""
    transaction.execute(
        _FORGET_FORMER, {"k_id": peer_connection.id, "k_peer_token": peer_connection.peer_token}
    )


def assign(
    transaction: Transaction, network: Network, connection_id: int, owners: Sequence[Party] | None
) -> None:
    """Let the peer write for its own party and *owners*; None means any.

    Raises:
        errors.Conflict: an owner belongs to the network itself or to another connection; or too many owners.
    """
    if owners is None:
        writes_for = ANY_PARTY
        parties.set_any(transaction, connection_id)
    else:
        if network.party in owners:
            raise errors.Conflict(f"parties: {'/'.join(network.party)} is the party of this network")
        parties.set_list(transaction, network.id, connection_id, owners)
        writes_for = LISTED_PARTIES if owners else OWN_PARTY
    transaction.execute(_WRITES_FOR, {"k_id": connection_id, "writes": writes_for})


def of_id(connection: Connection, connection_id: int) -> PeerConnection | None:
    """The connection with this id, or None."""
    row = connection.execute(_BY_ID, {"k_id": connection_id}).first()
    return _peer_connection(row) if row else None


def require(connection: Connection, network_id: int, connection_id: int) -> PeerConnection:
    """The network's connection with this id.

    Raises:
        errors.NotFound: the network does not have it.
    """
    found = of_id(connection, connection_id)
    if found is None or found.network_id != network_id:
        raise errors.NotFound(errors.NOTHING_HERE)
    return found


def of_party(connection: Connection, network_id: int, party: Party) -> PeerConnection | None:
    """The connection with *party*, or None."""
    values = {"network_id": network_id, "country_code": party[0], "party_id": party[1]}
    row = connection.execute(_OF_PARTY, values).first()
    return _peer_connection(row) if row else None


def of_network(connection: Connection, network_id: int) -> list[PeerConnection]:
    """Every connection of the network, oldest first."""
    return [_peer_connection(row) for row in connection.execute(_OF_NETWORK, {"network_id": network_id})]


def row(connection: Connection, network_id: int, connection_id: int) -> ConnectionRow | None:
    """The network's connection with this id, or None."""
    found = database.rows(connection, ConnectionRow, _ROW, {"network_id": network_id, "k_id": connection_id})
    return found[0] if found else None


def page(connection: Connection, network_id: int, offset: int, limit: int) -> tuple[list[ConnectionRow], int]:
    """The network's connections, oldest first, and how many there are."""
    values = {"network_id": network_id}
    found = database.rows(connection, ConnectionRow, _PAGE, {**values, "offset": offset, "limit": limit})
    return found, int(connection.execute(_COUNT, values).scalar_one())


def change(transaction: Transaction, network_id: int, connection_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of a connection: `push` and those that are named like settings.

    Without push, what the peer is behind is forgotten.

    Raises:
        errors.NotFound: the network does not have it, or has ended.
    """
    statement = _CHANGE.values(**values, updated_at=timestamps.now_ms())
    keys = {"k_network": network_id, "k_id": connection_id}
    if not lock(transaction, network_id) or not transaction.execute(statement, keys).rowcount:
        raise errors.NotFound(errors.NOTHING_HERE)
    if values.get("push") is False:
        agenda.clear_lane(transaction, agenda.connection_lane(connection_id))


def _peer_connection(row: Any) -> PeerConnection:
    return PeerConnection(
        id=row.id,
        network_id=row.network_id,
        party=(row.country_code, row.party_id),
        state=row.state,
        versions_url=row.versions_url,
        endpoints=orjson.loads(row.endpoints),
        peer_token=row.peer_token,
        former_peer_token=row.former_peer_token,
        encodes_tokens=row.encodes_tokens,
        push=row.push,
    )
