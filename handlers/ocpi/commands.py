"""Commands, in both roles. Spec: 2.1.1 mod_commands."""

from generated.ocpi_models import (
    CommandResponse,
    CommandResult,
    ReserveNow,
    StartSession,
    StopSession,
    UnlockConnector,
)
from handlers.dispatch.responses import Explained
from storage.access import Caller
from workflows.charging import commands, sent_commands

# CPO interface


def receive_command(
    user: Caller, body: ReserveNow | StartSession | StopSession | UnlockConnector
) -> Explained[CommandResponse]:
    """A peer sends a command."""
    decision = commands.receive(user, body)
    return Explained(CommandResponse(result=decision.result), decision.reason)


# One function for the four operations of the contract: the body's type identifies the command.
reserve_now = start_session = stop_session = unlock_connector = receive_command


# eMSP interface


def post_command_result(user: Caller, command: str, uid: str, body: CommandResult) -> None:
    """A peer sends the result of a command that we sent."""
    sent_commands.conclude(user, command, uid, body)


def post_command_result_by_name(user: Caller, command: str, body: CommandResult) -> None:
    """The same, with only the command's name or only its uid in the URL."""
    sent_commands.conclude_by_name(user, command, body)
