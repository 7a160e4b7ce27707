"""The models turn every lax form of a document into its strict form."""

import copy
import functools
import json
from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

import contracts
import jsonschema_rs
import oracle
import pytest
from examples import example
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from surface import get_from, put_in

import errors
from generated import ocpi_models
from handlers.dispatch import validation
from openapi import field_types
from storage import timestamps

CONTRACT = contracts.ocpi()
SCHEMAS: dict[str, Any] = CONTRACT.document["components"]["schemas"]
REF = "#/components/schemas/"
OBJECTS = sorted(
    name
    for name, schema in SCHEMAS.items()
    if schema.get("type") == "object" and {f"{name}In", f"{name}InOrNull"} & SCHEMAS.keys()
)
repeatably = settings(deadline=None, derandomize=True, max_examples=200)

decimals = st.text("0123456789", min_size=1, max_size=17) | st.text("09", min_size=1, max_size=17)


def coordinates(digits: int) -> st.SearchStrategy[str]:
    """Coordinates that a request may carry, with up to *digits* digits before the point."""
    integers = st.text("0123456789", min_size=1, max_size=digits) | st.text("09", min_size=1, max_size=digits)
    return st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), integers, decimals)


@functools.cache
def request_form(name: str) -> jsonschema_rs.Draft4Validator:
    """The validator of the request schema whose strict schema is *name*."""
    form = f"{name}In" if f"{name}In" in SCHEMAS else f"{name}InOrNull"
    return CONTRACT.validator({"$ref": REF + form})


def read(name: str, value: Any) -> tuple[Any, list[str]]:
    """The value that the model *name* reads from *value*, and the kinds of deviations.

    Raises:
        errors.Refusal: the model does not accept it.
    """
    kinds: list[str] = []
    adapter = TypeAdapter(getattr(ocpi_models, name))
    model, problems = validation.read_body(
        json.dumps(value).encode(), adapter, lambda kind, _example: kinds.append(kind)
    )
    if problems:
        raise validation.refusal(problems)
    return json.loads(model.json_text()), kinds


def normal(name: str, value: Any) -> Any:
    """The strict form of *value*, which a request may carry."""
    assert request_form(name).is_valid(value)
    return read(name, value)[0]


# Whole documents


@pytest.mark.parametrize("name", OBJECTS)
def test_a_strict_document_is_unchanged(name: str) -> None:
    strict = example(name)
    before = copy.deepcopy(strict)

    assert (strict, []) == read(name, strict)
    assert before == strict


