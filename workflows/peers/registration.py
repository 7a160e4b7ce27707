"""Registration, renewal and unregistration, as the receiving and as the initiating side.

Receiving: `register`, `renew`, `unregister`. Initiating: `join`, `rotate`, `leave`. Spec: 2.1.1 credentials.

No database transaction is open while a peer is called, so anything may change meanwhile. The transaction
that stores the result therefore locks the network's connections and checks again what the exchange
relies on: the network, the connection, and the token that started the exchange.
docs/security-cases.md "Tokens".

An exchange that we initiate marks its connection until it ends. Meanwhile a renewal by the peer gets 429:
if both sides renewed at once, each could store a token that the other has dropped. While we register, a
registration by a peer gets 429 as well.
"""

import logging

import errors
from generated.ocpi_models import Credentials
from settings import settings
from storage import access, agenda, connections, database, deviations, ended_tokens, failpoints, networks
from storage.access import Caller
from storage.connections import Peer, PeerConnection, in_base64
from storage.database import Transaction
from storage.networks import Network
from workflows.peers import client
from workflows.peers.concurrency import RETRY_SECONDS, one_exchange
from workflows.peers.credentials_exchange import (
    TOKEN,
    VERSION,
    Calls,
    PeerRefused,
    Report,
    credentials_of,
    discover,
    explore,
    longest_exchange,
    require_registered,
    send_credentials,
    with_fallback,
)

log = logging.getLogger("ocpi_gateway")

_EXCHANGE_RUNS = "This side is changing the connection itself; try again."


class ExchangeRuns(errors.Conflict):
    """Another exchange of ours is running, so this one has sent nothing but reads."""


def our_credentials(caller: Caller, token: str) -> Credentials:
    """Our credentials object for the caller: our party and the token that the caller uses."""
    with database.connect() as connection:
        network = networks.get(connection, caller.network_id)
    if network is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return credentials_of(network, token)


# Receiving side


def register(caller: Caller, body: Credentials) -> Credentials:
    """A peer registers with Token A. An earlier registration is replaced. Conformance 64 to 66, 81.

    Raises:
        errors.RuleBroken: the invitation is for another party; Token A stays usable.
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing has changed and
            Token A stays usable.
        errors.TooMany: an exchange with this token or a registration of ours is running, or too many
            exchanges are.
        errors.Unauthorized: Token A was used meanwhile, or the network ended.
    """
    failpoints.reach("post.received")
    if caller.invited not in (None, (body.country_code, body.party_id)):
        invited, party = "/".join(caller.invited or ()), f"{body.country_code}/{body.party_id}"
        raise errors.RuleBroken(f"party_id: this Token A is for {invited}, not for {party}")
    with one_exchange(caller.token):
        stored = _look_up(caller, body)
        failpoints.reach("post.called_back")
        with database.transaction() as transaction:
            _lock_for(transaction, caller)
            _require_no_registration_of_ours(transaction, caller.network_id)
            access.spend(transaction, caller.token)
            connection_id = connections.store(transaction, caller.network_id, stored, connections.BY_PEER)
            replaced = access.end_all(transaction, connection_id, ended_tokens.REPLACED)
            agenda.clear_lane(transaction, agenda.connection_lane(connection_id))
            token = access.mint(transaction, access.PEER, caller.network_id, connection_id)
            failpoints.reach("post.written")
    failpoints.reach("post.committed")
    if replaced:
        log.info(
            "registration_replaced", extra={"network": caller.network_id, "party": "/".join(stored.party)}
        )
    return our_credentials(caller, token)


