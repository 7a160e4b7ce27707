"""The items of a bulk request and the changes of a location as OCPI documents."""

from typing import Any

import contracts
import orjson
import pytest
from examples import model
from gateway_orders import example
from plans import LOCATION_TEMPLATES, check, item_of, planned, site, stamped

from generated.gateway_models import LocationUpdateRequest
from workflows.networks import templates
from workflows.networks.templates import ItemRefused

Body = dict[str, Any]

PLACE = example("OcpiCreateLocationRequest")
GROUP = {
    "brand_slug": "schneider",
    "model_slug": "evlink-pro-ac-22kw",
    "connector_type": "Type2",
    "ocpp_version": "OCPP1.6",
    "ws_url": "wss://csms.example.com/ws",
    "identity_prefix": "SITE_A_",
}


def item(*ids: str, **changes: Any) -> Body:
    """An item that writes a location out, with one group of charge points."""
    return {**PLACE, "charges": [{"template": {**GROUP, **changes}, "charger_ids": list(ids)}]}


def updated(document: Body, change: Body) -> Body:
    """*document* after a change from the gateway."""
    request = LocationUpdateRequest.model_validate_json(orjson.dumps(change))
    changed: Body = orjson.loads(templates.updated(model("Location", document), request).json_text())
    return changed


def refusal(order: Body) -> tuple[str, str | None]:
    """The code and the member of the refusal of an item."""
    with pytest.raises(ItemRefused) as error:
        site(order)
    assert error.value.message
    return error.value.code, error.value.param


def test_a_location_that_is_written_out_keeps_every_value() -> None:
    optional = {
        "timezone": "Europe/Brussels",
        "owner_name": "VINCI",
        "public": False,
        "parking_type": "ALONG_MOTORWAY",
    }
    plan = site({**item("001", "002", template_name="Bay"), **optional, "postal_code": "1060"})
    document = plan.document

    check(plan)
    assert ("BEL", "OTHER", "1060") == (document["country"], document["type"], document["postal_code"])
    assert {"latitude": "50.835700", "longitude": "4.335300"} == document["coordinates"]
    assert ({"name": "VINCI"}, "Europe/Brussels") == (document["operator"], document["time_zone"])
    assert not plan.public
    point = plan.charge_points[0]
    assert ("SITE_A_001", "Bay", "wss://csms.example.com/ws") == (point.identity, point.name, point.ws_url)
    assert ("SITE_A_001", "FR*ABC*ESITEA001", "1") == (
        point.evses[0].uid, point.evses[0].evse_id, point.evses[0].connector_id,
    )  # fmt: skip
    assert ["AC-EUR"] == [tariff["id"] for tariff in plan.tariffs]


def test_a_location_with_only_the_required_members_gets_defaults() -> None:
    plan = site(PLACE)

    check(plan)
    assert ("UNKNOWN", "-", {"name": "alice"}) == tuple(
        plan.document[k] for k in ("type", "postal_code", "operator")
    )
    assert "Europe/Brussels" == plan.document["time_zone"]
    assert not {"evses", "opening_times"} & set(plan.document)
    assert (True, (), ()) == (plan.public, plan.tariffs, plan.charge_points)
    assert plan.slug.startswith("brussels-midi-hub-")
    assert plan.id.removeprefix("loc-").startswith(plan.slug[-8:])


@pytest.mark.parametrize(
    ("parking_type", "type_"),
    [("ALONG_MOTORWAY", "OTHER"), ("ON_DRIVEWAY", "OTHER"), ("PARKING_LOT", "PARKING_LOT"), (None, "UNKNOWN"),
     ("PARKING_GARAGE", "PARKING_GARAGE"), ("UNDERGROUND_GARAGE", "UNDERGROUND_GARAGE"),
     ("ON_STREET", "ON_STREET")],
)  # fmt: skip
def test_a_parking_type_becomes_a_location_type(parking_type: str | None, type_: str) -> None:
    chosen = {} if parking_type is None else {"parking_type": parking_type}
    assert type_ == site({**PLACE, **chosen}).document["type"]
    for slug in LOCATION_TEMPLATES:
        check(site({"template": slug, "overrides": {"parking_type": parking_type}}))


@pytest.mark.parametrize(
    ("model", "plug", "standard", "volts", "amperes"),
    [
        (("schneider", "evlink-pro-ac-22kw"), "Type2", "IEC_62196_T2", 230, 32),
        (("abb", "terra-184"), "CCS2", "IEC_62196_T2_COMBO", 900, 200),
        (("abb", "terra-184"), "CHAdeMO", "CHADEMO", 400, 125),
        (("chargepoint", "home-flex"), "Type1", "IEC_62196_T1", 240, 50),
    ],
)
def test_the_model_determines_the_connector(
    model: tuple[str, str], plug: str, standard: str, volts: int, amperes: int
) -> None:
    plan = site(item("1", brand_slug=model[0], model_slug=model[1], connector_type=plug))
    connector = plan.document["evses"][0]["connectors"][0]

    check(plan)
    assert (standard, volts, amperes) == (connector["standard"], connector["voltage"], connector["amperage"])
    assert (plug, "CABLE" if plug != "Type2" else "SOCKET") == (
        plan.charge_points[0].connector_type, connector["format"],
    )  # fmt: skip


