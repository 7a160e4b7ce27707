"""Numbers, coordinates, countries and enumerations. Conformance 41 to 49."""

import json
from typing import Any

import pytest
from examples import example
from nodes import Node, one_database, outcome
from surface import Push, get_from, put_in, shape

from openapi import field_types


@pytest.fixture
def push(node: Node) -> Push:
    """Stores objects as a peer."""
    return Push(node)


def changed(schema: str, path: str, value: Any) -> dict[str, Any]:
    """The example of *schema* with *value* at a dotted path."""
    return put_in(example(schema), path, value)


def raw_with(schema: str, path: str, text: str) -> bytes:
    """The example of *schema* as JSON text, with the literal *text* at a dotted path."""
    return json.dumps(changed(schema, path, "MARK")).replace('"MARK"', text).encode()


INVALID_LATITUDES = [
    50.770774, 50, "50", "50.", ".5", "50,770774", "5e1", "+50.770774", "500.770774", " 50.770774",
    "50.770774\n", "north", "", "\u0665\u0660.770774",
]  # fmt: skip


@one_database
@pytest.mark.ocpi(41)
@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("0.1", "0.1"), ("0.3", "0.3"), ("0.3000", "0.3"), ("12345678.1234", "12345678.1234"),
        ("99999999999.9999", "99999999999.9999"), ("0.0001", "0.0001"), ("0", "0"), ("7", "7"),
        ("1.005", "1.005"), ("2.675", "2.675"), ("4.35", "4.35"), ("0.07", "0.07"), ("1e2", "100"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("schema", "path"), [("Session", "kwh"), ("Tariff", "elements.0.price_components.0.price")]
)
def test_a_decimal_comes_back_exactly_and_as_a_number(
    push: Push, schema: str, path: str, sent: str, returned: str
) -> None:
    peer, url = push.peer(schema), push.path(schema, example(schema))
    response = peer.send("PUT", url, raw_with(schema, path, sent))
    text = peer.get(url).text
    exact = get_from(json.loads(text, parse_float=str, parse_int=str)["data"], path)

    assert (201, 1000) == outcome(response)
    assert returned == exact.removesuffix(".0")
    assert isinstance(get_from(json.loads(text)["data"], path), int | float)


@pytest.mark.ocpi(41)
def test_sums_of_decimals_have_no_rounding_errors(push: Push) -> None:
    dimensions = [{"type": "ENERGY", "volume": 0.1}, {"type": "TIME", "volume": 0.2}]
    periods = [{"start_date_time": "2026-11-20T09:00:00Z", "dimensions": dimensions}] * 3
    body = example("CDR", charging_periods=periods, total_energy=0.3, total_time=0.6)

    push("CDR", body)

    text = push.peer("CDR").get(push.path("CDR", body)).text
    assert "00000000" not in text
    assert "99999999" not in text
    assert '"total_energy":0.3,' in text


@one_database
@pytest.mark.ocpi(41, 43)
@pytest.mark.parametrize(
    "number",
    ["0.30000000000000004441", "123456789.12345678901", "0.1234567890123456789", "0." + "1" * 5000],
    ids=["20 digits", "20 digits, large", "19 digits", "5000 digits"],
)
def test_a_number_that_cannot_be_kept_exactly_is_refused(push: Push, number: str) -> None:
    peer = push.peer("Session")

    response = peer.send("PUT", "sessions/NL/TNM/101", raw_with("Session", "kwh", number))

    assert (400, 2001) == outcome(response)


@one_database
@pytest.mark.ocpi(42)
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Tariff", "elements.0.price_components.0.price"),
        ("CDR", "tariffs.0.elements.0.price_components.0.price"),
        ("CDR", "total_cost"),
        ("Session", "total_cost"),
    ],
)
@pytest.mark.parametrize(
    ("text", "number"), [("2.00", 2), ("0.25", 0.25), ("0", 0), ("12345678.1234", 12345678.1234)]
)
def test_a_price_in_a_string_is_read_and_sent_as_a_number(
    push: Push, schema: str, path: str, text: str, number: float
) -> None:
    body = changed(schema, path, text)

    assert (201, 1000) == outcome(push(schema, body))
    price = get_from(push.stored(schema, body), path)
    assert number == price
    assert not isinstance(price, str)


