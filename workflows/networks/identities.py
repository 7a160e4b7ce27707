"""Slugs, charge point identities, EVSE ids. docs/gateway.md "Identities"."""

import re
import unicodedata

from storage.sites import EvsePlan

MAX_LENGTH = 34
"""The most characters of a charge point identity: with `_C{n}` it still fits an EVSE uid (39)."""

_IDENTITY = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_LENGTH}}}")
_PREFIX_LENGTH = 12
_FALLBACK_SLUG = "site"  # for a name without any Latin letter or digit
_TRANSLITERATIONS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d"}
)

Party = tuple[str, str]


def slug(text: str) -> str:
    """*text* in lower-case ASCII letters, digits and single hyphens; never empty."""
    ascii_text = (
        unicodedata.normalize("NFKD", text.translate(_TRANSLITERATIONS)).encode("ascii", "ignore").decode()
    )
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-") or _FALLBACK_SLUG


def generated_prefix(name_prefix: str) -> str:
    """The start of a charge point's identity when the request names no prefix."""
    return f"{slug(name_prefix)[:_PREFIX_LENGTH]}-"


def is_identity(text: str) -> bool:
    """Whether *text* is a valid identity of a charge point."""
    return _IDENTITY.fullmatch(text) is not None


def evses(identity: str, connectors: int, party: Party) -> tuple[EvsePlan, ...]:
    """One EVSE per connector, because each connector can charge a car. docs/gateway.md "Identities"."""
    uids = [identity] if connectors == 1 else [f"{identity}_C{n}" for n in range(1, connectors + 1)]
    return tuple(EvsePlan(uid, _evse_id(uid, party), "1") for uid in uids)


def _evse_id(uid: str, party: Party) -> str:
    country_code, party_id = party
    return f"{country_code}*{party_id}*E{re.sub('[-_]', '', uid).upper()}"
