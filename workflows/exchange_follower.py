"""Follows the exchanges of a network over the running server's gateway API. scripts/exchanges prints them."""

import operator
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import orjson

from generated.gateway_models import ExchangeListResponse, ExchangeSummary
from storage.networks import Network
from workflows import gateway_client

_POLL_SECONDS = 0.5
_PAGE = 100
_MISSES = 5
KEYS = ("direction", "peer", "module", "method", "status", "url")
"""What a filter may name. `status` is an HTTP status or an OCPI status code; `url` is a part of the URL."""


def parse_filter(text: str) -> dict[str, str]:
    """The conditions of a filter like `direction=in module=credentials status=200`.

    Raises:
        ValueError: the text has another form, or a key that no exchange has.
    """
    wanted = dict(word.partition("=")[::2] for word in text.split())
    unknown = [key for key, value in wanted.items() if key not in KEYS or not value]
    if unknown or not wanted:
        raise ValueError(f"write it as key=value, separated by spaces; the keys are {', '.join(KEYS)}")
    return wanted


def newest(network: Network) -> ExchangeListResponse:
    """The newest exchanges, oldest first, and the cursor after them."""
    found = _read(network, limit=50)
    found.data.reverse()
    return found


def follow(network: Network, cursor: str) -> Iterator[ExchangeSummary | None]:
    """Every exchange after *cursor*; None whenever there is no further one yet. It never ends."""
    while True:
        page = _read(network, since=cursor, limit=_PAGE)
        cursor = page.cursor
        yield from page.data
        if len(page.data) < _PAGE:
            yield None
            time.sleep(_POLL_SECONDS)


def _read(network: Network, **query: str | int) -> ExchangeListResponse:
    url = f"/ocpi/cpos/{network.id}/exchanges?{urlencode(query)}"
    return ExchangeListResponse.model_validate_json(
        orjson.dumps(gateway_client.request("GET", url, network.organization_id))
    )


def line(exchange: ExchangeSummary) -> str:
    """An exchange on one line: time, direction, method, module, peer, statuses, duration, URL, and why."""
    status = f"{exchange.status or '-'} {exchange.status_code or '-'}"
    why = exchange.error or exchange.status_message or ""
    lost = f"    ({exchange.lost_before} before it were lost)" if exchange.lost_before else ""
    text = (
        f"{exchange.started_at[11:]:13} {exchange.direction:3} {exchange.method:6} {exchange.module:11}"
        f" {exchange.peer or '-':6}  {status:8} {exchange.duration_ms:5} ms  {exchange.url}"
        f"{'' if why == 'Success' else f'  {why}'}{lost}"
    )
    return "".join(each if each.isprintable() else "?" for each in text)  # a terminal would obey it


def misses(exchange: ExchangeSummary, wanted: Mapping[str, str]) -> list[str]:
    """The conditions that an exchange does not meet, each with what the exchange has instead."""
    found = {
        "direction": exchange.direction,
        "peer": exchange.peer or "none",
        "module": exchange.module,
        "method": exchange.method,
        "status": f"{exchange.status or 'none'} {exchange.status_code or ''}".strip(),
        "url": exchange.url,
    }
    return [f"{key} is {found[key]}" for key, value in wanted.items() if not _meets(key, found[key], value)]


def _meets(key: str, found: str, value: str) -> bool:
    found, value = found.lower(), value.lower()
    return value in (found if key == "url" else found.split())


def wait(
    network: Network, cursor: str, wanted: Mapping[str, str], seconds: float
) -> tuple[ExchangeSummary | None, list[str]]:
    """The first exchange after *cursor* that meets every condition; after *seconds* the nearest misses."""
    deadline = time.monotonic() + seconds
    seen: list[tuple[int, str]] = []
    for exchange in follow(network, cursor):
        if exchange is not None:
            wrong = misses(exchange, wanted)
            if not wrong:
                return exchange, []
            miss = len(wrong), f"{line(exchange)}\n    {', '.join(wrong)}"
            seen = sorted([*seen, miss], key=operator.itemgetter(0))[:_MISSES]
        if time.monotonic() > deadline:
            break
    return None, [text for _, text in seen]
