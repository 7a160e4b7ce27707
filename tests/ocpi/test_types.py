"""Times, numbers, strings, coordinates and enumerations. Conformance 32 to 52."""

import json
from typing import Any

import pytest
from examples import example
from nodes import Node, one_database, outcome
from surface import Push, get_from, put_in

from openapi import field_types


@pytest.fixture
def push(node: Node) -> Push:
    """Stores objects as a peer."""
    return Push(node)


def changed(schema: str, path: str, value: Any) -> dict[str, Any]:
    """The example of *schema* with *value* at a dotted path."""
    return put_in(example(schema), path, value)


# Times


@pytest.mark.ocpi(32)
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Location", "last_updated"),
        ("Location", "evses.0.status_schedule.0.period_end"),
        ("Location", "opening_times.exceptional_openings.0.period_end"),
        ("Session", "end_datetime"),
        ("CDR", "charging_periods.0.start_date_time"),
        ("Tariff", "last_updated"),
        ("Token", "last_updated"),
    ],
)
def test_a_time_without_zone_is_utc(push: Push, schema: str, path: str) -> None:
    body = changed(schema, path, "2027-06-29T20:39:09")

    assert (201, 1000) == outcome(push(schema, body))
    assert "2027-06-29T20:39:09Z" == get_from(push.stored(schema, body), path)


@pytest.mark.ocpi(32)
def test_times_with_and_without_zone_compare_equal(push: Push) -> None:
    for name, stamp in (("a", "2015-06-29T20:39:09Z"), ("b", "2015-06-29T20:39:09")):
        assert (201, 1000) == outcome(push("Tariff", example("Tariff", id=name, last_updated=stamp)))
    peer = push.peer("Tariff")

    for form in ("2015-06-29T20:39:09Z", "2015-06-29T20:39:09", "2015-06-29T22:39:09+02:00"):
        assert 2 == len(peer.data("tariffs", date_from=form))
        assert 0 == len(peer.data("tariffs", date_to=form))
    assert 0 == len(peer.data("tariffs", date_from="2015-06-29T20:39:10"))


