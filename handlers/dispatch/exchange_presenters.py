"""The gateway's responses for exchanges and changes. docs/gateway.md "Exchanges"."""

import orjson

from generated.gateway_models import (
    ChangeKind,
    ChangesResponse,
    ExchangeCaller,
    ExchangeDirection,
    ExchangeHeader,
    ExchangeMessage,
    ExchangeModule,
    ExchangeResponse,
    ExchangeSummary,
)
from storage import exchanges, timestamps
from workflows.peers import curl


def summary(found: exchanges.ExchangeSummary) -> ExchangeSummary:
    """An exchange without headers and bodies."""
    return ExchangeSummary(
        exchange_id=str(found.id),
        peer=found.peer,
        connection_id=None if found.connection_id is None else str(found.connection_id),
        direction=ExchangeDirection(found.direction),
        caller=None if found.caller is None else ExchangeCaller(found.caller),
        module=ExchangeModule(found.module),
        method=found.method,
        url=found.url,
        status=found.status,
        status_code=found.status_code,
        status_message=found.status_message,
        error=found.error,
        started_at=timestamps.text(found.started_at),
        duration_ms=found.duration_ms,
        request_id=found.request_id,
        cut=found.request_cut or found.response_cut,
        lost_before=found.lost_before,
    )


def exchange(found: exchanges.Exchange) -> ExchangeResponse:
    """An exchange with both sides."""
    response = _message(found.response_headers, found.response_body, is_cut=found.response_cut)
    return ExchangeResponse(
        summary=summary(found),
        request=_message(found.request_headers, found.request_body, is_cut=found.request_cut),
        response=None if found.status is None else response,
        curl=curl.command(found),
    )


def changes(cursor: str, changed: list[str]) -> ChangesResponse:
    """What changed since a cursor."""
    return ChangesResponse(cursor=cursor, changed=[ChangeKind(kind) for kind in changed])


def _message(headers: str, body: str | None, *, is_cut: bool) -> ExchangeMessage:
    pairs = [ExchangeHeader(name=name, value=value) for name, value in orjson.loads(headers)]
    return ExchangeMessage(headers=pairs, body=body, cut=is_cut)
