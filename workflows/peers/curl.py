"""The shell command that repeats an exchange. docs/gateway.md "Exchanges"."""

import shlex

import orjson

from settings import settings
from storage.exchanges import IN, Exchange
from workflows.peers.redaction import REDACTED

_TOKEN = "${TOKEN:?set TOKEN to the token of the caller}"  # noqa: S105  (a shell variable)
_SECRET = "${SECRET:?set SECRET to what was redacted}"  # noqa: S105  (likewise)
_BODY_TOKEN = "${MY_TOKEN:?set MY_TOKEN to the token in the credentials}"  # noqa: S105  (likewise)
_OF_THE_CLIENT = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "transfer-encoding", "user-agent"}
)
"""Headers that curl sets itself, or that describe one connection."""


def command(exchange: Exchange) -> str | None:
    """The command, or None if the body of the request is not stored whole.

    Secrets are shell variables. The shell stops with a message if one is not set.
    """
    if exchange.request_cut:
        return None
    url = settings().base_url + exchange.url if exchange.direction == IN else exchange.url
    words = ["curl", "-X", shlex.quote(exchange.method), _quoted(url, _SECRET)]
    for name, value in orjson.loads(exchange.request_headers):
        if name.lower() not in _OF_THE_CLIENT:
            variable = _TOKEN if name.lower() == "authorization" else _SECRET
            words += ["-H", _quoted(f"{name}: {value}", variable)]
    if exchange.request_body is not None:
        words += ["--data-binary", _quoted(exchange.request_body, _BODY_TOKEN)]
    return " ".join(words)


def _quoted(text: str, variable: str) -> str:
    """*text* as one word of a shell, with *variable* in place of what was redacted."""
    pieces = [shlex.quote(piece) if piece else "" for piece in text.split(REDACTED)]
    return f'"{variable}"'.join(pieces) or "''"
