"""Results of commands: posted to `response_url` until the peer takes them. Conformance 188 to 191.

Spec: 2.1.1 mod_commands 2.2.1.
"""

import orjson

from errors import PeerUnusable
from generated.ocpi_models import CommandResponse, CommandResponseType
from settings import settings
from storage import agenda, commands, connections, database, failpoints, networks, timestamps
from storage.agenda import AgendaRow, Entry, LaneRow
from storage.connections import REGISTERED
from storage.database import Transaction
from workflows.peers import client
from workflows.peers.credentials_exchange import with_fallback
from workflows.peers.exchanges import Origin
from workflows.peers.push import PacedClient

FIRST_MS = 200
"""How long a result waits at least, so that the direct response is the first to arrive."""

_LONGEST_REST_SECONDS = 10
_MAX_DOUBLINGS = 4
_MAX_WORDS = 1000


def announce(
    transaction: Transaction,
    network_id: int,
    uid: str,
    outcome: CommandResponseType,
    after_ms: int = FIRST_MS,
) -> None:
    """Set the result of a command that we received and let it be posted, unless it has a result.

    *after_ms*: how long it waits at least.
    """
    if not commands.set_result(transaction, uid, outcome.value):
        return
    lane = agenda.result_lane(uid)
    agenda.open_lane(transaction, lane, network_id)
    due_at = timestamps.now_ms() + after_ms
    agenda.put(transaction, [Entry(network_id, lane, agenda.RESULT, uid, due_at=due_at)])


def deliver(lane: LaneRow, entry: AgendaRow, _paced: PacedClient) -> None:
    """Post a result; if the peer does not take it, do so again until the deadline."""
    uid = entry.key
    with database.connect() as connection:
        row = commands.received(connection, uid)
        peer = connections.of_id(connection, row.connection_id) if row else None
        network = networks.get(connection, row.network_id) if row else None
    if row is None or peer is None or network is None or peer.state != REGISTERED:
        _end(lane, uid, is_delivered=False)
        return
    url = str(orjson.loads(row.request)["response_url"])
    body = CommandResponse(result=CommandResponseType(row.result))
    origin = Origin(peer.network_id, peer.id, peer.party, "commands")
    try:
        status = with_fallback(
            peer, lambda token: client.call_unwrapped("POST", url, token, body, origin=origin)
        )
        reason = f"HTTP {status}"
        is_delivered = status // 100 == 2  # noqa: PLR2004  (any success)
    except PeerUnusable as failure:
        is_delivered, reason = False, failure.message
    failpoints.reach("result.answered")
    seconds = min(2 ** min(entry.tries, _MAX_DOUBLINGS), _LONGEST_REST_SECONDS)
    deadline = row.result_at + settings().result_delivery_seconds * 1000
    if is_delivered or timestamps.now_ms() + seconds * 1000 > deadline:
        _end(lane, uid, is_delivered=is_delivered)
        return
    with database.transaction() as transaction:
        agenda.fail(transaction, entry, reason[:_MAX_WORDS], parked=False)
        agenda.rest(transaction, lane.name, seconds=seconds, failures=lane.failures + 1)


def _end(lane: LaneRow, uid: str, *, is_delivered: bool) -> None:
    with database.transaction() as transaction:
        commands.end_delivery(transaction, uid, is_delivered=is_delivered)
        agenda.close_lane(transaction, lane.name)
