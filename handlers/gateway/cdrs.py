"""Charge detail records of a network. docs/gateway.md "Objects"."""

from generated.gateway_models import CdrEntry, CdrExplanation, CdrListResponse, ObjectOwner
from handlers.dispatch import object_presenters
from storage import database, owned
from storage.keys import Member
from storage.owned import Kind
from workflows.charging import explanation
from workflows.networks import orders


def list_cdrs(
    user: Member, cpo_id: str, owner: ObjectOwner | None, connection_id: str | None, page: int, limit: int
) -> CdrListResponse:
    """The CDRs that match, oldest first."""
    network = orders.network_of(user, cpo_id)
    wanted = object_presenters.wanted(owner, connection_id)
    with database.connect() as connection:
        some, total = owned.page(connection, network, Kind.CDRS, wanted, (page - 1) * limit, limit)
        checks = explanation.checks(connection, network, some)
    data = list(map(object_presenters.cdr, some, checks))
    return CdrListResponse(data=data, total=total, page=page, limit=limit)


def get_cdr(
    user: Member, cpo_id: str, cdr_id: str, country_code: str | None, party_id: str | None
) -> CdrEntry:
    """One CDR."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found = owned.find(connection, network, Kind.CDRS, cdr_id, country_code, party_id)
        check = explanation.check(connection, network, found)
    return object_presenters.cdr(found, check)


def explain_cdr(
    user: Member, cpo_id: str, cdr_id: str, country_code: str | None, party_id: str | None
) -> CdrExplanation:
    """How the price of a CDR follows from its tariff and its charging periods."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found = owned.find(connection, network, Kind.CDRS, cdr_id, country_code, party_id)
        return explanation.explain(connection, network, found)
