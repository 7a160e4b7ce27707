"""scripts/demo, on PostgreSQL against a running node, and on SQLite with the server that it starts itself."""

import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from nodes import ROOT, Gateway

ENERGY = Decimal(40) * 88 / 100
"""The battery of 40 kWh is 12 % full when the car comes."""

CHARGING_SECONDS = 653 + 192 + 384
"""27.2 kWh at 150 kW up to 80 %, 4 kWh at 75 kW up to 90 %, 4 kWh at 37.5 kW; each rounded up."""

PARKING_SECONDS = 24 * 60 - CHARGING_SECONDS
"""The driver stops after 24 minutes."""

BILLED_SECONDS = -(-PARKING_SECONDS // 60) * 60
PRICE = (Decimal("0.50") + ENERGY * Decimal("0.69") + Decimal(BILLED_SECONDS) * 12 / 3600).normalize()
"""The tariff HPC-EUR: 0.50 to start, 0.69 per kWh, 12.00 per hour of parking in steps of a minute."""


def demo(*arguments: str) -> str:
    """The output of the demo, which has to succeed."""
    command = [sys.executable, "scripts/demo.py", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert 0 == process.returncode, process.stdout + process.stderr
    return process.stdout


def test_the_hand_calculation_has_the_figures_of_the_tariff() -> None:
    assert (211, 240, Decimal("25.588")) == (PARKING_SECONDS, BILLED_SECONDS, PRICE)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True, scope="session")
def test_the_cdr_of_the_demo_costs_what_the_tariff_says(gateway: Gateway) -> None:
    output = demo("--url", gateway.node.url, "--key", str(gateway.key))
    _, emsp = gateway.data("/ocpi/cpos")["data"]
    [cdr] = gateway.data(f"{emsp['destroy_url']}/cdrs")["data"]

    assert PRICE == Decimal(str(cdr["object"]["total_cost"]))
    assert f"Total {PRICE} EUR: AGREES" in output


def test_the_demo_starts_a_server_of_its_own() -> None:
    output = demo()

    assert f"Total {PRICE} EUR: AGREES" in output
    for message in (
        "eMSP sends    POST  /ocpi/cpo/2.1.1/commands/START_SESSION",
        "CPO  receives POST  /ocpi/cpo/2.1.1/commands/START_SESSION",
        "CPO  sends    POST  /ocpi/emsp/2.1.1/cdrs",
        "eMSP receives POST  /ocpi/emsp/2.1.1/cdrs",
    ):
        assert message in output


def test_the_demo_says_why_it_cannot_go_on() -> None:
    command = [sys.executable, "scripts/demo.py", "--url", "http://127.0.0.1:9", "--key", "k"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert 1 == process.returncode
    assert process.stderr.startswith("failed: http://127.0.0.1:9 does not respond")


def test_the_demo_says_where_the_key_of_a_server_comes_from(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "demo.py", tmp_path / "scripts")
    command = [sys.executable, "scripts/demo.py", "--url", "http://127.0.0.1:9"]

    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (1, "failed: there is no data/admin.token; start scripts/serve here, or give --key\n") == (
        process.returncode,
        process.stderr,
    )
