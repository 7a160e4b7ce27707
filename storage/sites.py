"""Sites: our own locations as the gateway sees them, with their charge points. docs/gateway.md "Locations".

A site is the OCPI document that peers read (storage/locations.py) plus what OCPI has no field for: its slug,
its charge points, and the EVSE of each of their plugs. After the deletion of a site, its document stays with
every EVSE REMOVED, but the gateway no longer lists it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Index, UniqueConstraint, bindparam
from sqlmodel import Field, SQLModel

import errors
from generated.ocpi_models import Location, Status, Tariff
from storage import database, locations, networks, tariffs, timestamps
from storage.database import Connection, Transaction
from storage.locations import LocationRow
from storage.networks import Network
from storage.objects import AutoIncrement, Party

UNSTAMPED = "1970-01-01T00:00:00Z"
"""`last_updated` of planned objects that are not stored yet."""

MAGIC_LOCATION = "MAGIC"
MAGIC_EVSES = ("MAGIC-REJECTS", "MAGIC-TIMEOUT", "MAGIC-INVALID")
"""The location for tests of each CPO network, which its topology leaves out. docs/magic.md."""


class SiteRow(SQLModel, table=True):
    """The gateway's data of one of our locations."""

    __tablename__ = "gw_sites"

    network_id: int = Field(primary_key=True, sa_type=BigInteger)
    location_id: str = Field(primary_key=True, max_length=39)
    slug: str = Field(max_length=300)
    created_at: int = Field(sa_type=BigInteger)
    deleted_at: int | None = Field(default=None, sa_type=BigInteger)


class ChargePointFields(SQLModel):
    """The fields of a virtual charge point, planned or stored."""

    identity: str = Field(max_length=34)
    brand_slug: str = Field(max_length=64)
    model_slug: str = Field(max_length=64)
    name: str | None = Field(default=None, max_length=255)
    connector_type: str = Field(max_length=16)
    ocpp_version: str = Field(max_length=9)
    ws_url: str | None = Field(default=None, max_length=255)


