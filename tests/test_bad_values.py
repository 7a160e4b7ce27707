"""Hand-written bad values for every kind of object and for lists: refused, nothing kept.

They are refused before storage sees them, so one database is enough.
"""

import copy
from typing import Any

import pytest
from examples import example
from inspection import rows
from nodes import Node, one_database, outcome
from surface import PARTY, PEER, Push, put_in

TEXTS = [7, 1.5, True, [], {}, ["x"], {"text": "x"}, "\x00", "a\x00b"]
LONG = "x" * 100_000
NUMBERS = ["1", "", True, [], {}, "NaN", [1], {"value": 1}]
INSTANTS = [
    "", "now", "0", 0, 1_700_000_000, True, [], {}, "2026", "2026-11", "2026-11-20", "11/20/2026",
    "2026-11-20 12:00", "20261120T120000Z", "2026-11-20T12:00Z", "2026-11-20T12Z", "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z", "2026-01-00T00:00:00Z", "2026-02-29T00:00:00Z", "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01T12:60:00Z",
    "2026-01-01T12:00:61Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-2026-01-01T00:00:00Z",
    "2026-11-20T12:00:00+25:00", "2026-11-20T12:00:00+0100x", "2026-11-20T12:00:00ZZ", "2026-W47-5T12:00:00Z",
    "2026-324T12:00:00Z", " 2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z\n", "2026-11-20T12:00:00.Z",
    "\uff12026-11-20T12:00:00Z", "2026-11-20T12:00:00Z\x00", "2026\u221211\u221220T12:00:00Z",
]  # fmt: skip
DEGREES = ["", "x", 52.37, 52, None, [], {}, "100.000000", "-100.000000", "1000.1", "1e1", "NaN", "+1.0",
           "1.0.0", "1,5", " 1.5", "1.5 ", "\uff152.1", ".5", "5.", "0x1.8", "1.5\n", "9" * 1000]  # fmt: skip
URLS = ["", 7, [], "x", "/x", "//x.example", "ftp://x.example/", "javascript:alert(1)", "http://",
        "http://x y", "http://x.example/\r\n", "http://x.example/" + "x" * 255, "data:x"]  # fmt: skip
IDS = ["", "x" * 40, "a/b", "/", "é", "\n", "a\x00", 7, True, [], {}, None, "\u202ex", "x" * 100_000]