@one_database
@pytest.mark.ocpi(42)
@pytest.mark.parametrize(
    "text", ["", "2,00", " 2", "2 ", "-1", "1e3", "NaN", "0x10", "2.", "\u0662", "2.12345"]
)
def test_a_string_that_is_not_a_price_is_2001(push: Push, text: str) -> None:
    body = changed("Tariff", "elements.0.price_components.0.price", text)

    assert (400, 2001) == outcome(push("Tariff", body))


@one_database
@pytest.mark.ocpi(43)
@pytest.mark.parametrize(
    ("schema", "path"),
    [("Session", "kwh"), ("Location", "evses.0.connectors.0.voltage"), ("Tariff", "unknown")],
)
def test_numbers_outside_json_or_a_double_are_400(push: Push, schema: str, path: str) -> None:
    """Security S21."""
    peer, url = push.peer(schema), push.path(schema, example(schema))

    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "01", "+1", ".5", "1."):
        response = peer.send("PUT", url, raw_with(schema, path, number))

        assert (400, 2001) == outcome(response), number[:40]
        assert 404 == peer.get(url).status_code


INTEGERS = [
    ("Location", "evses.0.connectors.0.voltage"),
    ("Location", "evses.0.connectors.0.amperage"),
    ("Location", "images.0.width"),
    ("Location", "opening_times.regular_hours.0.weekday"),
    ("Tariff", "elements.0.price_components.0.step_size"),
]


@one_database
@pytest.mark.ocpi(44)
@pytest.mark.parametrize(("schema", "path"), INTEGERS)
def test_a_value_that_is_not_an_integer_is_2001(push: Push, schema: str, path: str) -> None:
    for value in (True, False, "220", 220.5, -1, [220], {}):
        assert (400, 2001) == outcome(push(schema, changed(schema, path, value))), value


@pytest.mark.ocpi(44)
@pytest.mark.parametrize(("schema", "path"), INTEGERS)
def test_an_integer_with_a_zero_fraction_is_read_as_an_integer(push: Push, schema: str, path: str) -> None:
    body = changed(schema, path, 5.0)

    assert (201, 1000) == outcome(push(schema, body))
    assert "5" == str(get_from(push.stored(schema, body), path))


@one_database
@pytest.mark.ocpi(44)
@pytest.mark.parametrize("value", [1, 0, "true", "True", None])
def test_a_boolean_is_true_or_false(push: Push, value: object) -> None:
    assert (400, 2001) == outcome(push("Token", changed("Token", "valid", value)))


@pytest.mark.ocpi(45)
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("50.770774", "50.770774"),
        ("50.77077", "50.770770"),
        ("50.7", "50.700000"),
        ("-3.7707741", "-3.770774"),
        ("-0.1", "-0.100000"),
        ("50.77077451", "50.770775"),
        ("50.12345678901234567", "50.123457"),
        ("9.9999999", "10.000000"),
    ],
)
def test_coordinates_are_kept_as_strings_with_six_decimals(push: Push, sent: str, kept: str) -> None:
    body = changed("Location", "coordinates", {"latitude": sent, "longitude": f"1{sent.removeprefix('-')}"})

    assert (201, 1000) == outcome(push("Location", body))
    coordinates = push.stored("Location", body)["coordinates"]
    assert kept == coordinates["latitude"]
    assert coordinates["longitude"].partition(".")[2].isdigit()
    assert 6 == len(coordinates["longitude"].partition(".")[2])
    decimals = len(sent.partition(".")[2])
    assert (decimals > 6) == (field_types.DECIMALS in push.tolerated("Location"))


@one_database
@pytest.mark.ocpi(45)
@pytest.mark.parametrize("place", ["coordinates", "evses.0.coordinates", "related_locations.0"])
def test_malformed_coordinates_are_2001(push: Push, place: str) -> None:
    for latitude in INVALID_LATITUDES:
        response = push("Location", changed("Location", f"{place}.latitude", latitude))

        assert (400, 2001) == outcome(response), latitude


