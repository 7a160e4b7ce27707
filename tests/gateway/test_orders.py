"""What may be ordered of the gateway, and what its schemas refuse. docs/gateway.md "Networks"."""

from typing import Any

import pytest
from gateway_orders import example, misfit

NETWORK = example("CpoCreateRequest")
PLACE = example("OcpiCreateLocationRequest")
GROUP = example("OcpiChargerGroup")
TEMPLATE = GROUP["template"]


@pytest.mark.parametrize(
    "change",
    [
        {"ttl_seconds": None},
        {"ttl_seconds": 60},
        {"ttl_seconds": 604800},
        {"seed": None},
        {"seed": 0},
        {"seed": 2**31 - 1},
        {"country_code": "fr", "party_id": "a1c"},
        {"name_prefix": "é" * 40},
        {"role": "emsp"},
        {"template": "no such template"},
        {"overrides": None},
        {"overrides": {}},
        {"overrides": {"locations": 100, "chargers_per_location": 50}},
        {"overrides": {"locations": None, "chargers_per_location": None, "moons": 2, "suns": None}},
        {"surprise": {"deep": [1]}},
    ],
    ids=str,
)
def test_a_network_may_be_ordered_so(change: dict[str, Any]) -> None:
    assert not misfit("CpoCreateRequest", {**NETWORK, **change}, close=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl_seconds", 59),
        ("ttl_seconds", 604801),
        ("ttl_seconds", "3600"),
        ("seed", -1),
        ("seed", 2**31),
        ("seed", 1.5),
        ("country_code", "FRA"),
        ("country_code", "F1"),
        ("country_code", "FR\n"),
        ("country_code", None),
        ("party_id", "AB"),
        ("party_id", "ABCD"),
        ("party_id", "A-C"),
        ("party_id", "٤٢٣"),
        ("name_prefix", ""),
        ("name_prefix", "x" * 41),
        ("name_prefix", "a\nb"),
        ("name_prefix", "a\u0085b"),
        ("role", "CPO"),
        ("ocpi_version", "2.2.1"),
        ("ocpi_version", None),
        ("template", ""),
        ("template", "a\0b"),
        ("overrides.locations", 0),
        ("overrides.locations", 101),
        ("overrides.chargers_per_location", 0),
        ("overrides.chargers_per_location", 51),
        ("overrides.moons", "two"),
        ("overrides.moons", 2**31),
        ("overrides", [1]),
    ],
)
def test_a_network_may_not_be_ordered_so(field: str, value: Any) -> None:
    name, _, inner = field.partition(".")
    request = {**NETWORK, name: {inner: value} if inner else value}

    assert field.partition(":")[0] in misfit("CpoCreateRequest", request, close=False)


@pytest.mark.parametrize("field", ["template", "country_code", "party_id", "name_prefix"])
def test_a_network_needs(field: str) -> None:
    request = {name: value for name, value in NETWORK.items() if name != field}

    assert f"{field}: is required" == misfit("CpoCreateRequest", request)


@pytest.mark.parametrize(
    "item",
    [
        PLACE,
        {**PLACE, "timezone": "UTC", "postal_code": "1060", "owner_name": "x" * 100, "charges": []},
        {**PLACE, "coordinates": {"latitude": -90, "longitude": 180.0}},
        {**PLACE, "charges": [GROUP] * 20},
        {**PLACE, "charges": [{**GROUP, "charger_ids": [f"{n:03}" for n in range(50)]}]},
        {**PLACE, "charges": [{**GROUP, "template": {**TEMPLATE, "connector_type": "Schuko"}}]},
        {**PLACE, "charges": [{**GROUP, "template": {**TEMPLATE, "ocpp_version": "OCPP9"}}]},
        {"template": "urban-ac-hub"},
        {"template": "urban-ac-hub", "overrides": None},
        {"template": "urban-ac-hub", "overrides": {"city": "Lyon", "country": None, "coordinates": None}},
        {"template": "urban-ac-hub", "overrides": {"timezone": None, "parking_type": None, "moons": "two"}},
        {"template": "urban-ac-hub", "name": 5},
    ],
    ids=lambda item: str(item)[:60],
)  # fmt: skip
def test_a_location_may_be_ordered_so(item: dict[str, Any]) -> None:
    assert not misfit("LocationBulkCreateRequest", {"locations": [item]}, close=False)


@pytest.mark.parametrize(
    "item",
    [
        {},
        5,
        {name: value for name, value in PLACE.items() if name != "city"},
        {**PLACE, "template": 5},
        {**PLACE, "template": None},
        {**PLACE, "name": ""},
        {**PLACE, "name": "x" * 256},
        {**PLACE, "name": "a\tb"},
        {**PLACE, "address": "x" * 46},
        {**PLACE, "city": "x" * 46},
        {**PLACE, "postal_code": "x" * 11},
        {**PLACE, "owner_name": "x" * 101},
        {**PLACE, "country": "be"},
        {**PLACE, "country": "BEL"},
        {**PLACE, "country": "XX"},
        {**PLACE, "timezone": "Mars/Olympus"},
        {**PLACE, "timezone": None},
        {**PLACE, "public": "yes"},
        {**PLACE, "public": None},
        {**PLACE, "parking_type": "ON_THE_ROOF"},
        {**PLACE, "coordinates": {"latitude": 90.1, "longitude": 0}},
        {**PLACE, "coordinates": {"latitude": 0, "longitude": -180.1}},
        {**PLACE, "coordinates": {"latitude": "0", "longitude": 0}},
        {**PLACE, "coordinates": {"latitude": 0}},
        {**PLACE, "charges": [GROUP] * 21},
        {**PLACE, "charges": [{**GROUP, "charger_ids": []}]},
        {**PLACE, "charges": [{**GROUP, "charger_ids": ["x"] * 51}]},
        {**PLACE, "charges": [{**GROUP, "charger_ids": ["a/b"]}]},
        {**PLACE, "charges": [{**GROUP, "template": {**TEMPLATE, "ws_url": "https://csms.example.com"}}]},
        {**PLACE, "charges": [{**GROUP, "template": {**TEMPLATE, "identity_prefix": "ä"}}]},
        {**PLACE, "charges": [{"charger_ids": ["001"]}]},
        {"template": "urban-ac-hub", "overrides": {"country": "FRA"}},
        {"template": "urban-ac-hub", "overrides": {"city": ""}},
        {"template": "urban-ac-hub", "overrides": {"coordinates": {"latitude": 0}}},
    ],
    ids=lambda item: str(item)[-60:],
)
def test_a_location_may_not_be_ordered_so(item: Any) -> None:
    assert misfit("LocationBulkCreateRequest", {"locations": [item]}, close=False)


@pytest.mark.parametrize(("number", "is_right"), [(0, False), (1, True), (10_000, True), (10_001, False)])
def test_a_bulk_order_holds_1_to_10_000_locations(number: int, is_right: bool) -> None:  # noqa: FBT001  (a case)
    order = {"locations": [{"template": "urban-ac-hub"}] * number}

    assert is_right == (not misfit("LocationBulkCreateRequest", order))


@pytest.mark.parametrize("field", ["timezone", "owner_name", "parking_type", "postal_code"])
def test_null_clears_what_may_be_empty(field: str) -> None:
    assert not misfit("LocationUpdateRequest", {field: None})


@pytest.mark.parametrize("field", ["name", "address", "city", "country", "coordinates", "public"])
def test_null_clears_nothing_else(field: str) -> None:
    assert field in misfit("LocationUpdateRequest", {field: None})


def test_an_empty_change_fits() -> None:
    assert not misfit("LocationUpdateRequest", {})
