"""Bulk creation of locations: each item succeeds or fails by itself. docs/gateway.md "Bulk creation".

Conformance 207, 208, 215.
"""

from typing import Any

import pytest
from gateway_orders import example, validation_error, within_a_second
from nodes import Gateway, Node, one_database, refusal

LOCATION = example("OcpiCreateLocationRequest")
GROUP = example("OcpiChargerGroup")
URBAN = {"template": "urban-ac-hub"}
UNKNOWN_JOB = "4f6b5e0e-7d1a-4b0a-9c2e-abc123456789"


def locations_url(gateway: Gateway) -> str:
    """The URL of the locations of a new network with one generated location and MAGIC."""
    accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
    return f"{accepted['destroy_url']}/locations"


@pytest.fixture
def url(gateway: Gateway) -> str:
    """The URL of locations that a test may add to."""
    return locations_url(gateway)


@pytest.fixture(scope="module")
def unchanged_network(node: Node) -> tuple[Gateway, str]:
    """A gateway and such a URL, for requests that change nothing."""
    gateway = node.gateway()
    return gateway, locations_url(gateway)


def location(number: int = 0, **changes: Any) -> dict[str, Any]:
    """The order of a location that is written out in full."""
    return {**LOCATION, "name": f"Place {number}", **changes}


def with_chargers(*ids: str, prefix: str = "P_", **changes: Any) -> dict[str, Any]:
    """The order of a location with charge points; *changes* apply to their template."""
    template = {**GROUP["template"], "identity_prefix": prefix, **changes}
    return location(charges=[{"template": template, "charger_ids": list(ids)}])


def finished_job(gateway: Gateway, url: str, *items: dict[str, Any]) -> Any:
    """The finished job that creates *items*."""
    return gateway.finish(gateway.create(url, locations=list(items)))


def create_all(gateway: Gateway, url: str, *items: dict[str, Any]) -> list[Any]:
    """Create *items*, none of which may fail, and return the locations."""
    job = finished_job(gateway, url, *items)
    assert (len(items), 0) == (job["results"]["created_count"], job["results"]["failed_count"]), job
    return [gateway.data(f"{url}/{created['id']}") for created in job["results"]["created"]]


# Accepted and finished


@pytest.mark.ocpi(207)
def test_a_bulk_order_is_accepted_within_a_second(gateway: Gateway, url: str) -> None:
    response = within_a_second(lambda: gateway.post(url, {"locations": [location(n) for n in range(1000)]}))

    accepted = response.json()
    assert (202, "") == (response.status_code, validation_error("LocationBulkAcceptedResponse", accepted))
    assert "PROVISIONING" == accepted["status"]
    assert f"{url}/jobs/{accepted['job_id']}" == accepted["status_url"]
    assert isinstance(accepted["workflow_run_id"], str)
    gateway.delete(url.removesuffix("/locations"))  # which cancels the job


@pytest.mark.ocpi(208)
def test_a_finished_job_lists_the_ids_of_the_created_locations(gateway: Gateway, url: str) -> None:
    accepted = gateway.create(
        url, locations=[location(0), {**URBAN, "overrides": {"name": "Hub"}}, location(2)]
    )
    statuses = [accepted]
    while statuses[-1]["status"] not in ("READY", "FAILED"):
        statuses.append(gateway.data(accepted["status_url"]))
        assert "" == validation_error("LocationBulkStatusResponse", statuses[-1])

    assert {"PROVISIONING"} == {status["status"] for status in statuses[:-1]}
    assert {None} == {status.get("results") for status in statuses[:-1]}
    last = statuses[-1]
    results = last["results"]
    assert ("READY", accepted["job_id"], accepted["workflow_run_id"], "locations") == (
        last["status"],
        last["job_id"],
        last["workflow_run_id"],
        last["job_type"],
    )
    assert (3, 0, []) == (results["created_count"], results["failed_count"], results["failed"])
    assert [(0, "Place 0"), (1, "Hub"), (2, "Place 2")] == [
        (r["index"], r["name"]) for r in results["created"]
    ]
    listed = gateway.data(url)["data"]
    assert [r["id"] for r in results["created"]] == [site["id"] for site in listed[2:]]
    assert isinstance(last["provisioned_at"], str)
    assert None is last.get("error")
    assert last == gateway.data(accepted["status_url"])


