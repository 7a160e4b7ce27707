"""The same seed, clock and calls give the same sessions and CDRs on both databases. docs/charging.md.

tests/data/charging.json has them without `last_updated`. If a change of the program changes them on purpose,
replace the file by what the failed test has left in its folder.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from crashable_node import ADMIN, CrashableNode, environment
from drivers import Driver, Site
from migrated import new_database
from nodes import Gateway, switch_to
from receivers import until

from generated.gateway_models import CdrVerdict
from generated.ocpi_models import CDR
from workflows.charging import cdr_check

RECORDED = Path(__file__).parents[2] / "data" / "charging.json"


def without_stamps(value: Any) -> Any:
    """The value without `last_updated` at any level."""
    if isinstance(value, dict):
        return {name: without_stamps(item) for name, item in value.items() if name != "last_updated"}
    return [without_stamps(item) for item in value] if isinstance(value, list) else value


def charge(site: Site, driver: Driver) -> None:
    """Commands, drivers and a live network, on a clock that only advances."""
    body = {"location_id": site.location["id"], "token_uid": "T1"}
    second = site.location["evses"][1]["uid"]
    assert "ACCEPTED" == driver.send("START_SESSION", evse_uid=site.evse_uid)
    site.advance(900)
    plugged = site.gateway.post(f"{site.url}/sessions", {**body, "evse_uid": second, "energy_kwh": 3.3})
    assert 201 == plugged.status_code, plugged.text
    site.advance(777)
    assert "ACCEPTED" == driver.send("STOP_SESSION", session_id="S1-1")
    site.scenario("cdr_twice")
    site.change(sessions_per_hour=4)
    site.advance(3600)
    site.change(sessions_per_hour=0)
    for session in site.office.data("sessions"):
        if session["status"] == "ACTIVE":
            assert site.gateway.post(f"{site.url}/sessions/{session['id']}/stop", None).ok


@pytest.mark.ocpi(157)
def test_sessions_and_cdrs_are_those_that_were_recorded(database_url: str, tmp_path: Path) -> None:
    settings = environment(new_database(database_url, tmp_path), str(tmp_path))
    with switch_to(settings), CrashableNode(settings) as node:
        site = Site(Gateway(node, ADMIN))
        with Driver(site) as driver:
            charge(site, driver)
            objects = {module: site.office.data(module, limit=100) for module in ("sessions", "cdrs")}
            until(lambda: len(driver.pushed("cdrs")) == len(objects["cdrs"]))
    for cdr in (CDR.model_validate_json(json.dumps(each)) for each in objects["cdrs"]):
        check = cdr_check.examine(cdr, None, None).check
        assert (CdrVerdict.AGREES, 0, []) == (check.verdict, check.difference, check.rules)
    text = json.dumps(without_stamps(objects), indent=1) + "\n"
    (tmp_path / RECORDED.name).write_text(text)

    assert RECORDED.read_text() == text, f"compare {RECORDED} with {tmp_path / RECORDED.name}"