@pytest.mark.ocpi(33, 34)
@pytest.mark.parametrize(
    ("sent", "utc"),
    [
        ("2026-03-29T02:30:00+02:00", "2026-03-29T00:30:00Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
        ("2026-12-31T22:15:00-05:30", "2027-01-01T03:45:00Z"),
        ("2026-06-01T12:00:00+00:00", "2026-06-01T12:00:00Z"),
        ("2026-06-01T12:00:00-00:00", "2026-06-01T12:00:00Z"),
        ("2026-06-01T12:00:00.5+02:00", "2026-06-01T10:00:00.500Z"),
    ],
)
def test_an_offset_is_converted_to_utc_and_counted(push: Push, sent: str, utc: str) -> None:
    body = example("Token", last_updated=sent)

    assert (201, 1000) == outcome(push("Token", body))
    assert utc == push.stored("Token", body)["last_updated"]
    assert 1 == push.tolerated("Token")[field_types.OFFSET]


@one_database
@pytest.mark.ocpi(34)
@pytest.mark.parametrize("zone", ["+00:00", "%2B00:00", "%2b02:00", "+02:00", "", "Z", ".000Z"])
def test_a_literal_plus_in_a_query_is_read_as_an_offset(push: Push, zone: str) -> None:
    push("Tariff", example("Tariff", last_updated="2026-06-01T12:00:00Z"))
    hour = "14" if "02" in zone else "12"
    peer = push.peer("Tariff")

    found = peer.get(f"tariffs?date_from=2026-06-01T{hour}:00:00{zone}")
    later = peer.get(f"tariffs?date_from=2026-06-01T{hour}:00:01{zone}")

    assert 1 == len(found.json()["data"])
    assert [] == later.json()["data"]


@pytest.mark.ocpi(35)
@pytest.mark.parametrize(
    ("suffix", "milliseconds"),
    [
        (".1Z", 100),
        (".123Z", 123),
        (".123456789Z", 123),
        (".123456", 123),
        (".12+00:00", 120),
        (".000Z", 0),
        (".0009Z", 0),
    ],
)
def test_fractions_keep_milliseconds_and_come_back_with_at_most_three_digits(
    push: Push, suffix: str, milliseconds: int
) -> None:
    body = example("Token", last_updated=f"2015-06-29T20:39:09{suffix}")

    assert (201, 1000) == outcome(push("Token", body))
    seconds, _, fraction = push.stored("Token", body)["last_updated"].removesuffix("Z").partition(".")
    assert "2015-06-29T20:39:09" == seconds
    assert len(fraction) <= 3
    assert milliseconds == int((fraction or "0").ljust(3, "0"))


@one_database
@pytest.mark.ocpi(36)
@pytest.mark.parametrize(
    "junk",
    [
        "2015-06-29", "2015-W27-1", "2015-W27-1T10:00:00Z", "20150629T203909Z", "2015-06-29T24:00:00Z",
        "2015-06-29T20:60:00Z", "2015-06-29T20:39:60Z", "2015-06-29t20:39:09Z", "2015-06-29T20:39:09z",
        "0000-06-29T20:39:09Z", "2015-06-29 20:39:09Z", "2015-06-29T20:39Z", "2015-06-31T20:39:09Z",
        "2015-02-29T20:39:09Z", "2015-13-01T20:39:09Z", "2015-06-29T20:39:09Z\n", " 2015-06-29T20:39:09Z",
        "2015-06-29T20:39:09.Z", "2015-06-29T20:39:09,5Z", "2015-06-29T20:39:09+0200",
        "2015-06-29T20:39:09+25:00", "\uff12\uff10\uff11\uff15-06-29T20:39:09Z", "1435610349", "", "now",
    ],
)  # fmt: skip
def test_a_time_that_is_malformed_or_does_not_exist_is_2001(push: Push, junk: str) -> None:
    response = push("Tariff", example("Tariff", last_updated=junk))

    assert 2001 == outcome(response)[1]
    assert response.status_code in (200, 400)
    assert 404 == push.peer("Tariff").get(push.path("Tariff", example("Tariff"))).status_code


# Strings

LENGTHS = [
    ("Location", "id", 39), ("Location", "name", 255), ("Location", "address", 45), ("Location", "city", 45),
    ("Location", "postal_code", 10), ("Location", "time_zone", 255), ("Location", "operator.name", 100),
    ("Location", "evses.0.uid", 39), ("Location", "evses.0.evse_id", 48),
    ("Location", "evses.0.floor_level", 4), ("Location", "evses.0.physical_reference", 16),
    ("Location", "evses.0.connectors.0.id", 36), ("Location", "evses.0.connectors.0.tariff_id", 36),
    ("Location", "directions.0.text", 512), ("Location", "images.0.type", 4),
    ("Location", "energy_mix.supplier_name", 64), ("Location", "energy_mix.energy_product_name", 64),
    ("EVSE", "uid", 39), ("Connector", "id", 36),
    ("Session", "id", 36), ("Session", "auth_id", 36), ("Session", "meter_id", 255),
    ("CDR", "id", 36), ("CDR", "auth_id", 36), ("CDR", "remark", 255), ("CDR", "meter_id", 255),
    ("Tariff", "id", 36), ("Tariff", "tariff_alt_text.0.text", 512),
    ("Token", "uid", 36), ("Token", "auth_id", 36), ("Token", "issuer", 64), ("Token", "visual_number", 64),
]  # fmt: skip


@one_database
@pytest.mark.ocpi(37)
@pytest.mark.parametrize(("schema", "path", "maximum"), LENGTHS)
def test_a_string_has_at_most_its_maximum_length(push: Push, schema: str, path: str, maximum: int) -> None:
    full, long = (changed(schema, path, "x" * length) for length in (maximum, maximum + 1))

    assert (400, 2001) == outcome(push(schema, long))
    assert (201, 1000) == outcome(push(schema, full))
    assert "x" * maximum == get_from(push.stored(schema, full), path)


@one_database
@pytest.mark.ocpi(37)
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Location", "operator.website"),
        ("Location", "images.0.url"),
        ("Location", "evses.0.connectors.0.terms_and_conditions"),
        ("Tariff", "tariff_alt_url"),
    ],
)
def test_a_url_has_at_most_255_characters(push: Push, schema: str, path: str) -> None:
    full, long = ("https://example.com/".ljust(length, "x") for length in (255, 256))

    assert (400, 2001) == outcome(push(schema, changed(schema, path, long)))
    assert (201, 1000) == outcome(push(schema, changed(schema, path, full)))


