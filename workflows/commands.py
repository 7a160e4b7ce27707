"""Commands: what a CPO answers at once, what an eMSP sends, and where results go.

Spec: 2.1.1 mod_commands.
"""

from typing import Any

import orjson

import errors
from settings import settings
from storage import commands, database, locations, sessions
from storage.access import Caller
from storage.connections import REGISTERED, PeerConnection
from storage.instants import now_ms, parse
from storage.locations import Spot
from workflows import peer

NAMES = ("RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR")
RESULTS = ("NOT_SUPPORTED", "REJECTED", "ACCEPTED", "TIMEOUT", "UNKNOWN_SESSION")
_NEEDS = {
    "RESERVE_NOW": "RESERVABLE",
    "START_SESSION": "REMOTE_START_STOP_CAPABLE",
    "UNLOCK_CONNECTOR": "UNLOCK_CAPABLE",
}

Request = dict[str, Any]


def receive(caller: Caller, name: str, request: Request) -> dict[str, str]:
    """Check a command that reached us as CPO, keep it, and answer at once.

    Raises:
        errors.RuleRefusal: the address policy refuses `response_url`.
        errors.UnknownLocation: the location is not known here (with `data.result` REJECTED).
    """
    try:
        peer.check(request["response_url"])
    except errors.PeerUnusable as refusal:
        raise errors.RuleRefusal(f"response_url: {refusal.message}") from None
    location = None if name == "STOP_SESSION" else _location(caller, request)
    if name == "STOP_SESSION":
        response, reason = _judge_stop(caller, request["session_id"])
    elif location is None:
        response, reason = "REJECTED", "unknown location"
    else:
        response, reason = _judge(location, name, request)
    with database.transaction() as transaction:
        commands.record(
            transaction,
            caller.network_id,
            caller.connection_id or 0,
            commands.RECEIVED,
            name,
            request,
            response,
            reason,
        )
    if name != "STOP_SESSION" and location is None:
        raise errors.UnknownLocation(
            f"location_id: no location {request['location_id']} here", {"result": "REJECTED"}
        )
    return {"result": response}


def _judge(location: dict[str, Any], name: str, request: Request) -> tuple[str, str]:
    """The direct answer to a command at a known location, and why. Design section 10, Commands."""
    if name == "RESERVE_NOW" and parse(request["expiry_date"]) <= now_ms():
        return "REJECTED", "expiry_date has passed"
    candidates = [evse for evse in location.get("evses", ()) if evse["status"] != "REMOVED"]
    if "evse_uid" in request:
        candidates = [evse for evse in candidates if evse["uid"] == request["evse_uid"]]
    if "connector_id" in request:
        wanted = request["connector_id"]
        candidates = [e for e in candidates if any(c["id"] == wanted for c in e["connectors"])]
    if not candidates:
        return "REJECTED", "no such EVSE or connector"
    if not any(_NEEDS[name] in evse.get("capabilities", ()) for evse in candidates):
        return "NOT_SUPPORTED", f"capability {_NEEDS[name]} is missing"
    return "NOT_SUPPORTED", "no charge point"


def _judge_stop(caller: Caller, session_id: str) -> tuple[str, str]:
    with database.connect() as connection:
        document = sessions.get(connection, caller.network_id, caller.party, session_id, caller.addressed())
    if document is None or orjson.loads(document.text)["status"] in sessions.FINAL:
        return "UNKNOWN_SESSION", "no such running session of this peer"
    return "NOT_SUPPORTED", "no charge point"


def _location(caller: Caller, request: Request) -> dict[str, Any] | None:
    spot = Spot(request["location_id"])
    with database.connect() as connection:
        document = locations.get(connection, caller.network_id, caller.party, spot, published=True)
    return None if document is None else orjson.loads(document.text)


def send(link: PeerConnection, name: str, request: Request) -> tuple[str, str]:
    """Send a command as eMSP; its uid and what the CPO answered at once.

    *request* is the command's object without `response_url`, which is added here: unguessable and
    unique. A call that fails leaves the command open, for its result may still arrive.

    Raises:
        errors.PeerUnusable: the peer is not registered, has no commands endpoint, or did not answer.
    """
    if link.state != REGISTERED or link.token is None or "commands" not in link.endpoints:
        raise errors.PeerUnusable("The peer is not registered or offers no commands.")
    with database.transaction() as transaction:
        uid = commands.record(transaction, link.network_id, link.id, commands.SENT, name, request)
    body = {
        **request,
        "response_url": f"{settings().base_url}/ocpi/emsp/2.1.1/commands/{name}/{uid}",
    }
    answer = peer.call("POST", f"{link.endpoints['commands'].rstrip('/')}/{name}", link.token, body)
    data = answer.data if isinstance(answer.data, dict) else {}
    response = str(data.get("result", "REJECTED"))[:15]
    with database.transaction() as transaction:
        commands.respond(transaction, uid, response)
    return uid, response


def conclude(caller: Caller, name: str, uid: str, body: Any) -> None:
    """Keep the result of a command that we sent over the caller's connection.

    Raises:
        errors.NotFound: we sent no such command to the caller.
    """
    with database.transaction() as transaction:
        commands.result(transaction, caller.connection_id or 0, uid, name, _result(body))


def conclude_by_name(caller: Caller, name_or_uid: str, body: Any) -> None:
    """The same where the URL has one segment only: a command's name, or a uid. Conformance 1.P.

    Raises:
        errors.NotFound: no such command, or none or several of that name are open.
    """
    connection_id = caller.connection_id or 0
    if name_or_uid in NAMES:
        with database.connect() as connection:
            name, uid = name_or_uid, commands.only_open(connection, connection_id, name_or_uid)
    else:
        with database.connect() as connection:
            name, uid = commands.name_of(connection, connection_id, name_or_uid) or "", name_or_uid
    if uid is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    with database.transaction() as transaction:
        commands.result(transaction, connection_id, uid, name, _result(body))


def _result(body: Any) -> str:
    """The result in any of the three shapes that are sent: object, envelope, bare word. Conformance 195."""
    if isinstance(body, dict) and body.get("result") not in RESULTS:
        body = body["data"]
    return str(body["result"] if isinstance(body, dict) else body)
