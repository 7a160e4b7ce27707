"""Removes the secrets of an exchange before it is stored. Security S7, S52.

A token is recognized in four ways: by its header, by the member of a body that holds it, by the form of our
tokens, and, anywhere else in the same exchange, as a token that was recognized before.
"""

import base64
import binascii
import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import orjson

from settings import settings
from storage.connections import in_base64

REDACTED = "[redacted]"

Headers = list[tuple[str, str]]

_SECRET_HEADER = re.compile("authorization|cookie|token|secret|api-?key", re.IGNORECASE)
_SCHEMES = frozenset({"token", "bearer", "basic", "digest"})
_MEMBER = re.compile(r'("[a-z_]*token(?:_[abc])?"\s*:\s*")((?:[^"\\]|\\.)*)', re.IGNORECASE | re.DOTALL)
"""A member with a token as text, in JSON that may be invalid. The token of a command is an object."""
_OURS = re.compile(
    r"(/commands/[A-Z_]+/[A-Za-z0-9_-]+)|(?<![A-Za-z0-9_-])(?:[ao]_|ogk_)?[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
)
"""Something that has the form of our tokens. The uid of a command has it as well, but is no secret."""
_RUN = b"x" * 43
_RUNS = bytes(120 if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "_-") else 32 for c in range(256))
_MOST_TOKENS = 10
"""From each place, at most so many tokens are looked for elsewhere: each costs a search of everything."""
_SHORTEST = 8
"""A shorter secret is removed only from its header and member: elsewhere it could be any word."""


def from_base64(word: str) -> str | None:
    """The text that *word* encodes, or None if it is not Base64 of printable ASCII."""
    try:
        text = base64.b64decode(word, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return text if text.isprintable() else None


@functools.lru_cache(maxsize=256)
def _is_secret(header: str) -> bool:
    return _SECRET_HEADER.search(header) is not None


def words_of_secret_headers(headers: Headers) -> list[str]:
    """The words of secret headers without the scheme."""
    return [
        word
        for name, value in headers
        if _is_secret(name)
        for word in value.split()
        if word.lower() not in _SCHEMES
    ]


def secrets_of(headers: Headers, bodies: Iterable[str]) -> list[str]:
    """Every form of the secrets that the headers and bodies of one exchange hold, longest first."""
    found = {*words_of_secret_headers(headers)[:_MOST_TOKENS], *settings().demo_tokens}
    for body in (text for each in filter(_is_suspicious, bodies) for text in {each, _without_escapes(each)}):
        literals = [match[2] for match in itertools.islice(_MEMBER.finditer(body), _MOST_TOKENS)]
        found |= {*literals, *map(_unescaped, literals)}
    found |= {text for word in found if (text := from_base64(word))}
    forms = {form for secret in found for form in _forms(secret) if len(form) >= _SHORTEST}
    return sorted(forms, key=len, reverse=True)


def _is_suspicious(body: str) -> bool:
    """Whether *body* may have a member with a token. Most bodies have none, and the check is cheap."""
    return "token" in body.lower() or ("\\" in body and "\\u" in body)


def _unescaped(literal: str) -> str:
    """The text of a JSON string, or the literal itself if it is invalid."""
    try:
        return str(orjson.loads(f'"{literal}"'))
    except orjson.JSONDecodeError:
        return literal


def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it may occur in text, in JSON, in a URL, and in Base64."""
    in_json = orjson.dumps(secret).decode()[1:-1]
    return secret, in_json, quote(secret, safe=""), in_base64(secret)


def header_texts(headers: Headers) -> list[str]:
    """Names and values of headers, by turns. Of a secret header only the scheme remains."""
    return [text for name, value in headers for text in (name, _masked(value) if _is_secret(name) else value)]


def _masked(value: str) -> str:
    return " ".join(word if word.lower() in _SCHEMES else REDACTED for word in value.split())


def body_text(body: str) -> str:
    """A body whose members with tokens are redacted. It is written anew if the name of one is escaped."""
    if not _is_suspicious(body):
        return body
    masked = _mask_members(body)
    plain = _without_escapes(masked)
    again = _mask_members(plain)
    return masked if again == plain else again


def _mask_members(body: str) -> str:
    return _MEMBER.sub(rf"\1{REDACTED}", body)


def _without_escapes(body: str) -> str:
    """The same JSON without escaped letters, which may hide a token; any other body is unchanged."""
    if "\\u" not in body:
        return body
    try:
        return orjson.dumps(orjson.loads(body)).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # invalid, or too deep
        return body


def clean(texts: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """*texts* without secrets, and without NUL, which PostgreSQL does not store."""
    together = "\n".join(texts)
    if "\0" in together:
        return clean([text.replace("\0", "\ufffd") for text in texts], secrets)
    has_run = _RUN in together.encode(errors="replace").translate(_RUNS)
    if not has_run and not any(secret in together for secret in secrets):
        return list(texts)
    return [_clean(text, secrets) for text in texts]


def _clean(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return _OURS.sub(lambda match: match[1] or REDACTED, text)