@one_database
@pytest.mark.ocpi(46)
@pytest.mark.parametrize(
    ("sent", "kept"), [("BEL", "BEL"), ("BE", "BEL"), ("NL", "NLD"), ("DE", "DEU"), ("GB", "GBR")]
)
@pytest.mark.parametrize("schema", ["Session", "CDR"])
def test_an_alpha_2_country_inside_a_session_or_cdr_is_sent_as_alpha_3(
    push: Push, schema: str, sent: str, kept: str
) -> None:
    body = changed(schema, "location.country", sent)

    assert (201, 1000) == outcome(push(schema, body))
    assert kept == push.stored(schema, body)["location"]["country"]


@one_database
@pytest.mark.ocpi(46)
@pytest.mark.parametrize("country", ["B", "BELG", "bel", "XX", "B1", "", "N\u00c9D"])
def test_text_that_is_not_a_country_is_2001(push: Push, country: str) -> None:
    for schema, path in (
        ("Session", "location.country"),
        ("CDR", "location.country"),
        ("Location", "country"),
    ):
        response = push(schema, changed(schema, path, country))

        assert 2001 == outcome(response)[1], schema
        assert "country" in response.json()["status_message"]


HOURS = "opening_times.regular_hours.0"


@one_database
@pytest.mark.ocpi(47)
@pytest.mark.parametrize("weekday", [1, 7])
@pytest.mark.parametrize(("begin", "end"), [("00:00", "23:59"), ("08:00", "08:01")])
def test_valid_opening_hours_are_kept(push: Push, weekday: int, begin: str, end: str) -> None:
    hours = {"weekday": weekday, "period_begin": begin, "period_end": end}
    body = changed("Location", HOURS, hours)

    assert (201, 1000) == outcome(push("Location", body))
    assert hours == get_from(push.stored("Location", body), HOURS)


@one_database
@pytest.mark.ocpi(47)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weekday", 0), ("weekday", 8), ("weekday", "1"), ("period_end", "24:00"), ("period_end", "22:60"),
        ("period_end", "9:00"), ("period_end", "22:00:00"), ("period_end", "x22:00"),
        ("period_end", "22:00\n"),
        ("period_end", "2200"), ("period_begin", "-1:00"), ("period_begin", "\u0660\u0667:00"),
    ],
)  # fmt: skip
def test_malformed_opening_hours_are_refused_by_the_schema(push: Push, field: str, value: object) -> None:
    response = push("Location", changed("Location", f"{HOURS}.{field}", value))

    assert (400, 2001) == outcome(response)
    assert field in response.json()["status_message"]


@one_database
@pytest.mark.ocpi(47)
@pytest.mark.parametrize(("begin", "end"), [("22:00", "07:00"), ("07:00", "07:00")])
def test_opening_hours_that_end_before_they_begin_are_2001(push: Push, begin: str, end: str) -> None:
    hours = {"weekday": 1, "period_begin": begin, "period_end": end}

    assert (200, 2001) == outcome(push("Location", changed("Location", HOURS, hours)))


@one_database
@pytest.mark.ocpi(47)
@pytest.mark.parametrize("field", ["start_time", "end_time"])
@pytest.mark.parametrize("value", ["24:00", "7:00", "18:00:00", "18:00 ", "a18:00"])
def test_times_of_tariff_restrictions_have_exactly_one_form(push: Push, field: str, value: str) -> None:
    response = push("Tariff", changed("Tariff", f"elements.0.restrictions.{field}", value))

    assert (400, 2001) == outcome(response)