def test_an_item_that_breaks_a_rule_is_refused() -> None:
    unknown = "unknown_catalog_model"
    fifty = [str(n) for n in range(50)]
    crowded = item(*fifty)
    crowded["charges"].append({"template": {**GROUP, "identity_prefix": "B"}, "charger_ids": ["1"]})

    assert (unknown, "brand_slug") == refusal(item("1", brand_slug="acme"))
    assert (unknown, "model_slug") == refusal(item("1", model_slug="terra-184"))
    assert (unknown, "connector_type") == refusal(item("1", connector_type="CCS2"))
    assert ("location_invalid", "ocpp_version") == refusal(item("1", ocpp_version="OCPP9"))
    assert ("location_invalid", "charges") == refusal(crowded)
    assert 50 == len(site(item(*fifty)).charge_points)
    assert ("location_invalid", "identity") == refusal(item("0" * 28))
    assert 34 == len(site(item("0" * 27)).charge_points[0].identity)
    assert ("duplicate_identity", "identity") == refusal(item("1", "2", "1"))
    assert ("duplicate_identity", "identity") == refusal(item("a-1", "a_1"))  # both have the same evse_id
    assert ("template_not_found", "template") == refusal({"template": "no-such"})
    prefix = {"template": "urban-ac-hub", "overrides": {"identity_prefix": "x" * 33}}
    assert ("location_invalid", "identity") == refusal(prefix)
    assert ("location_invalid", "ocpp_version") == refusal(
        {"template": "urban-ac-hub", "overrides": {"ocpp_version": "ocpp1.6"}}
    )


@pytest.mark.parametrize("slug", LOCATION_TEMPLATES)
@pytest.mark.parametrize("version", ["OCPP1.6", "OCPP2.0.1"])
def test_a_location_template_creates_what_its_entry_states(slug: str, version: str) -> None:
    entry = next(e for e in templates.location_templates() if e.slug == slug)
    plan = site({"template": slug, "overrides": None})
    rewritten = site({"template": slug, "overrides": {"ocpp_version": version}})

    check(plan)
    check(rewritten)
    assert {version} == {point.ocpp_version for point in rewritten.charge_points}
    assert entry.chargers == len(plan.charge_points) == sum(g.count for g in entry.charger_groups)
    assert entry.name == plan.document["name"]
    assert "alice" == plan.document["operator"]["name"]


def test_location_templates_are_filtered() -> None:
    def slugs(**filters: str | None) -> list[str]:
        return [
            entry.slug
            for entry in templates.location_templates(filters.get("type"), filters.get("ocpp_version"))
        ]

    assert {"urban-ac-hub", "highway-dc-station", "residential-ac-single"} <= set(slugs())
    assert ["retail-park-mixed"] == slugs(type="AC-DC")
    assert "highway-dc-station" in slugs(type="DC")
    assert "highway-dc-station" not in slugs(type="AC")
    assert "retail-park-mixed" in slugs(ocpp_version="OCPP1.6")
    assert "retail-park-mixed" in slugs(ocpp_version="OCPP2.0.1")
    assert "urban-ac-hub" not in slugs(ocpp_version="OCPP2.0.1")
    assert slugs() == slugs(type=None, ocpp_version=None)


def test_each_override_replaces_one_member() -> None:
    overrides = {"name": "Hub", "owner_name": "Owner", "public": False, "identity_prefix": "LYO_", "other": 1}
    plan = site({"template": "urban-ac-hub", "overrides": {**overrides, "address": None}}, "L01_")
    unchanged = site({"template": "urban-ac-hub"}, "L01_")

    check(plan)
    assert ("Hub", "Owner", False) == (plan.document["name"], plan.document["operator"]["name"], plan.public)
    assert unchanged.document["address"] == plan.document["address"]
    assert [f"LYO_{n:02d}" for n in range(1, 7)] == [point.identity for point in plan.charge_points]


