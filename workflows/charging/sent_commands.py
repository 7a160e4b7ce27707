"""Commands that an eMSP network sends to a CPO, and their results. Spec: 2.1.1 mod_commands.

docs/gateway.md "Commands". The command is stored before it is sent, because its result may come before the
CPO has answered. No timer ends a command: whether it has timed out follows from its age when it is read.
"""

import secrets
from dataclasses import dataclass

import errors
from generated import gateway_models
from generated.gateway_models import (
    CommandStatus,
    SendReserveNowRequest,
    SendStartSessionRequest,
    SendStopSessionRequest,
    SendUnlockConnectorRequest,
)
from generated.ocpi_models import (
    CommandResponse,
    CommandResponseType,
    CommandResult,
    CommandType,
    ReserveNow,
    StartSession,
    StopSession,
    Token,
    TokenType,
    UnlockConnector,
    WrappedCommandResponse,
)
from settings import settings
from storage import commands, connections, database, timestamps, tokens
from storage.access import Caller
from storage.commands import Command, CommandRow
from storage.connections import REGISTERED, PeerConnection
from storage.networks import EMSP, Network
from workflows.peers import client, concurrency
from workflows.peers.client import Answer
from workflows.peers.credentials_exchange import with_fallback
from workflows.peers.exchanges import Origin

Request = (
    SendReserveNowRequest | SendStartSessionRequest | SendStopSessionRequest | SendUnlockConnectorRequest
)

_NAMES: dict[type[Request], CommandType] = {
    SendReserveNowRequest: CommandType.RESERVE_NOW,
    SendStartSessionRequest: CommandType.START_SESSION,
    SendStopSessionRequest: CommandType.STOP_SESSION,
    SendUnlockConnectorRequest: CommandType.UNLOCK_CONNECTOR,
}
_DELIVERY_SECONDS = 30
"""How long a result may be on its way after the CPO's own deadline."""

_MAX_RESERVATION_ID = 2**31 - 1
_FIRST_REFUSAL = 2000
"""OCPI status codes from here on are refusals. Spec: 2.1.1 status_codes."""


@dataclass(frozen=True, slots=True)
class _Response:
    """The CPO's direct response and its reason; without a response, why there is none."""

    result: CommandResponseType | None
    reason: str | None


def send(network: Network, request: Request) -> str:
    """Send a command to a connected CPO and store its direct response. Returns the command's uid.

    If the call fails, the command stays open, because its result may still come.

    Raises:
        errors.NotFound: the network is no eMSP, or does not have the connection or the token.
        errors.Conflict: the peer is not registered or offers no commands, or no help desk confirms an unlock.
        errors.TooMany: too many requests are calling peers.
    """
    if network.role != EMSP:
        raise errors.NotFound("A CPO network sends no commands.")
    with database.connect() as connection:
        peer = connections.require(connection, network.id, int(request.connection_id))
    _require_callable(peer)
    name, uid = _NAMES[type(request)], commands.new_uid()
    command = _command(network, request, f"{settings().base_url}/ocpi/emsp/2.1.1/commands/{name}/{uid}")
    with concurrency.call_slot():
        with database.transaction() as transaction:
            commands.record_sent(transaction, peer, uid, name, command)
        response = _call(peer, name, command)
        with database.transaction() as transaction:
            commands.store_response(transaction, uid, response.result, response.reason)
    return uid


def _require_callable(peer: PeerConnection) -> None:
    """Raise unless *peer* is registered and offers commands."""
    if peer.state != REGISTERED:
        raise errors.Conflict(f"{'/'.join(peer.party)} is not registered.")
    if "commands" not in peer.endpoints:
        raise errors.Conflict(f"{'/'.join(peer.party)} offers no commands.")


