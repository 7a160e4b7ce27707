"""Reading, changing and deleting one location, and the view of peers. docs/gateway.md "Locations".

Conformance 216.
"""

import time
from typing import Any

import pytest
import tzfpy
from gateway_orders import example, validation_error
from hypothesis import HealthCheck, given
from hypothesis import settings as generated
from hypothesis import strategies as st
from nodes import Client, Gateway, Network, Node, in_transaction, one_database, outcome, refusal

from storage import networks, timestamps

LOCATION = {
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
"""The members that a PATCH may change and a response shows; a response omits `parking_type`."""


class PublishedLocation:
    """A location as its gateway user, its operator and a registered peer see it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
        self.network_url = accepted["destroy_url"]
        self.list_url = f"{self.network_url}/locations"
        job = gateway.finish(gateway.create(self.list_url, locations=[LOCATION]))
        self.id = job["results"]["created"][0]["id"]
        self.url = f"{self.list_url}/{self.id}"
        self.operator = gateway.operator(accepted)
        found = in_transaction(networks.get, int(accepted["cpo_id"]))
        assert found is not None
        self.peer = Network(gateway.node, found).peer()

    def in_gateway(self) -> Any:
        """The location as the gateway returns it."""
        return self.gateway.data(self.url)

    def patch(self, change: Any) -> Any:
        """The response of the gateway to a PATCH."""
        response = self.gateway.patch(self.url, change)
        assert response.status_code == 200, response.text
        return response.json()

    def over_ocpi(self, client: Client | None = None) -> Any:
        """The location as OCPI returns it, to the peer by default."""
        return (client or self.peer).data(f"locations/{self.id}")


def is_pulled(published: PublishedLocation, since: str) -> bool:
    """Whether a pull with `date_from` *since* returns the location to the peer."""
    return published.id in {location["id"] for location in published.peer.data("locations", date_from=since)}


def now() -> str:
    """The current time, with milliseconds."""
    return timestamps.text(timestamps.now_ms())


@pytest.fixture
def published(gateway: Gateway) -> PublishedLocation:
    """A network with a location to change."""
    return PublishedLocation(gateway)


@pytest.fixture(scope="module")
def unchanged(node: Node) -> PublishedLocation:
    """A location for requests that change nothing."""
    return PublishedLocation(node.gateway())


# Changes


EFFECTS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"name": "Closed"}, {"name": "Closed"}),
    ({"address": "Rue 1"}, {"address": "Rue 1"}),
    ({"city": "Liège"}, {"city": "Liège"}),
    ({"postal_code": "4000"}, {"postal_code": "4000"}),
    ({"country": "DE"}, {"country": "DEU"}),
    ({"timezone": None}, {"time_zone": "Europe/Brussels"}),
    ({"timezone": "Asia/Tokyo"}, {"time_zone": "Asia/Tokyo"}),
    (
        {"coordinates": {"latitude": 1.0000005, "longitude": -0.0000001}},
        {"coordinates": {"latitude": "1.000000", "longitude": "0.000000"}, "time_zone": "Etc/GMT"},
    ),
    ({"owner_name": "Somebody"}, {"operator": {"name": "Somebody"}}),
    ({"parking_type": "ON_STREET"}, {"type": "ON_STREET"}),
    ({"parking_type": "ALONG_MOTORWAY"}, {"type": "OTHER"}),
    ({"owner_name": None}, {"operator": None}),
    ({"postal_code": None}, {"postal_code": "-"}),
    ({"parking_type": None}, {"type": "UNKNOWN"}),
)
"""Changes of one location, one after the other, and what each changes for peers."""


@one_database
@pytest.mark.ocpi(216)
def test_a_peer_that_pulls_changes_gets_a_changed_location(published: PublishedLocation) -> None:
    for change, expected in EFFECTS:
        before, gateway_before, since = published.over_ocpi(), published.in_gateway(), now()
        assert not is_pulled(published, since)

        in_gateway = published.patch(change)
        after = published.over_ocpi()

        assert expected == {name: after.get(name) for name in expected}
        assert is_pulled(published, since)
        assert before["last_updated"] <= after["last_updated"]
        changed = ("last_updated", *expected)
        assert {k: v for k, v in before.items() if k not in changed} == {
            k: v for k, v in after.items() if k not in changed
        }
        assert after == published.over_ocpi(published.operator)
        assert "" == validation_error("OcpiLocationResponse", in_gateway)
        assert in_gateway == published.in_gateway()
        assert gateway_before["updated_at"] <= in_gateway["updated_at"]
        for name in ("slug", "created_at", "chargers"):
            assert gateway_before[name] == in_gateway[name]
        pulled = published.peer.data("locations", date_from=since)
        assert [published.id] == [location["id"] for location in pulled]


def test_an_empty_change_changes_nothing(unchanged: PublishedLocation) -> None:
    before, over_ocpi = unchanged.in_gateway(), unchanged.over_ocpi()
    time.sleep(1.1)  # the gateway's timestamps are whole seconds

    for change in ({}, {"slug": "mine"}, {"charges": [], "id": "x", "status": "closed"}):
        assert before == unchanged.patch(change)
        assert (before, over_ocpi) == (unchanged.in_gateway(), unchanged.over_ocpi()), change


@one_database
@pytest.mark.parametrize("field", ["name", "address", "city", "country", "coordinates", "public"])
def test_null_is_refused_for_a_required_member(unchanged: PublishedLocation, field: str) -> None:
    before = unchanged.over_ocpi()

    status, detail = refusal(unchanged.gateway.patch(unchanged.url, {field: None, "owner_name": "Somebody"}))

    assert (422, [["body", field]]) == (status, [problem["loc"] for problem in detail])
    assert before == unchanged.over_ocpi()


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
def test_an_invalid_change_is_refused_with_the_name_of_its_member(
    unchanged: PublishedLocation, change: Any, loc: list[Any]
) -> None:
    before = unchanged.over_ocpi()

    status, detail = refusal(unchanged.gateway.patch(unchanged.url, change))

    assert (422, ["body", *loc]) == (status, detail[0]["loc"])
    assert before == unchanged.over_ocpi()


@one_database
@pytest.mark.parametrize("raw", [b"", b"{", b"nothing", b"\xff", b'{"name":"a","name":"b"}'])
def test_a_change_that_is_not_json_is_400(unchanged: PublishedLocation, raw: bytes) -> None:
    response = unchanged.gateway.request(
        "PATCH", unchanged.url, data=raw, headers={"Content-Type": "application/json"}
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
def test_after_several_changes_each_member_has_its_last_value(
    published: PublishedLocation, changes: list[dict[str, Any]]
) -> None:
    model = published.in_gateway()

    for change in changes:
        has_moved = model["coordinates"] != change.get("coordinates", model["coordinates"])
        model |= change
        if change.get("timezone") is None and (has_moved or "timezone" in change):
            model["timezone"] = tzfpy.get_tz(
                model["coordinates"]["longitude"], model["coordinates"]["latitude"]
            )
        published.patch(change)

    in_gateway = published.in_gateway()
    assert {name: model.get(name) for name in CHANGEABLE} == {
        name: in_gateway.get(name) for name in CHANGEABLE
    }


# Hidden locations


def test_a_hidden_location_is_hidden_from_peers_and_not_from_the_operator(
    published: PublishedLocation,
) -> None:
    before = published.over_ocpi()
    evse = before["evses"][0]["uid"]
    published.patch({"public": False})

    for path in (
        f"locations/{published.id}",
        f"locations/{published.id}/{evse}",
        f"locations/{published.id}/{evse}/1",
    ):
        assert 404 == outcome(published.peer.get(path))[0]
        assert (200, 1000) == outcome(published.operator.get(path))
    assert published.id not in {location["id"] for location in published.peer.data("locations")}
    assert published.id in {location["id"] for location in published.operator.data("locations")}
    assert "2" == published.peer.get("locations").headers["X-Total-Count"]
    assert False is published.in_gateway()["public"]

    since = now()
    published.patch({"public": True})

    assert published.over_ocpi() == published.over_ocpi(published.operator)
    assert is_pulled(published, since)


def test_a_location_may_be_hidden_from_the_start(published: PublishedLocation) -> None:
    order = {**{k: v for k, v in LOCATION.items() if k != "charges"}, "public": False}
    job = published.gateway.finish(published.gateway.create(published.list_url, locations=[order]))
    location_id = job["results"]["created"][0]["id"]

    assert 404 == outcome(published.peer.get(f"locations/{location_id}"))[0]
    assert location_id == published.operator.data(f"locations/{location_id}")["id"]
    assert location_id in {site["id"] for site in published.gateway.data(published.list_url)["data"]}


# Deletion


def test_a_deleted_location_is_404_in_the_gateway_and_removed_for_peers(published: PublishedLocation) -> None:
    before, topology_before = published.over_ocpi(), published.gateway.data(published.network_url)["topology"]
    since = now()

    response = published.gateway.delete(published.url)

    assert (204, b"") == (response.status_code, response.content)
    assert 404 == refusal(published.gateway.get(published.url))[0]
    assert 404 == refusal(published.gateway.patch(published.url, {"name": "x"}))[0]
    assert 404 == refusal(published.gateway.patch(published.url, {}))[0]
    assert 404 == refusal(published.gateway.delete(published.url))[0]
    assert 2 == published.gateway.data(published.list_url)["total"]
    after = published.over_ocpi()
    assert {"REMOVED"} == {evse["status"] for evse in after["evses"]}
    assert [e["uid"] for e in before["evses"]] == [e["uid"] for e in after["evses"]]
    assert is_pulled(published, since)
    assert {after["last_updated"]} == {evse["last_updated"] for evse in after["evses"]}
    assert before["last_updated"] <= after["last_updated"]
    topology = published.gateway.data(published.network_url)["topology"]
    assert {"locations": 1, "chargers": 2, "evses": 2, "connectors": 2} == {
        k: topology_before[k] - topology[k] for k in topology_before
    }
    report = published.gateway.data(f"{published.network_url}/report")["markdown"]
    assert "## Locations (2)" in report
    assert published.id not in report


def test_the_identities_of_a_deleted_location_are_free_again(published: PublishedLocation) -> None:
    published.gateway.delete(published.url)

    job = published.gateway.finish(published.gateway.create(published.list_url, locations=[LOCATION]))

    assert (1, 0) == (job["results"]["created_count"], job["results"]["failed_count"])
    assert published.id != job["results"]["created"][0]["id"]


def test_a_location_exists_only_in_its_own_network(published: PublishedLocation) -> None:
    other = published.gateway.create()["destroy_url"]
    wrong_url = f"{other}/locations/{published.id}"

    assert {404} == {
        response.status_code
        for response in (
            published.gateway.get(wrong_url),
            published.gateway.patch(wrong_url, {"name": "x"}),
            published.gateway.delete(wrong_url),
        )
    }
    assert LOCATION["name"] == published.in_gateway()["name"]


@one_database
@pytest.mark.parametrize(
    "location", ["nowhere", "x" * 39, "x" * 40, "loc%0A", "%E2%82%AC", "..%2F..", "jobs", "%00"]
)
def test_an_unknown_location_is_404_or_422(unchanged: PublishedLocation, location: str) -> None:
    for method in ("GET", "DELETE", "PATCH"):
        response = unchanged.gateway.request(method, f"{unchanged.list_url}/{location}", json={})
        assert response.status_code in {404, 422}, response.text