class ChargePointRow(ChargePointFields, table=True):
    """A virtual charge point."""

    __tablename__ = "gw_charge_points"
    __table_args__ = (
        UniqueConstraint("network_id", "identity"),
        Index("ix_gw_charge_points_location", "network_id", "location_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    network_id: int = Field(sa_type=BigInteger)
    location_id: str = Field(max_length=39)


class RoutingRow(SQLModel, table=True):
    """The EVSE and connector of the OCPI document for one plug of a charge point."""

    __tablename__ = "gw_routing"
    __table_args__ = (
        UniqueConstraint("charge_point_id", "position"),
        UniqueConstraint("network_id", "evse_uid"),
        UniqueConstraint("network_id", "evse_id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=AutoIncrement)
    network_id: int = Field(sa_type=BigInteger)
    charge_point_id: int = Field(sa_type=BigInteger)
    position: int
    evse_uid: str = Field(max_length=39)
    evse_id: str = Field(max_length=48)
    connector_id: str = Field(max_length=36)


@dataclass(frozen=True, slots=True)
class EvsePlan:
    """The EVSE and connector of the OCPI document for one plug of a charge point."""

    uid: str
    evse_id: str
    connector_id: str


class ChargePointPlan(ChargePointFields):
    """A planned virtual charge point."""

    evses: tuple[EvsePlan, ...]


@dataclass(frozen=True, slots=True)
class SitePlan:
    """A planned site. Its location and tariffs get their timestamps when they are stored."""

    id: str
    slug: str
    public: bool
    document: Location
    tariffs: tuple[Tariff, ...]
    charge_points: tuple[ChargePointPlan, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """A stored plug of a charge point."""

    id: int
    uid: str
    evse_id: str
    connector_id: str


class ChargePoint(ChargePointFields):
    """A stored virtual charge point."""

    id: int
    routing: tuple[Routing, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """A stored site; instants in milliseconds. Sites that the back office created by OCPI have no slug."""

    id: str
    document: Location
    public: bool
    slug: str | None
    created_at: int | None
    updated_at: int
    charge_points: tuple[ChargePoint, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The current number of rows of a network."""

    locations: int = 0
    chargers: int = 0
    evses: int = 0
    connectors: int = 0


Name = tuple[str, str]
"""The kind (identity, evse_uid or evse_id) and value of a name that is unique in a network."""

LOCATIONS = database.table(LocationRow)
SITES = database.table(SiteRow)
CHARGE_POINTS = database.table(ChargePointRow)
ROUTING = database.table(RoutingRow)


def _parameters(table: sqlalchemy.Table) -> dict[str, Any]:
    """Parameters for every column but the id, which the database assigns."""
    return {column.name: bindparam(column.name) for column in table.c if column.name != "id"}


_l, _s, _p, _r = LOCATIONS.c, SITES.c, CHARGE_POINTS.c, ROUTING.c
_JOINED = LOCATIONS.outerjoin(SITES, (_s.network_id == _l.network_id) & (_s.location_id == _l.id))
_LIVE = (
    _l.network_id == bindparam("network_id"),
    _l.country_code == bindparam("country_code"),
    _l.party_id == bindparam("party_id"),
    _s.deleted_at.is_(None),
)
_SITE_COLUMNS = (_l.id, _l.document, _l.published, _s.slug, _s.created_at, _l.last_updated)
_PAGE = (
    sqlalchemy.select(*_SITE_COLUMNS)
    .select_from(_JOINED)
    .where(*_LIVE)
    .order_by(_l.seq)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_ONE = sqlalchemy.select(*_SITE_COLUMNS).select_from(_JOINED).where(*_LIVE, _l.id == bindparam("id"))
_COUNT = sqlalchemy.select(sqlalchemy.func.count()).select_from(_JOINED).where(*_LIVE)
_CHARGE_POINTS = (
    sqlalchemy.select(CHARGE_POINTS)
    .where(_p.network_id == bindparam("network_id"), _p.location_id.in_(bindparam("ids", expanding=True)))
    .order_by(_p.id)
)
_ROUTING = (
    sqlalchemy.select(ROUTING)
    .where(_r.charge_point_id.in_(bindparam("ids", expanding=True)))
    .order_by(_r.charge_point_id, _r.position)
)
_ADD_SITE = sqlalchemy.insert(SITES)
_ADD_CHARGE_POINT = sqlalchemy.insert(CHARGE_POINTS).values(_parameters(CHARGE_POINTS)).returning(_p.id)
_ADD_ROUTING = sqlalchemy.insert(ROUTING).values(_parameters(ROUTING))
_TAKEN = {
    column.name: sqlalchemy.select(column).where(
        column.table.c.network_id == bindparam("network_id"), column.in_(bindparam("ids", expanding=True))
    )
    for column in (_p.identity, _r.evse_uid, _r.evse_id)
}
_DELETE_SITE = {
    name: insert.values(
        network_id=bindparam("network_id"),
        location_id=bindparam("location_id"),
        slug=bindparam("slug"),
        created_at=bindparam("now"),
        deleted_at=bindparam("deleted_at"),
    ).on_conflict_do_update(
        index_elements=["network_id", "location_id"], set_={"deleted_at": insert.excluded.deleted_at}
    )
    for name, insert in database.dialect_inserts(SITES).items()
}
_DELETE_ROUTING = sqlalchemy.delete(ROUTING).where(
    _r.charge_point_id.in_(
        sqlalchemy.select(_p.id).where(
            _p.network_id == bindparam("network_id"), _p.location_id == bindparam("location_id")
        )
    )
)
_DELETE_CHARGE_POINTS = sqlalchemy.delete(CHARGE_POINTS).where(
    _p.network_id == bindparam("network_id"), _p.location_id == bindparam("location_id")
)
_TALLIES = tuple(
    sqlalchemy.select(table.c.network_id, sqlalchemy.func.count())
    .where(table.c.network_id.in_(bindparam("ids", expanding=True)), name.not_in(MAGIC_EVSES))
    .group_by(table.c.network_id)
    for table, name in ((CHARGE_POINTS, _p.identity), (ROUTING, _r.evse_uid))
)
_SITE_TALLY = (
    sqlalchemy.select(_l.network_id, sqlalchemy.func.count())
    .select_from(_JOINED.join(networks.NETWORKS, networks.NETWORKS.c.id == _l.network_id))
    .where(
        _l.network_id.in_(bindparam("ids", expanding=True)),
        networks.NETWORKS.c.role == networks.CPO,
        _s.deleted_at.is_(None),
        _l.id != MAGIC_LOCATION,
    )
    .group_by(_l.network_id)
)


def unique_names(plan: SitePlan) -> set[Name]:
    """The names in *plan* that must be unique in a network."""
    plugs = [evse for charge_point in plan.charge_points for evse in charge_point.evses]
    return (
        {("identity", charge_point.identity) for charge_point in plan.charge_points}
        | {("evse_uid", evse.uid) for evse in plugs}
        | {("evse_id", evse.evse_id) for evse in plugs}
    )


def taken(connection: Connection, network_id: int, names: set[Name]) -> set[Name]:
    """The *names* that the network has already."""
    matches: set[Name] = set()
    for kind, statement in _TAKEN.items():
        values = {"network_id": network_id, "ids": [name for each, name in names if each == kind]}
        matches.update((kind, name) for name in connection.execute(statement, values).scalars())
    return matches


def add(transaction: Transaction, network_id: int, party: Party, plan: SitePlan) -> bool:
    """Store a site with all its rows; False, without storing anything, if the id of its location is taken.

    The caller has locked the network and checked that none of the site's names is taken.
    """
    now = timestamps.now()
    location = stamped(plan.document, now)
    if not locations.add(transaction, network_id, party, location, published=plan.public):
        return False
    for tariff in plan.tariffs:
        tariffs.add(transaction, network_id, party, tariff.model_copy(update={"last_updated": now}))
    site = {"network_id": network_id, "location_id": plan.id, "slug": plan.slug, "deleted_at": None}
    transaction.execute(_ADD_SITE, {**site, "created_at": timestamps.now_ms()})
    for charge_point in plan.charge_points:
        _add_charge_point(transaction, network_id, plan.id, charge_point)
    return True


def _add_charge_point(
    transaction: Transaction, network_id: int, location_id: str, plan: ChargePointPlan
) -> None:
    row = {**plan.model_dump(exclude={"evses"}), "network_id": network_id, "location_id": location_id}
    key = transaction.execute(_ADD_CHARGE_POINT, row).scalar_one()
    plugs = [
        {
            "network_id": network_id,
            "charge_point_id": key,
            "position": position,
            "evse_uid": evse.uid,
            "evse_id": evse.evse_id,
            "connector_id": evse.connector_id,
        }
        for position, evse in enumerate(plan.evses, 1)
    ]
    if plugs:
        transaction.execute(_ADD_ROUTING, plugs)


def stamped(location: Location, now: str) -> Location:
    """*location* with `last_updated` at every level."""
    evses = [
        evse.model_copy(
            update={
                "connectors": [each.model_copy(update={"last_updated": now}) for each in evse.connectors],
                "last_updated": now,
            }
        )
        for evse in location.evses or ()
    ]
    return location.model_copy(update={"evses": evses or None, "last_updated": now})


def page(connection: Connection, network: Network, offset: int, limit: int) -> tuple[list[Site], int]:
    """The network's sites, oldest first, and how many there are."""
    values = _live(network)
    rows = connection.execute(_PAGE, {**values, "offset": offset, "limit": limit}).all()
    return _sites(connection, network.id, rows), int(connection.execute(_COUNT, values).all()[0][0])


def get(connection: Connection, network: Network, location_id: str) -> Site | None:
    """One site, or None."""
    matches = _sites(
        connection, network.id, connection.execute(_ONE, {**_live(network), "id": location_id}).all()
    )
    return matches[0] if matches else None


def _live(network: Network) -> dict[str, Any]:
    return {"network_id": network.id, "country_code": network.country_code, "party_id": network.party_id}


def _sites(connection: Connection, network_id: int, rows: Sequence[Any]) -> list[Site]:
    charge_points = _charge_points(connection, network_id, [row[0] for row in rows])
    return [
        Site(
            row[0],
            Location.model_validate_json(row[1]),
            bool(row[2]),
            row[3],
            row[4],
            row[5],
            charge_points.get(row[0], ()),
        )
        for row in rows
    ]


def _charge_points(
    connection: Connection, network_id: int, location_ids: list[str]
) -> dict[str, tuple[ChargePoint, ...]]:
    """The charge points of each location."""
    matches = database.rows(
        connection, ChargePointRow, _CHARGE_POINTS, {"network_id": network_id, "ids": location_ids}
    )
    plugs = connection.execute(_ROUTING, {"ids": [row.id for row in matches]}).all()
    routing: dict[int, list[Routing]] = {}
    for plug in plugs:
        route = Routing(plug.id, plug.evse_uid, plug.evse_id, plug.connector_id)
        routing.setdefault(plug.charge_point_id, []).append(route)
    charge_points: dict[str, tuple[ChargePoint, ...]] = {}
    for row in matches:
        fields = row.model_dump(exclude={"network_id", "location_id"})
        charge_point = ChargePoint(**fields, routing=tuple(routing.get(fields["id"], ())))
        charge_points[row.location_id] = (*charge_points.get(row.location_id, ()), charge_point)
    return charge_points


def update(
    transaction: Transaction,
    network: Network,
    location_id: str,
    change: Callable[[Location], Location],
    *,
    public: bool | None,
) -> None:
    """Change a site's document, and whether peers see it.

    Raises:
        errors.NotFound: there is no such site.
        errors.Refusal: *change* raised it; nothing has changed.
    """
    _locked_site(transaction, network, location_id)
    locations.change(
        transaction,
        network.id,
        network.party,
        location_id,
        lambda location: _stamped(change(location)),
        published=public,
    )


def delete(transaction: Transaction, network: Network, location_id: str) -> None:
    """Delete a site: its charge points are deleted, its EVSEs become REMOVED.

    Raises:
        errors.NotFound: there is no such site.
    """
    site = _locked_site(transaction, network, location_id)
    key = {"network_id": network.id, "location_id": location_id}
    now = timestamps.now_ms()
    transaction.execute(_DELETE_ROUTING, key)
    transaction.execute(_DELETE_CHARGE_POINTS, key)
    transaction.execute(
        _DELETE_SITE[transaction.dialect.name],
        {**key, "slug": site.slug or location_id, "now": now, "deleted_at": now},
    )
    locations.change(transaction, network.id, network.party, location_id, _removed, published=None)


def _locked_site(transaction: Transaction, network: Network, location_id: str) -> Site:
    """The site, with its network locked until the transaction ends.

    Raises:
        errors.NotFound: there is no such site.
    """
    site = get(transaction, network, location_id) if networks.lock(transaction, network.id) else None
    if site is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return site


def _stamped(location: Location) -> Location:
    return location.model_copy(update={"last_updated": timestamps.stamp(location.last_updated)})


def _removed(location: Location) -> Location:
    evses = location.evses or []
    now = timestamps.stamp(location.last_updated, *(evse.last_updated for evse in evses))
    removed = [evse.model_copy(update={"status": Status.REMOVED, "last_updated": now}) for evse in evses]
    return location.model_copy(update={"evses": removed or None, "last_updated": now})


def topologies(connection: Connection, network_ids: list[int]) -> dict[int, Topology]:
    """The topology of each of the networks."""
    sites, charge_points, plugs = (
        dict(connection.execute(tally, {"ids": network_ids}).all()) for tally in (_SITE_TALLY, *_TALLIES)
    )
    return {
        key: Topology(sites.get(key, 0), charge_points.get(key, 0), plugs.get(key, 0), plugs.get(key, 0))
        for key in network_ids
    }
