"""The gateway's responses for commands. docs/gateway.md "Commands"."""

from generated.gateway_models import (
    CommandDirection,
    CommandName,
    CommandOutcome,
    CommandRecord,
    OcpiDocument,
)
from storage.commands import CommandRow
from storage.timestamps import authored
from workflows.charging import sent_commands


def command(row: CommandRow) -> CommandRecord:
    """A command with its response and result."""
    return CommandRecord(
        uid=row.uid,
        direction=CommandDirection(row.direction),
        command=CommandName(row.name),
        connection_id=str(row.connection_id),
        status=sent_commands.status(row),
        request=OcpiDocument.model_validate_json(row.request),
        response=None if row.response is None else CommandOutcome(row.response),
        reason=row.reason,
        result=None if row.result is None else CommandOutcome(row.result),
        session_id=row.session_id,
        late=sent_commands.is_late(row),
        created_at=authored(row.created_at),
        result_at=None if row.result_at is None else authored(row.result_at),
    )
