"""The recorder of the test suite, and the script that compares two recordings."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import recording
from nodes import ROOT

BEFORE = {
    "test": "tests/ocpi/test_tokens.py::test_x[sqlite]",
    "received": ['GET /ocpi/cpo/2.1.1/tokens 200 {"data": [], "status_code": 1000}'],
    "stored": ['ocpi_tokens NL TNM {"uid": "1", "valid": true}'],
}
ANOTHER_RESPONSE = {"received": ['GET /ocpi/cpo/2.1.1/tokens 200 {"data": [1], "status_code": 1000}']}
ANOTHER_DOCUMENT = {"stored": ['ocpi_tokens NL TNM {"uid": "1", "valid": false}']}


def write(folder: Path, *records: dict[str, Any]) -> Path:
    """Write a recording into *folder*, and return the folder."""
    folder.mkdir()
    (folder / "main.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def compare(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
    """Run scripts/compare_recordings.py."""
    script = ROOT / "scripts" / "compare_recordings.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)


def test_equal_recordings_have_no_difference(tmp_path: Path) -> None:
    process = compare(write(tmp_path / "a", BEFORE), write(tmp_path / "b", BEFORE))

    assert (0, True) == (process.returncode, "1 tests before, 1 after; 0 tests" in process.stdout)


@pytest.mark.parametrize("change", [ANOTHER_RESPONSE, ANOTHER_DOCUMENT])
def test_another_response_or_document_is_found(change: dict[str, Any], tmp_path: Path) -> None:
    process = compare(write(tmp_path / "a", BEFORE), write(tmp_path / "b", BEFORE | change))

    assert process.returncode == 1
    assert next(iter(change.values()))[0] in process.stdout


def test_a_missing_test_is_found(tmp_path: Path) -> None:
    other = BEFORE | {"test": "tests/ocpi/test_tokens.py::test_y[sqlite]"}

    process = compare(write(tmp_path / "a", BEFORE, other), write(tmp_path / "b", BEFORE))

    assert process.returncode == 1
    assert "the test did not run" in process.stdout


def test_a_difference_between_two_equal_runs_is_ignored(tmp_path: Path) -> None:
    before = write(tmp_path / "a", BEFORE)
    again = write(tmp_path / "a2", BEFORE | ANOTHER_DOCUMENT)
    change = {"stored": ['ocpi_tokens NL TNM {"uid": "1"}']}
    after = write(tmp_path / "b", BEFORE | change)

    assert compare(before, after).returncode == 1
    assert compare(before, after, "--again", again).returncode == 0


def test_a_body_is_recorded_without_times_of_the_run_and_ports() -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.123Z")
    body = {
        "timestamp": now,
        "status_message": "Success",
        "data": {"last_updated": now, "date": "2015-06-29T20:39:09Z", "url": "http://127.0.0.1:8903/x"},
    }

    assert recording._normal_body(json.dumps(body)) == json.dumps(
        {
            "data": {
                "date": "2015-06-29T20:39:09Z",
                "last_updated": "<now>",
                "url": "http://127.0.0.1:<port>/x",
            }
        }
    )
