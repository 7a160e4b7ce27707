"""Our tokens and their callers.

Only digests are stored. There are four kinds: `registration` (Token A), `callback` (for the peer's calls
while we register there), `peer` (Token C) and `operator` (the back office of our own party).
"""

import hmac
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, bindparam
from sqlmodel import Field, SQLModel

import errors
from storage import connections, database, ended_tokens, secrets, timestamps
from storage.connections import CONNECTIONS, OWN_PARTY, Tolerances
from storage.database import Connection, Transaction
from storage.networks import CPO, NETWORKS
from storage.objects import Party

REGISTRATION = "registration"
CALLBACK = "callback"
PEER = "peer"
OPERATOR = "operator"


class AccessRow(SQLModel, table=True):
    """One of our tokens.

    Only a Token A has an *invitation_id*, and a party if only that party may register with it.
    """

    __tablename__ = "ocpi_access"

    digest: str = Field(primary_key=True, max_length=64)
    kind: str = Field(max_length=12)
    network_id: int = Field(sa_type=BigInteger, foreign_key="gw_networks.id", index=True)
    connection_id: int | None = Field(
        default=None, sa_type=BigInteger, foreign_key="ocpi_connections.id", index=True
    )
    last4: str = Field(max_length=4)
    created_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(default=None, sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    invitation_id: str | None = Field(default=None, max_length=36, index=True, unique=True)
    country_code: str | None = Field(default=None, max_length=2)
    party_id: str | None = Field(default=None, max_length=3)


ACCESS = database.table(AccessRow)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: which of our networks the token belongs to, and which peer, if any.

    *writes_for*: the owners for which the peer may write, as in storage/connections.py. *expires_at*: when
    the token expires, in milliseconds; only a Token C that a newer one replaces expires. *is_first_use*: this
    Token C has not been used before. *invited*: the only party that may register with this Token A.
    """

    kind: str
    network_id: int
    role: str
    country_code: str
    party_id: str
    connection_id: int | None
    peer: Party | None
    writes_for: str
    token: str
    tolerances: Tolerances
    expires_at: int | None = None
    is_first_use: bool = False
    invited: Party | None = None

    @property
    def party(self) -> Party:
        """Our own party, to whose URLs the token gives access."""
        return self.country_code, self.party_id

    @property
    def is_operator(self) -> bool:
        """Whether it is the back office of our own party."""
        return self.kind == OPERATOR


_c, _n, _p = ACCESS.c, NETWORKS.c, CONNECTIONS.c
_IDENTIFY = (
    sqlalchemy.select(
        _c.digest, _c.used_at, _c.expires_at,
        _c.kind, _c.network_id, _n.role, _n.country_code, _n.party_id, _c.connection_id,
        _p.country_code, _p.party_id, _p.writes_for, _n.expires_at, _c.country_code, _c.party_id,
        *(_p[name] for name in Tolerances.__slots__),
    )
    .select_from(
        ACCESS.join(NETWORKS, _c.network_id == _n.id).outerjoin(CONNECTIONS, _c.connection_id == _p.id)
    )
    .where(_c.digest == bindparam("digest"), _n.deleting.is_(False))
)  # fmt: skip
ENDED = (_c.digest, _c.network_id, _c.connection_id)
_CONFIRM = (
    sqlalchemy.update(ACCESS)
    .where(_c.digest == bindparam("d"), _c.used_at.is_(None))
    .values(used_at=bindparam("now"), expires_at=None)
    .returning(_c.created_at)
)
_OTHERS = (_c.connection_id == bindparam("connection"), _c.kind == PEER, _c.digest != bindparam("d"))
_END_OTHERS = sqlalchemy.delete(ACCESS).where(*_OTHERS).returning(*ENDED)
_END_OLDER = (
    sqlalchemy.delete(ACCESS).where(*_OTHERS, _c.created_at <= bindparam("created_at")).returning(*ENDED)
)
_END = (
    sqlalchemy.delete(ACCESS).where(_c.digest == bindparam("d"), _c.kind == bindparam("kind"))
    .returning(*ENDED)
)  # fmt: skip
_END_ALL = sqlalchemy.delete(ACCESS).where(_c.connection_id == bindparam("connection")).returning(*ENDED)
_ISSUED = (
    sqlalchemy.select(_c.connection_id, sqlalchemy.func.max(_c.created_at).label("created_at"))
    .where(_c.network_id == bindparam("network"), _c.kind == PEER)
    .group_by(_c.connection_id)
)
_END_NETWORK = sqlalchemy.delete(ACCESS).where(_c.network_id == bindparam("network")).returning(*ENDED)
_IS_OPEN = sqlalchemy.select(_c.digest).where(_c.digest == bindparam("d"))
_IS_LIVE = sqlalchemy.select(_c.kind, _c.connection_id, _c.expires_at).where(_c.digest == bindparam("d"))
_END_OF = (
    sqlalchemy.select(_c.expires_at, _n.deleting, _n.expires_at)
    .select_from(ACCESS.join(NETWORKS, _c.network_id == _n.id))
    .where(_c.digest == bindparam("d"))
)
_PURGE = (
    sqlalchemy.delete(ACCESS)
    .where(
        _c.network_id == bindparam("network"),
        _c.expires_at <= bindparam("now"),
        _c.kind == bindparam("kind"),
    )
    .returning(*ENDED)
)
_END_SUPERSEDED = (
    sqlalchemy.delete(ACCESS)
    .where(_c.connection_id == bindparam("connection"), _c.kind == PEER, _c.expires_at.is_not(None))
    .returning(*ENDED)
)
_SUPERSEDE = (
    sqlalchemy.update(ACCESS)
    .where(_c.connection_id == bindparam("connection"), _c.kind == PEER, _c.expires_at.is_(None))
    .values(
        expires_at=bindparam("until"),
        used_at=sqlalchemy.func.coalesce(_c.used_at, bindparam("now")),  # so that no later use confirms it
    )
)
_REGISTRATION_RUNS = sqlalchemy.select(_c.digest).where(
    _c.network_id == bindparam("network"),
    _c.kind == CALLBACK,
    _c.connection_id.is_(None),
    _c.expires_at > bindparam("now"),
)
_BIND = (
    sqlalchemy.update(ACCESS)
    .where(_c.digest == bindparam("d"), _c.kind == CALLBACK, _c.expires_at > bindparam("now"))
    .values(kind=PEER, connection_id=bindparam("connection"), used_at=None, expires_at=None)
)


def identify(connection: Connection, token: str) -> Caller | None:
    """The caller with this *token*, or None. After a first use, `confirm` must be called."""
    digest = secrets.digest(token)
    row = connection.execute(_IDENTIFY, {"digest": digest}).first()
    if row is None or not hmac.compare_digest(row[0], digest):
        return None
    used_at, expires_at, kind, network_id, role, country_code, party_id, connection_id = row[1:9]
    peer_country, peer_party, writes_for, network_ends, invited_country, invited_party = row[9:15]
    now = timestamps.now_ms()
    if any(end is not None and end <= now for end in (network_ends, expires_at)):
        return None
    peer = None if peer_country is None else (peer_country, peer_party)
    is_first_use = kind == PEER and used_at is None and expires_at is None
    invited = None if invited_country is None else (invited_country, invited_party)
    return Caller(
        kind, network_id, role, country_code, party_id, connection_id, peer, writes_for or OWN_PARTY, token,
        Tolerances.of(row[15:]), expires_at, is_first_use, invited,
    )  # fmt: skip


def confirm(transaction: Transaction, caller: Caller) -> None:
    """Record the first use of a Token C, which ends the tokens that it replaces.

    It locks the network's connections first, as an exchange does, because the two would deadlock on
    PostgreSQL otherwise.
    """
    connections.lock(transaction, caller.network_id)
    digest = secrets.digest(caller.token)
    created_at = transaction.execute(_CONFIRM, {"d": digest, "now": timestamps.now_ms()}).scalar()
    if created_at is not None:
        values = {"d": digest, "connection": caller.connection_id, "created_at": created_at}
        _end(transaction, _END_OLDER, values, ended_tokens.ROTATED)


def _end(transaction: Transaction, statement: Any, values: dict[str, Any], reason: str) -> int:
    """Delete tokens and record the reason. Returns their number."""
    ended = [
        (row.digest, row.network_id, row.connection_id) for row in transaction.execute(statement, values)
    ]
    ended_tokens.record(transaction, ended, reason)
    return len(ended)


def ended_reason(connection: Connection, token: str) -> str | None:
    """Why *token* no longer works, as a reason of storage/ended_tokens.py; None if unknown."""
    recorded = ended_tokens.reason(connection, token)
    if recorded is not None:
        return recorded
    row = connection.execute(_END_OF, {"d": secrets.digest(token)}).first()
    if row is None:
        return None
    token_ends, network_is_deleted, network_ends = row
    now = timestamps.now_ms()
    if network_is_deleted:
        return ended_tokens.NETWORK_DELETED
    if network_ends is not None and network_ends <= now:
        return ended_tokens.NETWORK_EXPIRED
    return ended_tokens.ROTATED if token_ends is not None and token_ends <= now else None


def require_live(transaction: Transaction, caller: Caller) -> None:
    """Check that the caller's token has not changed since the request came in.

    A token that another exchange has replaced meanwhile counts as ended. docs/security-cases.md "Tokens".

    Raises:
        errors.Unauthorized: the token has ended since.
    """
    row = transaction.execute(_IS_LIVE, {"d": secrets.digest(caller.token)}).first()
    expected = (caller.kind, caller.connection_id, caller.expires_at)
    is_expired = caller.expires_at is not None and caller.expires_at <= timestamps.now_ms()
    if row is None or tuple(row) != expected or is_expired:
        raise errors.Unauthorized("This token ended while your request was served.")


def mint(
    transaction: Transaction,
    kind: str,
    network_id: int,
    connection_id: int | None = None,
    lives_ms: int | None = None,
    chosen: str = "",
    invited: Party | None = None,
) -> str:
    """Store the digest of a new token or of *chosen*; returns the token. *lives_ms*: until it expires.

    *invited*: the only party that may register with a Token A.
    """
    token = chosen or secrets.mint({REGISTRATION: "a_", OPERATOR: "o_"}.get(kind, ""))
    now = timestamps.now_ms()
    row = {
        "digest": secrets.digest(token),
        "kind": kind,
        "network_id": network_id,
        "connection_id": connection_id,
        "last4": token[-4:],
        "created_at": now,
        "expires_at": None if lives_ms is None else now + lives_ms,
        "invitation_id": str(uuid.uuid4()) if kind == REGISTRATION else None,
        "country_code": None if invited is None else invited[0],
        "party_id": None if invited is None else invited[1],
    }
    transaction.execute(sqlalchemy.insert(ACCESS), row)
    return token


def spend(transaction: Transaction, token: str) -> None:
    """End Token A, inside the transaction that uses it.

    Raises:
        errors.Unauthorized: another registration used it first.
    """
    values = {"d": secrets.digest(token), "kind": REGISTRATION}
    if not _end(transaction, _END, values, ended_tokens.USED):
        raise errors.Unauthorized("Token A has been used already.")


def issued(connection: Connection, network_id: int) -> dict[int, int]:
    """When the newest Token C of each connection of the network was issued, in milliseconds."""
    rows = connection.execute(_ISSUED, {"network": network_id})
    return {row.connection_id: row.created_at for row in rows}


def registration_runs(connection: Connection, network_id: int) -> bool:
    """Whether the network is registering at a peer."""
    values = {"network": network_id, "now": timestamps.now_ms()}
    return connection.execute(_REGISTRATION_RUNS, values).first() is not None


def withdraw(transaction: Transaction, token: str) -> None:
    """End a callback token whose registration did not complete."""
    values = {"d": secrets.digest(token), "kind": CALLBACK}
    _end(transaction, _END, values, ended_tokens.WITHDRAWN)


def bind(transaction: Transaction, token: str, connection_id: int) -> bool:
    """Make a callback token the peer's Token C; False if the callback token has ended."""
    values = {"d": secrets.digest(token), "connection": connection_id, "now": timestamps.now_ms()}
    return transaction.execute(_BIND, values).rowcount == 1


def supersede(transaction: Transaction, network_id: int, connection_id: int, overlap_ms: int) -> None:
    """Let the Tokens C of a connection end with the first use of the next one, or after *overlap_ms*.

    The network's expired tokens are deleted as well. Those of other networks stay, because only this
    network's lock is held: transactions that delete each other's rows deadlock on PostgreSQL.
    """
    now = timestamps.now_ms()
    values = {"connection": connection_id, "until": now + overlap_ms, "now": now}
    transaction.execute(_SUPERSEDE, values)
    for kind, reason in ((PEER, ended_tokens.ROTATED), (CALLBACK, ended_tokens.WITHDRAWN)):
        _end(transaction, _PURGE, {"network": network_id, "now": now, "kind": kind}, reason)


def end_others(transaction: Transaction, caller: Caller) -> None:
    """End every other Token C of the caller's connection, which the peer never received."""
    values = {"d": secrets.digest(caller.token), "connection": caller.connection_id}
    _end(transaction, _END_OTHERS, values, ended_tokens.ROTATED)


def end_superseded(transaction: Transaction, connection_id: int) -> None:
    """End the replaced Tokens C of a connection before their overlap is over."""
    _end(transaction, _END_SUPERSEDED, {"connection": connection_id}, ended_tokens.ROTATED)


def end_all(transaction: Transaction, connection_id: int, reason: str) -> int:
    """End every token of a connection. Returns their number."""
    return _end(transaction, _END_ALL, {"connection": connection_id}, reason)


def end_network(transaction: Transaction, network_id: int, reason: str) -> None:
    """End every token of a network."""
    _end(transaction, _END_NETWORK, {"network": network_id}, reason)


def is_open(connection: Connection, token: str) -> bool:
    """Whether a Token A is still unused."""
    return connection.execute(_IS_OPEN, {"d": secrets.digest(token)}).first() is not None


def url_segment(role: str) -> str:
    """The URL segment of a role: `cpo` or `emsp`."""
    return "cpo" if role == CPO else "emsp"
