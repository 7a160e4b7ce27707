"""Templates: every document obeys the strict contract, and a seed always generates the same bytes."""

import math
import os
import re
import subprocess
import sys
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import contracts
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodes import ROOT
from plans import (
    CPO_TEMPLATES,
    LOCATION_TEMPLATES,
    NOW,
    PARTY,
    PLACE,
    check,
    drivers,
    everything,
    network,
    planned,
    site,
    sites,
)

from generated.ocpi_models import PowerType
from openapi.iso_3166 import ALPHA_3
from storage.sites import SitePlan
from workflows.networks import catalog, identities, places, price_book, templates
from workflows.networks.places import countries
from workflows.networks.places.place import City
from workflows.networks.projection import degrees

Body = dict[str, Any]


def kilometers(city: City, coordinates: Body) -> float:
    """The distance of a point from the center of a city."""
    north = (float(coordinates["latitude"]) - city.latitude) * 111.32
    east = (float(coordinates["longitude"]) - city.longitude) * 111.32 * math.cos(math.radians(city.latitude))
    return math.hypot(north, east)


@pytest.mark.parametrize("slug", ["small-urban-ac", "highway-dc", "mixed-depot", "city-network"])
def test_an_energy_mix_names_supplier_and_product(slug: str) -> None:
    for plan in sites(network(slug)):
        assert {"supplier_name", "energy_product_name"} <= plan.document["energy_mix"].keys()


@pytest.mark.parametrize(
    ("slug", "locations", "chargers"),
    [("small-urban-ac", 2, 6), ("highway-dc", 3, 6), ("mixed-depot", 1, 6), ("city-network", 50, 200)],
)
def test_a_template_creates_what_its_entry_states(slug: str, locations: int, chargers: int) -> None:
    entry = next(e for e in templates.network_templates() if e.slug == slug)
    plans = list(sites(network(slug)))

    assert (1, locations, chargers, "cpo") == tuple(
        getattr(entry, k) for k in ("version", "locations", "chargers", "role")
    )
    assert (locations, chargers) == (len(plans), sum(len(plan.charge_points) for plan in plans))
    assert (locations, chargers) == (network(slug).locations, network(slug).chargers)


def test_a_template_has_one_role() -> None:
    assert templates.network_template("no-such", "cpo") is None
    assert templates.network_template("small-urban-ac", "emsp") is None
    assert templates.network_template("emsp-drivers", "CPO") is None
    assert templates.network_template("emsp-drivers", "EMSP") is not None
    assert "emsp" == templates.network_templates()[-1].role


@pytest.mark.parametrize("slug", CPO_TEMPLATES)
@pytest.mark.parametrize("overrides", [{}, {"locations": 1, "chargers_per_location": 1}, {"locations": 100}])
def test_every_document_obeys_the_contract(slug: str, overrides: Body) -> None:
    for seed, party, name in (
        (0, PARTY, "alice"),
        (2**31 - 1, ("DE", "X9Z"), "Æthelred's  Ö-Strom | & Söhne"),
        (7, ("US", "000"), "充電"),
    ):
        plan = network(slug, seed, name, party, **overrides)
        for site_plan in sites(plan):
            check(site_plan)
        used = {tariff["id"] for site_plan in sites(plan) for tariff in site_plan.tariffs}
        assert {tariff.id for tariff in plan.tariffs()} == used


@pytest.mark.parametrize("slug", CPO_TEMPLATES)
def test_ids_and_names_are_unique_in_the_largest_network(slug: str) -> None:
    plans = list(
        sites(
            network(
                slug, name="A very long name for a network of ours", locations=100, chargers_per_location=50
            )
        )
    )
    points = [point for plan in plans for point in plan.charge_points]

    assert 5000 == len(points) == len({point.identity for point in points})
    for name in ("uid", "evse_id"):
        values = [getattr(evse, name) for point in points for evse in point.evses]
        assert len(values) == len(set(values))
    for name in ("id", "slug"):
        assert 100 == len({getattr(plan, name) for plan in plans})
    assert 100 == len({plan.document["name"] for plan in plans})
    check(plans[99])