def objects(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """*value* and every object in it, each with its schema."""
    if len(schema.get("allOf", ())) == 1:
        schema = schema["allOf"][0]
    schema = SCHEMAS[schema["$ref"].removeprefix(REF)] if "$ref" in schema else schema
    if schema.get("type") == "object":
        yield schema, value
        for key, member in value.items():
            yield from objects(schema["properties"][key], member)
    elif schema.get("type") == "array":
        for item in value:
            yield from objects(schema["items"], item)


@pytest.mark.ocpi(29, 30)
@pytest.mark.parametrize("name", OBJECTS)
def test_nulls_are_dropped_at_every_depth(name: str) -> None:
    document = example(name)
    for schema, value in list(objects(SCHEMAS[name], document)):
        for key in schema["properties"].keys() - set(schema.get("required", ())) - value.keys():
            value[key] = None

    assert example(name) == normal(name, document)


@pytest.mark.ocpi(29)
@pytest.mark.parametrize("name", OBJECTS)
def test_empty_lists_are_kept(name: str) -> None:
    required = SCHEMAS[name].get("required", ())
    lists = {key for key, value in SCHEMAS[name]["properties"].items() if value.get("type") == "array"}
    document = example(name, **{key: [] for key in lists - set(required)})

    assert document == normal(name, document)


# Lax forms, each with its strict form


@pytest.mark.parametrize(
    ("schema", "place", "sent", "expected"),
    [
        ("Token", "last_updated", "2026-11-20T12:00:00", "2026-11-20T12:00:00Z"),
        (
            "Location",
            "evses.0.connectors.0.last_updated",
            "2026-11-20T14:00:00.50+02:00",
            "2026-11-20T12:00:00.500Z",
        ),
        ("CDR", "tariffs.0.elements.0.price_components.0.price", "2.50", 2.5),
        ("CDR", "total_cost", "4", 4.0),
        ("CDR", "location.country", "BE", "BEL"),
        ("Session", "location.country", "NL", "NLD"),
        ("Location", "country", "BEL", "BEL"),
        ("Location", "evses.0.connectors.0.voltage", 220.0, 220),
        ("Tariff", "elements.0.price_components.0.step_size", 300.0, 300),
        ("ReserveNow", "reservation_id", 7.0, 7),
        ("Credentials", "country_code", "nl", "NL"),
        ("Credentials", "party_id", "tNm", "TNM"),
        ("Location", "coordinates.latitude", "51.0", "51.000000"),
        ("Location", "coordinates.longitude", "-0.12345", "-0.123450"),
    ],
)
@pytest.mark.ocpi(32, 33, 42, 44, 45, 46)
def test_a_lax_form_becomes_strict(schema: str, place: str, sent: Any, expected: Any) -> None:
    strict = get_from(normal(schema, put_in(example(schema), place, sent)), place)

    assert (type(expected), expected) == (type(strict), strict)


def draw_lax(data: st.DataObject, name: str) -> dict[str, Any]:
    """The example of *name*, with lax forms of its times and of some other members."""
    document = example(name)
    ending = data.draw(st.sampled_from(["", "Z", ".1", "+05:30", "-00:30", ".123456Z"]))
    for schema, value in list(objects(SCHEMAS[name], document)):
        for key, member in list(value.items()):
            kind = schema["properties"][key].get("x-normalise")
            if kind == "datetime":
                value[key] = member[:19] + ending
            elif kind and data.draw(st.booleans()):
                value[key] = data.draw(
                    {
                        "coordinate": st.sampled_from(["51.0", "-0.12345678", "9.123456"]),
                        "country": st.sampled_from(["BE", "NL", "DEU"]),
                        "integer": st.integers(1, 7).map(float),
                        "number": st.sampled_from(["0.30", "2", "12345678.1234", 1]),
                        "upper": st.just(str(member).lower()),
                    }[kind]
                )
    return document


@pytest.mark.parametrize("name", OBJECTS)
@settings(repeatably, max_examples=25)
@given(st.data())
def test_any_lax_document_becomes_strict_and_stays_unchanged(name: str, data: st.DataObject) -> None:
    strict = normal(name, draw_lax(data, name))

    assert CONTRACT.strict(name).is_valid(strict)
    assert strict == read(name, strict)[0]


@pytest.mark.ocpi(48)
def test_an_unlisted_value_is_a_deviation_and_a_stored_one_is_readable() -> None:
    location = {**example("Location"), "facilities": ["MOON_BASE"]}

    assert [field_types.UNLISTED] == read("Location", location)[1]
    assert "MOON_BASE" in ocpi_models.Location.model_validate_json(json.dumps(location)).json_text()


# Coordinates


def rounded(text: str, digits: int) -> Decimal:
    """Half-even at six decimals, or down if the result had more than *digits* digits before the point."""
    exact = Decimal(text)
    result = exact.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    return result if abs(result) < 10**digits else exact.quantize(Decimal("0.000001"), ROUND_DOWN)


@pytest.mark.ocpi(45)
@settings(repeatably, max_examples=1000)
@given(coordinates(2), coordinates(3))
def test_a_coordinate_has_six_decimals_half_even(latitude: str, longitude: str) -> None:
    strict = normal("GeoLocation", {"latitude": latitude, "longitude": longitude})

    assert rounded(latitude, 2) == Decimal(strict["latitude"])
    assert rounded(longitude, 3) == Decimal(strict["longitude"])
    assert latitude.startswith("-") == strict["latitude"].startswith("-")
    assert strict == normal("GeoLocation", strict)


@pytest.mark.ocpi(45)
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("51.0475985", "51.047598"),
        ("51.0475995", "51.047600"),
        ("51.04759850000000001", "51.047599"),
        ("-51.0475985", "-51.047598"),
        ("0.0000005", "0.000000"),
        ("-0.0000001", "-0.000000"),
        ("-0.0", "-0.000000"),
        ("99.9999999", "99.999999"),
        ("-99.9999999", "-99.999999"),
        ("9.9999999", "10.000000"),
        ("05.12345", "05.123450"),
        ("05.1234567", "05.123457"),
        ("09.9999999", "10.000000"),
        ("5.12345678901234567", "5.123457"),
    ],
)
def test_a_coordinate_is_padded_or_rounded(sent: str, expected: str) -> None:
    assert expected == normal("GeoLocation", {"latitude": sent, "longitude": "3.729944"})["latitude"]


