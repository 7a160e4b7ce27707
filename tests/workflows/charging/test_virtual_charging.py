"""Commands and drivers at virtual charge points, on the clock of their network. docs/charging.md."""

from typing import Any

import pytest
import sqlalchemy
from drivers import Driver, Site, shorten_deadlines
from nodes import Gateway, in_transaction, one_database, outcome, until_served
from peers import envelope
from receivers import until

from generated.ocpi_models import KnownCapability
from storage import database, locations, timestamps
from storage.locations import LocationPath
from storage.objects import Change


def started(site: Site, driver: Driver, **changes: Any) -> str:
    """The id of a session that has just started at the first EVSE."""
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid, **changes)
    return str(until(lambda: [s["id"] for s in site.office.data("sessions") if s["status"] == "ACTIVE"])[0])


@pytest.mark.ocpi(145, 188)
def test_a_command_becomes_a_session_and_the_session_a_cdr(site: Site, driver: Driver) -> None:
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    [put] = until(lambda: driver.pushed("sessions"))
    assert ("PUT", "ACTIVE", 0) == (put["method"], put["body"]["status"], put["body"]["kwh"])
    assert [{"result": "ACCEPTED"}] == until(driver.results)
    assert "CHARGING" == site.status()

    site.advance_by_job(600)
    patch = until(lambda: driver.pushed("sessions")[1:])[-1]
    assert "PATCH" == patch["method"]
    assert {"kwh", "charging_periods", "total_cost", "last_updated"} == patch["body"].keys()

    assert "ACCEPTED" == driver.send("STOP_SESSION", session_id=put["body"]["id"])
    [cdr] = until(lambda: driver.pushed("cdrs"))
    session = site.session(put["body"]["id"])
    assert "COMPLETED" == session["status"]
    assert cdr["body"]["total_cost"] == session["total_cost"]
    assert cdr["body"]["total_energy"] == session["kwh"]
    assert 2 == len(until(lambda: driver.results()[1:] and driver.results()))
    assert "AVAILABLE" == site.status()


@one_database
def test_a_car_that_is_full_parks_for_ten_minutes_and_leaves(site: Site, driver: Driver) -> None:
    session_id = started(site, driver)
    site.advance(24 * 3600)

    session = site.session(session_id)
    *_, charging, parking = session["charging_periods"]
    assert "COMPLETED" == session["status"]
    assert {"ENERGY", "TIME"} == {each["type"] for each in charging["dimensions"]}
    assert [{"type": "PARKING_TIME", "volume": 0.1667}] == parking["dimensions"]
    assert "AVAILABLE" == site.status()
    assert 1 == len(site.office.data("cdrs"))


@one_database
@pytest.mark.ocpi(193)
def test_without_an_evse_any_free_one_is_taken_until_there_is_none(site: Site, driver: Driver) -> None:
    for _ in site.location["evses"]:
        assert "ACCEPTED" == driver.send("START_SESSION")
    assert "ACCEPTED" == driver.send("START_SESSION")

    count = len(site.location["evses"])
    results = until(lambda: (found := driver.results())[count:] and found)
    assert [{"result": "ACCEPTED"}] * count + [{"result": "REJECTED"}] == sorted(
        results, key=lambda each: each["result"]
    )
    assert {"CHARGING"} == {site.status(evse["uid"]) for evse in site.location["evses"]}


@one_database
@pytest.mark.ocpi(189)
@pytest.mark.parametrize("plug_in_after", [None, 60], ids=["never", "too late"])
def test_a_car_that_does_not_come_ends_in_timeout(
    driver: Driver, site: Site, plug_in_after: int | None
) -> None:
    site.change(plug_in_after=plug_in_after)
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    in_transaction(shorten_deadlines)

    assert [{"result": "TIMEOUT"}] == until(driver.results)
    site.advance(120)
    assert [] == site.office.data("sessions")
    assert "AVAILABLE" == site.status()


@one_database
def test_a_car_comes_after_the_seconds_of_the_clock(site: Site, driver: Driver) -> None:
    site.change(plug_in_after=20)
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    assert [] == site.office.data("sessions")

    site.advance(20)
    [session] = site.office.data("sessions")
    assert "2026-06-02T08:00:20Z" == session["start_datetime"]
    assert [{"result": "ACCEPTED"}] == until(driver.results)


