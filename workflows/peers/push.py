"""Pushes: changes of our objects are sent to peers. docs/architecture.md "A push".

An entry of the outbox names an object and what changed. The object is sent as it is now: PUT if everything
is new to the peer, else PATCH with the changed members, DELETE if it is gone, and POST for a CDR. Delivery is
at least once: after a crash between the peer's response and our commit, the request is repeated.
"""

import random
import time
from dataclasses import dataclass, replace
from urllib.parse import quote

import orjson

from errors import PeerUnusable
from generated.ocpi_models import TokenType
from settings import settings
from storage import (
    agenda,
    cdrs,
    connections,
    database,
    failpoints,
    locations,
    networks,
    outbox,
    sessions,
    tariffs,
    tokens,
)
from storage.agenda import AgendaRow, LaneRow
from storage.connections import REGISTERED, PeerConnection
from storage.database import Connection, Transaction
from storage.locations import LocationPath
from storage.networks import Network
from storage.objects import Party
from storage.outbox import Part
from workflows.peers import client
from workflows.peers.client import Answer, CallFailed, KeptConnections
from workflows.peers.credentials_exchange import is_unchanged, with_fallback
from workflows.peers.exchanges import Origin

_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 1.0, 300.0
_LONGEST_RETRY_AFTER = 3600.0
_URL_LENGTH = 255
_MAX_WORDS = 1000
_NOT_FOUND = 404
_TOO_MANY = 429
_REPLACE_STATUSES, _INVALID = frozenset({404, 405}), 2001
"""The answers to a partial update after which the whole object is sent."""


class PacedClient:
    """The calls to one peer while its lane runs: over kept connections, at most PUSH_RATE a second."""

    def __init__(self) -> None:
        self._kept = KeptConnections()
        self._next_call = 0.0

    def call(self, method: str, url: str, token: str, body: object, origin: Origin) -> Answer:
        """As `client.call`, after a pause if the peer was called a moment ago."""
        time.sleep(max(0.0, self._next_call - time.monotonic()))
        self._next_call = time.monotonic() + 1 / settings().push_rate
        return client.call(method, url, token, body, kept=self._kept, origin=origin)

    def close(self) -> None:
        """Close the connections."""
        self._kept.close()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an entry sends: *parts* below *url*. *document*: the object now; None if it is gone."""

    peer: PeerConnection
    party: Party
    module: str
    key: list[str]
    url: str
    parts: list[Part]
    document: str | None


def deliver(lane: LaneRow, entry: AgendaRow, paced: PacedClient) -> None:
    """Send one entry to its peer, and delete, park or postpone it by the peer's response."""
    with database.connect() as connection:
        delivery = _prepare(connection, lane, entry)
    failpoints.reach("push.read")
    try:
        answer = None if delivery is None else _send(delivery, paced)
    except PeerUnusable as failure:
        _postpone(lane, entry, failure)
        return
    failpoints.reach("push.answered")
    with database.transaction() as transaction:
        if answer is not None and not _is_delivered(answer):
            agenda.fail(transaction, entry, _words(answer), parked=True)
        else:
            agenda.finish(transaction, entry)
            _keep_location(transaction, delivery, answer)
        if lane.failures:
            agenda.rest(transaction, lane.name, seconds=0, failures=0)


def _prepare(connection: Connection, lane: LaneRow, entry: AgendaRow) -> Delivery | None:
    """What *entry* sends now, or None if there is nothing to send any more."""
    peer = connections.of_id(connection, agenda.connection_of(lane.name))
    network = networks.get(connection, peer.network_id) if peer else None
    module, *key = orjson.loads(entry.key)
    if network is None or peer is None or peer.state != REGISTERED or module not in peer.endpoints:
        return None
    document, is_seen = _read(connection, network, module, key)
    parts = _parts(module, entry.payload, document, is_seen=is_seen)
    url = _url(peer, network, module, key)
    return Delivery(peer, network.party, module, key, url, parts, document) if parts else None


def _read(connection: Connection, network: Network, module: str, key: list[str]) -> tuple[str | None, bool]:
    """The JSON text of the object, None if there is none, and whether peers see it."""
    party = network.party
    is_seen = True
    match module:
        case "locations":
            path = LocationPath(key[0])
            document = locations.get(connection, network.id, party, path, published=True)
            is_seen = document is not None
            document = document or locations.get(connection, network.id, party, path)
        case "sessions":
            document = sessions.get(connection, network.id, party, key[0])
        case "cdrs":
            document = cdrs.get(connection, network.id, party, key[0])
        case "tariffs":
            document = tariffs.get(connection, network.id, party, key[0])
        case _:
            document = tokens.get(connection, network.id, party, key[0], TokenType(key[1]))
    return None if document is None else document.text, is_seen


def _parts(module: str, payload: str, document: str | None, *, is_seen: bool) -> list[Part]:
    if document is None:
        return [Part("DELETE", (), None)] if module == "tariffs" else []
    if module == "cdrs":
        return [Part("POST", (), document)]
    return outbox.parts(payload, document) if is_seen else [outbox.whole(outbox.removed(document))]


