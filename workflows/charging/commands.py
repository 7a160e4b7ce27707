"""Commands that we receive as CPO: the direct response, and what the charge point does.

Spec: 2.1.1 mod_commands.
"""

from dataclasses import dataclass

import errors
from generated.ocpi_models import (
    EVSE,
    CommandResponseType,
    CommandType,
    KnownCapability,
    Location,
    ReserveNow,
    Session,
    StartSession,
    StopSession,
    UnlockConnector,
)
from storage import cars, commands, database, failpoints, networks, parties, sessions, tokens
from storage.access import Caller
from storage.timestamps import now_ms, parse
from workflows.charging import evses, locked_network, plugging_in, reserving, results, scenarios
from workflows.charging import sessions as charging
from workflows.charging.locked_network import LockedNetwork
from workflows.peers import client
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
    """The direct response to a command, and the reason. *refusal*: what the peer is told instead, if any."""

    result: CommandResponseType
    reason: str
    refusal: errors.Refusal | None = None


def receive(caller: Caller, command: Command) -> Decision:
    """Check and store a command that we received as CPO, decide on it, and begin to carry it out.

    Raises:
        errors.RuleBroken: the address policy refuses `response_url`.
        errors.UnknownLocation: the location does not exist here (with `data.result` REJECTED).
        errors.NotFound: the network has ended.
    """
    try:
        client.check(command.response_url)
    except errors.PeerUnusable as refusal:
        raise errors.RuleBroken(f"response_url: {refusal.message}") from None
    with database.transaction() as transaction:
        network = networks.get(transaction, caller.network_id)
        if network is None:
            raise errors.NotFound(errors.NOTHING_HERE)
        locked = locked_network.lock(transaction, network)
        if isinstance(command, StopSession):
            decision = _stop(locked, caller, command)
        else:
            decision = _act(locked, caller, command)
        failpoints.reach("command.decided")
    if decision.refusal is not None:
        raise decision.refusal
    return decision


def _record(locked: LockedNetwork, caller: Caller, command: Command, decision: Decision) -> str:
    return commands.record(
        locked.transaction,
        caller.network_id,
        caller.connection_id or 0,
        commands.RECEIVED,
        _NAMES[type(command)].value,
        command.json_text(),
        decision.result.value,
        decision.reason,
        command.session_id if isinstance(command, StopSession) else None,
    )


def _act(locked: LockedNetwork, caller: Caller, command: AtLocation) -> Decision:
    """Decide on a command at a location; if it is ACCEPTED, carry it out. Conformance 185 to 187."""
    location = evses.location(locked.transaction, locked.network, command.location_id, published=True)
    if location is None:
        message = f"location_id: no location {command.location_id} here"
        refusal = errors.UnknownLocation(message, {"result": "REJECTED"})
        decision = Decision(CommandResponseType.REJECTED, "unknown location", refusal)
        _record(locked, caller, command, decision)
        return decision
    decision, candidates = _decide(locked, caller, location, command)
    uid = _record(locked, caller, command, decision)
    if decision.result is CommandResponseType.ACCEPTED:
        connection_id = caller.connection_id or 0
        if isinstance(command, StartSession):
            plugging_in.start(locked, uid, command, candidates)
        elif isinstance(command, ReserveNow):
            result = reserving.reserve(locked, connection_id, command, candidates)
            results.announce(locked.transaction, locked.id, uid, result)
        else:
            result = _unlock(locked, connection_id, candidates[0])
            results.announce(locked.transaction, locked.id, uid, result)
    return decision


def _decide(
    locked: LockedNetwork, caller: Caller, location: Location, command: AtLocation
) -> tuple[Decision, list[EVSE]]:
    """The direct response to a command at an existing location, and the EVSEs that it may use."""
    candidates = _candidates(location, command)
    capability = _CAPABILITIES[type(command)]
    capable = [evse for evse in candidates if capability in (evse.capabilities or ())]
    virtual = evses.virtual(locked, capable)
    if isinstance(command, ReserveNow) and parse(command.expiry_date) <= now_ms():
        decision = Decision(CommandResponseType.REJECTED, "expiry_date has passed")
    elif not candidates:
        decision = Decision(CommandResponseType.REJECTED, "no such EVSE or connector")
    elif not capable:
        decision = Decision(CommandResponseType.NOT_SUPPORTED, f"capability {capability} is missing")
    elif not virtual:
        decision = Decision(CommandResponseType.NOT_SUPPORTED, "no charge point")
    elif refusal := _token_refusal(locked, caller, command):
        decision = Decision(CommandResponseType.REJECTED, refusal)
    else:
        decision = Decision(CommandResponseType.ACCEPTED, "forwarded to the charge point")
    return decision, virtual


def _token_refusal(locked: LockedNetwork, caller: Caller, command: AtLocation) -> str | None:
    """Why the token of a command cannot be used, or None. A token that is new here is stored.

    The session goes to the peer that its token belongs to, so that must be the sender.
    """
    if isinstance(command, UnlockConnector):
        return None
    token, transaction = command.token, locked.transaction
    owner = tokens.issuer(transaction, locked.id, token.auth_id)
    if owner is None:
        tokens.put(transaction, locked.id, caller.peer or caller.party, token)
    elif parties.connection_of_reader(transaction, locked.id, owner) != caller.connection_id:
        return "auth_id belongs to another party"
    if not token.valid or scenarios.refuses(token.uid):
        return "the token is not valid"
    return None


def _candidates(location: Location, command: AtLocation) -> list[EVSE]:
    """The EVSEs of *location* that *command* may refer to."""
    candidates = evses.present(location)
    if command.evse_uid is not None:
        candidates = [evse for evse in candidates if evse.uid == command.evse_uid]
    if isinstance(command, UnlockConnector):
        candidates = [e for e in candidates if any(c.id == command.connector_id for c in e.connectors)]
    return candidates


def _stop(locked: LockedNetwork, caller: Caller, command: StopSession) -> Decision:
    """Decide on a STOP_SESSION; if it is ACCEPTED, end the session."""
    scope = addressed_scope(caller)
    document = sessions.get(locked.transaction, locked.id, locked.party, command.session_id, scope=scope)
    car = cars.of_session(locked.transaction, locked.id, command.session_id)
    if document is None or Session.model_validate_json(document.text).status in sessions.FINAL:
        reason = "no such running session of this peer"
        decision = Decision(CommandResponseType.UNKNOWN_SESSION, reason)
    elif car is None:
        decision = Decision(CommandResponseType.NOT_SUPPORTED, "no charge point")
    else:
        decision = Decision(CommandResponseType.ACCEPTED, "forwarded to the charge point")
    uid = _record(locked, caller, command, decision)
    if car is not None and decision.result is CommandResponseType.ACCEPTED:
        charging.end(locked, car, locked.now())
        results.announce(locked.transaction, locked.id, uid, CommandResponseType.ACCEPTED)
    return decision


def _unlock(locked: LockedNetwork, connection_id: int, evse: EVSE) -> CommandResponseType:
    """Unlock a connector. This ends a session of the peer, but not one of another peer."""
    car = cars.get(locked.transaction, locked.id, evse.uid)
    if car is None or car.session_id is None:
        return CommandResponseType.ACCEPTED
    owner = tokens.issuer(locked.transaction, locked.id, car.auth_id)
    if parties.connection_of_reader(locked.transaction, locked.id, owner) != connection_id:
        return CommandResponseType.REJECTED
    charging.end(locked, car, locked.now())
    return CommandResponseType.ACCEPTED
