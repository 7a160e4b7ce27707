"""scripts/setup installs the packages of the program, and with --dev those of the tests."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from nodes import ROOT
from source_code import PRODUCT, imports

PROGRAM, DEV = "requirements.lock", "requirements-dev.lock"
SETS_UP_DEV = (
    "bench",
    "clients",
    "foreign",
    "fuzz",
    "generate",
    "interleavings",
    "killing",
    "killing_charging",
    "killing_pushes",
    "loading_charging",
    "prices",
    "provision",
    "pushing",
    "slow",
    "test",
)

FAKE_PYTHON = """#!/bin/sh
# Records the lock files to install, and copies itself into a new .venv.
case "$*" in
  *venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *--requirement*) echo "$*" | sed 's/.* //' >> installed ;;
esac
"""


def pins(lock: str) -> set[str]:
    """The packages of a lock file with their versions."""
    return set(re.findall(r"^([a-z0-9.-]+==\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def names(lock: str) -> set[str]:
    """The packages of a lock file."""
    return {pin.partition("==")[0] for pin in pins(lock)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with scripts/setup, the lock files and a fake Python that installs nothing."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for lock in (PROGRAM, DEV):
        shutil.copy(ROOT / lock, tmp_path)
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def installed(checkout: Path, *runs: str) -> list[str]:
    """The lock files that scripts/setup installs when it runs once with each of the arguments."""
    (checkout / "installed").write_text("")
    for arguments in runs:
        command = [checkout / "scripts" / "setup", *arguments.split()]
        subprocess.run(command, env={"PATH": "/usr/bin:/bin", "PYTHON": str(checkout / "python")}, check=True)
    return (checkout / "installed").read_text().split()


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (("", ""), [PROGRAM]),
        (("--dev", "--dev"), [DEV]),
        (("--dev", "", "--dev", ""), [DEV]),
        (("", "--dev", "", "--dev"), [PROGRAM, DEV]),
    ],
    ids=str,
)
def test_an_installed_lock_is_not_installed_again(
    checkout: Path, runs: tuple[str, ...], expected: list[str]
) -> None:
    assert expected == installed(checkout, *runs)


@pytest.mark.parametrize(("run", "expected"), [("", PROGRAM), ("--dev", DEV)])
def test_a_changed_lock_is_installed(checkout: Path, run: str, expected: str) -> None:
    installed(checkout, "--dev")
    for lock in (PROGRAM, DEV):
        (checkout / lock).write_text("another==1")

    assert [expected] == installed(checkout, run, run)


def test_packages_of_an_older_lock_are_replaced(checkout: Path) -> None:
    newer = (checkout / PROGRAM).read_text()
    installed(checkout, "--dev")
    (checkout / PROGRAM).write_text("older==1")
    installed(checkout, "")
    (checkout / PROGRAM).write_text(newer)

    assert [DEV] == installed(checkout, "--dev")


def test_the_dev_lock_contains_the_lock_of_the_program() -> None:
    assert pins(PROGRAM) < pins(DEV)


def test_packages_for_tests_are_only_in_the_dev_lock() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    packages = {re.split(r"[\[<>=]", each)[0].lower() for each in groups["dev"]} - {"connexion"}

    assert packages <= names(DEV)
    assert set() == packages & names(PROGRAM)


def test_every_import_of_the_program_is_in_its_lock() -> None:
    distributions = importlib.metadata.packages_distributions()
    modules = {module.partition(".")[0] for file in PRODUCT for module in imports(file)}
    third_party = {
        name: distributions[name] for name in modules - sys.stdlib_module_names if name in distributions
    }

    assert {"flask", "sqlmodel", "connexion"} <= third_party.keys()
    lock = names(PROGRAM)
    missing = {
        module
        for module, found in third_party.items()
        if not {name.lower().replace("_", "-") for name in found} & lock
    }
    assert set() == missing


def test_a_script_installs_the_lock_that_it_needs() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "scripts").iterdir() if path.is_file()}
    found = {name: re.search("^scripts/setup.*$", text, re.MULTILINE) for name, text in texts.items()}

    assert set(SETS_UP_DEV) == {name for name, line in found.items() if line and " --dev" in line[0]}
