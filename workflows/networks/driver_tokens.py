"""The drivers of an eMSP network: their tokens, in every standing. docs/gateway.md "Templates"."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from generated.ocpi_models import Token, TokenType, WhitelistType
from storage.sites import UNSTAMPED
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
_ASK = WhitelistType.NEVER  # what only the eMSP knows, a CPO must ask for

# Who there is, in this order: token type, what is the matter with it, how many.
_CROWD = (
    (RFID, VALID, 12), (OTHER, VALID, 3), (RFID, BLOCKED, 3), (RFID, EXPIRED, 2), (RFID, NO_CREDIT, 2),
    (RFID, RESTRICTED, 3),
)  # fmt: skip
COUNT = sum(count for _, _, count in _CROWD)

# LOC1 is the location of the specification's examples, and so of many a peer's first test data.
_PLACES = (["LOC1"], ["LOC1", "LOC2"], ["LOC3"])
_LANGUAGES = ("en", "de", "fr", "nl")
_FLEET = 5  # each so many-eth driver has a company card


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """A token to be, not stamped yet, and what OCPI has no field for.

    `standing` is EXPIRED or NO_CREDIT, None for what `valid` says. `location_ids` are where alone it may be
    used, None for everywhere.
    """

    token: Token
    standing: str | None
    location_ids: list[str] | None


def tokens(dice: random.Random, party: Party, issuer: str) -> list[TokenPlan]:
    """The tokens of *party*; the first is a valid RFID card that works everywhere."""
    first = dice.randrange(10_000, 90_000) * 1000
    uids = _uids(dice)
    plans = []
    for number, (kind, matter) in enumerate((k, m) for k, m, count in _CROWD for _ in range(count)):
        contract = f"{first + number * 7:08d}"
        sure = kind == RFID and matter in {VALID, BLOCKED}
        token = Token(
            uid=next(uids) if kind == RFID else str(uuid.UUID(int=dice.getrandbits(128), version=4)),
            type=kind,
            auth_id=f"{party[0]}-{party[1]}-C{contract}",
            visual_number=f"{party[0]}{party[1]} {contract[:4]} {contract[4:]}",
            issuer=issuer if number % _FLEET else f"{issuer} Fleet",
            valid=matter not in {BLOCKED, EXPIRED},
            whitelist=_WHITELISTS[number % len(_WHITELISTS)] if sure else _ASK,
            language=_language(number, party),
            last_updated=UNSTAMPED,
        )
        standing = matter if matter in {EXPIRED, NO_CREDIT} else None
        places = list(_PLACES[number % len(_PLACES)]) if matter == RESTRICTED else None
        plans.append(TokenPlan(token, standing, places))
    return plans


def _uids(dice: random.Random) -> Iterator[str]:
    """Serial numbers of NXP cards: seven bytes, the first of them 04; none twice."""
    seen = set()
    while True:
        uid = f"04{dice.getrandbits(48):012X}"
        if uid not in seen:
            seen.add(uid)
            yield uid


def _language(number: int, party: Party) -> str:
    """Most drivers are at home in the country of the party, some are not."""
    home = countries.language(party[0])
    return home if number % 3 != 1 else _LANGUAGES[number % len(_LANGUAGES)]
