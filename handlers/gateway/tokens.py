"""Tokens of drivers of a network. docs/gateway.md "Objects"."""

from generated.gateway_models import (
    ObjectEntry,
    ObjectListResponse,
    ObjectOwner,
    TokenPutRequest,
    TokenType,
)
from handlers.dispatch import object_presenters
from storage import database, owned
from storage.keys import Member
from storage.owned import Kind
from workflows.charging import own_tokens
from workflows.networks import orders


def list_tokens(
    user: Member, cpo_id: str, owner: ObjectOwner | None, connection_id: str | None, page: int, limit: int
) -> ObjectListResponse:
    """The tokens that match, oldest first."""
    network = orders.network_of(user, cpo_id)
    wanted = object_presenters.wanted(owner, connection_id)
    with database.connect() as connection:
        some, total = owned.page(connection, network, Kind.TOKENS, wanted, (page - 1) * limit, limit)
    data = [object_presenters.entry(each) for each in some]
    return ObjectListResponse(data=data, total=total, page=page, limit=limit)


def get_token(
    user: Member,
    cpo_id: str,
    token_uid: str,
    country_code: str | None,
    party_id: str | None,
    type: TokenType | None,
) -> ObjectEntry:
    """One token."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found = owned.find(connection, network, Kind.TOKENS, token_uid, country_code, party_id, type)
    return object_presenters.entry(found)


def put_token(user: Member, cpo_id: str, token_uid: str, body: TokenPutRequest) -> ObjectEntry:
    """Create, change or block one of the network's own tokens."""
    network = orders.network_of(user, cpo_id)
    own_tokens.put(network, token_uid, body)
    with database.connect() as connection:
        found = owned.find(connection, network, Kind.TOKENS, token_uid, *network.party, body.type)
    return object_presenters.entry(found)