@pytest.mark.ocpi(45)
@pytest.mark.parametrize(
    ("sent", "expected"),
    [("99.9999999", "100.000000"), ("-179.9999999", "-180.000000"), ("005.1234", "005.123400")],
)
def test_a_longitude_may_have_three_digits_before_the_point(sent: str, expected: str) -> None:
    assert expected == normal("GeoLocation", {"latitude": "51.047599", "longitude": sent})["longitude"]


# Deviations


@pytest.mark.parametrize(
    ("schema", "place", "sent", "kind"),
    [
        ("Token", "last_updated", "2026-11-20T14:00:00+02:00", field_types.OFFSET),
        ("Location", "coordinates.latitude", "51.0475991", field_types.DECIMALS),
        ("Location", "evses.0.connectors.0.standard", "GBT_DC", field_types.UNLISTED),
        ("Location", "evses.0.capabilities.0", "TOKEN_GROUP_CAPABLE", field_types.UNLISTED),
        ("Location", "facilities.0", "BIKE_SHARING", field_types.UNLISTED),
        ("Location", "country", "NL", field_types.ALPHA_2),
    ],
)
@pytest.mark.ocpi(33, 45, 48)
def test_a_tolerated_form_is_a_deviation(schema: str, place: str, sent: Any, kind: str) -> None:
    strict, kinds = read(schema, put_in(example(schema), place, sent))

    assert [kind] == kinds
    assert kind != field_types.UNLISTED or sent == get_from(strict, place)


# Rules that a schema cannot express


@pytest.mark.parametrize(
    ("schema", "place", "sent", "message"),
    [
        ("RegularHours", "period_end", "00:01", "later than period_begin"),
        ("ExceptionalPeriod", "period_end", "1999-01-01T00:00:00Z", "not be before period_begin"),
        ("StatusSchedule", "period_end", "1999-01-01T00:00:00Z", "not be before period_begin"),
        ("CDR", "stop_date_time", "1999-01-01T00:00:00Z", "not be before start_date_time"),
        ("Location", "country", "ZZ", "ZZ is not an ISO 3166-1 country"),
        ("Token", "last_updated", "9999-12-31T23:59:59-23:59", "is outside the years 1000 to 9999 in UTC"),
    ],
)
@pytest.mark.ocpi(36, 46, 47)
def test_a_rule_refuses_what_the_schema_accepts(schema: str, place: str, sent: str, message: str) -> None:
    document = put_in(example(schema), place, sent)

    assert request_form(schema).is_valid(document)
    with pytest.raises(errors.RuleBroken, match=message):
        read(schema, document)


