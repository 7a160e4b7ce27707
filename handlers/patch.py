"""Partial updates: what a PATCH makes of what is stored. Spec: 2.1.1 transport_and_format, PATCH."""

from typing import Any

import errors
from handlers import contract
from settings import settings
from storage import instants, remarks
from storage.objects import Body, Change

_KEYS = {
    "Location": "id",
    "EVSE": "uid",
    "Connector": "id",
    "Session": "id",
    "Tariff": "id",
    "Token": "uid",
}


def over(patch: Body, schema: str, *, by_owner: bool = False) -> Change:
    """The change that lays *patch* over a stored object of *schema*.

    A field that is given replaces the stored one whole, null clears it; `evses` are merged by uid
    (conformance 113, 121). Older than what is stored: nothing changes (116). Without
    `last_updated` the present instant is stamped (115). The result must obey the strict schema.
    *by_owner*: the back office changes its own object, so parents of what changes are stamped too
    (96).

    Raises (from the change):
        errors.RuleRefusal: the key would change, or the result breaks a rule; the field is named.
    """

    def changed(stored: Body) -> Body | None:
        key = _KEYS[schema]
        same(stored[key], patch.get(key, stored[key]), key)
        stamp = patch.get("last_updated")
        if not (patch.keys() - {key}):
            return None
        if _stale(patch, stored):
            return None
        made = merged(stored, {**patch, "last_updated": stamp or instants.stamp(stored["last_updated"])})
        new: Body = contract.ocpi().normalise(schema, made)
        return _with_stamped_parents(new, patch["evses"]) if stamps_parents else new

    stamps_parents = by_owner and bool(patch.get("evses"))
    return Change(changed, is_stamped=stamps_parents or patch.get("last_updated") is None)


def merged(stored: Body, patch: Body) -> Body:
    """*stored* with the fields of *patch*; null clears."""
    made = {**stored, **patch}
    if patch.get("evses") is not None:
        made["evses"] = _evses(stored.get("evses", []), patch["evses"], patch["last_updated"])
        touched = [e["last_updated"] for e in patch["evses"] if "last_updated" in e]
        made["last_updated"] = max([patch["last_updated"], *touched], key=instants.parse)
    if settings().append_charging_periods and patch.get("charging_periods"):
        made["charging_periods"] = [*stored.get("charging_periods", []), *patch["charging_periods"]]
    return {name: value for name, value in made.items() if value is not None}


def _evses(stored: list[Body], patches: list[Body], stamp: str) -> list[Body]:
    """EVSEs merged by uid; none is ever deleted. Conformance 121."""
    made = {evse["uid"]: evse for evse in stored}
    for patch in patches:
        known = made.get(patch["uid"], {})
        if known and _stale(patch, known):
            continue
        fields = {**known, "last_updated": stamp, **patch}
        made[patch["uid"]] = {name: value for name, value in fields.items() if value is not None}
    return list(made.values())


def _stale(patch: Body, stored: Body) -> bool:
    """Is *patch* older than what is stored; it is remarked on. Conformance 116."""
    stamp, known = patch.get("last_updated"), stored["last_updated"]
    if stamp is None or instants.parse(stamp) >= instants.parse(known):
        return False
    remarks.note(remarks.STALE, f"{stamp} is before {known}")
    return True


def _with_stamped_parents(location: Body, patches: list[Body]) -> Body:
    """*location*, whose parents of what *patches* change are stamped, but not before their children."""
    with_connectors = {patch["uid"] for patch in patches if "connectors" in patch}
    evses = [
        _stamped(evse, evse["connectors"]) if evse["uid"] in with_connectors else evse
        for evse in location["evses"]
    ]
    return _stamped({**location, "evses": evses}, evses)


def _stamped(parent: Body, children: list[Body]) -> Body:
    times = (child["last_updated"] for child in children)
    return {**parent, "last_updated": instants.stamp(parent["last_updated"], *times)}


def same(in_url: Any, in_body: Any, name: str) -> None:
    """Refuse ids that differ. Spec: 2.1.1 transport_and_format, Errors.

    Raises:
        errors.RuleRefusal: they do.
    """
    if in_url != in_body:
        raise errors.RuleRefusal(f"{name}: {in_body} in the body, {in_url} in the URL")