def test_another_city_gives_its_center_if_the_gallery_has_it() -> None:
    def place_of(**overrides: Any) -> Body:
        plan = site({"template": "urban-ac-hub", "overrides": overrides})
        check(plan)
        return {k: plan.document.get(k) for k in ("country", "coordinates", "time_zone", "postal_code")}

    unchanged = place_of()
    lyon = {"latitude": "45.764000", "longitude": "4.835700"}
    assert {**unchanged, "coordinates": lyon, "postal_code": "-"} == place_of(city="Lyon")
    assert {**unchanged, "coordinates": lyon, "postal_code": "69002"} == place_of(
        city="lyon", postal_code="69002"
    )
    munich = place_of(city="Munich")
    assert ("DEU", "Europe/Berlin") == (munich["country"], munich["time_zone"])
    assert unchanged["coordinates"] == place_of(city="Lyon", country="US")["coordinates"]
    coordinates = {"latitude": 1, "longitude": 2}
    assert {"latitude": "1.000000", "longitude": "2.000000"} == place_of(
        city="Lyon", coordinates=coordinates
    )["coordinates"]
    assert {**unchanged, "postal_code": "-"} == place_of(city="Nowhere")
    assert {**unchanged, "country": "JPN", "postal_code": "-"} == place_of(city="Nowhere", country="JP")
    assert "Asia/Tokyo" == place_of(coordinates={"latitude": 35.7, "longitude": 139.7})["time_zone"]


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(90, 180), (-90, -180), (0, 179.99999999), (89.999999, 0)]
)
def test_extreme_coordinates_are_valid(latitude: float, longitude: float) -> None:
    coordinates = {"latitude": latitude, "longitude": longitude}
    for slug in LOCATION_TEMPLATES:
        check(site({"template": slug, "overrides": {"coordinates": coordinates}}))
    check(site({**PLACE, "coordinates": coordinates}))


def test_templates_that_are_used_several_times_get_prefixes() -> None:
    items: list[Body] = [
        {"template": "urban-ac-hub"},
        {"template": "highway-dc-station"},
        {"template": "urban-ac-hub", "overrides": {"identity_prefix": "A_"}},
        PLACE,
        {"template": "urban-ac-hub", "overrides": {"city": "Lyon"}},
    ]

    assert ["L01_", None, None, None, "L02_"] == templates.automatic_prefixes(list(map(item_of, items)))
    assert [] == templates.automatic_prefixes([])
    many = templates.automatic_prefixes([item_of({"template": "urban-ac-hub"})] * 10_000)
    assert ("L01_", "L99_", "L100_", "L10000_") == (many[0], many[98], many[99], many[-1])
    plans = [site(items[0], prefix, index) for index, prefix in enumerate(many[-300:], 9700)]
    identities = [point.identity for plan in plans for point in plan.charge_points]
    assert len(identities) == len(set(identities))
    assert identities[0].startswith("L9701_alice-")
    assert all(len(identity) <= 34 for identity in identities)
    longest = templates.plan_site(
        item_of(items[0]), "job", 9999, "A very long name indeed", ("FR", "ABC"), "L10000_"
    )
    check(planned(longest))
    assert site(items[0]).charge_points[0].identity.startswith("alice-")


def test_the_first_unknown_template_is_found() -> None:
    items = [PLACE, {"template": "urban-ac-hub"}, {"template": "nope"}, {"template": "nor-this"}]

    assert (2, "nope") == templates.unknown_template(list(map(item_of, items)))
    assert templates.unknown_template(list(map(item_of, items[:2]))) is None


def test_a_job_and_an_index_determine_the_id_of_a_site() -> None:
    ids = {site(PLACE, index=index, job=job).id for job in ("a", "b") for index in range(100)}

    assert 200 == len(ids)
    assert site(PLACE, index=7) == site(PLACE, index=7)
    plans = (site({"template": "urban-ac-hub"}, job="a"), site({"template": "urban-ac-hub"}, job="b"))
    first, second = ({point.identity for point in plan.charge_points} for plan in plans)
    assert not first & second


def test_a_change_affects_only_the_named_members() -> None:
    before = stamped(site({"template": "urban-ac-hub"}).document)
    text = orjson.dumps(before)
    change = {
        "name": "New", "address": "Rue 1", "city": "Liège", "country": "BE", "timezone": "Europe/Brussels",
        "coordinates": {"latitude": 50.6, "longitude": 5.5}, "owner_name": "Owner", "public": False,
        "parking_type": "ON_DRIVEWAY", "postal_code": "4000",
    }  # fmt: skip
    after = updated(before, change)

    contracts.ocpi().check_strict("Location", after)
    assert text == orjson.dumps(updated(before, {}))
    assert list(before) == list(after)
    assert ("BEL", "OTHER", "4000") == (after["country"], after["type"], after["postal_code"])
    assert {**before["operator"], "name": "Owner"} == after["operator"]
    assert (before["evses"], before["id"]) == (after["evses"], after["id"])
    assert set(change) == LocationUpdateRequest.model_fields.keys()


def test_null_clears_optional_members() -> None:
    before = stamped(site({"template": "urban-ac-hub"}).document)
    nulls = dict.fromkeys(("timezone", "owner_name", "parking_type", "postal_code"))
    after = updated(before, nulls)

    contracts.ocpi().check_strict("Location", after)
    assert set(before) - {"operator"} == set(after)
    assert ("UNKNOWN", "-") == (after["type"], after["postal_code"])
    for name in ("name", "address", "city", "country", "coordinates"):
        assert before[name] == after[name]