@one_database
def test_a_location_is_shown_as_documented(gateway: Gateway, url: str) -> None:
    order = location(
        7,
        timezone="Europe/Brussels",
        owner_name="Bornes du Midi",
        postal_code="1060",
        parking_type="PARKING_LOT",
        charges=[GROUP],
    )

    [site] = create_all(gateway, url, order)

    assert "" == validation_error("OcpiLocationResponse", site)
    same = ("name", "address", "city", "country", "coordinates", "timezone", "owner_name", "public")
    assert {name: order[name] for name in same} == {name: site[name] for name in same}
    assert gateway.organization_id == site["organization_id"]
    assert site["slug"].startswith("place-7-")
    assert "parking_type" not in site
    assert [("NORD_001", "Type2", "OCPP1.6"), ("NORD_002", "Type2", "OCPP1.6")] == [
        (c["identity"], c["connector_type"], c["ocpp_version"]) for c in site["chargers"]
    ]
    assert [[("NORD_001", "FR*ABC*ENORD001", "1")], [("NORD_002", "FR*ABC*ENORD002", "1")]] == [
        [(e["evse_uid"], e["ocpi_evse_id"], e["ocpi_connector_id"]) for e in c["evses"]]
        for c in site["chargers"]
    ]
    assert [True, False] == ["topology_default_id" in c for c in site["chargers"]]
    assert site["created_at"] == site["updated_at"]
    assert [site] == [each for each in gateway.data(url)["data"] if each["id"] == site["id"]]


@one_database
def test_the_postal_code_is_shown_if_there_is_one(gateway: Gateway, url: str) -> None:
    with_code, without = create_all(gateway, url, location(1, postal_code="1060"), location(2))

    assert ("1060", None) == (with_code.get("postal_code"), without.get("postal_code"))


@one_database
def test_members_that_are_left_out_have_their_defaults(gateway: Gateway, url: str) -> None:
    [site] = create_all(gateway, url, {name: value for name, value in location().items() if name != "public"})

    assert (True, []) == (site["public"], site["chargers"])
    assert "Europe/Brussels" == site["timezone"]


@one_database
def test_every_member_of_a_template_may_be_overridden(gateway: Gateway, url: str) -> None:
    overrides = {
        "name": "Elsewhere",
        "address": "Rue 1",
        "city": "Lyon",
        "country": "FR",
        "coordinates": {"latitude": 45.5, "longitude": 4.5},
        "timezone": "Europe/Paris",
        "owner_name": "Somebody",
        "public": False,
    }
    more = {"parking_type": "ON_STREET", "ocpp_version": "OCPP2.0.1", "identity_prefix": "LYON_", "moons": 2}

    [site] = create_all(gateway, url, {**URBAN, "overrides": {**overrides, **more}})

    assert overrides == {name: site[name] for name in overrides}
    assert {("LYON_", "OCPP2.0.1")} == {(c["identity"][:5], c["ocpp_version"]) for c in site["chargers"]}


@one_database
def test_a_template_that_is_used_several_times_gets_prefixes(gateway: Gateway, url: str) -> None:
    own = {**URBAN, "overrides": {"identity_prefix": "OWN_"}}
    single = {"template": "residential-ac-single"}

    sites = create_all(gateway, url, URBAN, own, URBAN, single)

    first, second, third, fourth = ([c["identity"] for c in site["chargers"]] for site in sites)
    assert all(identity.startswith("L01_") for identity in first)
    assert all(identity.startswith("OWN_") for identity in second)
    assert all(identity.startswith("L02_") for identity in third)
    assert not any(identity.startswith("L0") for identity in fourth)


def test_generated_identities_differ_between_jobs(gateway: Gateway, url: str) -> None:
    for _ in range(2):
        create_all(gateway, url, URBAN, URBAN)


# Faults that fail one item


FAULTS = [
    (with_chargers("1", brand_slug="no-such-brand"), "unknown_catalog_model", "brand_slug"),
    (with_chargers("1", model_slug="no-such-model"), "unknown_catalog_model", "model_slug"),
    (with_chargers("1", connector_type="CHAdeMO"), "unknown_catalog_model", "connector_type"),
    (with_chargers("1", connector_type="Schuko"), "unknown_catalog_model", "connector_type"),
    (with_chargers("1", ocpp_version="OCPP1.5"), "location_invalid", "ocpp_version"),
    (with_chargers("1", "1"), "duplicate_identity", "identity"),
    (with_chargers("A-1", "A_1"), "duplicate_identity", "identity"),
    (with_chargers("x" * 33, prefix="P_"), "location_invalid", "identity"),
    (
        location(charges=[{**GROUP, "charger_ids": [f"{g}{n:02}" for n in range(26)]} for g in "AB"]),
        "location_invalid",
        "charges",
    ),
    ({**URBAN, "overrides": {"ocpp_version": "OCPP3"}}, "location_invalid", "ocpp_version"),
    ({**URBAN, "overrides": {"identity_prefix": "P" * 33}}, "location_invalid", "identity"),
]