def _command(network: Network, request: Request, response_url: str) -> Command:
    """The command of OCPI that *request* describes."""
    if isinstance(request, SendStopSessionRequest):
        return StopSession(response_url=response_url, session_id=request.session_id)
    if isinstance(request, SendUnlockConnectorRequest):
        if not request.help_desk:  # Conformance 197
            raise errors.Conflict("UNLOCK_CONNECTOR is for a help desk only; confirm with help_desk: true.")
        return UnlockConnector(
            response_url=response_url,
            location_id=request.location_id,
            evse_uid=request.evse_uid,
            connector_id=request.connector_id,
        )
    token = _token(network, request.token_uid, request.token_type)
    if isinstance(request, SendStartSessionRequest):
        return StartSession(
            response_url=response_url,
            token=token,
            location_id=request.location_id,
            evse_uid=request.evse_uid,
        )
    reservation_id = request.reservation_id
    return ReserveNow(
        response_url=response_url,
        token=token,
        expiry_date=request.expiry_date,
        reservation_id=secrets.randbelow(_MAX_RESERVATION_ID) if reservation_id is None else reservation_id,
        location_id=request.location_id,
        evse_uid=request.evse_uid,
    )


def _token(network: Network, uid: str, type_: gateway_models.TokenType | None) -> Token:
    """One of the network's own tokens."""
    chosen = None if type_ is None else TokenType(type_)
    with database.connect() as connection:
        document = tokens.get(connection, network.id, network.party, uid, chosen)
    if document is None:
        raise errors.NotFound(f"token_uid: the network has no token {uid}.")
    return Token.model_validate_json(document.text)


def _call(peer: PeerConnection, name: CommandType, command: Command) -> _Response:
    url = f"{peer.endpoints['commands'].rstrip('/')}/{name}"
    origin = Origin(peer.network_id, peer.id, peer.party, "commands")
    try:
        return _read(
            with_fallback(peer, lambda token: client.call("POST", url, token, command, origin=origin))
        )
    except errors.PeerUnusable as failure:
        return _Response(None, failure.message.rpartition(": ")[2])


def _read(answer: Answer) -> _Response:
    """The direct response in an answer. A refusal without one counts as REJECTED."""
    result = answer.data.get("result") if isinstance(answer.data, dict) else answer.data
    if result in list(CommandResponseType):
        return _Response(CommandResponseType(result), answer.status_message or None)
    if answer.status_code is not None and answer.status_code >= _FIRST_REFUSAL:
        return _Response(CommandResponseType.REJECTED, f"{answer.status_code}: {answer.status_message}")
    return _Response(None, "the answer has no result")


def status(row: CommandRow) -> CommandStatus:
    """Whether a command has ended, and how."""
    if row.result is not None:
        return CommandStatus.DONE
    if row.response not in (None, CommandResponseType.ACCEPTED):
        return CommandStatus.REFUSED
    if row.direction == commands.SENT and row.created_at <= _awaited_since():
        return CommandStatus.TIMED_OUT
    return CommandStatus.PENDING


def is_late(row: CommandRow) -> bool:
    """Whether the result of a command that we sent came after the command had timed out."""
    return row.direction == commands.SENT and (row.result_at or 0) - row.created_at >= _patience_ms()


def _patience_ms() -> int:
    """How long the result of a command is awaited."""
    return round((settings().command_timeout_seconds + _DELIVERY_SECONDS) * 1000)


def _awaited_since() -> int:
    """The time of the oldest command whose result is still awaited."""
    return timestamps.now_ms() - _patience_ms()


def conclude(caller: Caller, name: str, uid: str, result: CommandResult) -> None:
    """Store the result of a command that we sent over the caller's connection.

    Raises:
        errors.NotFound: we sent no such command to the caller.
    """
    with database.transaction() as transaction:
        commands.store_result(transaction, caller.connection_id or 0, uid, name, _outcome(result))


def conclude_by_name(caller: Caller, name_or_uid: str, result: CommandResult) -> None:
    """Store a result from a URL with one segment: a command's name, or a uid. Conformance P.

    Raises:
        errors.NotFound: there is no such command, or not exactly one of that name is open.
    """
    connection_id = caller.connection_id or 0
    with database.connect() as connection:
        if name_or_uid in list(CommandType):
            name = name_or_uid
            uid = commands.only_open(connection, connection_id, name, _awaited_since())
        else:
            name, uid = commands.name_of(connection, connection_id, name_or_uid) or "", name_or_uid
    if uid is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    with database.transaction() as transaction:
        commands.store_result(transaction, connection_id, uid, name, _outcome(result))


def _outcome(result: CommandResult) -> str:
    """The result from any of the three forms: object, envelope, plain string. Conformance 195."""
    if isinstance(result, WrappedCommandResponse):
        result = result.data
    return (result.result if isinstance(result, CommandResponse) else result).value