def renew(caller: Caller, body: Credentials) -> Credentials:
    """A registered peer renews its credentials and gets a new token. Conformance 71, 72, 83.

    The old token works until the new one is used, but at most TOKEN_OVERLAP_SECONDS.

    Raises:
        errors.RuleBroken: the peer's country or party would change.
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing has changed.
        errors.TooMany: an exchange with this token or this peer is running, or too many exchanges are.
        errors.Unauthorized: the token, the connection or the network ended meanwhile.
    """
    if (body.country_code, body.party_id) != caller.peer:
        raise errors.RuleBroken("party_id: a PUT cannot change country_code or party_id; register again")
    failpoints.reach("put.received")
    with one_exchange(caller.token):
        stored = _look_up(caller, body)
        failpoints.reach("put.called_back")
        with database.transaction() as transaction:
            connection_id = _lock_registered(transaction, caller)
            _require_no_registration_of_ours(transaction, caller.network_id)
            if connections.exchange_runs(transaction, connection_id):
                raise errors.TooMany(_EXCHANGE_RUNS, RETRY_SECONDS)
            access.end_others(transaction, caller)
            connections.store(transaction, caller.network_id, stored)
            overlap_ms = settings().token_overlap_seconds * 1000
            access.supersede(transaction, caller.network_id, connection_id, overlap_ms)
            token = access.mint(transaction, access.PEER, caller.network_id, connection_id)
            failpoints.reach("put.written")
    failpoints.reach("put.committed")
    return our_credentials(caller, token)


def unregister(caller: Caller) -> None:
    """A peer unregisters: its tokens end and it is not called again. Conformance 73.

    Raises:
        errors.Unauthorized: the token, the connection or the network ended meanwhile.
    """
    with database.transaction() as transaction:
        connection_id = _lock_registered(transaction, caller)
        connections.end(transaction, connection_id)
        access.end_all(transaction, connection_id, ended_tokens.UNREGISTERED)


def _lock_for(transaction: Transaction, caller: Caller) -> None:
    """Lock the network's connections for an exchange that *caller* started.

    Raises:
        errors.Unauthorized: the caller's token or the network has ended.
    """
    if not connections.lock(transaction, caller.network_id):
        raise errors.Unauthorized("The network of this token has ended.")
    access.require_live(transaction, caller)


def _lock_registered(transaction: Transaction, caller: Caller) -> int:
    """Lock the network's connections for a registered caller; returns the id of its connection.

    Raises:
        errors.Unauthorized: the caller's token, its registration or the network has ended.
    """
    _lock_for(transaction, caller)
    connection_id = caller.connection_id or 0
    if not connections.is_registered(transaction, connection_id):
        raise errors.Unauthorized("The connection of this token was unregistered.")
    return connection_id


def _require_no_registration_of_ours(transaction: Transaction, network_id: int) -> None:
    """Raise while we register at a peer ourselves.

    That peer may be the caller, because its party is known only after it responds. The two sides could
    store two crossing registrations in different orders.

    Raises:
        errors.TooMany: we are registering.
    """
    if access.registration_runs(transaction, network_id):
        raise errors.TooMany("This network is registering at a peer itself; try again.", RETRY_SECONDS)


def _look_up(caller: Caller, body: Credentials) -> Peer:
    """Read the peer's versions and endpoints, with the token that it sent. Conformance 64."""
    calls = Calls.begin(caller.network_id, caller.connection_id, (body.country_code, body.party_id))
    calls.check(body.url)
    endpoints, encodes_tokens = discover(calls, body.url, body.token)
    if encodes_tokens:
        deviations.note(deviations.TOKEN_IN_BASE64, "token to Base64, in calls to you")
    return Peer(
        party=(body.country_code, body.party_id),
        versions_url=body.url,
        version=VERSION,
        endpoints=endpoints,
        business_details=body.business_details.model_dump(mode="json", exclude_none=True),
        token=body.token,
        encodes_tokens=encodes_tokens,
    )


# Initiating side