def test_an_item_that_breaks_a_rule_fails_alone(gateway: Gateway, url: str) -> None:
    items = [item for item, _, _ in FAULTS]
    job = finished_job(gateway, url, location(0), *items, location(2))
    results = job["results"]
    last = len(items) + 1

    assert ("READY", 2, len(items)) == (job["status"], results["created_count"], results["failed_count"])
    assert [0, last] == [each["index"] for each in results["created"]]
    assert [(code, param, False) for _, code, param in FAULTS] == [
        (failed["error"]["code"], failed["error"]["param"], failed["error"]["retryable"])
        for failed in results["failed"]
    ]
    assert [item.get("name", item.get("template")) for item in items] == [
        failed["name"] for failed in results["failed"]
    ]
    assert [*range(1, last)] == [failed["index"] for failed in results["failed"]]
    assert 4 == gateway.data(url)["total"]


def test_an_identity_in_the_network_in_another_item_or_in_an_earlier_job_is_a_duplicate(
    gateway: Gateway, url: str
) -> None:
    generated = gateway.data(url)["data"][0]["chargers"][0]["identity"]

    first = finished_job(
        gateway,
        url,
        with_chargers("1"),
        with_chargers("2", "1"),
        with_chargers(generated, prefix=""),
        with_chargers("2"),
    )
    second = finished_job(gateway, url, with_chargers("3"), with_chargers("1"))

    failures = [(f["index"], f["error"]["code"], f["error"]["param"]) for f in first["results"]["failed"]]
    assert [(1, "duplicate_identity", "identity"), (2, "duplicate_identity", "identity")] == failures
    assert [0, 3] == [each["index"] for each in first["results"]["created"]]
    assert ["duplicate_identity"] == [f["error"]["code"] for f in second["results"]["failed"]]
    sites = [site for site in gateway.data(url)["data"] if site["id"] != "MAGIC"]
    identities = [c["identity"] for site in sites for c in site["chargers"]]
    assert sorted([generated, "P_1", "P_2", "P_3"]) == sorted(identities)


def test_evse_ids_are_unique_in_a_network(gateway: Gateway, url: str) -> None:
    """The identities A-1 and A_1 have the same EVSE id, so a network cannot hold both."""
    job = finished_job(gateway, url, with_chargers("A-1"), with_chargers("A_1"))
    evse_ids = [
        evse["ocpi_evse_id"]
        for site in gateway.data(url)["data"]
        for charger in site["chargers"]
        for evse in charger["evses"]
    ]

    assert len(set(evse_ids)) == len(evse_ids), job


@one_database
def test_a_location_has_up_to_20_groups_of_50_charge_points(gateway: Gateway, url: str) -> None:
    groups = [{**GROUP, "charger_ids": [f"{n}A", f"{n}B"]} for n in range(20)]

    grouped, full = create_all(
        gateway, url, location(charges=groups), with_chargers(*(f"{n:02}" for n in range(50)), prefix="X")
    )

    assert (40, 50) == (len(grouped["chargers"]), len(full["chargers"]))


def test_two_networks_may_use_the_same_identity(gateway: Gateway, url: str) -> None:
    other = f"{gateway.create()['destroy_url']}/locations"

    for each in (url, other):
        create_all(gateway, each, with_chargers("1"))


def test_a_job_that_creates_nothing_fails(gateway: Gateway, url: str) -> None:
    job = finished_job(
        gateway, url, with_chargers("1", brand_slug="nobody"), with_chargers("1", model_slug="nothing")
    )

    assert ("FAILED", 0, 2) == (
        job["status"],
        job["results"]["created_count"],
        job["results"]["failed_count"],
    )
    assert ("unknown_catalog_model", False) == (job["error"]["code"], job["error"]["retryable"])
    assert None is job.get("provisioned_at")
    assert "" == validation_error("LocationBulkStatusResponse", job)
    assert 2 == gateway.data(url)["total"]


# Faults that refuse the whole request


