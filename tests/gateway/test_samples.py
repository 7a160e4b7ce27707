"""Documented programs for the gateway, run as they are: only host, token and id are changed.

tests/data/gateway holds them, each beside the answer that the documentation shows.
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


def documented(sample: str) -> Any:
    """The documented answer to a sample."""
    return json.loads((DATA / f"{sample}.json").read_text())


def run(sample: str, gateway: Gateway, cpo_id: str) -> tuple[int, Any]:
    """Run a sample; its HTTP status and answer."""
    code = (DATA / f"{sample}.py").read_text()
    for old, new in {"https://host.com": gateway.node.url, "<token>": str(gateway.key)}.items():
        assert old in code
        code = code.replace(old, new)
    code, count = re.subn(r"(?<=/cpos/)(42|cpo_id)\b", cpo_id, code)
    assert count == 1
    printed, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "sample", "exec"), names)  # noqa: S102  (that they run is what is shown)
    assert str(names["response"].json()) == printed.getvalue().strip()
    return names["response"].status_code, names["response"].json()


def like(value: Any, shown: Any, where: str = "") -> list[str]:
    """Where *value* lacks what is *shown*, or has it in another type."""
    if isinstance(shown, dict):
        lacking = [f"{where}.{name}" for name in shown if name not in value]
        both = [name for name in shown if name in value]
        return lacking + [each for n in both for each in like(value[n], shown[n], f"{where}.{n}")]
    if isinstance(shown, list):
        return [each for v, s in zip(value, itertools.cycle(shown)) for each in like(v, s, f"{where}[]")]
    numbers = (
        isinstance(value, int | float) and isinstance(shown, int | float) and not isinstance(shown, bool)
    )
    return [] if type(value) is type(shown) or numbers else [f"{where}: {type(value)}, shown {type(shown)}"]


def test_get_cpo(gateway: Gateway) -> None:
    accepted = gateway.ready(country_code="FR", party_id="ABC", name_prefix="demo")

    status, answer = run("get_network", gateway, accepted["cpo_id"])

    shown = documented("get_network")
    assert (200, []) == (status, like(answer, shown))
    of_this = {"cpo_id", "ocpi_peer_url", "report_url", "destroy_url"}
    of_now = {"expires_at", "created_at", "updated_at"}
    assert {k: v for k, v in shown.items() if k not in of_this | of_now} == {
        k: v for k, v in answer.items() if k not in of_this | of_now
    }
    for name in ("report_url", "destroy_url"):
        assert shown[name].replace(shown["cpo_id"], answer["cpo_id"]) == answer[name]
    assert {len("2026-04-21T20:00:30Z")} == {len(answer[name]) for name in of_now}


@pytest.mark.ocpi(207)
def test_bulk_create_and_list_locations(gateway: Gateway) -> None:
    accepted = gateway.ready(overrides={"locations": 1})

    status, answer = run("create_locations", gateway, accepted["cpo_id"])
    assert (202, []) == (status, like(answer, documented("create_locations")))
    assert "PROVISIONING" == answer["status"]
    assert "READY" == gateway.wait_until_ready(answer["status_url"])["status"]

    status, answer = run("list_locations", gateway, accepted["cpo_id"])
    shown = documented("list_locations")
    owner = [".data[].owner_name"]  # optional there, and what has no value may be absent
    lacking = like(answer, shown)
    assert 200 == status
    assert set() == set(lacking) - set(owner)
    assert ("Brussels Midi Hub", "BE", True) == tuple(
        answer["data"][-1][n] for n in ("name", "country", "public")
    )
    assert (2, 1, 50) == (answer["total"], answer["page"], answer["limit"])
    assert [] == like(answer["data"][0], shown["data"][0], ".data[]")
