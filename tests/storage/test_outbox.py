"""What a push sends brings any peer from the old state of an object to the new one.

docs/architecture.md "A push".
"""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import outbox
from storage.outbox import Part

Body = dict[str, Any]
TIMES = [f"2026-11-28T12:00:0{second}Z" for second in range(10)]
VALUES = st.sampled_from(["a", "b", None])


def _item(key: str, item_id: str, time: str, **members: Any) -> Body:
    present = {name: value for name, value in members.items() if value is not None}
    return {key: item_id, "last_updated": time, **present}


@st.composite
def histories(draw: st.DrawFn) -> list[Body]:
    """Successive states of a location. The `last_updated` of a parent is at least that of its children."""
    states = []
    for time in TIMES[: draw(st.integers(2, 4))]:
        evses = []
        for uid in draw(st.lists(st.sampled_from(["1", "2", "/ %"]), unique=True)):
            connectors = [
                _item("id", connector_id, time, tariff_id=draw(VALUES))
                for connector_id in draw(st.lists(st.sampled_from(["1", "2"]), min_size=1, unique=True))
            ]
            evse = _item("uid", uid, time, status=draw(VALUES), floor_level=draw(VALUES))
            evses.append({**evse, "connectors": connectors})
        location = _item("id", "L", time, name=draw(VALUES), phone=draw(VALUES))
        states.append({**location, **({"evses": evses} if evses else {})})
    return [_with_old_times(states, index) for index in range(len(states))]


def _with_old_times(states: list[Body], index: int) -> Body:
    """State *index*, in which what has not changed keeps its earlier `last_updated`."""
    if index == 0:
        return states[0]
    return _aged(_with_old_times(states, index - 1), states[index])


def _aged(old: Body, new: Body) -> Body:
    aged = {**new}
    for name, key in (("evses", "uid"), ("connectors", "id")):
        if name in new:
            before = {item[key]: item for item in old.get(name, ())}
            aged[name] = [
                _aged(before[item[key]], item) if item[key] in before else item for item in new[name]
            ]
    return old if {**aged, "last_updated": ""} == {**old, "last_updated": ""} else aged


def receive(location: Body | None, part: Part) -> Body:
    """What a peer has stored after *part*."""
    sent = orjson.loads(part.body or "null")
    if not part.segments:
        if part.method == "PUT":
            return dict(sent)
        assert location is not None
        return {name: value for name, value in (location | sent).items() if value is not None}
    assert location is not None
    name, key = (
        ("evses", "uid") if "evses" in location or "connectors" not in location else ("connectors", "id")
    )
    children = {child[key]: child for child in location.get(name, ())}
    below = Part(part.method, part.segments[1:], part.body)
    children[part.segments[0]] = receive(children.get(part.segments[0]), below)
    latest = max([location["last_updated"], *(child["last_updated"] for child in children.values())])
    return {**location, name: list(children.values()), "last_updated": latest}


@given(histories())
def test_the_parts_of_a_change_give_the_new_state(states: list[Body]) -> None:
    first, *later = states
    changes = set()
    for old, new in zip(states, later, strict=False):
        changes |= outbox.changed_paths(old, new)
    received = first
    for part in outbox.parts(outbox._payload(changes), orjson.dumps(states[-1]).decode()):
        received = receive(received, part)
    assert normal(states[-1]) == normal(received)


def normal(location: Body) -> Body:
    """*location* without the order of its EVSEs and connectors."""
    evses = [
        {**evse, "connectors": sorted(evse["connectors"], key=lambda each: str(each["id"]))}
        for evse in location.get("evses", ())
    ]
    return {**location, "evses": sorted(evses, key=lambda each: str(each["uid"]))}


EVSE = {
    "uid": "1",
    "status": "AVAILABLE",
    "connectors": [{"id": "1", "tariff_id": "T", "last_updated": TIMES[0]}],
    "last_updated": TIMES[1],
}
OTHER = {**EVSE, "uid": "2"}
LOCATION = {"id": "L", "name": "Gare", "evses": [EVSE, OTHER], "last_updated": TIMES[2]}
WITHOUT_TARIFF = {"id": "1", "last_updated": TIMES[3]}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"name": "Nord"}, [("PATCH", (), {"name": "Nord"})]),
        ({"name": None}, [("PATCH", (), {"name": None})]),
        ({"evses": [EVSE]}, [("PUT", (), ...)]),
        ({"evses": [{**EVSE, "status": "CHARGING"}, OTHER]}, [("PATCH", ("1",), {"status": "CHARGING"})]),
        (
            {"evses": [{**EVSE, "status": "CHARGING", "last_updated": TIMES[0]}, OTHER]},
            [("PUT", (), ...)],
        ),
        (
            {"evses": [{**EVSE, "status": "CHARGING"}, OTHER], "last_updated": TIMES[3]},
            [("PATCH", (), {"evses": [{**EVSE, "status": "CHARGING"}, OTHER]})],
        ),
        ({"evses": [EVSE, OTHER, {**EVSE, "uid": "3"}]}, [("PUT", ("3",), {**EVSE, "uid": "3"})]),
        (
            {"evses": [{**EVSE, "connectors": [WITHOUT_TARIFF], "last_updated": TIMES[3]}, OTHER]},
            [("PATCH", ("1", "1"), {"tariff_id": None})],
        ),
    ],
    ids=[
        "a member",
        "a removed member",
        "a removed EVSE",
        "an EVSE's status",
        "an EVSE whose time goes back",
        "an EVSE's status with a later time of the location",
        "a new EVSE",
        "a connector",
    ],
)
def test_only_what_changed_is_sent(change: Body, parts: list[Any]) -> None:
    new = {name: value for name, value in (LOCATION | change).items() if value is not None}
    evses = [evse["last_updated"] for evse in new["evses"]]
    new["last_updated"] = max(new["last_updated"], *evses)
    sent = outbox.parts(outbox._payload(outbox.changed_paths(LOCATION, new)), orjson.dumps(new).decode())
    expected = [
        (
            method,
            segments,
            new if body is ... else {**body, "last_updated": orjson.loads(part.body or "")["last_updated"]},
        )
        for part, (method, segments, body) in zip(sent, parts, strict=True)
    ]
    assert expected == [(part.method, part.segments, orjson.loads(part.body or "null")) for part in sent]
