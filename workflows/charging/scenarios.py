"""Scenarios: what goes wrong with the next session of a network. docs/magic.md.

A network has one slot. The next START_SESSION or driver takes the scenario and carries it to its CDR. Magic
EVSEs and tokens have a scenario of their own.
"""

from generated.ocpi_models import CDR, Allowed
from storage import sites
from workflows.charging.locked_network import LockedNetwork

START_REJECTED = "start_rejected"
START_TIMEOUT = "start_timeout"
NO_CAR = "no_car"
SESSION_INVALID = "session_invalid"
EVSE_OUT_OF_ORDER = "evse_out_of_order"
CDR_LATE = "cdr_late"
CDR_TWICE = "cdr_twice"
CDR_WRONG_TOTAL = "cdr_wrong_total"
NO_CDR = "no_cdr"

NO_SESSION = frozenset({START_REJECTED, START_TIMEOUT, NO_CAR})
"""The scenarios without a session."""

MAGIC_EVSES = dict(zip(sites.MAGIC_EVSES, (START_REJECTED, START_TIMEOUT, SESSION_INVALID), strict=True))
"""The EVSEs of the location MAGIC, and the scenario of each."""

MAGIC_TOKENS = {
    "MAGIC-BLOCKED": Allowed.BLOCKED,
    "MAGIC-EXPIRED": Allowed.EXPIRED,
    "MAGIC-NO-CREDIT": Allowed.NO_CREDIT,
    "MAGIC-SLOW": Allowed.ALLOWED,
}
"""The tokens of type OTHER of every eMSP network, and the answer to an authorization of each."""

MAGIC_SLOW = "MAGIC-SLOW"
SLOW_MS = 5_000

_SURPLUS = 1
"""What the scenario `cdr_wrong_total` adds to the price."""


def take(locked: LockedNetwork, evse_uid: str) -> str | None:
    """The scenario of a session that is to begin at an EVSE. The slot of the network is empty afterward."""
    if evse_uid in MAGIC_EVSES:
        return MAGIC_EVSES[evse_uid]
    scenario = locked.simulation.scenario
    if scenario is not None:
        locked.change(scenario=None)
    return scenario


def refuses(token_uid: str) -> bool:
    """Whether a magic token is refused everywhere, whoever owns it."""
    return MAGIC_TOKENS.get(token_uid, Allowed.ALLOWED) is not Allowed.ALLOWED


def cdrs(scenario: str | None, cdr: CDR) -> list[CDR]:
    """The CDRs of a session: one, unless its scenario says otherwise."""
    if scenario == NO_CDR:
        return []
    if scenario == CDR_TWICE:
        return [cdr, cdr.model_copy(update={"id": f"{cdr.id}-2"})]
    if scenario == CDR_WRONG_TOTAL:
        return [cdr.model_copy(update={"total_cost": cdr.total_cost + _SURPLUS})]
    return [cdr]
