"""Registration, renewal and unregistration, as the receiving and as the initiating side.

Receiving: `register`, `renew`, `unregister`. Initiating: `join`, `rotate`, `leave`. Spec: 2.1.1 credentials.

No database transaction is open while a peer is called, so anything may change meanwhile. The transaction
that stores the result therefore locks the network's connections and checks again what the exchange
relies on: the network, the connection, and the token that opened the exchange.
docs/security-cases.md "Tokens".

An exchange that we initiate marks its connection until it ends. A renewal by the peer gets 429 meanwhile:
if both sides renewed at once, each could store a token that the other has dropped. While we register, a
registration by a peer gets 429 as well.
"""

import logging
from collections.abc import Callable
from typing import Any

import errors
from generated.ocpi_models import Credentials
from settings import settings
from storage import access, connections, database, deviations, ended_tokens, failpoints, networks
from storage.access import Caller
from storage.connections import REGISTERED, Peer, PeerConnection, in_base64
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
    send_credentials,
)

log = logging.getLogger("ocpi_gateway")

_WE_CHANGE_IT = "This side is changing the connection itself; try again."


def ours(caller: Caller, token: str) -> Credentials:
    """Our credentials object for the caller: our party, and the token it uses here."""
    with database.connect() as connection:
        network = networks.get(connection, caller.network_id)
    if network is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return credentials_of(network, token)


# Receiving side


def register(caller: Caller, body: Credentials) -> Credentials:
    """A peer registers with Token A; its registration, if it has one, is replaced. Conformance 64 to 66, 81.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing is changed and
            Token A stays usable.
        errors.TooMany: an exchange with this token or a registration of ours is running, or too many
            exchanges are.
        errors.Unauthorized: Token A was used meanwhile, or the network ended.
    """
    failpoints.reach("post.asked")
    with one_exchange(caller.token):
        stored = _look_up(body)
        failpoints.reach("post.called_back")
        with database.transaction() as transaction:
            _lock_for(transaction, caller)
            _require_no_registration_of_ours(transaction, caller.network_id)
            access.spend(transaction, caller.token)
            connection_id = connections.keep(transaction, caller.network_id, stored)
            replaced = access.end_all(transaction, connection_id, ended_tokens.REPLACED)
            token = access.mint(transaction, access.PEER, caller.network_id, connection_id)
            failpoints.reach("post.written")
    failpoints.reach("post.committed")
    if replaced:
        log.info(
            "registration_replaced", extra={"network": caller.network_id, "party": "/".join(stored.party)}
        )
    return ours(caller, token)


def renew(caller: Caller, body: Credentials) -> Credentials:
    """A registered peer renews its credentials and gets a new token. Conformance 71, 72, 83.

    The old token lives until the new one is used, or as long as the setting says.

    Raises:
        errors.RuleBroken: the peer's country or party would change.
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing is changed.
        errors.TooMany: an exchange with this token or this peer is running, or too many exchanges are.
        errors.Unauthorized: the token, the connection or the network ended meanwhile.
    """
    if (body.country_code, body.party_id) != caller.peer:
        raise errors.RuleBroken("party_id: a PUT cannot change country_code or party_id; register anew")
    failpoints.reach("put.asked")
    with one_exchange(caller.token):
        stored = _look_up(body)
        failpoints.reach("put.called_back")
        with database.transaction() as transaction:
            connection_id = _lock_registered(transaction, caller)
            _require_no_registration_of_ours(transaction, caller.network_id)
            if connections.exchange_runs(transaction, connection_id):
                raise errors.TooMany(_WE_CHANGE_IT, RETRY_SECONDS)
            access.end_others(transaction, caller)
            connections.keep(transaction, caller.network_id, stored)
            overlap_ms = settings().token_overlap_seconds * 1000
            access.supersede(transaction, caller.network_id, connection_id, overlap_ms)
            token = access.mint(transaction, access.PEER, caller.network_id, connection_id)
            failpoints.reach("put.written")
    failpoints.reach("put.committed")
    return ours(caller, token)


def unregister(caller: Caller) -> None:
    """A peer unregisters: its tokens end, it is never called again. Conformance 73.

    Raises:
        errors.Unauthorized: the token, the connection or the network ended meanwhile.
    """
    with database.transaction() as transaction:
        connection_id = _lock_registered(transaction, caller)
        connections.end(transaction, connection_id)
        access.end_all(transaction, connection_id, ended_tokens.UNREGISTERED)


def _lock_for(transaction: Transaction, caller: Caller) -> None:
    """Lock the network's connections for an exchange that *caller* opened.

    Raises:
        errors.Unauthorized: the caller's token or the network has ended.
    """
    if not connections.lock(transaction, caller.network_id):
        raise errors.Unauthorized("The network of this token has ended.")
    access.require_live(transaction, caller)