def _url(peer: PeerConnection, network: Network, module: str, key: list[str]) -> str:
    """The URL of an object at the peer; for CDRs that of the module. Spec: 2.1.1 transport_and_format."""
    endpoint = peer.endpoints[module]
    if module == "cdrs":
        return endpoint
    url = _below(endpoint, *network.party, key[0])
    return f"{url}?type={key[1]}" if module == "tokens" and key[1] != TokenType.RFID else url


def _below(url: str, *segments: str) -> str:
    return "/".join((url.rstrip("/"), *(quote(segment, safe="") for segment in segments)))


def _send(delivery: Delivery, paced: PacedClient) -> Answer | None:
    """Send the parts in order, up to the first that the peer refuses; returns the last answer.

    If the peer does not take a part of the object, it is sent the whole object once.

    Raises:
        errors.PeerUnusable: the peer cannot take anything now, or its connection changes between two calls.
    """
    answer = None
    for part in delivery.parts:
        if answer is not None:
            _require_unchanged(delivery.peer)
        answer = _call(delivery, part, paced)
        if _wants_whole(part, answer) and delivery.document is not None:
            _require_unchanged(delivery.peer)
            return _call(delivery, outbox.whole(delivery.document), paced)
        if not _is_delivered(answer):
            break
    return answer


def _require_unchanged(peer: PeerConnection) -> None:
    if not is_unchanged(peer):
        raise PeerUnusable("The connection has ended, or has got another token, during the push.")


def _call(delivery: Delivery, part: Part, paced: PacedClient) -> Answer:
    """Send one request.

    Raises:
        errors.PeerUnusable: no answer, 401, 403, 429, 5xx or a status code from 3000 to 3003.
    """
    url = _below(delivery.url, *part.segments) if part.segments else delivery.url
    body = None if part.body is None else orjson.Fragment(part.body)
    peer = delivery.peer
    try:
        answer: Answer = with_fallback(
            peer,
            lambda token: paced.call(
                part.method, url, token, body, Origin(peer.network_id, peer.id, peer.party, delivery.module)
            ),
        )
    except CallFailed as failure:
        status = failure.http_status or 0
        if status // 100 != 4 or status in {401, 403, _TOO_MANY}:  # noqa: PLR2004  (4xx without an envelope)
            raise
        return Answer(status, None, failure.message, None, {})
    if answer.http_status == _TOO_MANY or answer.status_code in range(3000, 4000):
        raise CallFailed(_words(answer), answer.http_status, client.retry_after(answer.headers))
    return answer if not _is_gone(part, answer) else replace(answer, http_status=200, status_code=1000)


def _is_gone(part: Part, answer: Answer) -> bool:
    """Whether a DELETE found nothing, so its purpose is fulfilled."""
    return part.method == "DELETE" and answer.http_status == _NOT_FOUND


def _wants_whole(part: Part, answer: Answer) -> bool:
    is_partial = part.method == "PATCH" or part.segments
    return bool(is_partial) and (answer.http_status in _REPLACE_STATUSES or answer.status_code == _INVALID)


def _is_delivered(answer: Answer) -> bool:
    return answer.http_status // 100 == 2 and answer.status_code in range(1000, 2000)  # noqa: PLR2004


def _words(answer: Answer) -> str:
    """The peer's answer as a sentence for the operator."""
    code = "" if answer.status_code is None else f", status_code {answer.status_code}"
    return f"HTTP {answer.http_status}{code}: {answer.status_message}"[:_MAX_WORDS]


def _postpone(lane: LaneRow, entry: AgendaRow, failure: PeerUnusable) -> None:
    """Let the lane rest: the peer is out of reach, whatever it is sent."""
    longest = min(_LONGEST_REST_SECONDS, _FIRST_REST_SECONDS * 2 ** min(lane.failures, 16))
    seconds = random.uniform(0, longest)  # noqa: S311  (jitter, so that peers are not called in step)
    if isinstance(failure, CallFailed) and failure.retry_after is not None:
        seconds = min(failure.retry_after, _LONGEST_RETRY_AFTER)
    with database.transaction() as transaction:
        agenda.fail(transaction, entry, failure.message[:_MAX_WORDS], parked=False)
        agenda.rest(transaction, lane.name, seconds=seconds, failures=lane.failures + 1)


def _keep_location(transaction: Transaction, delivery: Delivery | None, answer: Answer | None) -> None:
    """Keep the URL under which the peer stores a CDR. Spec: 2.1.1 mod_cdrs 2.2.2."""
    url = None if answer is None else answer.headers.get("location")
    if delivery and delivery.module == "cdrs" and url is not None and len(url) <= _URL_LENGTH:
        network_id, party = delivery.peer.network_id, delivery.party
        cdrs.keep_pushed_url(transaction, network_id, party, delivery.key[0], url)