@pytest.mark.ocpi(192)
def test_a_reservation_holds_an_evse_for_its_token_until_it_expires(site: Site, driver: Driver) -> None:
    first, second = (evse["uid"] for evse in site.location["evses"][:2])
    later = {"expiry_date": "2099-01-01T00:00:00Z", "reservation_id": 42}
    assert "ACCEPTED" == driver.send("RESERVE_NOW", evse_uid=first, **later)
    assert [{"result": "ACCEPTED"}] == until(driver.results)
    assert "RESERVED" == site.status(first)
    until(lambda: "RESERVED" in str(driver.pushed("locations")))

    assert "ACCEPTED" == driver.send("RESERVE_NOW", evse_uid=second, **later)
    assert ("AVAILABLE", "RESERVED") == (site.status(first), site.status(second))

    with Driver(site, ("NL", "OTH"), uid="T2", auth_id="A2") as other:
        assert "ACCEPTED" == other.send("START_SESSION", evse_uid=second)
        assert [{"result": "REJECTED"}] == until(other.results)

    in_transaction(shorten_deadlines)
    until(lambda: site.status(second) == "AVAILABLE")


@one_database
@pytest.mark.ocpi(192)
def test_the_token_of_a_reservation_uses_it_up(site: Site, driver: Driver) -> None:
    later = {"expiry_date": "2099-01-01T00:00:00Z", "reservation_id": 42}
    assert "ACCEPTED" == driver.send("RESERVE_NOW", **later)
    session_id = started(site, driver)
    assert "CHARGING" == site.status()
    assert "ACCEPTED" == driver.send("STOP_SESSION", session_id=session_id)
    assert "AVAILABLE" == site.status()


@one_database
@pytest.mark.ocpi(192)
def test_an_expiry_date_in_the_past_is_rejected(site: Site, driver: Driver) -> None:
    past = {"expiry_date": "2020-01-01T00:00:00Z", "reservation_id": 1}
    assert "REJECTED" == driver.send("RESERVE_NOW", evse_uid=site.evse_uid, **past)


@one_database
def test_a_token_that_is_not_valid_is_rejected_at_once(site: Site, driver: Driver) -> None:
    driver.token = {**driver.token, "valid": False}
    assert "REJECTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)


@one_database
@pytest.mark.usefixtures("driver")
def test_a_peer_cannot_start_with_the_contract_of_another_peer(site: Site) -> None:
    with Driver(site, ("NL", "OTH"), uid="T2", auth_id="A2") as other:
        other.token = {**other.token, "auth_id": "A1"}
        assert "REJECTED" == other.send("START_SESSION", evse_uid=site.evse_uid)


@one_database
def test_a_token_that_was_never_pushed_starts_a_session_that_its_peer_sees(
    site: Site, driver: Driver
) -> None:
    driver.token = {**driver.token, "uid": "NEW", "auth_id": "NEW-CONTRACT"}
    session_id = started(site, driver)
    until(lambda: [each for each in driver.pushed("sessions") if each["body"]["id"] == session_id])


@one_database
def test_unlocking_ends_a_session_but_not_that_of_another_peer(site: Site, driver: Driver) -> None:
    session_id = started(site, driver)
    in_transaction(make_unlockable, site)
    place = {"evse_uid": site.evse_uid, "connector_id": "1"}
    with Driver(site, ("NL", "OTH"), uid="T2", auth_id="A2") as other:
        assert "ACCEPTED" == other.send("UNLOCK_CONNECTOR", **place)
        assert [{"result": "REJECTED"}] == until(other.results)
    assert "ACCEPTED" == driver.send("UNLOCK_CONNECTOR", **place)
    assert "COMPLETED" == site.session(session_id)["status"]


def make_unlockable(transaction: Any, site: Site) -> None:
    """Give the first EVSE of the site the capability to unlock its connector."""

    def unlockable(evse: Any) -> Any:
        capabilities = [*(evse.capabilities or ()), KnownCapability.UNLOCK_CAPABLE]
        return evse.model_copy(update={"capabilities": capabilities, "last_updated": timestamps.now()})

    network, path = site.network.network, LocationPath(site.location["id"], site.evse_uid)
    locations.update(transaction, network.id, network.party, path, Change(unlockable, is_stamped=True))


