"""Names that machines read: slugs, charge point identities, EVSE ids. docs/gateway.md "Identities"."""

import re
import unicodedata

from storage.sites import EvsePlan

LONGEST = 34
"""Characters of a charge point identity: with `_C{n}` it still fits an EVSE uid (39)."""

_IDENTITY = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}")
_PREFIX = 12
_NAMELESS = "site"  # what is left of a name without a single Latin letter or digit
_SPELT = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d"}
)

Party = tuple[str, str]


def slug(text: str) -> str:
    """*text* in lower-case ASCII letters, digits and single hyphens; never empty."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELT)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or _NAMELESS


def generated_prefix(name_prefix: str) -> str:
    """How the identity of a charge point begins whose user named no prefix."""
    return f"{slug(name_prefix)[:_PREFIX]}-"


def is_identity(text: str) -> bool:
    """May a charge point be called so?"""
    return _IDENTITY.fullmatch(text) is not None


def evses(identity: str, connectors: int, party: Party) -> tuple[EvsePlan, ...]:
    """One EVSE a connector: that is how many cars can charge at once. docs/gateway.md "Identities"."""
    uids = [identity] if connectors == 1 else [f"{identity}_C{n}" for n in range(1, connectors + 1)]
    return tuple(EvsePlan(uid, _evse_id(uid, party), "1") for uid in uids)


def _evse_id(uid: str, party: Party) -> str:
    country_code, party_id = party
    return f"{country_code}*{party_id}*E{re.sub('[-_]', '', uid).upper()}"
