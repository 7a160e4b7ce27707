"""Organizations and their virtual networks. A network is one of our parties in one role.

A network that is expired or being deleted counts as gone even before its rows are deleted: it is not read
and its tokens do not work (docs/gateway.md "Ending a network").
"""

import uuid
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import BigInteger, UniqueConstraint, bindparam, or_
from sqlmodel import Field, SQLModel

from storage import agenda, database, timestamps
from storage.agenda import Entry
from storage.database import Connection, Transaction
from storage.objects import AutoIncrement, Party

_DELETION_MS = 5_000
"""How long the deletion of a network takes at most, unless its process has died."""

_LATE_WRITE_MS = 60_000
"""How long after the end of a network a request that began earlier may still store something."""

CPO = "CPO"
EMSP = "EMSP"


class OrganizationRow(SQLModel, table=True):
    """An owner of networks."""

    __tablename__ = "gw_organizations"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=255, unique=True)
    created_at: int = Field(sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a network is generated from; the same blueprint generates the same documents."""

    template: str
    version: int
    seed: int
    overrides: dict[str, int]


class Network(SQLModel, table=True):
    """One of our parties in one role: a charging network (CPO) or a driver base (eMSP). Instants in ms."""

    __tablename__ = "gw_networks"
    __table_args__ = (
        UniqueConstraint("organization_id", "country_code", "party_id"),
        {"sqlite_autoincrement": True},  # ids are not reused
    )

    id: int = Field(primary_key=True, sa_type=AutoIncrement)
    organization_id: str = Field(max_length=36, foreign_key="gw_organizations.id")
    role: str = Field(max_length=4)
    country_code: str = Field(max_length=2)
    party_id: str = Field(max_length=3)
    name: str = Field(max_length=100)
    template: str = Field(default="", max_length=64)
    template_version: int = 1
    seed: int = 0
    overrides: str = "{}"
    job_id: str | None = Field(default=None, max_length=36)
    deleting: bool = False
    expires_at: int | None = Field(default=None, sa_type=BigInteger, index=True)
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(default=0, sa_type=BigInteger)

    @property
    def party(self) -> Party:
        """Country code and party id."""
        return self.country_code, self.party_id

    @property
    def blueprint(self) -> Blueprint:
        """The blueprint of its documents."""
        return Blueprint(self.template, self.template_version, self.seed, orjson.loads(self.overrides))


class TombstoneRow(SQLModel, table=True):
    """What remains of a deleted network."""

    __tablename__ = "gw_tombstones"

    network_id: int = Field(primary_key=True, sa_type=BigInteger)
    organization_id: str = Field(max_length=36)
    ended_at: int = Field(sa_type=BigInteger, index=True)


ORGANIZATIONS = database.table(OrganizationRow)
NETWORKS = database.table(Network)
TOMBSTONES = database.table(TombstoneRow)

_c = NETWORKS.c
ALIVE = (_c.deleting.is_(False), or_(_c.expires_at.is_(None), _c.expires_at > bindparam("now")))
_ORGANIZATION_BY_NAME = sqlalchemy.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.name == bindparam("name"))
_ORGANIZATION = sqlalchemy.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.id == bindparam("id"))
_ANY_ORGANIZATION = sqlalchemy.select(ORGANIZATIONS.c.id).limit(1)
_BY_PARTY = sqlalchemy.select(NETWORKS).where(
    _c.country_code == bindparam("country_code"),
    _c.party_id == bindparam("party_id"),
    *ALIVE,
)
_BY_ID = sqlalchemy.select(NETWORKS).where(_c.id == bindparam("network_id"), *ALIVE)
_OWNED = sqlalchemy.select(NETWORKS).where(
    _c.id == bindparam("network_id"), _c.organization_id == bindparam("organization_id"), *ALIVE
)
_OF_ORGANIZATION_ALIVE = (_c.organization_id == bindparam("organization_id"), *ALIVE)
_COUNT = sqlalchemy.select(sqlalchemy.func.count()).select_from(NETWORKS).where(*_OF_ORGANIZATION_ALIVE)
_PAGE = (
    sqlalchemy.select(NETWORKS)
    .where(*_OF_ORGANIZATION_ALIVE)
    .order_by(_c.id)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_TAKEN = sqlalchemy.select(_c.party_id).where(
    _c.organization_id == bindparam("organization_id"), _c.country_code == bindparam("country_code")
)
_ANY = sqlalchemy.select(_c.id).union_all(sqlalchemy.select(TOMBSTONES.c.network_id)).limit(1)
_LOCK = (
    sqlalchemy.update(NETWORKS)
    .where(_c.id == bindparam("k_id"), _c.deleting.is_(False))
    .values(updated_at=bindparam("now"))
)
_LOCK_ORGANIZATION = (
    sqlalchemy.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.id == bindparam("id")).with_for_update()
)
_LOCK_WHOLE = sqlalchemy.select(_c.id).where(_c.id == bindparam("k_id")).with_for_update()
_MARK_DELETING = (
    sqlalchemy.update(NETWORKS)
    .where(_c.id == bindparam("k_id"))
    .values(deleting=True, updated_at=bindparam("now"))
)
_ENDED = sqlalchemy.select(_c.id).where(
    _c.id == bindparam("k_id"), or_(_c.deleting.is_(True), _c.expires_at <= bindparam("now"))
)
_TOMBSTONE = sqlalchemy.insert(TOMBSTONES)
_DELETE = sqlalchemy.delete(NETWORKS).where(_c.id == bindparam("k_id"))
_OWNER = (
    sqlalchemy.select(_c.organization_id).where(_c.id == bindparam("network_id"))
    .union_all(
        sqlalchemy.select(TOMBSTONES.c.organization_id).where(
            TOMBSTONES.c.network_id == bindparam("network_id")
        )
    )
)  # fmt: skip


def organization(transaction: Transaction, name: str) -> str:
    """The id of the organization *name*, created if it is new."""
    matches = transaction.execute(_ORGANIZATION_BY_NAME, {"name": name}).scalar()
    if matches is not None:
        return str(matches)
    new_id = str(uuid.uuid4())
    row = {"id": new_id, "name": name, "created_at": timestamps.now_ms()}
    transaction.execute(sqlalchemy.insert(ORGANIZATIONS), row)
    return new_id


def organization_exists(connection: Connection, organization_id: str) -> bool:
    """Whether there is an organization with this id."""
    return connection.execute(_ORGANIZATION, {"id": organization_id}).first() is not None


def any_organization(connection: Connection) -> bool:
    """Whether there is any organization. The first start creates one."""
    return connection.execute(_ANY_ORGANIZATION).first() is not None


def lock_organization(transaction: Transaction, organization_id: str) -> None:
    """Lock the organization until the transaction ends, so that no other request creates its networks."""
    transaction.execute(_LOCK_ORGANIZATION, {"id": organization_id}).all()


def create(
    transaction: Transaction,
    organization_id: str,
    role: str,
    party: Party,
    name: str,
    *,
    blueprint: Blueprint | None = None,
    job_id: str | None = None,
    expires_at: int | None = None,
) -> Network:
    """Store a new network of our *party*; *expires_at* in milliseconds, None for never."""
    now = timestamps.now_ms()
    plan = blueprint or Blueprint("", 1, 0, {})
    row: dict[str, Any] = {
        "organization_id": organization_id,
        "role": role,
        "country_code": party[0],
        "party_id": party[1],
        "name": name,
        "template": plan.template,
        "template_version": plan.version,
        "seed": plan.seed,
        "overrides": orjson.dumps(plan.overrides).decode(),
        "job_id": job_id,
        "expires_at": expires_at,
        "created_at": now,
        "updated_at": now,
    }
    key = transaction.execute(sqlalchemy.insert(NETWORKS).returning(_c.id), row).scalar_one()
    if expires_at is not None:
        schedule_end(transaction, int(key), expires_at)
    return Network(**row, id=int(key))


def schedule_end(transaction: Transaction, network_id: int, due_at: int) -> None:
    """Let the dispatcher end the network at an instant."""
    entry = Entry(network_id, agenda.NETWORKS_LANE, agenda.EXPIRY, str(network_id), due_at=due_at)
    agenda.put(transaction, [entry])


def any_existed(connection: Connection) -> bool:
    """Whether there is, or ever was, any network."""
    return connection.execute(_ANY).first() is not None


def get(connection: Connection, network_id: int) -> Network | None:
    """The network with this id, or None."""
    matches = database.rows(
        connection, Network, _BY_ID, {"network_id": network_id, "now": timestamps.now_ms()}
    )
    return matches[0] if matches else None


def owned(connection: Connection, organization_id: str, network_id: int) -> Network | None:
    """The organization's network with this id, or None."""
    values = {"organization_id": organization_id, "network_id": network_id, "now": timestamps.now_ms()}
    matches = database.rows(connection, Network, _OWNED, values)
    return matches[0] if matches else None


def page(connection: Connection, organization_id: str, offset: int, limit: int) -> tuple[list[Network], int]:
    """The organization's networks, oldest first, and how many there are."""
    values = {"organization_id": organization_id, "now": timestamps.now_ms()}
    matches = database.rows(connection, Network, _PAGE, {**values, "offset": offset, "limit": limit})
    return matches, count(connection, organization_id)


def count(connection: Connection, organization_id: str) -> int:
    """How many live networks the organization has."""
    values = {"organization_id": organization_id, "now": timestamps.now_ms()}
    return int(connection.execute(_COUNT, values).all()[0][0])


def taken(connection: Connection, organization_id: str, country_code: str) -> set[str]:
    """The party ids of the organization's networks in a country, including networks that are ending."""
    values = {"organization_id": organization_id, "country_code": country_code}
    return {row[0] for row in connection.execute(_TAKEN, values).all()}


def of_party(connection: Connection, party: Party) -> list[Network]:
    """Every network with this *party*, in any role and organization."""
    values = {"country_code": party[0], "party_id": party[1], "now": timestamps.now_ms()}
    return database.rows(connection, Network, _BY_PARTY, values)


def lock(transaction: Transaction, network_id: int) -> bool:
    """Lock the network until the transaction ends; False if it is gone or being deleted.

    The lock is a write, so on both databases it waits for other transactions that hold the lock.
    """
    return transaction.execute(_LOCK, {"k_id": network_id, "now": timestamps.now_ms()}).rowcount > 0


def mark_deleting(transaction: Transaction, network_id: int) -> None:
    """Mark the network as being deleted. The lock keeps writers of its objects out.

    The agenda ends it if this process does not.
    """
    transaction.execute(_LOCK_WHOLE, {"k_id": network_id})
    now = timestamps.now_ms()
    if transaction.execute(_MARK_DELETING, {"k_id": network_id, "now": now}).rowcount:
        schedule_end(transaction, network_id, now + _DELETION_MS)


def has_ended(connection: Connection, network_id: int) -> bool:
    """Whether the network is expired or being deleted. A network that is gone has not."""
    values = {"k_id": network_id, "now": timestamps.now_ms()}
    return connection.execute(_ENDED, values).first() is not None


def tombstone(transaction: Transaction, network_id: int) -> None:
    """Replace the network by its tombstone, in the transaction that deletes its rows.

    The agenda deletes what requests that began earlier store afterward.
    """
    owner = owner_of(transaction, network_id)
    if owner is None or not transaction.execute(_DELETE, {"k_id": network_id}).rowcount:
        return
    now = timestamps.now_ms()
    transaction.execute(_TOMBSTONE, {"network_id": network_id, "organization_id": owner, "ended_at": now})
    late = Entry(None, agenda.NETWORKS_LANE, agenda.ERASURE, str(network_id), due_at=now + _LATE_WRITE_MS)
    agenda.put(transaction, [late])


def owner_of(connection: Connection, network_id: int) -> str | None:
    """The organization that has or had the network; None if there was no such network."""
    row = connection.execute(_OWNER, {"network_id": network_id}).first()
    return row[0] if row else None
