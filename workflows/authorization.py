"""Real-time authorization of our drivers' tokens. Spec: 2.1.1 mod_tokens 2.2.2 and 3.1."""

from typing import Any

import orjson

import errors
from storage import database, locations, tokens
from storage.access import Caller
from storage.locations import Spot
from storage.tokens import Standing

_TEXTS = {
    "ALLOWED": "Welcome, you can charge here.",
    "BLOCKED": "This token is blocked; please call your provider.",
    "EXPIRED": "This token has expired; please call your provider.",
    "NO_CREDIT": "There is not enough credit on this account.",
    "NOT_ALLOWED": "This token cannot be used here.",
}

References = dict[str, Any]


def authorize(caller: Caller, uid: str, kind: str, references: References | None) -> dict[str, Any]:
    """An AuthorizationInfo for the token (*uid*, *kind*) of ours.

    Raises:
        errors.NotFound: there is no such token (2.1.1 names no answer; DECISIONS.md).
        errors.NotEnough: the token is restricted to some locations and none is named.
    """
    with database.connect() as connection:
        known = tokens.standing(connection, caller.network_id, caller.party, uid, kind)
    if known is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    allowed = _standing(known)
    if allowed != "ALLOWED":
        return _info(allowed)
    if references is None:
        if known.restricted_to is not None:
            raise errors.NotEnough("location_id: this token is valid at some locations only; name one")
        return _info("ALLOWED")
    usable = _usable(caller, known, references)
    return _info("NOT_ALLOWED") if usable is None else {**_info("ALLOWED"), "location": usable}


def _standing(known: Standing) -> str:
    if known.standing not in (None, "ALLOWED"):
        return str(known.standing)
    return "ALLOWED" if known.valid else "BLOCKED"


def _info(allowed: str) -> dict[str, Any]:
    return {"allowed": allowed, "info": {"language": "en", "text": _TEXTS[allowed]}}


def _usable(caller: Caller, known: Standing, references: References) -> References | None:
    """The part of *references* where the driver may charge; None where nowhere. Conformance 173, 178."""
    location_id = references["location_id"]
    if known.restricted_to is not None and location_id not in known.restricted_to:
        return None
    location = _pushed_location(caller, location_id)
    if location is None:
        return None
    evses = {e["uid"]: e for e in location.get("evses", ()) if e["status"] != "REMOVED"}
    usable: References = {"location_id": location_id}
    asked_evses = references.get("evse_uids")
    if asked_evses:
        usable["evse_uids"] = [uid for uid in asked_evses if uid in evses]
        evses = {uid: evses[uid] for uid in usable["evse_uids"]}
        if not evses:
            return None
    if references.get("connector_ids"):
        there = {c["id"] for evse in evses.values() for c in evse["connectors"]}
        usable["connector_ids"] = [c for c in references["connector_ids"] if c in there]
        if not usable["connector_ids"]:
            return None
    return usable


def _pushed_location(caller: Caller, location_id: str) -> dict[str, Any] | None:
    """A location that the calling CPO pushed, decoded."""
    for owner in caller.owners:
        country_code, party_id = owner.split("/")
        with database.connect() as connection:
            document = locations.get(
                connection, caller.network_id, (country_code, party_id), Spot(location_id)
            )
        if document is not None:
            return orjson.loads(document.text)  # type: ignore[no-any-return]
    return None