@one_database
@pytest.mark.ocpi(37)
@pytest.mark.parametrize(
    ("name", "field", "maximum"),
    [
        ("RESERVE_NOW", "location_id", 39),
        ("RESERVE_NOW", "evse_uid", 39),
        ("STOP_SESSION", "session_id", 36),
        ("UNLOCK_CONNECTOR", "connector_id", 36),
        ("UNLOCK_CONNECTOR", "evse_uid", 39),
    ],
)
def test_ids_in_commands_have_the_maximum_length_of_the_objects_ids(
    push: Push, name: str, field: str, maximum: int
) -> None:
    peer = push.peer("Token")
    command = example("".join(word.title() for word in name.split("_")))
    command["response_url"] = "http://127.0.0.1:9999/result"

    full = peer.post(f"commands/{name}", {**command, field: "x" * maximum})
    long = peer.post(f"commands/{name}", {**command, field: "x" * (maximum + 1)})

    assert 200 == full.status_code
    assert (400, 2001) == outcome(long)


@one_database
@pytest.mark.ocpi(37)
@pytest.mark.parametrize("currency", ["EU", "EURO", "eur", "E1R", ""])
def test_a_currency_has_three_capital_letters(push: Push, currency: str) -> None:
    for schema in ("Session", "CDR", "Tariff"):
        assert (400, 2001) == outcome(push(schema, example(schema, currency=currency))), schema


MULTILINGUAL = "Stra\u00dfe \u0141\u00f3d\u017a \u041a\u0438\u0457\u0432 \u6771\u4eac \u26a1"


@pytest.mark.ocpi(38)
@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Location", "name"),
        ("Location", "address"),
        ("Location", "city"),
        ("Location", "operator.name"),
        ("Location", "directions.0.text"),
        ("Location", "evses.0.directions.0.text"),
        ("Tariff", "tariff_alt_text.0.text"),
        ("Token", "issuer"),
        ("CDR", "remark"),
    ],
)
def test_text_for_people_may_have_letters_of_any_language(push: Push, schema: str, path: str) -> None:
    body = changed(schema, path, MULTILINGUAL)

    assert (201, 1000) == outcome(push(schema, body))
    assert MULTILINGUAL == get_from(push.stored(schema, body), path)


IDS = [
    ("Location", "id"), ("Location", "evses.0.uid"), ("Location", "evses.0.connectors.0.id"),
    ("Session", "id"), ("Session", "auth_id"), ("CDR", "id"), ("Tariff", "id"), ("Token", "uid"),
    ("Token", "auth_id"),
]  # fmt: skip

NOT_PRINTABLE = [
    "\u00e9", "\u6771", "a\x00b", "a\nb", "a\tb", "\x1b[0m", "a\x7f", "\u202eb", "\u200b", "\xa0", "",
]  # fmt: skip


@one_database
@pytest.mark.ocpi(38, 51)
@pytest.mark.parametrize(("schema", "path"), IDS)
def test_ids_are_printable_ascii(push: Push, schema: str, path: str) -> None:
    peer, url = push.peer(schema), push.path(schema, example(schema))

    for odd in NOT_PRINTABLE:
        body = changed(schema, path, odd)
        response = peer.post("cdrs", body) if schema == "CDR" else peer.put(url, body)

        assert (400, 2001) == outcome(response), odd


@one_database
@pytest.mark.ocpi(51)
@pytest.mark.parametrize("odd", ["a\x00b", "\x01", "\x08", "\x0b", "\x1f", "\x7f", "\x80", "\x9f"])
@pytest.mark.parametrize(("schema", "path"), [("Location", "name"), ("Token", "issuer"), ("CDR", "remark")])
def test_control_characters_are_refused_in_text(push: Push, schema: str, path: str, odd: str) -> None:
    assert (400, 2001) == outcome(push(schema, changed(schema, path, odd)))


