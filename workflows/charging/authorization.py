"""Real-time authorization of our drivers' tokens. Spec: 2.1.1 mod_tokens 2.2.2 and 3.1."""

import time

import errors
from generated.ocpi_models import (
    Allowed,
    AuthorizationInfo,
    DisplayText,
    Location,
    LocationReferences,
    Status,
    TokenType,
)
from storage import database, locations, tokens
from storage.access import Caller
from storage.objects import Window
from storage.tokens import Standing
from workflows.charging import scenarios
from workflows.peers import concurrency
from workflows.permissions import received_scope

_TEXTS = {
    Allowed.ALLOWED: "Welcome, you can charge here.",
    Allowed.BLOCKED: "This token is blocked; please call your provider.",
    Allowed.EXPIRED: "This token has expired; please call your provider.",
    Allowed.NO_CREDIT: "There is not enough credit on this account.",
    Allowed.NOT_ALLOWED: "This token cannot be used here.",
}


def authorize(
    caller: Caller, uid: str, type_: TokenType, references: LocationReferences | None
) -> AuthorizationInfo:
    """Whether our token (*uid*, *type_*) may charge, at *references* if there are any.

    Raises:
        errors.NotFound: there is no such token (2.1.1 does not define a response; DECISIONS.md).
        errors.NotEnough: the token is restricted to some locations and the request names none.
        errors.TooMany: the token is slow, and too many requests occupy a thread already.
    """
    with database.connect() as connection:
        standing = tokens.standing(connection, caller.network_id, caller.party, uid, type_)
    if standing is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    if (uid, type_) == (scenarios.MAGIC_SLOW, TokenType.OTHER):
        with concurrency.call_slot():
            time.sleep(scenarios.SLOW_MS / 1000)
    allowed = _allowed(standing)
    if allowed is not Allowed.ALLOWED:
        return _info(allowed)
    if references is None:
        if standing.restricted_to is not None:
            raise errors.NotEnough("location_id: this token is valid at some locations only; name one")
        return _info(Allowed.ALLOWED)
    usable = _usable(caller, standing, references)
    return _info(Allowed.NOT_ALLOWED if usable is None else Allowed.ALLOWED, usable)


def _allowed(standing: Standing) -> Allowed:
    if standing.standing is not None and standing.standing != Allowed.ALLOWED:
        return Allowed(standing.standing)
    return Allowed.ALLOWED if standing.valid else Allowed.BLOCKED


def _info(allowed: Allowed, usable: LocationReferences | None = None) -> AuthorizationInfo:
    text = DisplayText(language="en", text=_TEXTS[allowed])
    return AuthorizationInfo(allowed=allowed, location=usable, info=text)


def _usable(caller: Caller, standing: Standing, references: LocationReferences) -> LocationReferences | None:
    """The part of *references* where the driver may charge, or None. Conformance 173, 178."""
    location_id = references.location_id
    if standing.restricted_to is not None and location_id not in standing.restricted_to:
        return None
    location = _pushed_location(caller, location_id)
    if location is None:
        return None
    evses = {evse.uid: evse for evse in location.evses or () if evse.status is not Status.REMOVED}
    usable = LocationReferences(location_id=location_id)
    if references.evse_uids:
        usable.evse_uids = [uid for uid in references.evse_uids if uid in evses]
        evses = {uid: evses[uid] for uid in usable.evse_uids}
        if not evses:
            return None
    if references.connector_ids:
        present = {connector.id for evse in evses.values() for connector in evse.connectors}
        usable.connector_ids = [connector for connector in references.connector_ids if connector in present]
        if not usable.connector_ids:
            return None
    return usable


def _pushed_location(caller: Caller, location_id: str) -> Location | None:
    """A location that the calling CPO pushed."""
    scope = {**received_scope(caller), "id": location_id}
    with database.connect() as connection:
        page = locations.page(connection, caller.network_id, Window(limit=1), scope)
    return Location.model_validate_json(page.documents[0]) if page.documents else None