def test_a_driver_plugs_in_for_some_energy_and_unplugs(site: Site, driver: Driver) -> None:
    body = {"location_id": site.location["id"], "evse_uid": site.evse_uid, "token_uid": "T1"}
    response = site.gateway.post(f"{site.url}/sessions", {**body, "energy_kwh": 5, "minutes": 60})
    assert 201 == response.status_code, response.text
    session_id = response.json()["session_id"]
    again = site.gateway.post(f"{site.url}/sessions", body)
    assert (409, f"evse_uid: {site.evse_uid} is CHARGING.") == (again.status_code, again.json()["detail"])

    site.advance(3599)
    assert ("ACTIVE", 5) == (site.session(session_id)["status"], site.session(session_id)["kwh"])
    stopped = until_served(lambda: site.gateway.post(f"{site.url}/sessions/{session_id}/stop", None))
    assert 200 == stopped.status_code, stopped.text
    assert "COMPLETED" == stopped.json()["status"]
    assert 409 == site.gateway.post(f"{site.url}/sessions/{session_id}/stop", None).status_code
    assert "WHITELIST" == until(lambda: driver.pushed("cdrs"))[0]["body"]["auth_method"]


@one_database
@pytest.mark.ocpi(179)
@pytest.mark.parametrize(
    ("whitelist", "answer", "status", "is_asked"),
    [
        ("ALWAYS", "BLOCKED", 201, False),
        ("ALLOWED", "BLOCKED", 201, False),
        ("ALLOWED_OFFLINE", "BLOCKED", 409, True),
        ("ALLOWED_OFFLINE", "ALLOWED", 201, True),
        ("ALLOWED_OFFLINE", None, 201, True),
        ("NEVER", "ALLOWED", 201, True),
        ("NEVER", "NO_CREDIT", 409, True),
        ("NEVER", None, 409, True),
        ("unknown", "ALLOWED", 201, True),
        ("unknown", "EXPIRED", 409, True),
    ],
)
def test_the_whitelist_decides_who_is_asked(
    gateway: Gateway, whitelist: str, answer: str | None, status: int, *, is_asked: bool
) -> None:
    site = Site(gateway)
    with Driver(site, whitelist="NEVER" if whitelist == "unknown" else whitelist) as driver:
        data = None if answer is None else {"allowed": answer}
        path = "UNKNOWN" if whitelist == "unknown" else "T1"
        reply = (500, {}) if answer is None else (200, envelope(data))
        driver.reply = lambda request: reply if "authorize" in request["path"] else (200, envelope())
        body = {"location_id": site.location["id"], "evse_uid": site.evse_uid, "token_uid": path}
        response = site.gateway.post(f"{site.url}/sessions", body)

        assert status == response.status_code, response.text
        assert is_asked == bool(driver.pushed("tokens"))
        if status == 201:
            assert until(lambda: driver.pushed("sessions"))


@one_database
@pytest.mark.parametrize(
    ("scenario", "result", "status", "cdrs"),
    [
        ("start_rejected", "REJECTED", None, 0),
        ("start_timeout", "TIMEOUT", None, 0),
        ("no_car", "TIMEOUT", None, 0),
        ("session_invalid", "ACCEPTED", "INVALID", 0),
        ("evse_out_of_order", "ACCEPTED", "COMPLETED", 1),
        ("cdr_late", "ACCEPTED", "COMPLETED", 1),
        ("cdr_twice", "ACCEPTED", "COMPLETED", 2),
        ("cdr_wrong_total", "ACCEPTED", "COMPLETED", 1),
        ("no_cdr", "ACCEPTED", "COMPLETED", 0),
    ],
)
def test_a_scenario_makes_the_next_session_go_wrong(
    site: Site, driver: Driver, scenario: str, result: str, status: str | None, cdrs: int
) -> None:
    site.scenario(scenario)
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    if result == "TIMEOUT":
        in_transaction(shorten_deadlines)
    assert [{"result": result}] == until(driver.results)
    site.scenario(None)
    site.advance(300)
    for session in site.office.data("sessions"):
        if session["status"] == "ACTIVE":
            assert "ACCEPTED" == driver.send("STOP_SESSION", session_id=session["id"])
    site.advance(1200)

    assert [status] * (status is not None) == [each["status"] for each in site.office.data("sessions")]
    stored = site.office.data("cdrs")
    assert cdrs == len(stored) == len({each["id"] for each in stored})
    if scenario == "cdr_wrong_total":
        [session] = site.office.data("sessions")
        assert round(session["total_cost"] + 1, 4) == stored[0]["total_cost"]
    assert "AVAILABLE" == site.status()


@one_database
def test_an_evse_is_out_of_order_for_ten_minutes(site: Site, driver: Driver) -> None:
    site.scenario("evse_out_of_order")
    started(site, driver)
    site.advance(61)
    assert "OUTOFORDER" == site.status()
    site.advance(600)
    assert "AVAILABLE" == site.status()


