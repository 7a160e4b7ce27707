"""Removes the secrets of an exchange before it is stored. Security S7, S52.

A token is recognized in four ways: by its header, by the member of a body that holds it, by the form of our
tokens, and, anywhere else in the same exchange, as a token that was recognized before.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import orjson

from settings import settings
from storage.connections import in_base64

REDACTED = "[redacted]"

Headers = list[tuple[str, str]]

_SECRET_HEADER = re.compile("authorization|cookie|token|secret|api-?key", re.IGNORECASE)
_SCHEMES = frozenset({"token", "bearer", "basic", "digest"})
_MEMBER = re.compile(r'("(?:[a-z]+_)?token(?:_[abc])?"\s*:\s*")((?:[^"\\]|\\.)*)', re.IGNORECASE | re.DOTALL)
"""A member with a token as text, in JSON that may be invalid. The token of a command is an object."""
_OURS = re.compile(
    r"(/commands/[A-Z_]+/[A-Za-z0-9_-]+)|(?<![A-Za-z0-9_-])(?:[ao]_|ogk_)?[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
)
"""Something that has the form of our tokens. The uid of a command has it as well, but is no secret."""
_RUN = b"x" * 43
_RUNS = bytes(120 if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "_-") else 32 for c in range(256))
_SHORTEST = 8
"""A shorter secret is removed only from its header and member: elsewhere it could be any word."""


def from_base64(word: str) -> str | None:
    """The text that *word* encodes, or None if it is not Base64 of printable ASCII."""
    try:
        text = base64.b64decode(word, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return text if text.isprintable() else None


def words_of_secret_headers(headers: Headers) -> list[str]:
    """The words of secret headers without the scheme."""
    return [
        word
        for name, value in headers
        if _SECRET_HEADER.search(name)
        for word in value.split()
        if word.lower() not in _SCHEMES
    ]


def secrets_of(headers: Headers, bodies: Iterable[str | None]) -> set[str]:
    """Every form of the secrets that the headers and bodies of one exchange hold."""
    found = {*words_of_secret_headers(headers), *settings().demo_tokens}
    for literal in (match[2] for body in bodies if body for match in _members(body)):
        found |= {literal, _unescaped(literal)}
    found |= {text for word in found if (text := from_base64(word))}
    forms = {form for secret in found for form in _forms(secret)}
    return {form for form in forms if len(form) >= _SHORTEST}


def _members(body: str) -> list[re.Match[str]]:
    return list(_MEMBER.finditer(body)) if "oken" in body or "OKEN" in body else []


def _unescaped(literal: str) -> str:
    """The text of a JSON string, or the literal itself if it is invalid."""
    try:
        return str(orjson.loads(f'"{literal}"'))
    except orjson.JSONDecodeError:
        return literal


def _forms(secret: str) -> set[str]:
    """A secret as it may occur in text, JSON and URLs."""
    try:
        encoded = {in_base64(secret), orjson.dumps(secret).decode()[1:-1]}
    except (UnicodeEncodeError, orjson.JSONEncodeError):
        encoded = set()
    return {secret, quote(secret, safe="", errors="replace"), *encoded}


def clean(text: str, secrets: set[str]) -> str:
    """*text* without secrets, and without NUL, which PostgreSQL does not store."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    if _RUN in text.encode(errors="replace").translate(_RUNS):
        text = _OURS.sub(lambda match: match[1] or REDACTED, text)
    return text.replace("\0", "\ufffd")


def clean_body(body: str, secrets: set[str]) -> str:
    """A body without secrets."""
    if _members(body):
        body = _MEMBER.sub(rf"\1{REDACTED}", body)
    if "\\u" in body:  # a name or a token may be escaped
        body = _without_escaped_members(body)
    return clean(body, secrets)


def _without_escaped_members(body: str) -> str:
    """*body*, written anew if a member of it has a token."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    written = orjson.dumps(value).decode()
    masked = _MEMBER.sub(rf"\1{REDACTED}", written)
    return body if masked == written else masked


def clean_headers(headers: Headers, secrets: set[str]) -> str:
    """Headers as JSON text, a list of pairs. Of a secret header only the scheme remains."""
    pairs: list[Any] = [
        (name, _masked(value) if _SECRET_HEADER.search(name) else value) for name, value in headers
    ]
    return clean(orjson.dumps(pairs).decode(), secrets)


def _masked(value: str) -> str:
    return " ".join(word if word.lower() in _SCHEMES else REDACTED for word in value.split())
