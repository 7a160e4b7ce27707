"""Commands: the direct response of a CPO, sending as eMSP, and results. Spec: 2.1.1 mod_commands."""

from dataclasses import dataclass

import errors
from generated.ocpi_models import (
    EVSE,
    CommandResponse,
    CommandResponseType,
    CommandResult,
    CommandType,
    KnownCapability,
    Location,
    ReserveNow,
    Session,
    StartSession,
    Status,
    StopSession,
    UnlockConnector,
    WrappedCommandResponse,
)
from settings import settings
from storage import commands, database, locations, sessions
from storage.access import Caller
from storage.connections import REGISTERED, PeerConnection
from storage.locations import LocationPath
from storage.timestamps import now_ms, parse
from workflows.peers import client
from workflows.peers.exchanges import Origin
from workflows.permissions import addressed_scope

_CAPABILITIES = {
    ReserveNow: KnownCapability.RESERVABLE,
    StartSession: KnownCapability.REMOTE_START_STOP_CAPABLE,
    UnlockConnector: KnownCapability.UNLOCK_CAPABLE,
}
_NAMES = {
    ReserveNow: CommandType.RESERVE_NOW,
    StartSession: CommandType.START_SESSION,
    StopSession: CommandType.STOP_SESSION,
    UnlockConnector: CommandType.UNLOCK_CONNECTOR,
}

AtLocation = ReserveNow | StartSession | UnlockConnector
Command = AtLocation | StopSession


@dataclass(frozen=True, slots=True)
class Decision:
    """The direct response to a command, and the reason."""

    result: CommandResponseType
    reason: str


def receive(caller: Caller, command: Command) -> Decision:
    """Check and store a command that we received as CPO, and decide on it.

    Raises:
        errors.RuleBroken: the address policy refuses `response_url`.
        errors.UnknownLocation: the location does not exist here (with `data.result` REJECTED).
    """
    try:
        client.check(command.response_url)
    except errors.PeerUnusable as refusal:
        raise errors.RuleBroken(f"response_url: {refusal.message}") from None
    location = None if isinstance(command, StopSession) else _location(caller, command.location_id)
    if isinstance(command, StopSession):
        decision = _decide_stop(caller, command.session_id)
    elif location is None:
        decision = Decision(CommandResponseType.REJECTED, "unknown location")
    else:
        decision = _decide(location, command)
    with database.transaction() as transaction:
        commands.record(
            transaction,
            caller.network_id,
            caller.connection_id or 0,
            commands.RECEIVED,
            _NAMES[type(command)].value,
            command.json_text(),
            decision.result.value,
            decision.reason,
        )
    if not isinstance(command, StopSession) and location is None:
        raise errors.UnknownLocation(
            f"location_id: no location {command.location_id} here", {"result": "REJECTED"}
        )
    return decision


def _decide(location: Location, command: AtLocation) -> Decision:
    """The direct response to a command at an existing location. Conformance 185 to 187."""
    if isinstance(command, ReserveNow) and parse(command.expiry_date) <= now_ms():
        return Decision(CommandResponseType.REJECTED, "expiry_date has passed")
    candidates = _candidates(location, command)
    if not candidates:
        return Decision(CommandResponseType.REJECTED, "no such EVSE or connector")
    capability = _CAPABILITIES[type(command)]
    if not any(capability in (evse.capabilities or ()) for evse in candidates):
        return Decision(CommandResponseType.NOT_SUPPORTED, f"capability {capability} is missing")
    return Decision(CommandResponseType.NOT_SUPPORTED, "no charge point")


def _candidates(location: Location, command: AtLocation) -> list[EVSE]:
    """The EVSEs of *location* that *command* may refer to."""
    evses = [evse for evse in location.evses or () if evse.status is not Status.REMOVED]
    if command.evse_uid is not None:
        evses = [evse for evse in evses if evse.uid == command.evse_uid]
    if isinstance(command, UnlockConnector):
        evses = [e for e in evses if any(c.id == command.connector_id for c in e.connectors)]
    return evses


def _decide_stop(caller: Caller, session_id: str) -> Decision:
    with database.connect() as connection:
        scope = addressed_scope(caller)
        document = sessions.get(connection, caller.network_id, caller.party, session_id, scope=scope)
    if document is None or Session.model_validate_json(document.text).status in sessions.FINAL:
        return Decision(CommandResponseType.UNKNOWN_SESSION, "no such running session of this peer")
    return Decision(CommandResponseType.NOT_SUPPORTED, "no charge point")


def _location(caller: Caller, location_id: str) -> Location | None:
    path = LocationPath(location_id)
    with database.connect() as connection:
        document = locations.get(connection, caller.network_id, caller.party, path, published=True)
    return None if document is None else Location.model_validate_json(document.text)


def send(peer_connection: PeerConnection, command: Command) -> tuple[str, str]:
    """Send a command as eMSP; returns its uid and the CPO's direct response.

    Its `response_url` is replaced by an unguessable and unique one. If the call fails, the command stays
    open, because its result may still arrive.

    Raises:
        errors.PeerUnusable: the peer is not registered, has no commands endpoint, or did not answer.
    """
    if (
        peer_connection.state != REGISTERED
        or peer_connection.token is None
        or "commands" not in peer_connection.endpoints
    ):
        raise errors.PeerUnusable("The peer is not registered or offers no commands.")
    name = _NAMES[type(command)].value
    request = command.model_dump_json(exclude={"response_url"}, exclude_none=True)
    with database.transaction() as transaction:
        uid = commands.record(
            transaction, peer_connection.network_id, peer_connection.id, commands.SENT, name, request
        )
    response_url = f"{settings().base_url}/ocpi/emsp/2.1.1/commands/{name}/{uid}"
    body = command.model_copy(update={"response_url": response_url})
    url = f"{peer_connection.endpoints['commands'].rstrip('/')}/{name}"
    origin = Origin(peer_connection.network_id, peer_connection.id, peer_connection.party, "commands")
    response = client.call("POST", url, peer_connection.token, body, origin=origin)
    data = response.data if isinstance(response.data, dict) else {}
    result = str(data.get("result", "REJECTED"))[:15]
    with database.transaction() as transaction:
        commands.store_response(transaction, uid, result)
    return uid, result


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
            name, uid = name_or_uid, commands.only_open(connection, connection_id, name_or_uid)
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
