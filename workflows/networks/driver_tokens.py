"""The drivers of an eMSP network: tokens in every condition. docs/gateway.md "Templates"."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from generated.ocpi_models import Allowed, Token, TokenType, WhitelistType
from storage.sites import UNSTAMPED
from workflows.charging.scenarios import MAGIC_TOKENS
from workflows.networks.identities import Party
from workflows.networks.places import countries

RFID, OTHER = TokenType.RFID, TokenType.OTHER
VALID, BLOCKED, EXPIRED, NO_CREDIT, RESTRICTED = "VALID", "BLOCKED", "EXPIRED", "NO_CREDIT", "RESTRICTED"

_WHITELISTS = (
    WhitelistType.ALLOWED,
    WhitelistType.ALWAYS,
    WhitelistType.ALLOWED_OFFLINE,
    WhitelistType.NEVER,
)
_NEVER_WHITELISTED = WhitelistType.NEVER  # so that a CPO asks for what only the eMSP knows

# Token type, condition, number of tokens; tokens are created in this order.
_MIX = (
    (RFID, VALID, 12), (OTHER, VALID, 3), (RFID, BLOCKED, 3), (RFID, EXPIRED, 2), (RFID, NO_CREDIT, 2),
    (RFID, RESTRICTED, 3),
)  # fmt: skip
COUNT = sum(count for _, _, count in _MIX) + len(MAGIC_TOKENS)
_CONDITIONS = {
    Allowed.ALLOWED: VALID,
    Allowed.BLOCKED: BLOCKED,
    Allowed.EXPIRED: EXPIRED,
    Allowed.NO_CREDIT: NO_CREDIT,
}

# LOC1 is the location of the specification's examples, so many peers test with it first.
_LOCATION_IDS = (["LOC1"], ["LOC1", "LOC2"], ["LOC3"])
_LANGUAGES = ("en", "de", "fr", "nl")
_FLEET_EVERY = 5  # every fifth driver has a company card


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """A token that is not stored or stamped yet, and what OCPI has no field for.

    `standing` is EXPIRED or NO_CREDIT; None means that `valid` decides. `location_ids` are the only
    locations where the token may be used; None means everywhere.
    """

    token: Token
    standing: str | None
    location_ids: list[str] | None


def tokens(rng: random.Random, party: Party, issuer: str) -> list[TokenPlan]:
    """The tokens of *party*; the first is a valid RFID card that works everywhere, the last are magic."""
    first = rng.randrange(10_000, 90_000) * 1000
    uids = _uids(rng)
    drivers = [(kind, condition, "") for kind, condition, count in _MIX for _ in range(count)]
    drivers += [(OTHER, _CONDITIONS[allowed], uid) for uid, allowed in MAGIC_TOKENS.items()]
    plans = []
    for number, (kind, condition, magic_uid) in enumerate(drivers):
        contract = f"{first + number * 7:08d}"
        status_is_known = kind == RFID and condition in {VALID, BLOCKED}
        generated = next(uids) if kind == RFID else str(uuid.UUID(int=rng.getrandbits(128), version=4))
        token = Token(
            uid=magic_uid or generated,
            type=kind,
            auth_id=f"{party[0]}-{party[1]}-C{contract}",
            visual_number=f"{party[0]}{party[1]} {contract[:4]} {contract[4:]}",
            issuer=issuer if number % _FLEET_EVERY else f"{issuer} Fleet",
            valid=condition not in {BLOCKED, EXPIRED},
            whitelist=_WHITELISTS[number % len(_WHITELISTS)] if status_is_known else _NEVER_WHITELISTED,
            language=_language(number, party),
            last_updated=UNSTAMPED,
        )
        standing = condition if condition in {EXPIRED, NO_CREDIT} else None
        location_ids = list(_LOCATION_IDS[number % len(_LOCATION_IDS)]) if condition == RESTRICTED else None
        plans.append(TokenPlan(token, standing, location_ids))
    return plans


def _uids(rng: random.Random) -> Iterator[str]:
    """Distinct serial numbers of NXP cards: seven bytes, the first of them 04."""
    seen = set()
    while True:
        uid = f"04{rng.getrandbits(48):012X}"
        if uid not in seen:
            seen.add(uid)
            yield uid


def _language(number: int, party: Party) -> str:
    """Most drivers speak the language of the party's country, some do not."""
    home = countries.language(party[0])
    return home if number % 3 != 1 else _LANGUAGES[number % len(_LANGUAGES)]
