"""What passed in one exchange, and the row that is stored of it, without secrets."""

import re
from dataclasses import dataclass, field

import orjson

from storage import exchanges
from storage.database import Connection
from storage.exchanges import OUT, Values
from storage.objects import Party
from workflows.peers import redaction
from workflows.peers.redaction import Headers

BODY_BYTES = 16 * 1024
"""The most bytes of a body that are kept."""
_VERSIONS = "versions"
_OTHER = "other"
_MODULES = frozenset({"credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands"})
_LONGEST_TOKEN = 64
_LAST_WORD = re.compile(r'[^\s"]+\Z')
_PARTY = re.compile("[A-Z]{2}/[A-Z0-9]{3}")
_WIDTHS = {"method": 20, "request_id": 64, "status_message": 1000, "error": 1000}
_CODES = 2**31
_CANDIDATES = 4
"""The most words of a request that are looked up as tokens."""


@dataclass(slots=True, kw_only=True)
class Observed:
    """What passed, unchanged, with its secrets. Bodies are no longer than `BODY_BYTES` if they are cut.

    *network_id* is None if nobody authenticated; *module* is empty if it follows from the URL.
    """

    direction: str
    method: str
    url: str
    started_at: int
    request_id: str
    request_headers: Headers
    request_body: bytes
    request_cut: bool
    network_id: int | None = None
    connection_id: int | None = None
    peer: Party | None = None
    caller: str | None = None
    module: str = ""
    status: int | None = None
    status_code: int | None = None
    status_message: str | None = None
    error: str | None = None
    response_headers: Headers = field(default_factory=list)
    response_body: bytes = b""
    response_cut: bool = False
    duration_ms: int = 0
    lost_before: int = 0

    def answer(self, status: int, headers: Headers) -> None:
        """Add the status and the headers of the answer."""
        self.status, self.response_headers = status, headers

    def read(self, body: bytes) -> None:
        """Add the body of the answer."""
        self.response_body, self.response_cut = body[:BODY_BYTES], len(body) > BODY_BYTES


def row(connection: Connection, observed: Observed) -> Values | None:
    """The row of an exchange; None if no network owns it."""
    if observed.network_id is None and not _find_owner(connection, observed):
        return None
    request, request_cut = _text(observed.request_body, is_cut=observed.request_cut)
    response, response_cut = _text(observed.response_body, is_cut=observed.response_cut)
    if observed.direction == OUT:
        _read_envelope(observed)
    peer = observed.peer and "/".join(observed.peer)
    module = observed.module or _module(observed.url)
    if peer is None and module == "credentials":
        peer = _named_party(response if observed.direction == OUT else request)
    return {
        "network_id": observed.network_id,
        "connection_id": observed.connection_id,
        "peer": peer,
        "direction": observed.direction,
        "caller": observed.caller,
        "module": module,
        "status": observed.status,
        "status_code": observed.status_code,
        "started_at": observed.started_at,
        "duration_ms": observed.duration_ms,
        "lost_before": observed.lost_before,
        "request_cut": request_cut,
        "response_cut": response_cut,
        **_texts(observed, request, response),
    }


def _texts(observed: Observed, request: str, response: str) -> Values:
    """The columns that may hold what a peer sent, without secrets. Some have a width."""
    texts = {
        "method": observed.method,
        "url": observed.url,
        "request_id": observed.request_id,
        "status_message": observed.status_message or "",
        "error": observed.error or "",
        "request_body": redaction.body_text(request),
        "response_body": redaction.body_text(response),
    }
    sent = redaction.header_texts(observed.request_headers)
    received = redaction.header_texts(observed.response_headers)
    hidden = redaction.secrets_of(observed.request_headers, (request, response))
    cleaned = redaction.clean([*sent, *received, *texts.values()], hidden)
    others = zip(texts, cleaned[len(sent) + len(received) :], strict=True)
    return {
        "request_headers": _pairs(cleaned[: len(sent)]),
        "response_headers": _pairs(cleaned[len(sent) :][: len(received)]),
        **{name: text[: _WIDTHS.get(name)] or None for name, text in others},
    }


def _pairs(texts: list[str]) -> str:
    """Names and values as JSON text, a list of pairs."""
    return orjson.dumps(list(zip(texts[::2], texts[1::2], strict=True))).decode()


def _find_owner(connection: Connection, observed: Observed) -> bool:
    """Find the owner of the token in a refused request: an ended one, or a live one in a wrong form."""
    words = redaction.words_of_secret_headers(observed.request_headers)[:_CANDIDATES]
    candidates = [text for word in words for text in (word, redaction.from_base64(word)) if text]
    for candidate in candidates:
        owner = exchanges.owner_of(connection, candidate)
        if owner is not None:
            observed.network_id, observed.connection_id = owner.network_id, owner.connection_id
            observed.peer = owner.peer
            return True
    return False


def _text(body: bytes, *, is_cut: bool) -> tuple[str, bool]:
    """A body as text, and whether the text is not the whole body."""
    if is_cut:  # what may remain of a token at the end is removed
        text = body.decode(errors="ignore")
        return text[:-_LONGEST_TOKEN] + _LAST_WORD.sub("", text[-_LONGEST_TOKEN:]), True
    try:
        return body.decode(), b"\0" in body
    except UnicodeDecodeError:
        return body.decode(errors="replace"), True


def _read_envelope(observed: Observed) -> None:
    """Read the status code and the message of a peer's answer, if it has them."""
    try:
        envelope = orjson.loads(observed.response_body)
    except orjson.JSONDecodeError:
        return
    if isinstance(envelope, dict):
        code, message = envelope.get("status_code"), envelope.get("status_message")
        observed.status_code = code if type(code) is int and 0 <= code < _CODES else None
        observed.status_message = message if isinstance(message, str) else None


def _module(url: str) -> str:
    """The module of a URL of ours."""
    segments = url.partition("?")[0].rstrip("/").split("/")
    found = next((segment for segment in segments if segment in _MODULES), None)
    return found or (_VERSIONS if segments[-1] in ("versions", "2.1.1") else _OTHER)


def _named_party(body: str) -> str | None:
    """The party that a credentials object in *body* names, as in `NL/TNM`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    value = value.get("data", value) if isinstance(value, dict) else {}
    named = f"{value.get('country_code')}/{value.get('party_id')}".upper() if isinstance(value, dict) else ""
    return named if _PARTY.fullmatch(named) else None
