"""Checks of a JSON body before a model reads it: media type, encoding, and JSON that cannot be kept exactly.

Pydantic keeps the last of two members with the same name, and rounds a number that a double cannot hold. Both
would silently change what a client sent. Security S19 to S24, S48, S49.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

import errors

MAX_DEPTH = 32
_BLANK_BEFORE_COLON = (b" :", b"\t:", b"\n:", b"\r:")
_ESCAPED_QUOTE_OR_COLON = (b"\\u0022", b"\\u003")
_NO_MARKS = bytes(set(range(256)) - set(b'{}[]"\\'))
_DIGITS = bytes(48 if c in b"0123456789." else c if c in b"eE+-" else 32 for c in range(256))
_LONG_NUMBERS = tuple(sign.join((b"0e", b"000")) for sign in (b"", b"+", b"-"))
INEXACT = "number with more digits than can be kept exactly"
"""The member of the object that replaces such a number; no number field accepts an object."""


def read(environ: dict[str, Any]) -> bytes:
    """The JSON text of a request, stripped; empty without a body.

    The server has read the whole body and refused one over the limit.

    Raises:
        errors.UnsupportedMedia: the media type is not JSON, or the body is compressed.
        errors.Malformed: the body is not JSON, or JSON that cannot be kept exactly.
    """
    raw: bytes = environ["wsgi.input"].read().strip()
    if not raw:
        return b""
    _check_headers(environ)
    return exact(raw)


def _check_headers(environ: Mapping[str, Any]) -> None:
    encoding = environ.get("HTTP_CONTENT_ENCODING", "")
    if encoding.strip().lower() not in ("", "identity"):
        raise errors.UnsupportedMedia(f"Content-Encoding is {encoding[:40]!r}; send the body as it is.")
    media, _, parameters = environ.get("CONTENT_TYPE", "").partition(";")
    if media.strip().lower() not in ("", "application/json"):
        raise errors.UnsupportedMedia(f"Content-Type is {media[:40]!r}; send application/json.")
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    if charset not in ("", "utf-8", "utf8"):
        raise errors.UnsupportedMedia(f"charset is {charset[:40]!r}; send UTF-8.")


def exact(raw: bytes) -> bytes:
    """The JSON text *raw*; a number in it that cannot be kept is replaced by an object with `INEXACT`.

    Raises:
        errors.Malformed: it is not JSON in UTF-8, is nested too deeply, or names a member twice.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise errors.Malformed(f"The body is not valid JSON: {str(error)[:200]}.") from None
    if not _is_shallow(raw):
        _refuse_depth(value, 1)
    encoded = orjson.dumps(value)
    if encoded == raw:
        return raw  # no member and no digit can have been lost
    if _may_repeat_members(raw, encoded):
        _refuse_repeated_members(raw)
    return _with_inexact_numbers_marked(raw) if _may_have_inexact_numbers(raw) else raw


def _is_shallow(raw: bytes) -> bool:
    """Whether *raw* is certainly not nested too deeply, because its brackets cancel out level by level.

    A pass may cancel two levels, so there are half as many passes. A body with brackets left over, or with
    brackets or escapes in strings, is checked exactly afterward.
    """
    marks = raw.translate(None, _NO_MARKS).replace(b'""', b"")
    for _ in range(MAX_DEPTH // 2):
        if not marks:
            return True
        marks = marks.replace(b"{}", b"").replace(b"[]", b"")
    return not marks


def _refuse_depth(value: Any, depth: int) -> None:
    """Refuse a value that is nested too deeply."""
    if depth > MAX_DEPTH:
        raise errors.Malformed(f"The body is nested deeper than {MAX_DEPTH} levels.")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(item, dict | list):
            _refuse_depth(item, depth + 1)


def _may_repeat_members(raw: bytes, encoded: bytes) -> bool:
    """Whether an object may name a member twice.

    Each member has a `":` in *raw*, and in *encoded*, which was written from the decoded value. Strings that
    contain `":` add the same number to both. So equal counts mean that no member was lost, unless *raw* has
    these two characters in another form.
    """
    if any(mark in raw for mark in (*_BLANK_BEFORE_COLON, *_ESCAPED_QUOTE_OR_COLON)):
        return True
    return raw.count(b'":') != encoded.count(b'":')


def _may_have_inexact_numbers(raw: bytes) -> bool:
    """Whether there are sixteen digits in a row or a three-digit exponent anywhere, including in strings."""
    digits = raw.translate(_DIGITS).replace(b"E", b"e")
    return b"0" * 16 in digits or any(mark in digits for mark in _LONG_NUMBERS)


def _refuse_repeated_members(raw: bytes) -> None:
    def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise errors.Malformed(f"{twice[:80]}: occurs twice in the same object.")
        return members

    json.loads(raw, object_pairs_hook=unrepeated)


def _with_inexact_numbers_marked(raw: bytes) -> bytes:
    """*raw* with an object in place of each number that a double cannot hold.

    A model that would keep such a number refuses the object and names the field. A number in a member that is
    dropped does no harm.
    """
    return orjson.dumps(json.loads(raw, parse_float=_exact, parse_int=_integer))


def _exact(text: str) -> Any:
    number = float(text)
    # The shortest text of a double, or all of its digits.
    is_exact = Decimal(text) in (Decimal(repr(number)), Decimal(number))
    return number if is_exact else {INEXACT: text[:40]}


def _integer(text: str) -> Any:
    """A 64-bit integer as an int; a longer one as a double, if the double is exact."""
    if len(text) < len("-9223372036854775808"):
        return int(text)
    return _exact(text)