def join(network: Network, url: str, token_a: str, report: Report = lambda *_: None) -> PeerConnection:
    """Register our *network* at a peer, with the peer's versions URL and Token A. Conformance 79.

    *report* receives each step as text.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing has changed here.
        ExchangeRuns: the network is registering at a peer already. The two sides could store the results of
            two registrations in different orders, and then both would be locked out.
        errors.NotFound: the network ended.
    """
    if not TOKEN.fullmatch(token_a):
        raise errors.RuleBroken("token: 1 to 64 printable characters without a space are a token")
    calls = Calls.begin(network.id, report=report)
    calls.check(url)
    endpoints, encodes_tokens = discover(calls, url, token_a)
    token = in_base64(token_a) if encodes_tokens else token_a
    with database.transaction() as transaction:
        _lock_own(transaction, network.id)
        if access.registration_runs(transaction, network.id):
            raise ExchangeRuns(
                "This network is registering at a peer, or did so a moment ago and was interrupted; try again"
                f" in {longest_exchange():.0f} seconds."
            )
        callback = _mint_callback(transaction, network.id)
    failpoints.reach("join.minted")
    try:
        stored = send_credentials(
            calls, "POST", network, url, endpoints, token, callback, encodes_tokens=encodes_tokens
        )
    except BaseException:  # also Ctrl-C, so that the next registration does not have to wait
        with database.transaction() as transaction:
            access.withdraw(transaction, callback)
        raise
    failpoints.reach("join.answered")
    with database.transaction() as transaction:
        _lock_own(transaction, network.id)
        connection_id = connections.store(transaction, network.id, stored, connections.BY_NETWORK)
        access.end_all(transaction, connection_id, ended_tokens.REPLACED)
        agenda.clear_lane(transaction, agenda.connection_lane(connection_id))
        _bind(transaction, callback, connection_id)
        failpoints.reach("join.written")
    failpoints.reach("join.committed")
    report(f"registered with {'/'.join(stored.party)}")
    return _stored_connection(network, stored)


def rotate(
    network: Network, peer_connection: PeerConnection, report: Report = lambda *_: None
) -> PeerConnection:
    """Renew both tokens of a connection and read the peer's endpoints again. Conformance 83.

    Our old token works until the peer uses the new one. The peer's old token is kept until its new one has
    worked. So neither side is locked out, wherever the exchange is interrupted.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: as in `join`.
        ExchangeRuns: another exchange of ours with the peer is running.
        errors.Conflict: the connection changed meanwhile.
        errors.NotFound: the network ended.
    """
    calls = Calls.begin(network.id, peer_connection.id, peer_connection.party, report)
    calls.check(peer_connection.versions_url)
    endpoints = with_fallback(
        peer_connection, lambda t: explore(calls, peer_connection.versions_url, t), proves=False
    )
    with database.transaction() as transaction:
        _begin_exchange(transaction, peer_connection)
        callback = _mint_callback(transaction, network.id, peer_connection.id)
    failpoints.reach("rotate.minted")
    try:
        stored = with_fallback(
            peer_connection, lambda t: _send_renewal(calls, network, peer_connection, endpoints, t, callback)
        )
    except (PeerRefused, client.PeerUnauthorized):
        with database.transaction() as transaction:
            connections.lock(transaction, network.id)  # first, as in every exchange, to avoid a deadlock
            access.withdraw(transaction, callback)
            connections.end_exchange(transaction, peer_connection)
        raise
    except errors.PeerUnusable:
        _keep_unconfirmed(peer_connection, callback)
        raise
    failpoints.reach("rotate.answered")
    with database.transaction() as transaction:
        _lock_unchanged(transaction, peer_connection)
        connections.store(transaction, network.id, stored)
        access.end_superseded(transaction, peer_connection.id)
        access.supersede(transaction, network.id, peer_connection.id, settings().token_overlap_seconds * 1000)
        _bind(transaction, callback, peer_connection.id)
        failpoints.reach("rotate.written")
    failpoints.reach("rotate.committed")
    report(f"renewed with {'/'.join(stored.party)}")
    return _stored_connection(network, stored)


def _send_renewal(
    calls: Calls,
    network: Network,
    peer_connection: PeerConnection,
    endpoints: dict[str, str],
    token: str,
    callback: str,
) -> Peer:
    """Send our credentials to a registered peer.

    Raises:
        errors.PeerUnusable: as in `send_credentials`, or the peer responds as another party.
    """
    stored = send_credentials(
        calls,
        "PUT",
        network,
        peer_connection.versions_url,
        endpoints,
        token,
        callback,
        encodes_tokens=peer_connection.encodes_tokens,
    )
    if stored.party != peer_connection.party:
        raise errors.PeerUnusable(f"The peer answered as {'/'.join(stored.party)}.")
    return stored


