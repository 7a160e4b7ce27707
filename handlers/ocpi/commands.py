"""Commands, in both roles. Spec: 2.1.1 mod_commands."""

from typing import Any

from storage.access import Caller
from workflows import commands

# CPO interface


def reserve_now(user: Caller, body: dict[str, Any]) -> dict[str, str]:
    """A peer wants to reserve an EVSE."""
    return commands.receive(user, "RESERVE_NOW", body)


def start_session(user: Caller, body: dict[str, Any]) -> dict[str, str]:
    """A peer wants to start a session."""
    return commands.receive(user, "START_SESSION", body)


def stop_session(user: Caller, body: dict[str, Any]) -> dict[str, str]:
    """A peer wants to stop a session."""
    return commands.receive(user, "STOP_SESSION", body)


def unlock_connector(user: Caller, body: dict[str, Any]) -> dict[str, str]:
    """A peer's help desk wants to unlock a connector."""
    return commands.receive(user, "UNLOCK_CONNECTOR", body)


# eMSP interface


def post_command_result(user: Caller, command: str, uid: str, body: Any) -> None:
    """A peer tells what became of a command that we sent."""
    commands.conclude(user, command, uid, body)


def post_command_result_by_name(user: Caller, command: str, body: Any) -> None:
    """The same, where the URL has the command's name alone, or its uid alone."""
    commands.conclude_by_name(user, command, body)
