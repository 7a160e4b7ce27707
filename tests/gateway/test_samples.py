"""The documented client programs of the gateway run; only host, token and id are replaced.

tests/data/gateway holds each program and the response that the documentation shows for it.
"""

import contextlib
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from nodes import Gateway

DATA = Path(__file__).parents[1] / "data/gateway"


def documented_response(sample: str) -> Any:
    """The documented response to a sample."""
    return json.loads((DATA / f"{sample}.json").read_text())


def run(sample: str, gateway: Gateway, cpo_id: str) -> tuple[int, Any]:
    """Run a sample, and return the HTTP status and the body of the response."""
    code = (DATA / f"{sample}.py").read_text()
    for old, new in {"https://host.com": gateway.node.url, "<token>": str(gateway.key)}.items():
        assert old in code
        code = code.replace(old, new)
    code, count = re.subn(r"(?<=/cpos/)(42|cpo_id)\b", cpo_id, code)
    assert count == 1
    printed, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "sample", "exec"), names)  # noqa: S102  (the test runs the documented code)
    assert str(names["response"].json()) == printed.getvalue().strip()
    return names["response"].status_code, names["response"].json()


def differences(value: Any, documented: Any, where: str = "") -> list[str]:
    """Where *value* lacks a *documented* member, or has one of another type."""
    if isinstance(documented, dict):
        missing = [f"{where}.{name}" for name in documented if name not in value]
        common = [name for name in documented if name in value]
        return missing + [
            each for n in common for each in differences(value[n], documented[n], f"{where}.{n}")
        ]
    if isinstance(documented, list):
        pairs = zip(value, itertools.cycle(documented))
        return [each for v, d in pairs for each in differences(v, d, f"{where}[]")]
    numbers = (
        isinstance(value, int | float)
        and isinstance(documented, int | float)
        and not isinstance(documented, bool)
    )
    if type(value) is type(documented) or numbers:
        return []
    return [f"{where}: {type(value)}, documented {type(documented)}"]


def test_the_sample_get_network_runs(gateway: Gateway) -> None:
    accepted = gateway.ready(country_code="FR", party_id="ABC", name_prefix="demo")

    status, response = run("get_network", gateway, accepted["cpo_id"])

    documented = documented_response("get_network")
    assert (200, []) == (status, differences(response, documented))
    of_network = {"cpo_id", "ocpi_peer_url", "report_url", "destroy_url"}
    of_now = {"expires_at", "created_at", "updated_at"}
    assert {k: v for k, v in documented.items() if k not in of_network | of_now} == {
        k: v for k, v in response.items() if k not in of_network | of_now
    }
    for name in ("report_url", "destroy_url"):
        assert documented[name].replace(documented["cpo_id"], response["cpo_id"]) == response[name]
    assert {len("2026-04-21T20:00:30Z")} == {len(response[name]) for name in of_now}


@pytest.mark.ocpi(207)
def test_the_samples_create_locations_and_list_locations_run(gateway: Gateway) -> None:
    accepted = gateway.ready(overrides={"locations": 1})

    status, response = run("create_locations", gateway, accepted["cpo_id"])
    assert (202, []) == (status, differences(response, documented_response("create_locations")))
    assert "PROVISIONING" == response["status"]
    assert "READY" == gateway.wait_until_ready(response["status_url"])["status"]

    status, response = run("list_locations", gateway, accepted["cpo_id"])
    documented = documented_response("list_locations")
    optional = {".data[].owner_name"}
    missing = differences(response, documented)
    assert 200 == status
    assert set() == set(missing) - optional
    assert ("Brussels Midi Hub", "BE", True) == tuple(
        response["data"][-1][n] for n in ("name", "country", "public")
    )
    assert (3, 1, 50) == (response["total"], response["page"], response["limit"])
    assert [] == differences(response["data"][0], documented["data"][0], ".data[]")