@one_database
@pytest.mark.usefixtures("driver")
def test_a_live_network_has_sessions_of_its_own(site: Site) -> None:
    site.change(sessions_per_hour=20)
    site.advance(1800)
    sessions = site.office.data("sessions")
    assert sessions
    assert {"A1"} == {each["auth_id"] for each in sessions}

    site.change(sessions_per_hour=0)
    site.advance(12 * 3600)
    assert {"COMPLETED"} == {each["status"] for each in site.office.data("sessions", limit=100)}
    assert {"AVAILABLE"} == {site.status(evse["uid"]) for evse in site.location["evses"]}
    assert 0 == site.change()["running_sessions"]


@one_database
def test_a_car_leaves_when_its_evse_or_its_session_is_ended_by_others(site: Site, driver: Driver) -> None:
    session_id = started(site, driver)
    changed = {"status": "COMPLETED", "last_updated": "2030-01-01T00:00:00Z"}
    assert (200, 1000) == outcome(site.office.patch(site.at("sessions", session_id), changed))
    site.change(plug_in_after=30)
    second = site.location["evses"][1]["uid"]
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=second)
    assert 204 == site.gateway.delete(f"{site.url}/locations/{site.location['id']}").status_code
    site.advance(60)
    in_transaction(shorten_deadlines)

    until(lambda: {"result": "TIMEOUT"} in driver.results())
    assert [] == site.office.data("cdrs")
    assert 0 == site.change()["running_sessions"]


@one_database
def test_the_clock_is_not_set_while_a_session_runs(site: Site, driver: Driver) -> None:
    started(site, driver)
    response = site.gateway.request(
        "PUT", f"{site.url}/simulation", json={"virtual_now": "2026-01-01T00:00:00Z"}
    )
    assert 409 == response.status_code
    assert "2026-06-02T08:00:00Z" == site.change(speed=2)["virtual_now"]


@one_database
def test_the_clock_shows_the_years_2000_to_2099(site: Site) -> None:
    for instant in ("1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        response = site.gateway.request("PUT", f"{site.url}/simulation", json={"virtual_now": instant})
        assert 409 == response.status_code
        assert "virtual_now" in response.json()["detail"]


@one_database
def test_a_clock_runs_on_at_its_speed(site: Site, driver: Driver) -> None:
    body = {"location_id": site.location["id"], "evse_uid": site.evse_uid, "token_uid": "T1", "minutes": 30}
    session_id = site.gateway.post(f"{site.url}/sessions", body).json()["session_id"]
    site.change(paused=False, speed=3600)
    until(lambda: site.session(session_id)["status"] == "COMPLETED")
    assert 1 == len(until(lambda: driver.pushed("cdrs")))


@one_database
def test_an_emsp_network_has_no_charge_points(gateway: Gateway) -> None:
    accepted = gateway.ready(role="emsp", template="emsp-drivers")
    response = gateway.get(f"/ocpi/cpos/{accepted['cpo_id']}/simulation")
    assert (404, "An eMSP network has no charge points.") == (response.status_code, response.json()["detail"])


@one_database
@pytest.mark.ocpi(190)
def test_a_result_is_posted_again_until_the_peer_takes_it(site: Site, driver: Driver) -> None:
    replies = iter([(500, {}), (404, {})])
    driver.reply = lambda request: (
        next(replies, (200, {})) if request["path"].startswith("/results") else (200, envelope())
    )
    started(site, driver)

    until(lambda: has_ended(site, "delivered_at"))
    results = driver.results()
    assert len(results) >= 3  # a busy machine may repeat one more often
    assert [{"result": "ACCEPTED"}] * len(results) == results


@one_database
@pytest.mark.ocpi(190)
def test_a_result_that_nobody_takes_is_given_up_after_the_deadline(site: Site, driver: Driver) -> None:
    driver.reply = lambda request: (500, {}) if request["path"].startswith("/results") else (200, envelope())
    started(site, driver)
    until(driver.results)
    in_transaction(lambda transaction: transaction.execute(sqlalchemy.text(LONG_AGO)))

    until(lambda: has_ended(site, "gave_up_at"))
    count = len(driver.results())
    site.advance(60)
    assert count == len(driver.results())


LONG_AGO = "UPDATE ocpi_commands SET result_at = 1"


def has_ended(site: Site, column: str) -> bool:
    """Whether the delivery of a result has ended at the site, as *column* says."""
    query = sqlalchemy.text(f"SELECT 1 FROM ocpi_commands WHERE network_id = :id AND {column} IS NOT NULL")  # noqa: S608
    with database.connect() as connection:
        return connection.execute(query, {"id": site.network.id}).first() is not None
