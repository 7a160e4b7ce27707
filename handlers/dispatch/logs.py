"""Logs: one JSON object per line on stderr, without secrets."""

import contextlib
import logging
import os
import re
import sys
import time
from contextvars import ContextVar
from typing import Any

import orjson

from settings import settings

_STANDARD = frozenset(vars(logging.makeLogRecord({})))
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43,}")
"""Our tokens have 43 characters after their prefix, and no id of OCPI is as long.

docs/security-cases.md "Tokens".
"""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request: in each of its log lines, and in the response as `X-Request-ID`."""


def redact(text: str) -> str:
    """*text* without anything that looks like a token."""
    return _TOKEN.sub("[redacted]", text)


class Lines(logging.Formatter):
    """Formats a record as one JSON line. JSON escapes line breaks in values."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record."""
        line: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname,
            "what": redact(record.getMessage()),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if request_id.get() is not None:
            line["request_id"] = request_id.get()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _one_line(orjson.dumps(line, default=str)).decode()


def access(line: dict[str, Any]) -> None:
    """Log one request with a single write, which costs a tenth of a log record."""
    now = round(time.time(), 3)
    whole = {"at": now, "level": "INFO", "what": "request", **line, "request_id": request_id.get()}
    with contextlib.suppress(OSError):  # a full disk is no reason to refuse the request
        os.write(2, _one_line(orjson.dumps(whole)) + b"\n")


def _one_line(text: bytes) -> bytes:
    """*text* as one line, without the tokens from the settings.

    JSON escapes line feeds. Three other characters also end a line for some readers.
    """
    for token in settings().demo_tokens:
        text = text.replace(orjson.dumps(token)[1:-1], b"(a demo token)")
    for character in ("\x85", "\u2028", "\u2029"):
        text = text.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return text


def configure() -> None:
    """Send every log to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=settings().log_level.upper(), handlers=[handler], force=True)
    for noisy in ("alembic", "urllib3", "connexion", "openapi_spec_validator"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # requests often wait for a thread
