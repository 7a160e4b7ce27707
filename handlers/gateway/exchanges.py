"""Exchanges with peers and back offices, and what changed. docs/gateway.md "Exchanges"."""

from generated.gateway_models import (
    ChangesResponse,
    ExchangeDirection,
    ExchangeListResponse,
    ExchangeModule,
    ExchangeResponse,
)
from handlers.dispatch import exchange_presenters
from handlers.dispatch.responses import require_found
from storage import changes, database, exchanges
from storage.exchanges import Filter
from storage.keys import Member
from workflows.networks import orders
from workflows.peers.exchanges import RECORDER


def list_exchanges(
    user: Member,
    cpo_id: str,
    peer: str | None,
    direction: ExchangeDirection | None,
    module: ExchangeModule | None,
    status: int | None,
    text: str | None,
    since: str | None,
    before: str | None,
    limit: int,
) -> ExchangeListResponse:
    """The exchanges that match, newest first, or oldest first after a cursor."""
    wanted = Filter(peer and peer.upper(), direction, module, status, text, _id(since), _id(before))
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        found, cursor = exchanges.page(connection, network.id, wanted, limit)
    return ExchangeListResponse(data=list(map(exchange_presenters.summary, found)), cursor=str(cursor))


def delete_exchanges(user: Member, cpo_id: str) -> None:
    """Delete the exchanges of a network, including those that are not written yet."""
    network = orders.network_of(user, cpo_id)
    RECORDER.flush()
    with database.transaction() as transaction:
        exchanges.delete_all(transaction, network.id)


def get_exchange(user: Member, cpo_id: str, exchange_id: str) -> ExchangeResponse:
    """One exchange with headers, bodies, and a command that repeats it."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        exchange = exchanges.get(connection, network.id, int(exchange_id))
    return exchange_presenters.exchange(require_found(exchange))


def list_changes(user: Member, cpo_id: str, since: str | None) -> ChangesResponse | None:
    """The kinds of thing that changed, or None."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        cursor, changed = changes.since(connection, network.id, since)
    return exchange_presenters.changes(cursor, changed) if changed else None


def _id(text: str | None) -> int | None:
    return None if text is None else int(text)
