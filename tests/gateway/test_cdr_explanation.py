"""The explanation and the check of a CDR over HTTP. The prices themselves: tests/workflows/charging."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Gateway, Network, in_transaction, outcome, refusal

from storage import networks

TNM, OTH = ("NL", "TNM"), ("NL", "OTH")
PERIODS = [
    {"start_date_time": "2026-11-20T10:00:00Z", "dimensions": [{"type": "TIME", "volume": 0.35}]},
    {"start_date_time": "2026-11-20T10:21:00Z", "dimensions": [{"type": "PARKING_TIME", "volume": 0.2667}]},
]
EVENING = {
    "price_components": [{"type": "TIME", "price": 3, "step_size": 600}],
    "restrictions": {"start_time": "18:00"},
}
DAY = {
    "price_components": [
        {"type": "TIME", "price": 1, "step_size": 600},
        {"type": "PARKING_TIME", "price": 2, "step_size": 600},
    ]
}


@pytest.fixture
def emsp(gateway: Gateway) -> Network:
    row = in_transaction(networks.create, gateway.organization_id, "EMSP", ("NL", "DEP"), "Drivers")
    return Network(gateway.node, row)


def push(client: Client, cdr_id: str, total_cost: float, **changes: Any) -> None:
    """A CPO sends a CDR of 21 minutes of charging and 16 of parking, both in steps of 10 minutes."""
    body = {
        "id": cdr_id,
        "start_date_time": "2026-11-20T10:00:00Z",
        "stop_date_time": "2026-11-20T10:37:00Z",
        "charging_periods": PERIODS,
        "tariffs": [example("Tariff", elements=[EVENING, DAY])],
        "total_cost": total_cost,
        "total_energy": 0,
        "total_time": 0.6167,
        "total_parking_time": 0.2667,
    }
    assert (201, 1000) == outcome(client.post("cdrs", example("CDR", **(body | changes))))


def test_the_list_shows_the_check_and_the_explanation_its_reasons(gateway: Gateway, emsp: Network) -> None:
    url = f"/ocpi/cpos/{emsp.id}/cdrs"
    peer = emsp.peer(TNM)
    push(peer, "RIGHT", 1.0167)
    push(peer, "ROUNDED", 1.1667)
    push(peer, "WRONG", 9)

    checks = [entry["check"] for entry in gateway.data(url)["data"]]
    assert ["AGREES", "WARNING", "DIFFERS"] == [check["verdict"] for check in checks]
    assert {
        "verdict": "AGREES",
        "claimed": 1.0167,
        "computed": 1.0167,
        "difference": 0,
        "rules": [],
    } == checks[0]
    assert (9, 1.0167, 7.9833) == tuple(checks[2][name] for name in ("claimed", "computed", "difference"))
    assert ["cdrs.total-cost"] == [rule["name"] for rule in checks[2]["rules"]]
    assert "(variant `dimension`)" in checks[1]["rules"][0]["text"]

    explanation = gateway.data(f"{url}/RIGHT/explanation")
    charging, parking = explanation["periods"]
    assert checks[0] == explanation["check"] == gateway.data(f"{url}/RIGHT")["check"]
    assert (1.0167, "Europe/Amsterdam") == (explanation["total"], explanation["time_zone"])
    assert [0.35, 0.6666666667] == [line["amount"] for line in explanation["lines"]]
    [component] = charging["components"]
    assert (1, 1260, 1260) == tuple(component[name] for name in ("element", "measured", "billed"))
    assert [
        "The element has no restrictions.",
        f"Element 0 of tariff {component['tariff_id']} does not match start_time 18:00: it is 11:00:00.",
    ] == component["reasons"]
    assert [960, 1200] == [parking["components"][0][name] for name in ("measured", "billed")]


def test_the_session_of_a_cdr_is_found_by_its_start(gateway: Gateway, emsp: Network) -> None:
    peer = emsp.peer(TNM)
    cdr = example("CDR")
    session = example(
        "Session",
        start_datetime="2026-11-20T10:00:00.000Z",
        auth_id=cdr["auth_id"],
        location=cdr["location"],
        currency="EUR",
        status="COMPLETED",
        total_cost=7,
    )
    assert (201, 1000) == outcome(peer.put(peer.at("sessions", session["id"]), session))
    push(peer, "A1", 1.0167)

    check = gateway.data(f"/ocpi/cpos/{emsp.id}/cdrs/A1")["check"]

    assert ["sessions.total-cost"] == [rule["name"] for rule in check["rules"]]
    changed = {"start_datetime": "2026-11-20T10:00:01Z", "last_updated": "2026-11-28T12:00:00Z"}
    assert 1000 == outcome(peer.patch(peer.at("sessions", session["id"]), changed))[1]
    assert [] == gateway.data(f"/ocpi/cpos/{emsp.id}/cdrs/A1")["check"]["rules"]


def test_a_peer_sees_neither_check_nor_explanation(emsp: Network) -> None:
    peer = emsp.peer(TNM)
    push(peer, "A1", 9)

    [cdr] = peer.data("cdrs")

    assert "check" not in cdr


def test_a_cdr_without_tariffs_uses_what_is_stored(gateway: Gateway, emsp: Network) -> None:
    url = f"/ocpi/cpos/{emsp.id}/cdrs/A1/explanation"
    peer = emsp.peer(TNM)
    location = example("CDR")["location"] | {"time_zone": None}
    stored = example("Location", id=location["id"], time_zone="Asia/Tokyo")
    assert (201, 1000) == outcome(peer.put(peer.at("locations", location["id"]), stored))
    push(peer, "A1", 1.0167, tariffs=None, location={k: v for k, v in location.items() if v is not None})

    assert "NOT_JUDGED" == gateway.data(url)["check"]["verdict"]
    tariff_id = location["evses"][0]["connectors"][0]["tariff_id"]
    tariff = example("Tariff", id=tariff_id, elements=[EVENING, DAY])
    assert (201, 1000) == outcome(peer.put(peer.at("tariffs", tariff_id), tariff))

    explanation = gateway.data(url)
    assert ["cdrs.tariff-guessed", "cdrs.total-cost"] == [
        each["name"] for each in explanation["check"]["rules"]
    ]
    assert ("Asia/Tokyo", [0, 1]) == (
        explanation["time_zone"],
        [period["components"][0]["element"] for period in explanation["periods"]],
    )


def test_the_owner_of_an_explained_cdr_is_named_if_there_are_several(gateway: Gateway, emsp: Network) -> None:
    url = f"/ocpi/cpos/{emsp.id}/cdrs/A1/explanation"
    push(emsp.peer(TNM), "A1", 1.0167)
    push(emsp.peer(OTH), "A1", 7)

    assert (
        409,
        "NL/OTH, NL/TNM all have cdrs with the id A1; name one with country_code and party_id.",
    ) == refusal(gateway.get(url))
    verdicts = [
        gateway.data(url, country_code="NL", party_id=party)["check"]["verdict"] for party in ("TNM", "OTH")
    ]
    assert ["AGREES", "DIFFERS"] == verdicts
    assert 404 == refusal(gateway.get(url, country_code="NL", party_id="DEP"))[0]
