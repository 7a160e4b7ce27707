"""Objects that a peer is sent again, whole: everything, one module, or one object.

docs/gateway.md "Pushes".
"""

from collections.abc import Callable, Mapping

import errors
from generated.gateway_models import PushedModule, PushRequest
from storage import cdrs, connections, database, locations, sessions, tariffs, tokens
from storage.connections import PeerConnection
from storage.database import Transaction
from storage.networks import CPO, Network
from workflows.peers.credentials_exchange import Report

_SendAgain = Callable[..., tuple[int, int]]

_CPO: Mapping[PushedModule, _SendAgain] = {
    PushedModule.locations: locations.send_again,
    PushedModule.tariffs: tariffs.send_again,
    PushedModule.sessions: sessions.send_again,
    PushedModule.cdrs: cdrs.send_again,
}
_EMSP: Mapping[PushedModule, _SendAgain] = {PushedModule.tokens: tokens.send_again}
"""The modules whose objects each role owns."""


def check(request: PushRequest) -> None:
    """Raise unless the request says which objects it means.

    Raises:
        errors.Conflict: it has an id, but no module.
    """
    if request.id is not None and request.module is None:
        raise errors.Conflict("id: needs module, because ids are unique in a module only.")


def queue(network: Network, peer: PeerConnection, request: PushRequest, report: Report) -> None:
    """Put the objects on the agenda, some hundred in a transaction.

    Raises:
        errors.NotFound: the network has no objects of that module, or the peer does not offer it or does not
            see the object.
        errors.PeerUnusable: the peer is not registered any more.
    """
    owned = _CPO if network.role == CPO else _EMSP
    modules = [module for module in owned if module.value in peer.endpoints]
    if request.module is not None:
        modules = [module for module in modules if module is request.module]
    if not modules:
        raise errors.NotFound("The peer offers no such module of this network.")
    for module in modules:
        count = _queue_module(network, peer, owned[module], _key(request, module))
        if request.id is not None and not count:
            raise errors.NotFound("The peer sees no such object.")
        report(f"{module.value}: {count} queued")


def _key(request: PushRequest, module: PushedModule) -> list[str]:
    """The key columns of the one object, none without an id. The id of a CDR ignores case."""
    if request.id is None:
        return []
    if module is PushedModule.tokens:
        return [request.id, request.type.value if request.type else "RFID"]
    return [request.id.lower() if module is PushedModule.cdrs else request.id]


def _queue_module(network: Network, peer: PeerConnection, send_again: _SendAgain, key: list[str]) -> int:
    total = after = 0
    while True:
        with database.transaction() as transaction:
            _require_registered(transaction, peer)
            count, after = send_again(transaction, peer, network.party, after, key)
        total += count
        if not count or key:
            return total


def _require_registered(transaction: Transaction, peer: PeerConnection) -> None:
    """Lock the network's connections; raise if the peer has unregistered."""
    connections.lock(transaction, peer.network_id)
    if not connections.is_registered(transaction, peer.id):
        raise errors.PeerUnusable(f"{'/'.join(peer.party)} is not registered.")