def _lock_registered(transaction: Transaction, caller: Caller) -> int:
    """Lock the network's connections for a registered caller; the id of its connection.

    Raises:
        errors.Unauthorized: the caller's token, its registration or the network has ended.
    """
    _lock_for(transaction, caller)
    connection_id = caller.connection_id or 0
    if not connections.is_registered(transaction, connection_id):
        raise errors.Unauthorized("The connection of this token was unregistered.")
    return connection_id


def _require_no_registration_of_ours(transaction: Transaction, network_id: int) -> None:
    """Raise while we register at a peer ourselves, which may be the caller: only the answer tells its party.

    Two registrations that cross could be stored in different orders by the two sides.

    Raises:
        errors.TooMany: we do.
    """
    if access.registration_runs(transaction, network_id):
        raise errors.TooMany("This network is registering at a peer itself; try again.", RETRY_SECONDS)


def _look_up(body: Credentials) -> Peer:
    """Ask the peer for its versions and its endpoints, with the token it gave us. Conformance 64."""
    calls = Calls.begin()
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


def join(network: Network, url: str, token_a: str, report: Report = lambda _: None) -> PeerConnection:
    """Register our *network* at a peer, with the versions URL and the Token A that it gave us.

    Conformance 79. *report* receives each step as it happens.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: nothing is changed here.
        errors.Conflict: the network registers at a peer already. Two answers could be stored in another
            order than the peer stored them in, and both sides would be locked out.
        errors.NotFound: the network ended.
    """
    if not TOKEN.fullmatch(token_a):
        raise errors.RuleBroken("token: 1 to 64 printable characters without a space are a token")
    calls = Calls.begin(report)
    calls.check(url)
    endpoints, encodes_tokens = discover(calls, url, token_a)
    token = in_base64(token_a) if encodes_tokens else token_a
    with database.transaction() as transaction:
        _lock_own(transaction, network.id)
        if access.registration_runs(transaction, network.id):
            raise errors.Conflict(
                "This network is registering at a peer, or did so a moment ago and was interrupted; try again"
                f" in {longest_exchange():.0f} seconds."
            )
        callback = _mint_callback(transaction, network.id)
    failpoints.reach("join.minted")
    try:
        stored = send_credentials(
            calls, "POST", network, url, endpoints, token, callback, encodes_tokens=encodes_tokens
        )
    except BaseException:  # Ctrl-C as well: the next registration need not wait
        with database.transaction() as transaction:
            access.withdraw(transaction, callback)
        raise
    failpoints.reach("join.answered")
    with database.transaction() as transaction:
        _lock_own(transaction, network.id)
        connection_id = connections.keep(transaction, network.id, stored)
        access.end_all(transaction, connection_id, ended_tokens.REPLACED)
        _bind(transaction, callback, connection_id)
        failpoints.reach("join.written")
    failpoints.reach("join.committed")
    report(f"     registered with {'/'.join(stored.party)}")
    return _stored_link(network, stored)


def rotate(network: Network, link: PeerConnection, report: Report = lambda _: None) -> PeerConnection:
    """Renew both tokens of a connection and read the peer's endpoints anew. Conformance 83.

    Our old token lives until the peer uses the new one; the peer's old one is kept until its new one
    has answered. So neither side is locked out, wherever the exchange breaks off.

    Raises:
        errors.PeerUnusable, errors.NoCommonVersion, errors.MissingEndpoints: as in `join`.
        errors.Conflict: the connection changed meanwhile, or another exchange with the peer is running.
        errors.NotFound: the network ended.
    """
    calls = Calls.begin(report)
    calls.check(link.versions_url)
    endpoints = with_fallback(link, lambda t: explore(calls, link.versions_url, t), proves=False)
    with database.transaction() as transaction:
        _begin_exchange(transaction, link)
        callback = _mint_callback(transaction, network.id, link.id)
    failpoints.reach("rotate.minted")
    try:
        stored = with_fallback(link, lambda t: _send_renewal(calls, network, link, endpoints, t, callback))
    except (PeerRefused, client.PeerUnauthorized):
        with database.transaction() as transaction:
            connections.lock(transaction, network.id)  # first, as in every exchange: else a deadlock
            access.withdraw(transaction, callback)
            connections.end_exchange(transaction, link)
        raise
    except errors.PeerUnusable:
        _keep_unconfirmed(link, callback)
        raise
    failpoints.reach("rotate.answered")
    with database.transaction() as transaction:
        _lock_unchanged(transaction, link)
        connections.keep(transaction, network.id, stored)
        access.end_superseded(transaction, link.id)
        access.supersede(transaction, network.id, link.id, settings().token_overlap_seconds * 1000)
        _bind(transaction, callback, link.id)
        failpoints.reach("rotate.written")
    failpoints.reach("rotate.committed")
    report(f"     renewed with {'/'.join(stored.party)}")
    return _stored_link(network, stored)


