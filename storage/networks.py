"""Organizations, and the virtual networks that they own: one network is one of our parties in one role."""

import uuid
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import BigInteger, UniqueConstraint, bindparam
from sqlmodel import Field, SQLModel

from storage import database, instants
from storage.objects import Party, Sequence

CPO = "CPO"
EMSP = "EMSP"


class OrganizationRow(SQLModel, table=True):
    """An owner of networks."""

    __tablename__ = "gw_organizations"

    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(max_length=255, unique=True)
    created_at: int = Field(sa_type=BigInteger)


class NetworkRow(SQLModel, table=True):
    """A virtual charging network (CPO) or driver base (eMSP)."""

    __tablename__ = "gw_networks"
    __table_args__ = (UniqueConstraint("organization_id", "country_code", "party_id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    organization_id: str = Field(max_length=36, foreign_key="gw_organizations.id")
    role: str = Field(max_length=4)
    country_code: str = Field(max_length=2)
    party_id: str = Field(max_length=3)
    name: str = Field(max_length=100)
    website: str | None = Field(default=None, max_length=255)
    created_at: int = Field(sa_type=BigInteger)


@dataclass(frozen=True, slots=True)
class Network:
    """One of our parties in one role."""

    id: int
    role: str
    country_code: str
    party_id: str
    name: str
    website: str | None

    @property
    def party(self) -> Party:
        """Country code and party id."""
        return self.country_code, self.party_id


ORGANIZATIONS = database.table(OrganizationRow)
NETWORKS = database.table(NetworkRow)

_COLUMNS = [NETWORKS.c[name] for name in Network.__slots__]
_OF_ORGANIZATION = sqlalchemy.select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.name == bindparam("name"))
_BY_PARTY = sqlalchemy.select(*_COLUMNS).where(
    NETWORKS.c.country_code == bindparam("country_code"),
    NETWORKS.c.party_id == bindparam("party_id"),
)
_BY_ID = sqlalchemy.select(*_COLUMNS).where(NETWORKS.c.id == bindparam("network_id"))
_ANY = sqlalchemy.select(NETWORKS.c.id).limit(1)


def organization(name: str) -> str:
    """The id of the organization *name*, made if it is new."""
    with database.transaction() as connection:
        known = connection.execute(_OF_ORGANIZATION, {"name": name}).scalar()
        if known is not None:
            return str(known)
        fresh = str(uuid.uuid4())
        row = {"id": fresh, "name": name, "created_at": instants.now_ms()}
        connection.execute(sqlalchemy.insert(ORGANIZATIONS), row)
        return fresh


def create(organization_id: str, role: str, party: Party, name: str, website: str | None = None) -> Network:
    """A new network of our party *party*."""
    row = {
        "organization_id": organization_id,
        "role": role,
        "country_code": party[0],
        "party_id": party[1],
        "name": name,
        "website": website,
        "created_at": instants.now_ms(),
    }
    with database.transaction() as connection:
        key = connection.execute(sqlalchemy.insert(NETWORKS).returning(NETWORKS.c.id), row).scalar_one()
    return Network(int(key), role, *party, name, website)


def any_exists() -> bool:
    """Is there any network at all."""
    with database.statement() as connection:
        return connection.execute(_ANY).first() is not None


def get(network_id: int) -> Network | None:
    """The network with this id, or None."""
    with database.statement() as connection:
        row = connection.execute(_BY_ID, {"network_id": network_id}).first()
    return Network(*row) if row else None


def of_party(party: Party) -> list[Network]:
    """Every network of our party *party*, in any role and organization."""
    values = {"country_code": party[0], "party_id": party[1]}
    with database.statement() as connection:
        return [Network(*row) for row in connection.execute(_BY_PARTY, values)]