def test_the_gallery_has_many_cities_countries_and_streets() -> None:
    home_countries = {city.country for city in places.CITIES}
    assert len(places.CITIES) >= 40
    assert len(home_countries) >= 12
    assert len(places.SERVICE_AREAS) >= 12
    assert all(len(set(city.streets)) >= 6 for city in places.CITIES)


@pytest.mark.parametrize("city", places.CITIES, ids=lambda city: city.name)
def test_a_site_in_each_city_is_in_that_city(city: City) -> None:
    plan = network("city-network", party=(city.country, "ABC"), locations=len(places.CITIES))
    site_plan = next(p for p in sites(plan) if p.document["city"] == city.name)
    document = site_plan.document

    check(site_plan)
    assert kilometers(city, document["coordinates"]) <= 2.0
    site_area = {"latitude": city.site_area[0], "longitude": city.site_area[1]}
    assert kilometers(city, site_area) + city.site_area[2] <= 2.05  # the whole area is near the center
    assert all(re.fullmatch(r"-?[0-9]+\.[0-9]{6}", degrees) for degrees in document["coordinates"].values())
    assert countries.alpha3(city.country) == document["country"]
    assert any(street in document["address"] for street in city.streets)
    patterns = (re.escape(code).replace(r"\#", "[0-9]").replace(r"\?", "[A-Z]") for code in city.postal_codes)
    assert any(re.fullmatch(pattern, document["postal_code"]) for pattern in patterns)
    assert places.find(city.name) is city
    assert places.find(city.name.upper(), city.country) is city
    assert places.find(city.name, "AQ") is None


def test_every_time_zone_is_known_to_iana() -> None:
    zoneinfo = pytest.importorskip("zoneinfo")
    known_zones = zoneinfo.available_timezones()
    if not known_zones:
        pytest.skip("this machine has no time zone database")

    assert {place.zone for place in (*places.CITIES, *places.SERVICE_AREAS)} <= known_zones


def test_the_first_sites_of_a_network_are_in_its_country() -> None:
    towns = [plan.document["country"] for plan in sites(network("city-network", party=("IT", "ABC")))]

    assert ["ITA"] * 4 == towns[:4]
    assert len(set(towns)) > 12
    assert "DEU" == planned(network("highway-dc", party=("DE", "ABC")).site(0)).document["country"]


SCRIPT = """
import sys
sys.path[:0] = [".", "tests/support"]
from plans import everything
print(everything())
"""


def test_the_same_seed_generates_the_same_bytes_in_another_process() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("4711",)
    ]

    assert [everything()] == printed


def test_a_site_is_the_same_if_it_is_planned_alone() -> None:
    whole = [orjson.dumps(plan.document) for plan in sites(network("city-network"))]

    assert whole[37] == orjson.dumps(planned(network("city-network").site(37)).document)
    with pytest.raises(IndexError):
        planned(network("city-network").site(50))
    with pytest.raises(IndexError):
        network("city-network").site(-1)


def test_every_input_changes_the_generated_network() -> None:
    plans = [
        network("small-urban-ac"),
        network("small-urban-ac", 43),
        network("small-urban-ac", name="bob"),
        network("small-urban-ac", party=("FR", "ABD")),
        network("small-urban-ac", locations=3),
        network("small-urban-ac", chargers_per_location=4),
        network("city-network"),
    ]

    assert len(plans) == len({plan.site(0).id for plan in plans})
    assert len(plans) == len({orjson.dumps(planned(plan.site(0)).document["coordinates"]) for plan in plans})
    assert [t.body for t in drivers(1)] != [t.body for t in drivers(2)]


def test_null_and_unknown_overrides_change_nothing() -> None:
    unchanged = planned(network("small-urban-ac").site(1))

    assert unchanged == planned(
        network("small-urban-ac", locations=None, chargers_per_location=None, other=9).site(1)
    )
    assert unchanged == planned(network("small-urban-ac", locations=2).site(1))


