"""The template galleries, the catalog, and the networks and locations created from them.

docs/gateway.md "Templates" and "Catalog".
"""

from typing import Any

import pytest
from gateway_orders import validation_error
from nodes import Gateway, one_database, refusal

NETWORKS = "/ocpi/templates/cpos"
LOCATIONS = "/ocpp/templates/locations"
DOCUMENTED = {"small-urban-ac": (2, 6), "highway-dc": (3, 6), "mixed-depot": (1, 6)}
ADDED = {"emsp-drivers": (0, 0), "city-network": (50, 200)}
TYPES = {"Type1": "AC", "Type2": "AC", "CCS2": "DC", "CHAdeMO": "DC"}
STANDARDS = {
    "Type1": "IEC_62196_T1",
    "Type2": "IEC_62196_T2",
    "CCS2": "IEC_62196_T2_COMBO",
    "CHAdeMO": "CHADEMO",
}


def slugs(gateway: Gateway, path: str, **query: str) -> list[str]:
    """The slugs of a gallery."""
    shown = gateway.data(path, **query)
    assert len(shown["data"]) == shown["total"]
    return [entry["slug"] for entry in shown["data"]]


# Networks


@one_database
def test_the_gallery_of_networks_is_as_documented(gateway: Gateway) -> None:
    shown = gateway.data(NETWORKS)
    entries = {entry["slug"]: entry for entry in shown["data"]}

    assert "" == validation_error("TemplateListResponse", shown)
    assert len(shown["data"]) == shown["total"]
    assert {**DOCUMENTED, **ADDED} == {
        slug: (entry["locations"], entry["chargers"]) for slug, entry in entries.items()
    }
    assert {"emsp-drivers"} == {slug for slug, entry in entries.items() if entry["role"] == "emsp"}
    assert {1} == {entries[slug]["version"] for slug in DOCUMENTED}


@one_database
@pytest.mark.parametrize(
    ("path", "alias"),
    [(NETWORKS, "/ocpi/cpos/templates"), (LOCATIONS, "/ocpi/templates/locations")],
)
def test_both_documented_paths_return_the_same(gateway: Gateway, path: str, alias: str) -> None:
    for query in ({}, {"type": "DC"}, {"ocpp_version": "OCPP2.0.1"}):
        filters = query if path == LOCATIONS else {}
        assert gateway.data(path, **filters) == gateway.data(alias, **filters)


@one_database
def test_every_organization_gets_the_same_galleries(gateway: Gateway, admin: Gateway) -> None:
    for path in (NETWORKS, LOCATIONS, "/ocpp/catalog/brands"):
        assert gateway.data(path) == admin.data(path)


@one_database
@pytest.mark.parametrize("slug", [*DOCUMENTED, *ADDED])
def test_a_network_has_the_size_that_its_template_states(gateway: Gateway, slug: str) -> None:
    [entry] = [entry for entry in gateway.data(NETWORKS)["data"] if entry["slug"] == slug]

    accepted = gateway.ready(template=slug, role=entry["role"])

    held = gateway.data(accepted["destroy_url"])
    assert (slug, entry["version"]) == (held["template"], held["template_version"])
    assert (entry["locations"], entry["chargers"]) == (
        held["topology"]["locations"],
        held["topology"]["chargers"],
    )
    assert held["topology"]["chargers"] <= held["topology"]["evses"] == held["topology"]["connectors"]
    magic = entry["role"] == "cpo"
    assert entry["locations"] + magic == gateway.data(f"{held['destroy_url']}/locations")["total"]


def plugs(gateway: Gateway, accepted: Any) -> list[list[tuple[str, str]]]:
    """Connector type and OCPP version of each charge point, by location, without the location MAGIC."""
    sites = gateway.data(f"{accepted['destroy_url']}/locations", limit=100)["data"]
    return [[(c["connector_type"], c["ocpp_version"]) for c in site["chargers"]] for site in sites[:-1]]


@one_database
def test_the_documented_networks_have_the_documented_charge_points(gateway: Gateway) -> None:
    """8.1: AC and OCPP 1.6 in town, DC on the highway, four AC and two DC of both OCPP in the depot."""
    created = {slug: plugs(gateway, gateway.ready(template=slug)) for slug in DOCUMENTED}

    assert [3, 3] == [len(site) for site in created["small-urban-ac"]]
    assert {("AC", "OCPP1.6")} == {(TYPES[c], v) for site in created["small-urban-ac"] for c, v in site}
    assert [2, 2, 2] == [len(site) for site in created["highway-dc"]]
    assert {("DC", "OCPP1.6")} == {(TYPES[c], v) for site in created["highway-dc"] for c, v in site}
    [depot] = created["mixed-depot"]
    assert ["AC"] * 4 + ["DC"] * 2 == [TYPES[connector] for connector, _ in depot]
    assert {"OCPP1.6", "OCPP2.0.1"} == {version for _, version in depot}


@one_database
@pytest.mark.parametrize("count", [1, 2, 3, 9, 12, 50])
def test_a_depot_of_another_size_keeps_its_proportions(gateway: Gateway, count: int) -> None:
    [depot] = plugs(
        gateway, gateway.ready(template="mixed-depot", overrides={"chargers_per_location": count})
    )
    kinds = [TYPES[connector] for connector, _ in depot]

    assert count == len(kinds)
    assert sorted(kinds) == kinds
    if count >= 3:
        assert 1 <= kinds.count("DC")
    if count % 3 == 0:
        assert count // 3 == kinds.count("DC")


# Locations


