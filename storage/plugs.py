"""The plugs of virtual charge points by number, without the magic ones, for a random choice among them."""

import sqlalchemy
from sqlalchemy import bindparam

from storage.database import Connection
from storage.sites import CHARGE_POINTS, MAGIC_EVSES, ROUTING

_p, _r = CHARGE_POINTS.c, ROUTING.c
_OF_NETWORK = (_r.network_id == bindparam("network_id")) & _r.evse_uid.not_in(MAGIC_EVSES)
_COUNT = sqlalchemy.select(sqlalchemy.func.count()).select_from(ROUTING).where(_OF_NETWORK)
_NTH = (
    sqlalchemy.select(_p.location_id, _r.evse_uid)
    .select_from(ROUTING.join(CHARGE_POINTS, _p.id == _r.charge_point_id))
    .where(_OF_NETWORK)
    .order_by(_r.id)
    .limit(1)
    .offset(bindparam("number"))
)


def count(connection: Connection, network_id: int) -> int:
    """How many plugs the charge points of a network have."""
    return int(connection.execute(_COUNT, {"network_id": network_id}).scalar_one())


def nth(connection: Connection, network_id: int, number: int) -> tuple[str, str]:
    """The location id and the EVSE uid of a plug; *number* counts from 0 in the order of creation."""
    row = connection.execute(_NTH, {"network_id": network_id, "number": number}).one()
    return row.location_id, row.evse_uid
