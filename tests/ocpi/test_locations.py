"""Locations, EVSEs and connectors, in both roles."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Network, one_database, outcome

from storage import timestamps

STATUSES = [
    "AVAILABLE",
    "BLOCKED",
    "CHARGING",
    "INOPERATIVE",
    "OUTOFORDER",
    "PLANNED",
    "REMOVED",
    "RESERVED",
    "UNKNOWN",
]
OLD, STORED, NEW = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"


def evse(uid: str, **changes: Any) -> dict[str, Any]:
    """A small EVSE."""
    connector = example("Connector", last_updated=STORED)
    fields = {"uid": uid, "status": "AVAILABLE", "connectors": [connector], "last_updated": STORED}
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def site(*evses: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """LOC1 with these EVSEs."""
    return {**example("Location", last_updated=STORED), "evses": list(evses), **changes}


def push(peer: Client, location: dict[str, Any]) -> str:
    """Push *location* and return its URL."""
    url = peer.at("locations", location["id"])
    assert (201, 1000) == outcome(peer.put(url, location))
    return url


def stamps(peer: Client, url: str, uid: str = "1") -> list[int]:
    """`last_updated` of the location, of the EVSE *uid* and of its first connector."""
    location = peer.data(url)
    selected = next(each for each in location["evses"] if each["uid"] == uid)
    objects = (location, selected, selected["connectors"][0])
    return [timestamps.parse(each["last_updated"]) for each in objects]


@pytest.mark.ocpi(21, 119)
def test_a_pushed_location_is_201_then_200_and_comes_back_equal(emsp: Network) -> None:
    peer = emsp.peer()
    location = example("Location")
    url = peer.at("locations", "LOC1")

    assert (201, 1000) == outcome(peer.put(url, location))
    assert (200, 1000) == outcome(peer.put(url, location))
    assert location == peer.data(url)


@pytest.mark.ocpi(118)
def test_a_peer_gets_each_level_of_our_locations(cpo: Network) -> None:
    operator, peer = cpo.operator(), cpo.peer()
    location = example("Location")
    operator.put("locations/NL/DEM/LOC1", location)

    assert location == peer.data("locations/LOC1")
    assert location["evses"][0] == peer.data("locations/LOC1/3256")
    assert location["evses"][0]["connectors"][1] == peer.data("locations/LOC1/3256/2")


@pytest.mark.ocpi(118)
@pytest.mark.parametrize("path", ["LOC2", "LOC1/9", "LOC1/3256/9", "LOC2/3256/1", "LOC1/9/1"])
def test_a_missing_object_is_404_at_each_level(cpo: Network, path: str) -> None:
    cpo.operator().put("locations/NL/DEM/LOC1", example("Location"))

    assert (404, 2000) == outcome(cpo.peer().get(f"locations/{path}"))


@pytest.mark.ocpi(119)
@pytest.mark.parametrize(
    ("schema", "ids", "field"),
    [
        ("Location", ("LOC1",), {"city": "Utrecht"}),
        ("EVSE", ("LOC1", "3256"), {"status": "BLOCKED"}),
        ("Connector", ("LOC1", "3256", "1"), {"amperage": 16}),
    ],
)
def test_a_peer_gets_puts_and_patches_each_level(
    emsp: Network, schema: str, ids: tuple[str, ...], field: dict[str, Any]
) -> None:
    peer = emsp.peer()
    push(peer, example("Location"))
    url, replaced = peer.at("locations", *ids), example(schema, last_updated=NEW)

    assert example(schema) == peer.data(url)
    assert (200, 1000) == outcome(peer.put(url, replaced))
    assert replaced == peer.data(url)
    assert (200, 1000) == outcome(peer.patch(url, {**field, "last_updated": NEW}))
    assert {**replaced, **field} == peer.data(url)
    assert {**replaced, **field} == emsp.operator().data(url)


@pytest.mark.ocpi(120)
@pytest.mark.parametrize(
    ("schema", "ids"),
    [
        ("EVSE", ("LOC9", "3256")),
        ("Connector", ("LOC9", "3256", "1")),
        ("Connector", ("LOC1", "9", "1")),
    ],
)
def test_a_part_without_its_parent_is_404_and_creates_nothing(
    emsp: Network, schema: str, ids: tuple[str, ...]
) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1")))
    part = peer.at("locations", *ids)

    assert (404, 2000) == outcome(peer.put(part, example(schema)))
    assert (404, 2000) == outcome(peer.get(part))
    assert site(evse("1")) == peer.data(url)
    assert ["LOC1"] == [each["id"] for each in peer.data("locations")]


@pytest.mark.ocpi(121)
def test_evses_in_a_patch_are_merged_by_uid_and_none_is_deleted(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1"), evse("2", floor_level="-1"), evse("3")))
    change = {"uid": "2", "status": "CHARGING", "last_updated": NEW}

    assert (200, 1000) == outcome(peer.patch(url, {"evses": [change], "last_updated": NEW}))
    expected = [evse("1"), evse("2", floor_level="-1", status="CHARGING", last_updated=NEW), evse("3")]
    assert site(*expected, last_updated=NEW) == peer.data(url)


@pytest.mark.ocpi(121)
def test_a_complete_unknown_evse_in_a_patch_is_added(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1")))

    assert (200, 1000) == outcome(peer.patch(url, {"evses": [evse("2")]}))
    assert [evse("1"), evse("2")] == peer.data(url)["evses"]


@pytest.mark.ocpi(121)
def test_a_partial_unknown_evse_in_a_patch_is_refused_and_nothing_changes(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1")))
    patch = {"evses": [{"uid": "1", "status": "CHARGING"}, {"uid": "2", "status": "CHARGING"}]}

    assert (200, 2001) == outcome(peer.patch(url, patch))
    assert site(evse("1")) == peer.data(url)


@pytest.mark.ocpi(116, 121)
def test_an_outdated_evse_in_a_patch_does_not_overwrite_a_newer_status(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1", status="CHARGING"), evse("2")))
    late = {"uid": "1", "status": "BLOCKED", "last_updated": OLD}
    on_time = {"uid": "2", "status": "BLOCKED", "last_updated": NEW}

    assert (200, 1000) == outcome(peer.patch(url, {"evses": [late, on_time]}))
    assert ["CHARGING", "BLOCKED"] == [each["status"] for each in peer.data(url)["evses"]]


@pytest.mark.ocpi(122)
def test_a_put_of_an_evse_replaces_its_connectors_and_no_other_evse(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1"), evse("2")))
    replaced = evse("1", connectors=[example("Connector", id="7")])

    assert (200, 1000) == outcome(peer.put(f"{url}/1", replaced))
    assert [replaced, evse("2")] == peer.data(url)["evses"]
    assert (201, 1000) == outcome(peer.put(f"{url}/3", evse("3")))
    assert [replaced, evse("2"), evse("3")] == peer.data(url)["evses"]


@pytest.mark.ocpi(122)
def test_a_put_of_a_connector_adds_or_replaces_only_that_connector(emsp: Network) -> None:
    peer = emsp.peer()
    first, second = (example("Connector", id=number, last_updated=STORED) for number in "12")
    url = push(peer, site(evse("1", connectors=[first]), evse("2")))
    replaced = {**first, "voltage": 400}

    assert (201, 1000) == outcome(peer.put(f"{url}/1/2", second))
    assert (200, 1000) == outcome(peer.put(f"{url}/1/1", replaced))
    assert [replaced, second] == peer.data(url)["evses"][0]["connectors"]
    assert evse("2") == peer.data(url)["evses"][1]


@pytest.mark.ocpi(123)
@pytest.mark.parametrize("stamp", [NEW, None], ids=["sent", "stamped"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("path", "level"), [("1", 1), ("1/1", 2)], ids=["EVSE", "Connector"])
def test_a_change_of_a_part_updates_last_updated_of_every_parent(
    emsp: Network, path: str, level: int, method: str, stamp: str | None
) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1"), evse("2")))
    before = stamps(peer, url)
    change: dict[str, Any] = {"status": "CHARGING"} if level == 1 else {"voltage": 400}
    whole = evse("1") if level == 1 else example("Connector")
    if method == "PUT":
        change = {**whole, **change, "last_updated": stamp or "2026-06-02T00:00:00Z"}
    elif stamp:
        change["last_updated"] = stamp

    assert (200, 1000) == outcome(peer.request(method, f"{url}/{path}", json=change))
    after = stamps(peer, url)
    assert all(new > old for new, old in zip(after[: level + 1], before[: level + 1], strict=True))
    assert after[0] >= after[1] >= after[2]
    assert before[1] == stamps(peer, url, "2")[1]


@pytest.mark.ocpi(123)
def test_a_change_of_a_part_never_sets_a_parent_back(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1"), last_updated=NEW))
    peer.patch(f"{url}/1", {"status": "CHARGING", "last_updated": "2026-06-02T00:00:00Z"})

    assert NEW == peer.data(url)["last_updated"]
    assert "CHARGING" == peer.data(f"{url}/1")["status"]


@pytest.mark.ocpi(96, 123)
def test_a_change_of_an_evse_lists_its_whole_location_as_changed(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1"), evse("2")))
    since = "2026-11-01T00:00:00Z"

    assert [] == peer.data("locations", date_from=since)
    peer.patch(f"{url}/1", {"status": "CHARGING"})
    assert [["1", "2"]] == [
        [each["uid"] for each in found["evses"]] for found in peer.data("locations", date_from=since)
    ]


@pytest.mark.ocpi(124)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"id": "LOC2"}),
        ("/1", {"uid": "2"}),
        ("/1/1", {"id": "2"}),
        ("", site(evse("1"), id="LOC2")),
        ("/1", evse("2")),
        ("/1/1", example("Connector", id="2")),
    ],
)
def test_ids_cannot_be_changed(emsp: Network, path: str, body: dict[str, Any]) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1")))
    method = "PATCH" if len(body) == 1 else "PUT"

    assert (200, 2001) == outcome(peer.request(method, url + path, json=body))
    assert site(evse("1")) == peer.data(url)
    assert 1 == len(peer.data("locations"))


@pytest.mark.ocpi(125)
def test_two_evses_may_have_the_same_connector_id(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1"), evse("2")))
    peer.patch(f"{url}/2/1", {"voltage": 400})

    assert 230 == peer.data(f"{url}/1/1")["voltage"]
    assert 400 == peer.data(f"{url}/2/1")["voltage"]


@one_database
@pytest.mark.ocpi(135)
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_accepted_for_an_evse(emsp: Network, status: str) -> None:
    peer = emsp.peer()
    url = push(peer, site(evse("1", status=status)))

    assert status == peer.data(f"{url}/1")["status"]
    assert (200, 1000) == outcome(peer.patch(f"{url}/1", {"status": "AVAILABLE"}))
    assert (200, 1000) == outcome(peer.patch(f"{url}/1", {"status": status}))
    assert status == peer.data(f"{url}/1")["status"]


@pytest.mark.ocpi(135)
def test_a_status_in_a_connector_is_an_extension_member(emsp: Network) -> None:
    peer = emsp.peer()
    connector = example("Connector", status="OUTOFORDER")
    url = push(peer, site(evse("1", connectors=[connector])))
    without = {"uid": "2", "connectors": [connector], "last_updated": STORED}

    assert "OUTOFORDER" == peer.data(f"{url}/1/1")["status"]
    assert "AVAILABLE" == peer.data(f"{url}/1")["status"]
    assert (400, 2001) == outcome(peer.put(f"{url}/2", without))
