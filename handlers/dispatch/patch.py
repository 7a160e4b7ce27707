"""PATCH: how its body changes a stored object. Spec: 2.1.1 transport_and_format, PATCH."""

from typing import Any, TypeVar

import errors
from handlers.dispatch.responses import OLDER
from handlers.dispatch.validation import result_obeys_rules
from openapi.field_types import Model, time_order
from storage import deviations, timestamps
from storage.objects import Change

M = TypeVar("M", bound=Model)
Fields = dict[str, Any]
"""Fields and extension members of a model by name; their values are validated."""


def change(
    patch: Model, key: str = "id", *, by_owner: bool = False, appends_periods: bool = False
) -> Change[Any]:
    """The change that *patch* requests; *key*: the field that identifies the object.

    A sent field replaces the whole stored one, null clears it; `evses` are merged by uid (conformance 113,
    121). A patch older than the object is ignored (116). A patch without `last_updated` gets the current time
    (115). The result is validated like any other object. *by_owner*: the back office changes its own object,
    so the parents of changed objects get new timestamps as well (96). *appends_periods*: `charging_periods`
    are added to the stored ones, as in OCPI 2.2.

    Raises (from the change):
        errors.RuleBroken: *key* would change, or the result would be invalid.
    """
    changes = _changes(patch)
    stamps_parents = by_owner and bool(changes.get("evses"))

    def apply(stored: M) -> M | None:
        new = _patched(stored, changes, key, appends_periods=appends_periods)
        if new is not None and stamps_parents:
            _stamp_parents(new, changes["evses"])
        return new

    return Change(apply, is_stamped=stamps_parents or changes.get("last_updated") is None)


def _patched(stored: M, changes: Fields, key: str, *, appends_periods: bool) -> M | None:
    """*stored* with *changes*; None if nothing changes."""
    current, changes = dict(stored), dict(changes)
    require_same(current[key], changes.pop(key, current[key]), key)
    if not changes or _is_stale(changes, current):
        return None
    if changes.get("last_updated") is None:
        changes["last_updated"] = timestamps.stamp(current["last_updated"])
    if changes.get("evses") is not None:
        changes |= _merged_evses(current["evses"] or [], changes["evses"], changes["last_updated"])
    if changes.get("charging_periods") and appends_periods:
        changes["charging_periods"] = [*(current["charging_periods"] or []), *changes["charging_periods"]]
    with result_obeys_rules():
        return type(stored).model_validate(current | changes)


def _stamp_parents(location: Any, patches: list[Any]) -> None:
    """Stamp the location and the EVSEs whose connectors *patches* change, no earlier than their children."""
    changed = {patch.uid for patch in patches if "connectors" in patch.model_fields_set}
    for evse in location.evses:
        if evse.uid in changed:
            _stamp(evse, evse.connectors)
    _stamp(location, location.evses)


def _stamp(parent: Any, children: list[Any]) -> None:
    times = (child.last_updated for child in children)
    parent.last_updated = timestamps.stamp(parent.last_updated, *times)


def require_same(in_url: str, in_body: str, name: str) -> None:
    """Refuse ids that differ. Spec: 2.1.1 transport_and_format, Errors.

    Raises:
        errors.RuleBroken: they differ.
    """
    if in_url != in_body:
        raise errors.RuleBroken(f"{name}: {in_body} in the body, {in_url} in the URL")


def _changes(patch: Model) -> Fields:
    """The fields that the client sent, including nulls and extension members."""
    return {name: value for name, value in patch if name in patch.model_fields_set}


def _merged_evses(stored: list[Any], patches: list[Any], time: str) -> Fields:
    """The EVSEs merged by uid, and the location's `last_updated`. No EVSE is deleted. Conformance 121."""
    evses = {evse.uid: evse for evse in stored}
    for patch in patches:
        changes = _changes(patch)
        current = dict(evses.get(patch.uid, ()))
        if not current or not _is_stale(changes, current):
            # Validated later as part of the location, so that an error has its whole path.
            evses[patch.uid] = current | {"last_updated": time} | changes
    times = [time, *(patch.last_updated for patch in patches if patch.last_updated)]
    return {"evses": list(evses.values()), "last_updated": max(times, key=time_order)}


def _is_stale(changes: Fields, current: Fields) -> bool:
    """Whether *changes* are older than the stored object, which is noted as a deviation. Conformance 116."""
    time = changes.get("last_updated")
    if time is None or time_order(time) >= time_order(current["last_updated"]):
        return False
    deviations.note(deviations.STALE, OLDER)
    return True
