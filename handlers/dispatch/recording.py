"""Records what the peer API received and answered. docs/architecture.md "Exchanges"."""

import functools
import time
from typing import Any

import flask

from handlers.dispatch import logs
from storage import timestamps
from storage.access import Caller
from storage.exchanges import IN
from workflows.peers.exchange_rows import BODY_BYTES, Observed
from workflows.peers.exchanges import RECORDER


def record(response: flask.Response) -> None:
    """Record the current request and *response*, with their secrets, which never leave the queue."""
    context, environ = flask.g, flask.request.environ
    user: Caller | None = context.get("user")
    duration_ms = round((time.perf_counter() - context.began) * 1000)
    body = _request_body(environ)
    observed = Observed(
        direction=IN,
        method=environ["REQUEST_METHOD"],
        url=environ["REQUEST_URI"],
        started_at=timestamps.now_ms() - duration_ms,
        duration_ms=duration_ms,
        request_id=logs.request_id.get() or "",
        request_headers=_headers(environ),
        request_body=body[:BODY_BYTES],
        request_cut=len(body) > BODY_BYTES,
        status_code=context.get("status_code"),
        status_message=context.get("status_message"),
    )
    if user is not None:
        observed.network_id, observed.connection_id = user.network_id, user.connection_id
        observed.peer, observed.caller = user.peer, user.kind
    observed.answer(response.status_code, list(response.headers))
    if environ["REQUEST_METHOD"] != "HEAD":
        observed.read(response.get_data())
    RECORDER.put(observed)


def _request_body(environ: dict[str, Any]) -> bytes:
    """The first bytes of the body; the server keeps the whole body until the response is sent."""
    if environ.get("CONTENT_LENGTH", "0") in ("0", ""):
        return b""
    stream = environ["wsgi.input"]
    stream.seek(0)
    start: bytes = stream.read(BODY_BYTES + 1)
    return start


def _headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    names = [name for name in environ if name[:5] == "HTTP_" or name in ("CONTENT_TYPE", "CONTENT_LENGTH")]
    return [(_header_name(name), environ[name]) for name in names]


@functools.lru_cache(maxsize=256)
def _header_name(name: str) -> str:
    """The usual spelling of a header: `Content-Type` for `CONTENT_TYPE`."""
    return name.removeprefix("HTTP_").replace("_", "-").title()