VALUES: list[tuple[str, str, list[Any]]] = [
    ("Location", "last_updated", INSTANTS),
    ("Session", "start_datetime", INSTANTS),
    ("CDR", "stop_date_time", INSTANTS),
    ("Location", "opening_times.exceptional_openings.0.period_begin", INSTANTS),
    ("Location", "coordinates.latitude", DEGREES),
    ("Location", "related_locations.0.longitude", ["", "x", 4.89, "1000.000000", "-1000.000000", "1e2"]),
    ("Location", "type", ["", "on_street", "CASTLE", 7, None, [], ["ON_STREET"], "ON_STREET "]),
    ("Location", "country", ["", "N", "NLDX", "nld\n", "N1D", 7, None, [], "éèà"]),
    ("Location", "address", [*TEXTS, None, "x" * 46, LONG]),
    ("Location", "city", ["x" * 46, None, 7, [], {}]),
    ("Location", "postal_code", ["x" * 11, None, 7, ["1"], {}]),
    ("Location", "name", ["x" * 256, 7, [], {}, "\x00"]),
    ("Location", "time_zone", ["x" * 256, 7, [], {}]),
    ("Location", "charging_when_closed", ["true", "yes", 1, 0, "", [], {}]),
    ("Location", "evses", [{}, "x", 7, [7], ["x"], [[]], [{}], True]),
    ("Location", "evses.0.uid", IDS),
    ("Location", "evses.0.status", ["", "BROKEN", "available", 7, None, [], {}]),
    ("Location", "evses.0.connectors", [None, [], {}, "x", [7], [{}], [None]]),
    ("Location", "evses.0.connectors.0.voltage", [*NUMBERS, 230.5, None]),
    ("Location", "evses.0.connectors.0.format", ["", "PLUG", 7, None, [], "socket "]),
    ("Location", "evses.0.connectors.0.power_type", ["", "DC_3_PHASE", 7, None, []]),
    ("Location", "images.0.url", URLS),
    ("Location", "images.0.category", ["", "SELFIE", 7, None, []]),
    ("Location", "images.0.width", ["1", 1.5, True, 100_000, -1]),
    ("Location", "operator.website", URLS),
    ("Location", "directions.0.language", ["", "english", 7, None, [], "e\x00"]),
    ("Location", "directions.0.text", ["x" * 513, 7, None, [], "<b>x</b>" * 100]),
    ("Location", "opening_times.regular_hours.0.weekday", [0, 8, -1, "1", 1.5, True, None]),
    ("Location", "opening_times.regular_hours.0.period_begin", ["", "24:00", "7:00", "07:60", 700, None]),
    ("Location", "energy_mix.energy_sources.0.percentage", ["62", -0.1, True, None, [], 1e300]),
    ("Location", "energy_mix.is_green_energy", ["yes", 1, None, []]),
    ("EVSE", "uid", IDS),
    ("EVSE", "floor_level", ["x" * 5, 7, [], {}]),
    ("EVSE", "capabilities", ["RFID_READER", [7], [None], {}, [""], [[]]]),
    ("Connector", "standard", ["", 7, None, [], "iec\n", "x" * 100_000]),
    ("Connector", "amperage", [*NUMBERS, 1.5, None]),
    ("Connector", "terms_and_conditions", URLS),
    ("Session", "id", ["", "x" * 37, "a/b", "é", "\n", 7, True, [], {}, None]),
    ("Session", "kwh", [*NUMBERS, None, -1, -0.0001]),
    ("Session", "status", ["", "DONE", "active", 7, None, []]),
    ("Session", "auth_method", ["", "GUESS", 7, None, []]),
    ("Session", "auth_id", ["", "x" * 37, 7, None, [], {}]),
    ("Session", "currency", ["", "EU", "EURO", "€€€", 7, None]),
    ("Session", "location", [None, "LOC1", [], {}, 7]),
    ("Session", "charging_periods", [{}, "x", [7], [{}], [None]]),
    ("Session", "total_cost", ["x", True, [], {}]),
    ("CDR", "id", ["", "x" * 37, "a/b", "é", "\n", 7, True, [], {}, None]),
    ("CDR", "total_cost", [*NUMBERS[1:], None]),
    ("CDR", "total_energy", [*NUMBERS, None, -1]),
    ("CDR", "total_time", [*NUMBERS, None, -1]),
    ("CDR", "charging_periods", [None, [], {}, "x", [{}], [7]]),
    ("CDR", "charging_periods.0.dimensions", [None, [], {}, [7], [{}]]),
    ("CDR", "charging_periods.0.dimensions.0.type", ["", "watt", "energy ", 7, None]),
    ("CDR", "charging_periods.0.dimensions.0.volume", ["1", None, True, [], {}]),
    ("CDR", "tariffs.0.elements", [None, [], {}, [7]]),
    ("CDR", "remark", ["x" * 256, 7, [], {}]),
    ("Tariff", "id", ["", "x" * 37, "a/b", "é", "\n", 7, True, [], {}, None]),
    ("Tariff", "currency", ["", "EU", "EURO", 7, None]),
    ("Tariff", "elements", [None, [], {}, "x", [7], [{}]]),
    ("Tariff", "elements.0.price_components", [None, [], {}, [7], [{}]]),
    ("Tariff", "elements.0.price_components.0.price", ["x", None, True, [], {}]),
    ("Tariff", "elements.0.price_components.0.step_size", ["1", 1.5, None, True, -1]),
    ("Tariff", "elements.0.price_components.0.type", ["", "watt", 7, None]),
    ("Tariff", "elements.0.restrictions.start_time", ["24:00", "7:00", "18:60", 1800, [], "18:00Z"]),
    ("Tariff", "elements.0.restrictions.day_of_week", ["MONDAY", [1], ["monday "], [None], {}]),
    ("Tariff", "tariff_alt_url", URLS),
    ("Token", "uid", ["", "x" * 37, "a/b", "é", "\n", 7, True, [], {}, None]),
    ("Token", "type", ["", "FACE", 7, None, [], "RFID "]),
    ("Token", "auth_id", ["", "x" * 37, 7, None, [], {}]),
    ("Token", "valid", ["true", 1, 0, None, "", [], {}]),
    ("Token", "whitelist", ["", "SOMETIMES", 7, None, []]),
    ("Token", "issuer", ["x" * 65, 7, None, [], {}]),
    ("Token", "visual_number", ["x" * 65, 7, [], {}]),
    ("Token", "language", ["", "dutch", 7, [], {}]),
]  # fmt: skip
QUERIES = [
    "limit=", "limit=0", "limit=-1", "limit=1.0", "limit=1e2", "limit=%31x", "limit[]=1", "limit=+5",
    "offset=-1", "offset=", "offset=1.5", "offset=0x10", "offset=99999999999999999999", "cursor=", "cursor=x",
    "cursor=-1", "cursor=1.5", "cursor=%27%20OR%201=1--", "date_from=", "date_from=now",
    "date_from=2026-11-20", "date_from=2026-02-30T00:00:00Z", "date_from=%00", "date_from=1700000000",
    "date_to=", "date_to=2026-13-01T00:00:00Z", "date_to=2026-01-00T00:00:00Z", "date_to=%27",
    "date_from=2026-01-01T00:00:00Z&date_from=2026-01-02T00:00:00Z", "limit=1&limit=2", "offset=0&offset=0",
]  # fmt: skip
ACCEPTED = {"limit[]=1"}
"""A parameter of another name, which is not looked at."""

pytestmark = one_database


@pytest.fixture(scope="module")
def push(node: Node) -> Push:
    """One sender for all."""
    return Push(node)


def kept(push: Push) -> list[Any]:
    """Everything that is stored in the sender's networks."""
    ids = {network.id for network in push.networks.values()}
    tables = ("locations", "tokens", "sessions", "tariffs", "cdrs")
    return [row for table in tables for row in rows(f"ocpi_{table}") if row["network_id"] in ids]


@pytest.mark.parametrize(
    ("schema", "path", "values"), [pytest.param(*case, id=".".join(case[:2])) for case in VALUES]
)
def test_a_bad_value_is_refused_and_nothing_is_kept(
    push: Push, schema: str, path: str, values: list[Any]
) -> None:
    peer, where = push.peer(schema), push.path(schema, example(schema))
    if schema in ("EVSE", "Connector"):
        push(schema, example(schema))
    before = kept(push)

    for value in values:
        body = put_in(copy.deepcopy(example(schema)), path, value)

        response = peer.post("cdrs", body) if schema == "CDR" else peer.put(where, body)

        message = response.json().get("status_message", "")
        assert outcome(response) in {(400, 2001), (200, 2001)}, (value, message)
        assert len(message) < 600, value
        assert before == kept(push), value


@pytest.mark.parametrize("module", ["locations", "tokens"])
def test_a_bad_query_is_refused(node: Node, module: str) -> None:
    peer = node.network("CPO", PARTY).peer(PEER)

    for query in QUERIES:
        response = peer.get(f"{module}?{query}")

        assert ((200, 1000) if query in ACCEPTED else (400, 2001)) == outcome(response), (
            query,
            response.text,
        )