@one_database
@pytest.mark.ocpi(215)
@pytest.mark.parametrize(
    ("item", "loc"),
    [
        ({**location(), "city": ...}, ["city"]),
        ({**location(), "city": 5}, ["city"]),
        ({**location(), "city": "x" * 46}, ["city"]),
        ({**location(), "country": "BEL"}, ["country"]),
        ({**location(), "country": "be"}, ["country"]),
        ({**location(), "timezone": "Mars/Olympus"}, ["timezone"]),
        ({**location(), "coordinates": {"latitude": 91, "longitude": 0}}, ["coordinates", "latitude"]),
        (
            {**location(), "charges": [{**GROUP, "charger_ids": ["1", "a/b"]}]},
            ["charges", 0, "charger_ids", 1],
        ),
        ({**location(), "charges": [GROUP, {"charger_ids": ["1"]}]}, ["charges", 1, "template"]),
        ({**location(), "public": None}, ["public"]),
        ({**URBAN, "overrides": {"city": 5}}, ["overrides", "city"]),
        ({**URBAN, "overrides": {"country": "FRA"}}, ["overrides", "country"]),
        ({**URBAN, "overrides": {"coordinates": {"latitude": 1}}}, ["overrides", "coordinates", "longitude"]),
        ({**URBAN, "overrides": []}, ["overrides"]),
        ({"template": 5}, ["template"]),
        ({"template": None}, ["template"]),
        (5, []),
        ({}, ["name"]),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_a_refusal_gives_the_index_of_the_invalid_item_and_nothing_is_created(
    unchanged_network: tuple[Gateway, str], item: Any, loc: list[Any]
) -> None:
    """The refusal names item 7 of 50, and the members of the shape (template or not) that it has."""
    gateway, url = unchanged_network
    if isinstance(item, dict):
        item = {name: value for name, value in item.items() if value is not ...}
    items = [location(n) for n in range(50)]
    items[7] = item

    status, detail = refusal(gateway.post(url, {"locations": items}))

    assert 422 == status
    assert ["body", "locations", 7, *loc] in [problem["loc"] for problem in detail]
    assert {7} == {problem["loc"][2] for problem in detail}
    assert (2, 1) == (
        gateway.data(url)["total"],
        gateway.data(url[: -len("/locations")])["topology"]["locations"],
    )


@one_database
@pytest.mark.parametrize(
    "body",
    [{}, {"locations": []}, {"locations": None}, {"locations": {}}, {"locations": [location()] * 10_001}],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_a_request_holds_1_to_10_000_items(
    unchanged_network: tuple[Gateway, str], body: dict[str, Any]
) -> None:
    gateway, url = unchanged_network
    status, detail = refusal(gateway.post(url, body))

    assert (422, ["body", "locations"]) == (status, detail[0]["loc"])


@one_database
def test_an_unknown_location_template_is_404_with_its_name_and_index(
    unchanged_network: tuple[Gateway, str],
) -> None:
    gateway, url = unchanged_network
    status, detail = refusal(
        gateway.post(url, {"locations": [location(), URBAN, {"template": "no-such-hub"}]})
    )

    assert (404, True, True) == (status, "locations.2" in detail, "no-such-hub" in detail)
    assert 2 == gateway.data(url)["total"]


@one_database
def test_an_emsp_network_has_no_locations_of_its_own(gateway: Gateway) -> None:
    accepted = gateway.create(template="emsp-drivers", role="emsp")

    assert (
        404 == refusal(gateway.post(f"{accepted['destroy_url']}/locations", {"locations": [location()]}))[0]
    )
    assert [] == gateway.data(f"{accepted['destroy_url']}/locations")["data"]


# Jobs


@one_database
@pytest.mark.parametrize("job", [UNKNOWN_JOB, "x", "1", "..%2Fx", "4f6b5e0e%20"])
def test_an_unknown_job_is_404(unchanged_network: tuple[Gateway, str], job: str) -> None:
    gateway, url = unchanged_network
    assert gateway.get(f"{url}/jobs/{job}").status_code in {404, 422}


def test_a_job_is_readable_only_in_its_own_network(gateway: Gateway, url: str) -> None:
    other = gateway.create()
    accepted = gateway.create(url, locations=[location()])
    job = accepted["job_id"]

    assert 404 == refusal(gateway.get(f"{other['destroy_url']}/locations/jobs/{job}"))[0]
    assert 404 == refusal(gateway.get(f"{url}/jobs/{other['workflow_run_id']}"))[0]
    assert 200 == gateway.get(accepted["status_url"]).status_code