def kinds(plan: SitePlan) -> str:
    """A for each AC charge point and D for each DC charge point, in order."""
    found = (catalog.model(point.brand_slug, point.model_slug) for point in plan.charge_points)
    return "".join("A" if model and model.current_type == "ac" else "D" for model in found)


@pytest.mark.parametrize(
    ("chargers", "expected"),
    [
        (1, "A"),
        (2, "AA"),
        (3, "AAD"),
        (4, "AAAD"),
        (6, "AAAADD"),
        (12, "AAAAAAAADDDD"),
        (50, "A" * 34 + "D" * 16),
    ],
)
def test_a_mixed_depot_keeps_its_proportions(chargers: int, expected: str) -> None:
    depot = planned(network("mixed-depot", chargers_per_location=chargers).site(0))

    assert expected == kinds(depot)
    if "D" in expected:
        assert {"OCPP1.6", "OCPP2.0.1"} == {point.ocpp_version for point in depot.charge_points}
    assert "PARKING_LOT" == depot.document["type"]


def test_each_template_has_its_kinds_of_charge_points() -> None:
    assert {"AAA"} == {kinds(plan) for plan in sites(network("small-urban-ac"))}
    assert {"DD"} == {kinds(plan) for plan in sites(network("highway-dc"))}
    assert {"OTHER"} == {plan.document["type"] for plan in sites(network("highway-dc"))}
    assert 10 == sum(kinds(plan) == "DDDD" for plan in sites(network("city-network")))


def test_an_identity_starts_with_the_network_name_and_determines_the_evse() -> None:
    point = network("highway-dc", name="Stromnetz Süd GmbH", party=("DE", "SUD")).site(0).charge_points[0]
    first, second = point.evses

    assert point.identity.startswith("stromnetz-su-")
    assert (f"{point.identity}_C1", f"{point.identity}_C2") == (first.uid, second.uid)
    letters = re.sub("[-_]", "", point.identity).upper()
    assert (f"DE*SUD*E{letters}C1", "1") == (first.evse_id, first.connector_id)
    single = network("small-urban-ac").site(0).charge_points[0]
    assert single.identity == single.evses[0].uid
    assert "site-" == identities.generated_prefix("充電")
    assert "laerke-lodz-ss" == identities.slug("  Lærke/Łódź--ß ")


def test_power_is_voltage_times_current() -> None:
    for plan in (*sites(network("city-network")), *(site({"template": s}) for s in LOCATION_TEMPLATES)):
        for evse in plan.document["evses"]:
            connector = evse["connectors"][0]
            phases = 3 if connector["power_type"] == "AC_3_PHASE" else 1
            kw = connector["voltage"] * connector["amperage"] * phases / 1000
            nearest = min(
                (7.4, 11, 22, 50, 100, 120, 150, 180, 200, 300, 400), key=lambda usual: abs(usual - kw)
            )
            assert abs(kw - nearest) / nearest < 0.02
            assert connector["tariff_id"].startswith("AC-") == connector["power_type"].startswith("AC")


def test_prices_are_in_the_currency_of_the_country() -> None:
    swiss = planned(network("small-urban-ac", party=("CH", "ABC")).site(0))
    tariff = swiss.tariffs[0]

    assert ("AC-CHF", "CHF") == (tariff["id"], tariff["currency"])
    assert {"start_time": "07:00", "end_time": "22:00"} == tariff["elements"][0]["restrictions"]
    assert "restrictions" not in tariff["elements"][-1]
    fast = planned(network("highway-dc", party=("GB", "ABC")).site(0)).tariffs[0]
    components = fast["elements"][0]["price_components"]
    assert ["FLAT", "ENERGY", "PARKING_TIME"] == [component["type"] for component in components]
    for country in (*{city.country for city in places.CITIES}, "US", "JP", "KR", "BR", "AQ"):
        for power_type, kw in (("AC_1_PHASE", 7.4), ("DC", 50), ("DC", 150)):
            tariff_model = price_book.tariff(price_book.tariff_id(PowerType(power_type), kw, country))
            contracts.ocpi().check_strict("Tariff", orjson.loads(tariff_model.json_text()))
    assert "HPC-EUR" == price_book.tariff_id(PowerType.DC, 150, "AQ")