def leave(peer_connection: PeerConnection, report: Report = lambda *_: None) -> None:
    """Unregister at a peer. The connection ends here even if the peer refuses. Spec: 2.1.1 credentials 1.4.

    A registration that has replaced this one meanwhile stays.

    Raises:
        errors.PeerUnusable: the connection has ended here, but the peer did not confirm it.
        ExchangeRuns, errors.Conflict, errors.NotFound: as in `rotate`.
    """
    require_registered(peer_connection)
    with database.transaction() as transaction:
        _begin_exchange(transaction, peer_connection)
    calls = Calls.begin(peer_connection.network_id, peer_connection.id, peer_connection.party, report)
    url = peer_connection.endpoints.get("credentials", "")
    try:
        answer = with_fallback(peer_connection, lambda t: calls.send("DELETE", url, t))
        report(f"HTTP {answer.http_status}, {answer.status_code}")
    finally:
        has_ended = _end_here(peer_connection)
        report("ended here" if has_ended else "replaced meanwhile; the newer registration stays")


def _end_here(peer_connection: PeerConnection) -> bool:
    """End the connection unless it has changed; False if it has."""
    with database.transaction() as transaction:
        alive = connections.lock(transaction, peer_connection.network_id)
        if not (alive and connections.is_unchanged(transaction, peer_connection)):
            return False
        connections.end(transaction, peer_connection.id)
        access.end_all(transaction, peer_connection.id, ended_tokens.UNREGISTERED)
        return True


def _lock_own(transaction: Transaction, network_id: int) -> None:
    """Lock the connections of one of our networks.

    Raises:
        errors.NotFound: the network ended.
    """
    if not connections.lock(transaction, network_id):
        raise errors.NotFound("The network has ended.")


def _lock_unchanged(transaction: Transaction, peer_connection: PeerConnection) -> None:
    """Lock the network's connections, and check that *peer_connection* is still the registration.

    Raises:
        errors.Conflict: the peer registered again, unregistered, or renewed its credentials.
        errors.NotFound: the network ended.
    """
    _lock_own(transaction, peer_connection.network_id)
    if not connections.is_unchanged(transaction, peer_connection):
        raise errors.Conflict("The connection changed meanwhile; the result of this exchange is dropped.")


def _begin_exchange(transaction: Transaction, peer_connection: PeerConnection) -> None:
    """Mark that we renew or end *peer_connection* ourselves.

    Raises:
        ExchangeRuns: another exchange of ours with this peer is running.
        errors.Conflict: the connection changed.
        errors.NotFound: the network ended.
    """
    _lock_unchanged(transaction, peer_connection)
    if connections.exchange_runs(transaction, peer_connection.id):
        raise ExchangeRuns("Another exchange with this peer is running.")
    connections.begin_exchange(transaction, peer_connection, longest_exchange())


def _mint_callback(transaction: Transaction, network_id: int, connection_id: int | None = None) -> str:
    """Store a token for the peer's calls during the exchange; *connection_id* if the peer is registered."""
    lives_ms = round(longest_exchange() * 1000)
    return access.mint(transaction, access.CALLBACK, network_id, connection_id, lives_ms)


def _bind(transaction: Transaction, callback: str, connection_id: int) -> None:
    """Make the callback token the peer's Token C.

    Raises:
        errors.Conflict: the callback token has ended, so the exchange took too long.
    """
    if not access.bind(transaction, callback, connection_id):
        raise errors.Conflict("The exchange took too long; its result is dropped.")


def _keep_unconfirmed(peer_connection: PeerConnection, callback: str) -> None:
    """Accept the new token after a lost response to a rotation, because the peer may use it already."""
    with database.transaction() as transaction:
        if connections.lock(transaction, peer_connection.network_id) and connections.is_unchanged(
            transaction, peer_connection
        ):
            access.bind(transaction, callback, peer_connection.id)
        connections.end_exchange(transaction, peer_connection)


def _stored_connection(network: Network, stored: Peer) -> PeerConnection:
    with database.connect() as connection:
        peer_connection = connections.of_party(connection, network.id, stored.party)
    if peer_connection is None:
        raise errors.NotFound("The network has ended.")
    return peer_connection