ENUMS = {
    "AuthMethod": [("Session", "auth_method"), ("CDR", "auth_method")],
    "Capability": [("Location", "evses.0.capabilities.0"), ("EVSE", "capabilities.0")],
    "CdrDimensionType": [("CDR", "charging_periods.0.dimensions.0.type")],
    "ConnectorFormat": [("Location", "evses.0.connectors.0.format")],
    "ConnectorType": [("Location", "evses.0.connectors.0.standard"), ("Connector", "standard")],
    "DayOfWeek": [("Tariff", "elements.0.restrictions.day_of_week.0")],
    "EnergySourceCategory": [("Location", "energy_mix.energy_sources.0.source")],
    "EnvironmentalImpactCategory": [("Location", "energy_mix.environ_impact.0.source")],
    "Facility": [("Location", "facilities.0")],
    "ImageCategory": [("Location", "images.0.category")],
    "LocationType": [("Location", "type")],
    "ParkingRestriction": [("Location", "evses.0.parking_restrictions.0")],
    "PowerType": [("Location", "evses.0.connectors.0.power_type")],
    "SessionStatus": [("Session", "status")],
    "Status": [("Location", "evses.0.status"), ("EVSE", "status")],
    "TariffDimensionType": [("Tariff", "elements.0.price_components.0.type")],
    "TokenType": [("Token", "type")],
    "WhitelistType": [("Token", "whitelist")],
}
OTHER_ENUMS = {"Allowed", "CommandResponseType", "CommandType", "ModuleID", "VersionNumber"}
"""Enumerations in our answers, in URLs, and in the answers of peers: other files test them."""
EXTENSIBLE = ("Capability", "CdrDimensionType", "ConnectorType", "Facility", "TariffDimensionType")


def values(enum: str) -> list[str]:
    """The values that the specification lists."""
    found: list[str] = shape(f"Known{enum}" if enum in EXTENSIBLE else enum)["enum"]
    return found


@pytest.mark.ocpi(48)
def test_all_23_enumerations_are_covered() -> None:
    assert 23 == len(ENUMS.keys() | OTHER_ENUMS)


@one_database
@pytest.mark.ocpi(48)
@pytest.mark.parametrize(
    ("enum", "schema", "path"), [(e, *place) for e, places in ENUMS.items() for place in places]
)
def test_every_value_of_an_enumeration_is_kept_and_its_lower_case_is_refused(
    push: Push, enum: str, schema: str, path: str
) -> None:
    for number, value in enumerate(values(enum)):
        key = "uid" if schema in ("Token", "EVSE") else "id"
        body = put_in(example(schema, **{key: str(number)}), path, value)
        wrong = put_in(example(schema), path, value.lower())

        assert (201, 1000) == outcome(push(schema, body)), value
        assert value == get_from(push.stored(schema, body), path)
        assert (400, 2001) == outcome(push(schema, wrong)), value.lower()
    assert field_types.UNLISTED not in push.tolerated(schema)


@one_database
@pytest.mark.ocpi(48)
@pytest.mark.parametrize("enum", sorted(ENUMS))
def test_an_unlisted_value_is_kept_and_counted_only_in_extensible_enumerations(push: Push, enum: str) -> None:
    schema, path = ENUMS[enum][0]
    body = changed(schema, path, "GBT_DC")

    response = push(schema, body)

    if enum in EXTENSIBLE:
        assert (201, 1000) == outcome(response)
        assert body == push.stored(schema, body)
        assert [body] == push.peer(schema).data(f"{schema.lower()}s")
        assert 1 == push.tolerated(schema)[field_types.UNLISTED]
    else:
        assert (400, 2001) == outcome(response)
        assert {} == push.tolerated(schema)


@one_database
@pytest.mark.ocpi(49)
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("EVSE", "connectors"),
        ("Location", "evses.0.connectors"),
        ("Session", "location.evses.0.connectors"),
        ("Session", "charging_periods.0.dimensions"),
        ("CDR", "charging_periods"),
        ("CDR", "charging_periods.0.dimensions"),
        ("CDR", "tariffs.0.elements"),
        ("Tariff", "elements"),
        ("Tariff", "elements.0.price_components"),
    ],
)
def test_a_list_with_a_minimum_of_one_must_not_be_empty(push: Push, schema: str, path: str) -> None:
    for value in ([], None, ..., {}):
        response = push(schema, changed(schema, path, value))

        assert (400, 2001) == outcome(response), value
        assert path.rsplit(".", maxsplit=1)[-1] in response.json()["status_message"]