@one_database
def test_the_gallery_of_locations_is_as_documented(gateway: Gateway) -> None:
    shown = gateway.data(LOCATIONS)

    assert "" == validation_error("LocationTemplateListResponse", shown)
    assert {"urban-ac-hub", "highway-dc-station", "residential-ac-single"} <= set(slugs(gateway, LOCATIONS))
    for entry in shown["data"]:
        groups = entry["charger_groups"]
        kinds = {TYPES[group["connector_type"]] for group in groups}
        assert "-".join(sorted(kinds)) == entry["type"]
        assert sum(group["count"] for group in groups) == entry["chargers"]
        assert all(group["nominal_kw"] > 0 for group in groups)


@one_database
@pytest.mark.parametrize("kind", [None, "AC", "DC", "AC-DC"])
@pytest.mark.parametrize("version", [None, "OCPP1.6", "OCPP2.0.1"])
def test_filters_return_the_templates_that_match_all_of_them(
    gateway: Gateway, kind: str | None, version: str | None
) -> None:
    """A template with both versions matches either."""
    filters = {"type": kind, "ocpp_version": version}
    expected = [
        entry["slug"]
        for entry in gateway.data(LOCATIONS)["data"]
        if kind in (None, entry["type"])
        and (version is None or version in {group["ocpp_version"] for group in entry["charger_groups"]})
    ]

    assert expected == slugs(gateway, LOCATIONS, **{k: v for k, v in filters.items() if v})


@one_database
@pytest.mark.parametrize(
    ("name", "value"), [("type", "ac"), ("type", ""), ("type", "null"), ("ocpp_version", "1.6"),
                        ("ocpp_version", "ocpp1.6")]
)  # fmt: skip
@pytest.mark.parametrize("path", [LOCATIONS, "/ocpi/templates/locations"])
def test_an_invalid_filter_value_is_422(gateway: Gateway, path: str, name: str, value: str) -> None:
    status, detail = refusal(gateway.get(path, **{name: value}))

    assert (422, ["query", name]) == (status, detail[0]["loc"])


@one_database
def test_every_location_template_creates_what_it_shows(gateway: Gateway) -> None:
    accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
    url = f"{accepted['destroy_url']}/locations"
    gallery = gateway.data(LOCATIONS)["data"]

    job = gateway.create(url, locations=[{"template": entry["slug"]} for entry in gallery])
    created = gateway.finish(job)["results"]["created"]

    assert len(gallery) == len(created)
    for entry, item in zip(gallery, created, strict=True):
        site = gateway.data(f"{url}/{item['id']}")
        same = ("name", "address", "city", "country", "coordinates", "timezone")
        assert {k: entry[k] for k in same if k in entry} == {k: site[k] for k in same if k in entry}
        groups = [
            (group["connector_type"], group["ocpp_version"])
            for group in entry["charger_groups"]
            for _ in range(group["count"])
        ]
        assert groups == [(c["connector_type"], c["ocpp_version"]) for c in site["chargers"]]
        seen = gateway.operator(accepted).data(f"locations/{item['id']}")
        assert {STANDARDS[plug] for plug, _ in groups} == {
            connector["standard"] for evse in seen["evses"] for connector in evse["connectors"]
        }


# Catalog


@one_database
def test_every_charge_point_of_the_galleries_is_in_the_catalog(gateway: Gateway) -> None:
    for entry in gateway.data(LOCATIONS)["data"]:
        for group in entry["charger_groups"]:
            model = gateway.data(f"/ocpp/catalog/brands/{group['brand_slug']}/models/{group['model_slug']}")
            assert group["connector_type"] in model["connector_types"]
            assert group["model_name"] == model["name"]


@one_database
def test_the_catalog_is_consistent(gateway: Gateway) -> None:
    brands = gateway.data("/ocpp/catalog/brands")

    assert "" == validation_error("BrandListResponse", brands)
    assert {"abb", "schneider", "wallbox"} <= {brand["slug"] for brand in brands["data"]}
    for brand in brands["data"]:
        models = gateway.data(f"/ocpp/catalog/brands/{brand['slug']}/models")
        assert "" == validation_error("ModelListResponse", models)
        assert models["data"]
        for model in models["data"]:
            one = gateway.data(f"/ocpp/catalog/brands/{brand['slug']}/models/{model['slug']}")
            assert "" == validation_error("ModelResponse", one)
            assert model == one
            assert (brand["slug"], brand["id"]) == (model["brand_slug"], model["brand_id"])


@one_database
def test_the_catalog_has_the_documented_model(gateway: Gateway) -> None:
    model = gateway.data("/ocpp/catalog/brands/wallbox/models/wallbox-pulsar-plus")

    assert (1, "ac", [7.4, 22], ["Type2"]) == (
        model["connector_count"],
        model["current_type"],
        model["supported_kwh"],
        model["connector_types"],
    )


@one_database
def test_the_catalog_has_pages(gateway: Gateway) -> None:
    whole = gateway.data("/ocpp/catalog/brands", limit=100)

    pages = [gateway.data("/ocpp/catalog/brands", page=n, limit=2)["data"] for n in range(1, 60)]

    assert whole["data"] == [brand for page in pages for brand in page]
    assert len(whole["data"]) == whole["total"]


@one_database
@pytest.mark.parametrize(
    "path", ["nobody/models", "nobody/models/terra-184", "abb/models/nothing", "wallbox/models/terra-184",
             "ABB/models", "abb/models/%20"]
)  # fmt: skip
def test_an_unknown_brand_or_model_is_404(gateway: Gateway, path: str) -> None:
    assert 404 == refusal(gateway.get(f"/ocpp/catalog/brands/{path}"))[0]
