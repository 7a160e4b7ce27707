"""The creation requests that the gateway's schemas accept and refuse. docs/gateway.md "Networks"."""

from typing import Any

import pytest
from gateway_orders import example, validation_error

NETWORK = example("CpoCreateRequest")
LOCATION = example("OcpiCreateLocationRequest")
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
def test_a_valid_network_request_fits_its_schema(change: dict[str, Any]) -> None:
    assert not validation_error("CpoCreateRequest", {**NETWORK, **change}, close=False)


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
def test_an_invalid_network_request_does_not_fit_its_schema(field: str, value: Any) -> None:
    name, _, inner = field.partition(".")
    request = {**NETWORK, name: {inner: value} if inner else value}

    assert field.partition(":")[0] in validation_error("CpoCreateRequest", request, close=False)


@pytest.mark.parametrize("field", ["template", "country_code", "party_id", "name_prefix"])
def test_a_network_request_without_a_required_member_does_not_fit_its_schema(field: str) -> None:
    request = {name: value for name, value in NETWORK.items() if name != field}

    assert f"{field}: is required" == validation_error("CpoCreateRequest", request)


@pytest.mark.parametrize(
    "item",
    [
        LOCATION,
        {**LOCATION, "timezone": "UTC", "postal_code": "1060", "owner_name": "x" * 100, "charges": []},
        {**LOCATION, "coordinates": {"latitude": -90, "longitude": 180.0}},
        {**LOCATION, "charges": [GROUP] * 20},
        {**LOCATION, "charges": [{**GROUP, "charger_ids": [f"{n:03}" for n in range(50)]}]},
        {**LOCATION, "charges": [{**GROUP, "template": {**TEMPLATE, "connector_type": "Schuko"}}]},
        {**LOCATION, "charges": [{**GROUP, "template": {**TEMPLATE, "ocpp_version": "OCPP9"}}]},
        {"template": "urban-ac-hub"},
        {"template": "urban-ac-hub", "overrides": None},
        {"template": "urban-ac-hub", "overrides": {"city": "Lyon", "country": None, "coordinates": None}},
        {"template": "urban-ac-hub", "overrides": {"timezone": None, "parking_type": None, "moons": "two"}},
        {"template": "urban-ac-hub", "name": 5},
    ],
    ids=lambda item: str(item)[:60],
)  # fmt: skip
def test_a_valid_location_request_fits_its_schema(item: dict[str, Any]) -> None:
    assert not validation_error("LocationBulkCreateRequest", {"locations": [item]}, close=False)


@pytest.mark.parametrize(
    "item",
    [
        {},
        5,
        {name: value for name, value in LOCATION.items() if name != "city"},
        {**LOCATION, "template": 5},
        {**LOCATION, "template": None},
        {**LOCATION, "name": ""},
        {**LOCATION, "name": "x" * 256},
        {**LOCATION, "name": "a\tb"},
        {**LOCATION, "address": "x" * 46},
        {**LOCATION, "city": "x" * 46},
        {**LOCATION, "postal_code": "x" * 11},
        {**LOCATION, "owner_name": "x" * 101},
        {**LOCATION, "country": "be"},
        {**LOCATION, "country": "BEL"},
        {**LOCATION, "country": "XX"},
        {**LOCATION, "timezone": "Mars/Olympus"},
        {**LOCATION, "timezone": None},
        {**LOCATION, "public": "yes"},
        {**LOCATION, "public": None},
        {**LOCATION, "parking_type": "ON_THE_ROOF"},
        {**LOCATION, "coordinates": {"latitude": 90.1, "longitude": 0}},
        {**LOCATION, "coordinates": {"latitude": 0, "longitude": -180.1}},
        {**LOCATION, "coordinates": {"latitude": "0", "longitude": 0}},
        {**LOCATION, "coordinates": {"latitude": 0}},
        {**LOCATION, "charges": [GROUP] * 21},
        {**LOCATION, "charges": [{**GROUP, "charger_ids": []}]},
        {**LOCATION, "charges": [{**GROUP, "charger_ids": ["x"] * 51}]},
        {**LOCATION, "charges": [{**GROUP, "charger_ids": ["a/b"]}]},
        {**LOCATION, "charges": [{**GROUP, "template": {**TEMPLATE, "ws_url": "https://csms.example.com"}}]},
        {**LOCATION, "charges": [{**GROUP, "template": {**TEMPLATE, "identity_prefix": "ä"}}]},
        {**LOCATION, "charges": [{"charger_ids": ["001"]}]},
        {"template": "urban-ac-hub", "overrides": {"country": "FRA"}},
        {"template": "urban-ac-hub", "overrides": {"city": ""}},
        {"template": "urban-ac-hub", "overrides": {"coordinates": {"latitude": 0}}},
    ],
    ids=lambda item: str(item)[-60:],
)
def test_an_invalid_location_request_does_not_fit_its_schema(item: Any) -> None:
    assert validation_error("LocationBulkCreateRequest", {"locations": [item]}, close=False)


@pytest.mark.parametrize(("number", "is_valid"), [(0, False), (1, True), (10_000, True), (10_001, False)])
def test_a_bulk_request_holds_1_to_10_000_locations(number: int, is_valid: bool) -> None:  # noqa: FBT001  (a case)
    order = {"locations": [{"template": "urban-ac-hub"}] * number}

    assert is_valid == (not validation_error("LocationBulkCreateRequest", order))


@pytest.mark.parametrize("field", ["timezone", "owner_name", "parking_type", "postal_code"])
def test_null_clears_an_optional_member(field: str) -> None:
    assert not validation_error("LocationUpdateRequest", {field: None})


@pytest.mark.parametrize("field", ["name", "address", "city", "country", "coordinates", "public"])
def test_null_is_refused_for_any_other_member(field: str) -> None:
    assert field in validation_error("LocationUpdateRequest", {field: None})


def test_an_empty_change_fits_its_schema() -> None:
    assert not validation_error("LocationUpdateRequest", {})
