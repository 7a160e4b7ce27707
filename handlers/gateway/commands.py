"""Commands of a network. docs/gateway.md "Commands"."""

from generated.gateway_models import (
    CommandDirection,
    CommandListResponse,
    CommandRecord,
    SendReserveNowRequest,
    SendStartSessionRequest,
    SendStopSessionRequest,
    SendUnlockConnectorRequest,
)
from handlers.dispatch import command_presenters
from handlers.dispatch.responses import require_found
from storage import commands, database
from storage.commands import Filter
from storage.keys import Member
from storage.networks import Network
from workflows.charging import sent_commands
from workflows.networks import orders


def list_commands(
    user: Member,
    cpo_id: str,
    direction: CommandDirection | None,
    connection_id: str | None,
    page: int,
    limit: int,
) -> CommandListResponse:
    """The commands that match, oldest first."""
    network = orders.network_of(user, cpo_id)
    wanted = Filter(direction, None if connection_id is None else int(connection_id))
    with database.connect() as connection:
        some, total = commands.page(connection, network.id, wanted, (page - 1) * limit, limit)
    data = [command_presenters.command(each) for each in some]
    return CommandListResponse(data=data, total=total, page=page, limit=limit)


def get_command(user: Member, cpo_id: str, uid: str) -> CommandRecord:
    """One command."""
    return _command(orders.network_of(user, cpo_id), uid)


def send_command(
    user: Member,
    cpo_id: str,
    body: SendReserveNowRequest
    | SendStartSessionRequest
    | SendStopSessionRequest
    | SendUnlockConnectorRequest,
) -> CommandRecord:
    """Send a command to a connected CPO."""
    network = orders.network_of(user, cpo_id)
    return _command(network, sent_commands.send(network, body))


# One function for the four operations of the contract: the body's type identifies the command.
send_reserve_now = send_start_session = send_stop_session = send_unlock_connector = send_command


def _command(network: Network, uid: str) -> CommandRecord:
    with database.connect() as connection:
        row = commands.get(connection, network.id, uid)
    return command_presenters.command(require_found(row))