def _send_renewal(
    calls: Calls, network: Network, link: PeerConnection, endpoints: dict[str, str], token: str, callback: str
) -> Peer:
    """Send our credentials to a peer that is registered.

    Raises:
        errors.PeerUnusable: as in `send_credentials`; or the peer answers as another party.
    """
    stored = send_credentials(
        calls,
        "PUT",
        network,
        link.versions_url,
        endpoints,
        token,
        callback,
        encodes_tokens=link.encodes_tokens,
    )
    if stored.party != link.party:
        raise errors.PeerUnusable(f"The peer answered as {'/'.join(stored.party)}.")
    return stored


def leave(link: PeerConnection, report: Report = lambda _: None) -> None:
    """Unregister at a peer, and forget it here whatever it answers. Spec: 2.1.1 credentials 1.4.

    A registration that replaces this one meanwhile stays.

    Raises:
        errors.PeerUnusable: the connection has ended here, but the peer did not confirm that.
        errors.Conflict, errors.NotFound: as in `rotate`.
    """
    _require_registered(link)
    with database.transaction() as transaction:
        _begin_exchange(transaction, link)
    calls, url = Calls.begin(report), link.endpoints.get("credentials", "")
    try:
        answer = with_fallback(link, lambda t: calls.send("DELETE", url, t))
        report(f"     HTTP {answer.http_status}, {answer.status_code}")
    finally:
        report(f"     {'forgotten here' if _end_here(link) else 'replaced meanwhile; the newer one stays'}")


def _end_here(link: PeerConnection) -> bool:
    """End the connection unless it changed; False if it did."""
    with database.transaction() as transaction:
        alive = connections.lock(transaction, link.network_id)
        if not (alive and connections.is_unchanged(transaction, link)):
            return False
        connections.end(transaction, link.id)
        access.end_all(transaction, link.id, ended_tokens.UNREGISTERED)
        return True


def with_fallback(link: PeerConnection, call: Callable[[str], Any], *, proves: bool = True) -> Any:
    """Call the peer with its new token, or on 401 with the one before.

    *proves*: an answer tells that the peer took the new token, so the one before is forgotten. Versions
    and details prove nothing: a token that a rotation has not settled yet opens them as well.
    """
    _require_registered(link)
    try:
        result = call(str(link.token))
    except client.PeerUnauthorized:
        former = link.former_token
        if former is None:
            raise
        return call(former)
    if proves and link.former_peer_token is not None:
        with database.transaction() as transaction:
            connections.forget_former_token(transaction, link)
    return result


def _require_registered(link: PeerConnection) -> None:
    if link.state != REGISTERED or link.peer_token is None:
        raise errors.PeerUnusable(f"{'/'.join(link.party)} is not registered.")


def _lock_own(transaction: Transaction, network_id: int) -> None:
    """Lock the connections of a network of ours.

    Raises:
        errors.NotFound: the network ended.
    """
    if not connections.lock(transaction, network_id):
        raise errors.NotFound("The network has ended.")


def _lock_unchanged(transaction: Transaction, link: PeerConnection) -> None:
    """Lock the network's connections, and check that *link* is still the registration.

    Raises:
        errors.Conflict: the peer registered anew, unregistered, or renewed its credentials.
        errors.NotFound: the network ended.
    """
    _lock_own(transaction, link.network_id)
    if not connections.is_unchanged(transaction, link):
        raise errors.Conflict("The connection changed meanwhile; the result of this exchange is dropped.")


def _begin_exchange(transaction: Transaction, link: PeerConnection) -> None:
    """Mark that we renew or end *link* ourselves.

    Raises:
        errors.Conflict: the connection changed, or another exchange of ours with this peer is running.
        errors.NotFound: the network ended.
    """
    _lock_unchanged(transaction, link)
    if connections.exchange_runs(transaction, link.id):
        raise errors.Conflict("Another exchange with this peer is running.")
    connections.begin_exchange(transaction, link, longest_exchange())


def _mint_callback(transaction: Transaction, network_id: int, connection_id: int | None = None) -> str:
    """A token that the peer calls us back with; of a connection if it is registered already."""
    lives_ms = round(longest_exchange() * 1000)
    return access.mint(transaction, access.CALLBACK, network_id, connection_id, lives_ms)


def _bind(transaction: Transaction, callback: str, connection_id: int) -> None:
    """Make the callback token the peer's Token C.

    Raises:
        errors.Conflict: the callback token has ended, so the exchange took too long.
    """
    if not access.bind(transaction, callback, connection_id):
        raise errors.Conflict("The exchange took too long; its result is dropped.")


def _keep_unconfirmed(link: PeerConnection, callback: str) -> None:
    """The answer to a rotation got lost: the peer may use the new token already, so it becomes valid."""
    with database.transaction() as transaction:
        if connections.lock(transaction, link.network_id) and connections.is_unchanged(transaction, link):
            access.bind(transaction, callback, link.id)
        connections.end_exchange(transaction, link)


def _stored_link(network: Network, stored: Peer) -> PeerConnection:
    with database.connect() as connection:
        link = connections.of_party(connection, network.id, stored.party)
    if link is None:
        raise errors.NotFound("The network has ended.")
    return link