def test_drivers_have_every_standing_and_the_first_may_charge_anywhere() -> None:
    tokens = drivers()
    first = tokens[0]

    assert 29 == len(tokens) == len({(t.body["uid"], t.body["type"]) for t in tokens})
    assert 29 == len({t.body["auth_id"] for t in tokens})
    assert (True, "RFID", "ALLOWED") == tuple(first.body[key] for key in ("valid", "type", "whitelist"))
    assert (None, None) == (first.standing, first.location_ids)
    assert {None, "EXPIRED", "NO_CREDIT"} == {t.standing for t in tokens}
    assert {"ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"} == {t.body["whitelist"] for t in tokens}
    for group in (
        [t for t in tokens if not t.body["valid"] and t.standing is None],
        [t for t in tokens if t.standing == "EXPIRED"],
        [t for t in tokens if t.standing == "NO_CREDIT"],
        [t for t in tokens if t.location_ids],
        [t for t in tokens if t.body["type"] == "OTHER"],
    ):
        assert len(group) >= 2
    assert [] == network("small-urban-ac").tokens()


@pytest.mark.parametrize("name", ["x", "充電 Drivers", "n" * 40])
def test_every_token_obeys_the_contract(name: str) -> None:
    for seed in range(5):
        for token in drivers(seed, ("PL", "0AZ"), name):
            document = {**token.body, "last_updated": NOW}
            assert orjson.dumps(document) == orjson.dumps(contracts.ocpi().normalize("Token", document))


def test_the_catalog_has_real_charge_points() -> None:
    brands = catalog.brands()
    found = [model for brand in brands for model in catalog.models(brand.slug)]

    assert len(brands) >= 6
    assert len(found) >= 14
    assert len(found) == len({model.id for model in found})
    assert {"ac", "dc"} == {model.current_type for model in found}
    assert set(catalog.CONNECTOR_TYPES) == {plug for model in found for plug in model.connector_types}
    model = catalog.model("wallbox", "wallbox-pulsar-plus")
    assert model is not None
    assert (1, "ac", (7.4, 22.0), ("Type2",)) == (
        model.connector_count, model.current_type, model.supported_kwh, model.connector_types,
    )  # fmt: skip
    assert catalog.model("abb", "terra-184")
    assert catalog.model("schneider", "evlink-pro-ac-22kw")
    assert catalog.model("schneider", "terra-184") is None
    assert () == catalog.models("nobody")


def test_country_codes_convert_in_both_directions() -> None:
    assert "NLD" == templates.alpha3("NL")
    assert "NL" == templates.alpha2("NLD")
    assert "XXX" == templates.alpha2("XXX")  # an operator may have stored it
    assert 249 == len(ALPHA_3)
    assert all(templates.alpha2(templates.alpha3(two)) == two for two in ALPHA_3)


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_coordinates_are_rounded_half_even_to_six_decimals(longitude: float, latitude: float) -> None:
    plan = site({**PLACE, "coordinates": {"latitude": latitude, "longitude": longitude}})
    point = plan.document["coordinates"]

    for number, text in ((latitude, point["latitude"]), (longitude, point["longitude"])):
        assert re.fullmatch(r"-?[0-9]{1,3}\.[0-9]{6}", text)
        assert Decimal(text) == Decimal(repr(number)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        assert not re.fullmatch(r"-0\.0+", text)
    assert len(point["latitude"]) <= 10
    assert len(point["longitude"]) <= 11


@pytest.mark.parametrize(
    ("value", "text"),
    [(48, "48.000000"), (0.0000005, "0.000000"), (0.0000015, "0.000002"), (-0.0000001, "0.000000"),
     (2.1234565, "2.123456"), (2.1234575, "2.123458"), (-179.9999999, "-180.000000"), (90.0, "90.000000")],
)  # fmt: skip
def test_a_coordinate_is_rounded_to_text(value: float, text: str) -> None:
    assert text == degrees(value)