@one_database
@pytest.mark.ocpi(51)
@pytest.mark.parametrize("escaped", [b"\\ud800", b"\\udfff", b"\\udc00\\ud800", b"a\\ud83dz"])
@pytest.mark.parametrize("field", [b"issuer", b"uid", b"unknown"])
def test_a_lone_surrogate_is_refused_everywhere(push: Push, field: bytes, escaped: bytes) -> None:
    raw = json.dumps(example("Token", **{field.decode(): "MARK"})).encode().replace(b"MARK", escaped)
    peer = push.peer("Token")

    assert (400, 2001) == outcome(peer.send("PUT", "tokens/NL/TNM/012345678", raw))


@pytest.mark.ocpi(51)
def test_text_may_have_line_breaks_and_tabs(push: Push) -> None:
    body = changed("Location", "directions.0.text", "first\nthen\tright")

    assert (201, 1000) == outcome(push("Location", body))
    assert "first\nthen\tright" == push.stored("Location", body)["directions"][0]["text"]


@pytest.mark.ocpi(39)
def test_cdr_ids_ignore_case_and_come_back_as_sent(push: Push) -> None:
    peer = push.peer("CDR")

    first = push("CDR", example("CDR", id="abC"))
    again = push("CDR", example("CDR", id="ABC"))
    other = push("CDR", example("CDR", id="aBc", total_cost=1))

    assert (201, 1000) == outcome(first)
    assert 201 != again.status_code
    assert (200, 2001) == outcome(other)
    assert ["abC"] == [cdr["id"] for cdr in peer.data("cdrs")]
    assert "abC" == peer.data("cdrs/NL/TNM/ABc")["id"]


@pytest.mark.ocpi(40)
@pytest.mark.parametrize("schema", ["Location", "Session", "Tariff", "Token"])
def test_other_ids_are_case_sensitive(push: Push, schema: str) -> None:
    key = "uid" if schema == "Token" else "id"
    lower, upper = (example(schema, **{key: name}) for name in ("loc1", "LOC1"))

    assert (201, 1000) == outcome(push(schema, lower))
    assert 404 == push.peer(schema).get(push.path(schema, upper)).status_code
    assert (201, 1000) == outcome(push(schema, upper))
    assert "loc1" == push.stored(schema, lower)[key]
    assert 2 == len(push.peer(schema).data(f"{schema.lower()}s"))


@pytest.mark.ocpi(52)
@pytest.mark.parametrize("schema", ["Location", "Session", "CDR", "Tariff", "Token", "EVSE", "Connector"])
def test_ids_may_have_any_printable_character_except_the_slash(push: Push, schema: str) -> None:
    key = "uid" if schema in ("Token", "EVSE") else "id"

    for name in ("a?b", "a#b", "a%b", "a%2Fb", "a&b=c", "a+b", "a b", " a ", "~!@$^*();:'\",<>[]{}|\\`"):
        body = example(schema, **{key: name})

        response = push(schema, body)

        assert (201, 1000) == outcome(response), name
        assert name == push.stored(schema, body)[key]
        if schema == "CDR":
            assert name == push.peer(schema).data(response.headers["Location"])["id"]


@one_database
@pytest.mark.ocpi(52)
@pytest.mark.parametrize(("schema", "path"), IDS)
def test_ids_with_a_slash_are_refused_in_bodies(push: Push, schema: str, path: str) -> None:
    peer, body = push.peer(schema), changed(schema, path, "a/b")
    push(schema, example(schema))

    response = (
        peer.post("cdrs", body) if schema == "CDR" else peer.put(push.path(schema, example(schema)), body)
    )

    assert (400, 2001) == outcome(response)


@one_database
@pytest.mark.ocpi(50)
@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "file:///etc/passwd", "/relative", "example.com", "ftp://example.com", "http://",
     "",
     "//example.com", "data:text/html,x", "https://exa mple.com", "https://ex\u00e4mple.com", " https://a.com"],
)  # fmt: skip
def test_a_url_is_absolute_http_or_https(push: Push, url: str) -> None:
    for schema, path in (("Tariff", "tariff_alt_url"), ("Location", "operator.website")):
        assert (400, 2001) == outcome(push(schema, changed(schema, path, url)))
    token = push.peer("Token")
    assert (400, 2001) == outcome(
        token.post("commands/STOP_SESSION", example("StopSession", response_url=url))
    )
