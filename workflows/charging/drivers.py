"""Drivers who plug in at virtual charge points. Conformance 179; docs/charging.md "Drivers".

Whether a token is allowed follows from its whitelist. Spec: 2.1.1 mod_tokens 4.4.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

import errors
from generated.gateway_models import DriverSessionRequest
from generated.ocpi_models import (
    EVSE,
    AuthMethod,
    Connector,
    Location,
    LocationReferences,
    Status,
    Token,
    TokenType,
    WhitelistType,
)
from storage import cars, connections, database, parties, sessions, timestamps, tokens
from storage.cars import CarRow
from storage.connections import REGISTERED, PeerConnection
from storage.networks import Network
from storage.objects import Party
from workflows.charging import evses, locked_network, scenarios
from workflows.charging import sessions as charging
from workflows.charging.locked_network import LockedNetwork
from workflows.peers import client
from workflows.peers.concurrency import call_slot
from workflows.peers.credentials_exchange import with_fallback
from workflows.peers.exchanges import Origin

_ASKING_SECONDS = 2.0
_PEERS_ASKED = 20
"""The most eMSPs that authorize an unknown token at once."""

_ALLOWED = "ALLOWED"
_WITHOUT_A_CALL = frozenset({WhitelistType.ALWAYS, WhitelistType.ALLOWED})


@dataclass(frozen=True, slots=True)
class _Driver:
    """A driver who may charge."""

    auth_id: str
    auth_method: AuthMethod


def plug_in(network: Network, request: DriverSessionRequest) -> str:
    """Let a driver plug in; returns the id of the session.

    Raises:
        errors.NotFound: there is no such location, EVSE or connector.
        errors.Conflict: the EVSE is not free, the token is refused, or a scenario lets no session begin.
    """
    with database.connect() as connection:
        place = evses.location(connection, network, request.location_id)
    _connector(place, request)
    driver = _authorize(network, request)
    with locked_network.locked(network) as locked:
        place = evses.location(locked.transaction, network, request.location_id)
        evse, connector = _connector(place, request)
        _require_free(locked, evse, request)
        scenario = scenarios.take(locked, evse.uid)
        if scenario not in scenarios.NO_SESSION:
            return _begin(locked, request, driver, connector.id, scenario)
    raise errors.Conflict(f"evse_uid: the scenario {scenario} lets no session begin.")


def _begin(
    locked: LockedNetwork,
    request: DriverSessionRequest,
    driver: _Driver,
    connector_id: str,
    scenario: str | None,
) -> str:
    energy = request.energy_kwh
    car = CarRow(
        network_id=locked.id,
        evse_uid=request.evse_uid,
        location_id=request.location_id,
        connector_id=connector_id,
        auth_id=driver.auth_id,
        auth_method=driver.auth_method.value,
        scenario=scenario,
        energy_wh=None if energy is None else round(energy * 1000),
        minutes=request.minutes,
    )
    return charging.begin(locked, car, locked.now()).id


def unplug(network: Network, session_id: str) -> None:
    """End a session that runs.

    Raises:
        errors.NotFound: there is no such session of ours.
        errors.Conflict: it does not run.
    """
    with locked_network.locked(network) as locked:
        car = cars.of_session(locked.transaction, network.id, session_id)
        if car is not None:
            charging.end(locked, car, locked.now())
        elif sessions.get(locked.transaction, network.id, network.party, session_id) is None:
            raise errors.NotFound(errors.NOTHING_HERE)
        else:
            raise errors.Conflict(f"{session_id} has ended, or is no session of a virtual charge point.")


def _connector(place: Location | None, request: DriverSessionRequest) -> tuple[EVSE, Connector]:
    """The EVSE and the connector of a request.

    Raises:
        errors.NotFound: one of them does not exist.
    """
    if place is None:
        raise errors.NotFound(f"location_id: there is no location {request.location_id}.")
    evse = next((each for each in evses.present(place) if each.uid == request.evse_uid), None)
    if evse is None:
        raise errors.NotFound(f"evse_uid: {request.location_id} has no EVSE {request.evse_uid}.")
    wanted = request.connector_id
    connector = next((each for each in evse.connectors if wanted in {None, each.id}), None)
    if connector is None:
        raise errors.NotFound(f"connector_id: {request.evse_uid} has no connector {wanted}.")
    return evse, connector


def _require_free(locked: LockedNetwork, evse: EVSE, request: DriverSessionRequest) -> None:
    """Raise unless the driver's car can come to the EVSE.

    Raises:
        errors.Conflict: it cannot.
    """
    if not evses.virtual(locked, [evse]):
        raise errors.Conflict(
            f"evse_uid: {evse.uid} is not virtual; all_evses of the simulation changes that."
        )
    if not evses.free(locked, [evse], (request.token_uid, _type(request).value)):
        is_waiting = evse.status is Status.AVAILABLE
        state = "waits for another car" if is_waiting else f"is {evse.status.value}"
        raise errors.Conflict(f"evse_uid: {evse.uid} {state}.")


def _type(request: DriverSessionRequest) -> TokenType:
    return TokenType.RFID if request.token_type is None else TokenType(request.token_type)


def _authorize(network: Network, request: DriverSessionRequest) -> _Driver:
    """The driver with the token of a request, by the whitelist of the token. Conformance 179.

    Raises:
        errors.Conflict: the token is refused.
        errors.TooMany: too many requests call peers.
    """
    if scenarios.refuses(request.token_uid):
        answer = scenarios.MAGIC_TOKENS[request.token_uid]
        raise errors.Conflict(f"token_uid: the magic token {request.token_uid} is {answer}.")
    with database.connect() as connection:
        stored = tokens.received_by_uid(
            connection, network.id, network.party, request.token_uid, _type(request)
        )
        peers = [each for each in connections.of_network(connection, network.id) if _takes_questions(each)]
    if not stored:
        with call_slot():
            return _ask_everyone(network, request, peers)
    owner, token = stored[0]
    if token.whitelist in _WITHOUT_A_CALL:
        if not token.valid:
            raise errors.Conflict("token_uid: the token is not valid.")
        return _Driver(token.auth_id, AuthMethod.WHITELIST)
    with call_slot():
        return _ask_owner(network, request, owner, token)


def _ask_owner(network: Network, request: DriverSessionRequest, owner: Party, token: Token) -> _Driver:
    """Ask the eMSP of a token that is NEVER or ALLOWED_OFFLINE."""
    with database.connect() as connection:
        holder = parties.connection_of(connection, network.id, owner)
        peer = None if holder is None else connections.of_id(connection, holder)
    answer = _ask(peer, request) if peer and _takes_questions(peer) else None
    if answer == _ALLOWED:
        return _Driver(token.auth_id, AuthMethod.AUTH_REQUEST)
    name = "/".join(owner)
    if answer is not None:
        raise errors.Conflict(f"token_uid: {name} answers {answer}.")
    if token.whitelist is WhitelistType.ALLOWED_OFFLINE and token.valid:
        return _Driver(token.auth_id, AuthMethod.WHITELIST)
    raise errors.Conflict(f"token_uid: {name} did not answer within {_ASKING_SECONDS:.0f} s.")


def _ask_everyone(network: Network, request: DriverSessionRequest, peers: list[PeerConnection]) -> _Driver:
    """Ask every connected eMSP about an unknown token; the first that allows it has the driver."""
    if not peers:
        raise errors.Conflict("token_uid: no peer has pushed this token, and no eMSP is connected to ask.")
    some = peers[:_PEERS_ASKED]
    with ThreadPoolExecutor(len(some)) as pool:
        answers = list(pool.map(lambda peer: _ask(peer, request), some))
    for peer, answer in zip(some, answers, strict=True):
        if answer == _ALLOWED:
            _store_unknown(network, request, peer)
            return _Driver(request.token_uid, AuthMethod.AUTH_REQUEST)
    named = ", ".join(
        f"{'/'.join(peer.party)}: {answer or 'no answer'}" for peer, answer in zip(some, answers, strict=True)
    )
    raise errors.Conflict(f"token_uid: no eMSP allows this token ({named}).")


def _store_unknown(network: Network, request: DriverSessionRequest, peer: PeerConnection) -> None:
    """Store a token that its eMSP has allowed but not pushed, so that the session finds its reader.

    OCPI 2.1.1 has no field for its `auth_id` there, so the uid is used. docs/charging.md "Drivers".
    """
    token = Token(
        uid=request.token_uid,
        type=_type(request),
        auth_id=request.token_uid[:36],
        issuer="/".join(peer.party),
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=timestamps.now(),
    )
    with database.transaction() as transaction:
        tokens.put(transaction, network.id, peer.party, token)


def _takes_questions(peer: PeerConnection) -> bool:
    return peer.state == REGISTERED and "tokens" in peer.endpoints


def _ask(peer: PeerConnection, request: DriverSessionRequest) -> str | None:
    """What an eMSP answers to a real-time authorization, or None. Spec: 2.1.1 mod_tokens 2.2.2."""
    url = f"{peer.endpoints['tokens'].rstrip('/')}/{quote(request.token_uid, safe='')}/authorize"
    if _type(request) is not TokenType.RFID:
        url += f"?type={_type(request).value}"
    body = LocationReferences(location_id=request.location_id, evse_uids=[request.evse_uid])
    origin = Origin(peer.network_id, peer.id, peer.party, "tokens")
    deadline = time.monotonic() + _ASKING_SECONDS
    try:
        answer = with_fallback(
            peer, lambda token: client.call("POST", url, token, body, deadline, origin=origin)
        )
    except errors.PeerUnusable:
        return None
    allowed = answer.data.get("allowed") if isinstance(answer.data, dict) else None
    if answer.http_status == 404:  # noqa: PLR2004  (conformance 176)
        return "unknown token"
    return str(allowed)[:20] if isinstance(allowed, str) else None