@pytest.mark.ocpi(47)
def test_regular_hours_have_a_length_and_a_cdr_need_not() -> None:
    hours, cdr = example("RegularHours"), example("CDR")

    assert read("CDR", {**cdr, "stop_date_time": cdr["start_date_time"]})
    with pytest.raises(errors.RuleBroken):
        read("RegularHours", {**hours, "period_end": hours["period_begin"]})


@pytest.mark.ocpi(47)
def test_only_regular_hours_need_a_length() -> None:
    """2.1.1 has that rule for regular hours alone; a production SDK sends equal instants in other periods."""
    equal = {"period_begin": "2026-01-01T00:00:00Z", "period_end": "2026-01-01T00:00:00Z"}

    assert equal == normal("ExceptionalPeriod", equal)
    assert {**equal, "status": "CHARGING"} == normal("StatusSchedule", {**equal, "status": "CHARGING"})


def test_periods_are_compared_as_instants_not_as_text() -> None:
    period = {"period_begin": "2026-01-01T00:00:00Z", "period_end": "2026-01-01T00:00:00.001Z"}

    assert period == normal("ExceptionalPeriod", period)
    assert timestamps.parse(period["period_begin"]) < timestamps.parse(period["period_end"])


@pytest.mark.parametrize(("place", "key"), [("evses", "uid"), ("evses.0.connectors", "id")])
def test_an_id_that_occurs_twice_in_a_list_is_refused(place: str, key: str) -> None:
    location = example("Location")
    first, *_ = get_from(location, place)

    with pytest.raises(errors.RuleBroken, match=f"{key} {first[key]} occurs twice"):
        read("Location", put_in(location, place, [first, first]))


@pytest.mark.ocpi(131)
def test_hours_need_regular_hours_or_twentyfourseven() -> None:
    regular = [example("RegularHours")]

    assert {"regular_hours": regular} == normal("Hours", {"regular_hours": regular})
    assert {"twentyfourseven": True} == normal("Hours", {"twentyfourseven": True, "regular_hours": None})
    for neither in ({}, {"twentyfourseven": None}, {"exceptional_closings": []}):
        with pytest.raises(errors.RuleBroken, match="regular_hours and twentyfourseven"):
            normal("Hours", neither)


# Partial documents


@pytest.mark.ocpi(112)
def test_a_patch_keeps_null_in_its_own_fields_and_drops_it_in_nested_objects() -> None:
    patch = {
        "name": None,
        "nick": 1,
        "operator": {"name": "N", "logo": None},
        "evses": [{"uid": "1", "floor_level": None, "nick": 1}],
        "last_updated": "2026-11-20T14:00:00+02:00",
    }
    expected = {
        "name": None,
        "nick": 1,
        "operator": {"name": "N"},
        "evses": [{"uid": "1", "floor_level": None, "nick": 1}],
        "last_updated": "2026-11-20T12:00:00Z",
    }
    model = ocpi_models.LocationPatch.model_validate_json(json.dumps(patch))

    assert expected == oracle.changes(model)


# Refusals


@pytest.mark.ocpi(23)
@pytest.mark.parametrize(
    ("place", "sent", "message"),
    [
        ("evses.0.status", "OPEN", "evses.0.status: "),
        ("evses.0.connectors.0.voltage", True, "evses.0.connectors.0.voltage: "),
        ("name", "x" * 256, "name: "),
        ("country", 5, "country: "),
    ],
)
def test_a_refusal_names_the_field_and_stays_short(place: str, sent: Any, message: str) -> None:
    with pytest.raises(errors.SchemaViolation) as refused:
        read("Location", put_in(example("Location"), place, sent))

    assert refused.value.message.startswith(message)
    assert len(refused.value.message) < 250


@pytest.mark.ocpi(23)
def test_a_refusal_names_a_missing_field_with_its_path() -> None:
    location = example("Location")
    del location["evses"][0]["connectors"][0]["format"]

    with pytest.raises(errors.SchemaViolation, match=r"^evses\.0\.connectors\.0\.format: Field required$"):
        read("Location", location)
