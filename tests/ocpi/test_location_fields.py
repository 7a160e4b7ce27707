"""The fields of a location: optional fields, empty fields, and removed EVSEs."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Network, outcome

STORED = "2026-06-01T00:00:00Z"


def put(peer: Client, location: dict[str, Any]) -> str:
    """Push *location* and return its URL."""
    url = peer.at("locations", location["id"])
    assert (201, 1000) == outcome(peer.put(url, location))
    return url


def with_evse(**changes: Any) -> dict[str, Any]:
    """LOC1 with one EVSE that has *changes*."""
    return example("Location", evses=[example("EVSE", **changes)])


@pytest.mark.ocpi(126)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_evse_with_status_removed_stays_readable(emsp: Network, method: str) -> None:
    peer = emsp.peer()
    url = put(peer, with_evse())
    removed = example("EVSE", status="REMOVED")
    body = removed if method == "PUT" else {"status": "REMOVED", "last_updated": removed["last_updated"]}

    assert (200, 1000) == outcome(peer.request(method, f"{url}/3256", json=body))
    assert removed == peer.data(f"{url}/3256")
    assert [removed] == peer.data("locations")[0]["evses"]


@pytest.mark.ocpi(126)
@pytest.mark.parametrize("path", ["", "/3256", "/3256/1"])
def test_http_delete_is_405_and_deletes_nothing(emsp: Network, path: str) -> None:
    peer = emsp.peer()
    url = put(peer, with_evse())
    response = peer.delete(url + path)

    assert (405, 2000) == outcome(response)
    assert {"GET", "PUT", "PATCH"} == set(response.headers["Allow"].split(", "))
    assert with_evse() == peer.data(url)


@pytest.mark.ocpi(127)
@pytest.mark.parametrize(
    "evses", [None, [], [example("EVSE", status="REMOVED")]], ids=["absent", "none", "removed"]
)
def test_a_location_without_an_active_evse_stays_readable(
    cpo: Network, emsp: Network, evses: list[dict[str, Any]] | None
) -> None:
    location = example("Location", evses=evses)
    cpo.operator().put("locations/NL/DEM/LOC1", location)
    url = put(emsp.peer(), location)

    assert location == cpo.peer().data("locations/LOC1")
    assert [location] == cpo.peer().data("locations")
    assert location == emsp.peer().data(url)


@pytest.mark.ocpi(127)
@pytest.mark.parametrize(
    "evses", [None, [], [example("EVSE", status="REMOVED")]], ids=["absent", "none", "removed"]
)
def test_a_command_at_a_location_without_an_active_evse_is_not_accepted(
    cpo: Network, evses: list[dict[str, Any]] | None
) -> None:
    cpo.operator().put("locations/NL/DEM/LOC1", example("Location", evses=evses))
    start = example("StartSession", response_url="http://127.0.0.1:9999/r", evse_uid=None)
    response = cpo.peer().post("commands/START_SESSION", start)

    assert (200, 1000) == outcome(response)
    assert response.json()["data"]["result"] in {"REJECTED", "NOT_SUPPORTED"}


@pytest.mark.ocpi(128)
def test_a_removed_evse_may_drop_its_evse_id_for_another_evse(emsp: Network) -> None:
    peer = emsp.peer()
    url = put(peer, with_evse())
    successor = example("EVSE", uid="new")

    assert (200, 1000) == outcome(peer.patch(f"{url}/3256", {"status": "REMOVED", "evse_id": None}))
    assert (201, 1000) == outcome(peer.put(f"{url}/new", successor))
    assert "evse_id" not in peer.data(f"{url}/3256")
    assert successor["evse_id"] == peer.data(f"{url}/new")["evse_id"]


@pytest.mark.ocpi(128)
def test_a_removed_evse_may_keep_an_evse_id_that_another_evse_uses(emsp: Network) -> None:
    peer = emsp.peer()
    url = put(peer, with_evse(status="REMOVED"))

    assert (201, 1000) == outcome(peer.put(f"{url}/new", example("EVSE", uid="new")))


@pytest.mark.ocpi(129)
@pytest.mark.parametrize(
    ("sent", "stored"),
    [({}, {}), ({"evses": None}, {}), ({"evses": []}, {"evses": []})],
    ids=["absent", "null", "empty"],
)
def test_a_location_needs_no_evses(emsp: Network, sent: dict[str, Any], stored: dict[str, Any]) -> None:
    peer = emsp.peer()
    bare = example("Location", evses=None)
    url = put(peer, {**bare, **sent})

    assert {**bare, **stored} == peer.data(url)


@pytest.mark.ocpi(130)
@pytest.mark.parametrize("sent", [{}, {"charging_when_closed": None}], ids=["absent", "null"])
def test_an_absent_charging_when_closed_is_never_sent_as_false_or_null(
    emsp: Network, sent: dict[str, Any]
) -> None:
    peer = emsp.peer()
    url = put(peer, {**example("Location", charging_when_closed=None), **sent})

    assert peer.data(url).get("charging_when_closed", True) is True


@pytest.mark.ocpi(130)
@pytest.mark.parametrize("value", [True, False])
def test_charging_when_closed_is_kept(emsp: Network, value: Any) -> None:
    peer = emsp.peer()
    url = put(peer, example("Location", charging_when_closed=value))

    assert value is peer.data(url)["charging_when_closed"]


@pytest.mark.ocpi(131)
@pytest.mark.parametrize(
    "hours",
    [
        {"regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}]},
        {"twentyfourseven": True},
        {"twentyfourseven": True, "exceptional_closings": [example("ExceptionalPeriod")]},
        example("Hours"),
    ],
    ids=["regular_hours", "twentyfourseven", "with exceptions", "both"],
)
def test_hours_are_regular_or_twentyfourseven(emsp: Network, hours: dict[str, Any]) -> None:
    peer = emsp.peer()

    assert hours == peer.data(put(peer, example("Location", opening_times=hours)))["opening_times"]


@pytest.mark.ocpi(131)
@pytest.mark.parametrize("hours", [{}, {"exceptional_openings": [example("ExceptionalPeriod")]}])
def test_hours_that_are_neither_regular_nor_twentyfourseven_are_refused(
    emsp: Network, hours: dict[str, Any]
) -> None:
    peer = emsp.peer()
    response = peer.put(peer.at("locations", "LOC1"), example("Location", opening_times=hours))

    assert (200, 2001) == outcome(response)
    assert (404, 2000) == outcome(peer.get(peer.at("locations", "LOC1")))


@pytest.mark.ocpi(132)
def test_the_category_of_an_environmental_impact_has_the_name_source(emsp: Network) -> None:
    peer = emsp.peer()
    mix = {"is_green_energy": False, "environ_impact": [{"source": "NUCLEAR_WASTE", "amount": 0.5}]}
    misnamed = {"is_green_energy": False, "environ_impact": [{"category": "NUCLEAR_WASTE", "amount": 0.5}]}
    url = put(peer, example("Location", energy_mix=mix))
    response = peer.put(url, example("Location", energy_mix=misnamed))

    assert mix == peer.data(url)["energy_mix"]
    assert (400, 2001) == outcome(response)
    assert "source" in response.json()["status_message"]


@pytest.mark.ocpi(133)
def test_a_connector_needs_no_tariff(emsp: Network) -> None:
    peer = emsp.peer()
    connector = example("Connector", tariff_id=None)
    url = put(peer, with_evse(connectors=[connector]))

    assert connector == peer.data(f"{url}/3256/1")


@pytest.mark.ocpi(134)
@pytest.mark.parametrize(
    "schedule",
    [
        [],
        [{"period_begin": STORED, "status": "INOPERATIVE"}],
        [{"period_begin": STORED, "status": "RESERVED"}, example("StatusSchedule")],
    ],
    ids=["none", "open end", "two"],
)
def test_a_status_schedule_is_a_list_whose_last_end_may_be_open(
    emsp: Network, schedule: list[dict[str, Any]]
) -> None:
    peer = emsp.peer()
    url = put(peer, with_evse(status_schedule=schedule))

    assert schedule == peer.data(f"{url}/3256")["status_schedule"]


@pytest.mark.ocpi(134)
def test_a_status_schedule_that_is_not_a_list_is_refused(emsp: Network) -> None:
    peer = emsp.peer()
    body = with_evse(status_schedule=example("StatusSchedule"))

    assert (400, 2001) == outcome(peer.put(peer.at("locations", "LOC1"), body))
