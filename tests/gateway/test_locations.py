"""One location: read, changed, taken away; what peers see of it. docs/gateway.md "Locations".

Conformance 216.
"""

import time
from typing import Any

import pytest
import tzfpy
from gateway_orders import example, misfit
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Client, Gateway, Network, Node, at_once, one_database, outcome, refusal

from storage import networks, timestamps

PLACE = {
    **example("OcpiCreateLocationRequest"),
    "timezone": "Europe/Amsterdam",
    "owner_name": "Bornes du Midi",
    "postal_code": "1060",
    "parking_type": "PARKING_LOT",
    "charges": [example("OcpiChargerGroup")],
}
CHANGEABLE = (
    "name", "address", "city", "postal_code", "country", "coordinates", "timezone", "owner_name", "public",
)  # fmt: skip
"""What a PATCH may name and an answer shows; `parking_type` is not shown."""
CLEARABLE = ("postal_code", "timezone", "owner_name")


class Stand:
    """A network, one location in it, and those who look at it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
        self.network_url = accepted["destroy_url"]
        self.list_url = f"{self.network_url}/locations"
        job = gateway.wait_until_ready(gateway.create(self.list_url, locations=[PLACE])["status_url"])
        self.id = job["results"]["created"][0]["id"]
        self.url = f"{self.list_url}/{self.id}"
        self.operator = gateway.operator(accepted)
        found = at_once(networks.get, int(accepted["cpo_id"]))
        assert found is not None
        self.peer = Network(gateway.node, found).peer()

    def shown(self) -> Any:
        """The location in the gateway."""
        return self.gateway.data(self.url)

    def change(self, change: Any) -> Any:
        """What the gateway answers to a PATCH."""
        response = self.gateway.patch(self.url, change)
        assert response.status_code == 200, response.text
        return response.json()

    def seen(self, by: Client | None = None) -> Any:
        """The location over OCPI."""
        return (by or self.peer).data(f"locations/{self.id}")


def is_found(stand: Stand, since: str) -> bool:
    """Whether a peer that asks for what changed since then gets the location."""
    return stand.id in {location["id"] for location in stand.peer.data("locations", date_from=since)}


def present() -> str:
    """The present instant, with milliseconds."""
    return timestamps.text(timestamps.now_ms())


@pytest.fixture
def stand(gateway: Gateway) -> Stand:
    """A network with a location to change."""
    return Stand(gateway)


@pytest.fixture(scope="module")
def still(node: Node) -> Stand:
    """The same for requests that change nothing."""
    return Stand(node.gateway())


# Change


@one_database
@pytest.mark.ocpi(216)
@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"name": "Closed"}, {"name": "Closed"}),
        ({"address": "Rue 1"}, {"address": "Rue 1"}),
        ({"city": "Liège"}, {"city": "Liège"}),
        ({"postal_code": "4000"}, {"postal_code": "4000"}),
        ({"country": "DE"}, {"country": "DEU"}),
        (
            {"coordinates": {"latitude": 1.0000005, "longitude": -0.0000001}},
            {"coordinates": {"latitude": "1.000000", "longitude": "0.000000"}, "time_zone": "Etc/GMT"},
        ),
        ({"timezone": "Asia/Tokyo"}, {"time_zone": "Asia/Tokyo"}),
        ({"owner_name": "Somebody"}, {"operator": {"name": "Somebody"}}),
        ({"parking_type": "ON_STREET"}, {"type": "ON_STREET"}),
        ({"parking_type": "ALONG_MOTORWAY"}, {"type": "OTHER"}),
        ({"timezone": None}, {"time_zone": "Europe/Brussels"}),
        ({"owner_name": None}, {"operator": None}),
        ({"postal_code": None}, {"postal_code": "-"}),
        ({"parking_type": None}, {"type": "UNKNOWN"}),
    ],
    ids=str,
)
def test_a_change_is_seen_by_peers_that_ask_for_changes(
    stand: Stand, change: dict[str, Any], seen: dict[str, Any]
) -> None:
    before, shown_before, since = stand.seen(), stand.shown(), present()
    assert not is_found(stand, since)

    shown = stand.change(change)
    after = stand.seen()

    assert seen == {name: after.get(name) for name in seen}
    assert is_found(stand, since)
    assert before["last_updated"] <= after["last_updated"]
    rest = ("last_updated", *seen)
    assert {k: v for k, v in before.items() if k not in rest} == {
        k: v for k, v in after.items() if k not in rest
    }
    assert after == stand.seen(stand.operator)
    assert "" == misfit("OcpiLocationResponse", shown)
    assert shown == stand.shown()
    assert shown_before["updated_at"] <= shown["updated_at"]
    assert (shown_before["slug"], shown_before["created_at"], shown_before["chargers"]) == (
        shown["slug"],
        shown["created_at"],
        shown["chargers"],
    )
    pulled = stand.peer.data("locations", date_from=since)
    assert [stand.id] == [location["id"] for location in pulled]


@pytest.mark.parametrize(
    "change", [{}, {"slug": "mine"}, {"charges": [], "id": "x", "status": "closed"}], ids=str
)
def test_a_change_of_nothing_changes_nothing(still: Stand, change: dict[str, Any]) -> None:
    before, seen = still.shown(), still.seen()
    time.sleep(1.1)  # the gateway's instants are whole seconds

    assert before == still.change(change)
    assert (before, seen) == (still.shown(), still.seen())


@pytest.mark.parametrize("field", ["name", "address", "city", "country", "coordinates", "public"])
def test_null_clears_nothing_that_must_be_there(still: Stand, field: str) -> None:
    before = still.seen()

    status, detail = refusal(still.gateway.patch(still.url, {field: None, "owner_name": "Somebody"}))

    assert (422, [["body", field]]) == (status, [problem["loc"] for problem in detail])
    assert before == still.seen()


@one_database
@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "x" * 256}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"city": "x" * 46}, ["city"]),
        ({"country": "FRA"}, ["country"]),
        ({"coordinates": {"latitude": 1}}, ["coordinates", "longitude"]),
        ({"coordinates": {"latitude": "1", "longitude": 2}}, ["coordinates", "latitude"]),
        ({"timezone": "Mars/Olympus"}, ["timezone"]),
        ({"public": "no"}, ["public"]),
        ({"parking_type": "ON_THE_ROOF"}, ["parking_type"]),
        ([], []),
        ("text", []),
    ],
    ids=str,
)
def test_a_wrong_change_is_refused_where_it_is_wrong(still: Stand, change: Any, loc: list[Any]) -> None:
    before = still.seen()

    status, detail = refusal(still.gateway.patch(still.url, change))

    assert (422, ["body", *loc]) == (status, detail[0]["loc"])
    assert before == still.seen()


@pytest.mark.parametrize("raw", [b"", b"{", b"nothing", b"\xff", b'{"name":"a","name":"b"}'])
def test_a_change_that_is_not_json_is_400(still: Stand, raw: bytes) -> None:
    response = still.gateway.request(
        "PATCH", still.url, data=raw, headers={"Content-Type": "application/json"}
    )

    assert response.status_code in ({400} if raw else {400, 422})
    refusal(response)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=45)
DEGREES = st.decimals(-90, 90, places=6).map(float)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "address": TEXTS,
        "city": TEXTS,
        "postal_code": st.none() | TEXTS.map(lambda text: text[:10]).filter(lambda text: text != "-"),
        "country": st.sampled_from(["BE", "DE", "FR", "NL", "IS", "GB"]),
        "coordinates": st.fixed_dictionaries({"latitude": DEGREES, "longitude": DEGREES}),
        "timezone": st.none() | st.sampled_from(["Europe/Paris", "UTC", "Asia/Tokyo"]),
        "owner_name": st.none() | TEXTS,
        "public": st.booleans(),
    },
)


@generated(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, max_size=4))
def test_any_changes_one_after_the_other_leave_what_was_said_last(
    stand: Stand, changes: list[dict[str, Any]]
) -> None:
    model = stand.shown()

    for change in changes:
        moved = model["coordinates"] != change.get("coordinates", model["coordinates"])
        model |= change
        if change.get("timezone") is None and (moved or "timezone" in change):
            model["timezone"] = tzfpy.get_tz(
                model["coordinates"]["longitude"], model["coordinates"]["latitude"]
            )
        stand.change(change)

    shown = stand.shown()
    assert {name: model.get(name) for name in CHANGEABLE} == {name: shown.get(name) for name in CHANGEABLE}


# Hidden


def test_a_hidden_location_is_hidden_from_peers_and_not_from_the_operator(stand: Stand) -> None:
    before = stand.seen()
    evse = before["evses"][0]["uid"]
    stand.change({"public": False})

    for path in (f"locations/{stand.id}", f"locations/{stand.id}/{evse}", f"locations/{stand.id}/{evse}/1"):
        assert 404 == outcome(stand.peer.get(path))[0]
        assert (200, 1000) == outcome(stand.operator.get(path))
    assert stand.id not in {location["id"] for location in stand.peer.data("locations")}
    assert stand.id in {location["id"] for location in stand.operator.data("locations")}
    assert "1" == stand.peer.get("locations").headers["X-Total-Count"]
    assert False is stand.shown()["public"]

    since = present()
    stand.change({"public": True})

    assert stand.seen() == stand.seen(stand.operator)
    assert is_found(stand, since)


def test_a_location_may_be_born_hidden(stand: Stand) -> None:
    order = {**{k: v for k, v in PLACE.items() if k != "charges"}, "public": False}
    job = stand.gateway.wait_until_ready(
        stand.gateway.create(stand.list_url, locations=[order])["status_url"]
    )
    made = job["results"]["created"][0]["id"]

    assert 404 == outcome(stand.peer.get(f"locations/{made}"))[0]
    assert made == stand.operator.data(f"locations/{made}")["id"]
    assert made in {site["id"] for site in stand.gateway.data(stand.list_url)["data"]}


# Taken away


def test_a_deleted_location_is_gone_here_and_removed_over_there(stand: Stand) -> None:
    before, held = stand.seen(), stand.gateway.data(stand.network_url)["topology"]
    since = present()

    response = stand.gateway.delete(stand.url)

    assert (204, b"") == (response.status_code, response.content)
    assert 404 == refusal(stand.gateway.get(stand.url))[0]
    assert 404 == refusal(stand.gateway.patch(stand.url, {"name": "x"}))[0]
    assert 404 == refusal(stand.gateway.patch(stand.url, {}))[0]
    assert 404 == refusal(stand.gateway.delete(stand.url))[0]
    assert 1 == stand.gateway.data(stand.list_url)["total"]
    after = stand.seen()
    assert {"REMOVED"} == {evse["status"] for evse in after["evses"]}
    assert [e["uid"] for e in before["evses"]] == [e["uid"] for e in after["evses"]]
    assert is_found(stand, since)
    assert {after["last_updated"]} == {evse["last_updated"] for evse in after["evses"]}
    assert before["last_updated"] <= after["last_updated"]
    left = stand.gateway.data(stand.network_url)["topology"]
    assert {"locations": 1, "chargers": 2, "evses": 2, "connectors": 2} == {
        k: held[k] - left[k] for k in held
    }
    report = stand.gateway.data(f"{stand.network_url}/report")["markdown"]
    assert "## Locations (1)" in report
    assert stand.id not in report


def test_the_identities_of_a_deleted_location_are_free_again(stand: Stand) -> None:
    stand.gateway.delete(stand.url)

    job = stand.gateway.wait_until_ready(
        stand.gateway.create(stand.list_url, locations=[PLACE])["status_url"]
    )

    assert (1, 0) == (job["results"]["created_count"], job["results"]["failed_count"])
    assert stand.id != job["results"]["created"][0]["id"]


def test_a_location_is_found_in_its_own_network_only(stand: Stand) -> None:
    other = stand.gateway.create()["destroy_url"]
    here = f"{other}/locations/{stand.id}"

    assert {404} == {
        response.status_code
        for response in (
            stand.gateway.get(here),
            stand.gateway.patch(here, {"name": "x"}),
            stand.gateway.delete(here),
        )
    }
    assert PLACE["name"] == stand.shown()["name"]


@pytest.mark.parametrize(
    "location", ["nowhere", "x" * 39, "x" * 40, "loc%0A", "%E2%82%AC", "..%2F..", "jobs", "%00"]
)
def test_an_unknown_location_is_404_or_422(still: Stand, location: str) -> None:
    for method in ("GET", "DELETE", "PATCH"):
        response = still.gateway.request(method, f"{still.list_url}/{location}", json={})
        assert response.status_code in {404, 422}, response.text
