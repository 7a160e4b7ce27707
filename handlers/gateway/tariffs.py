"""Tariffs of a network. docs/gateway.md "Objects"."""

from generated.gateway_models import ObjectEntry, ObjectListResponse, ObjectOwner
from handlers.dispatch import object_presenters
from storage import database, owned
from storage.keys import Member
from storage.owned import Kind
from workflows.networks import orders


def list_tariffs(
    user: Member, cpo_id: str, owner: ObjectOwner | None, connection_id: str | None, page: int, limit: int
) -> ObjectListResponse:
    """The tariffs that match, oldest first."""
    network = orders.network_of(user, cpo_id)
    wanted = object_presenters.wanted(owner, connection_id)
    with database.connect() as connection:
        some, total = owned.page(connection, network, Kind.TARIFFS, wanted, (page - 1) * limit, limit)
    data = [object_presenters.entry(each) for each in some]
    return ObjectListResponse(data=data, total=total, page=page, limit=limit)


def get_tariff(
    user: Member, cpo_id: str, tariff_id: str, country_code: str | None, party_id: str | None
) -> ObjectEntry:
    """One tariff."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found = owned.find(connection, network, Kind.TARIFFS, tariff_id, country_code, party_id)
    return object_presenters.entry(found)
