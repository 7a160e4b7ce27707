"""scripts/setup: the program gets what it needs and no more, its tests get the rest."""

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
    "fuzz",
    "generate",
    "interleavings",
    "killing",
    "provision",
    "slow",
    "test",
)

FAKE_PYTHON = """#!/bin/sh
# Notes what it is asked to install, and makes itself the Python of a new .venv.
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
    """A folder with scripts/setup and the lock files, whose Python installs nothing."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for lock in (PROGRAM, DEV):
        shutil.copy(ROOT / lock, tmp_path)
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def installed(checkout: Path, *runs: str) -> list[str]:
    """What is installed by running scripts/setup, once with each of the arguments."""
    (checkout / "installed").write_text("")
    for arguments in runs:
        command = [checkout / "scripts" / "setup", *arguments.split()]
        subprocess.run(command, env={"PATH": "/usr/bin:/bin", "PYTHON": str(checkout / "python")}, check=True)
    return (checkout / "installed").read_text().split()


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        (("", ""), [PROGRAM]),
        (("--dev", "--dev"), [DEV]),
        (("--dev", "", "--dev", ""), [DEV]),
        (("", "--dev", "", "--dev"), [PROGRAM, DEV]),
    ],
    ids=str,
)
def test_what_is_there_is_not_installed_again(
    checkout: Path, runs: tuple[str, ...], wanted: list[str]
) -> None:
    assert wanted == installed(checkout, *runs)


@pytest.mark.parametrize(("run", "wanted"), [("", PROGRAM), ("--dev", DEV)])
def test_a_changed_lock_is_installed(checkout: Path, run: str, wanted: str) -> None:
    installed(checkout, "--dev")
    for lock in (PROGRAM, DEV):
        (checkout / lock).write_text("another==1")

    assert [wanted] == installed(checkout, run, run)


def test_an_older_program_does_not_pass_for_the_newer_one(checkout: Path) -> None:
    newer = (checkout / PROGRAM).read_text()
    installed(checkout, "--dev")
    (checkout / PROGRAM).write_text("older==1")
    installed(checkout, "")
    (checkout / PROGRAM).write_text(newer)

    assert [DEV] == installed(checkout, "--dev")


def test_the_dev_lock_has_everything_of_the_other_in_the_same_version() -> None:
    assert pins(PROGRAM) < pins(DEV)


def test_what_only_tests_need_is_not_in_the_lock_of_the_program() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = {re.split(r"[\[<>=]", each)[0].lower() for each in groups["dev"]} - {"connexion"}

    assert wanted <= names(DEV)
    assert set() == wanted & names(PROGRAM)


def test_whatever_the_program_imports_is_in_its_lock() -> None:
    packages = importlib.metadata.packages_distributions()
    tops = {module.partition(".")[0] for file in PRODUCT for module in imports(file)}
    third = {top: packages[top] for top in tops - sys.stdlib_module_names if top in packages}

    assert {"flask", "sqlmodel", "connexion"} <= third.keys()
    lock = names(PROGRAM)
    missing = {
        top for top, found in third.items() if not {name.lower().replace("_", "-") for name in found} & lock
    }
    assert set() == missing


@pytest.mark.parametrize("script", [path.name for path in (ROOT / "scripts").iterdir() if path.is_file()])
def test_a_script_sets_up_what_it_needs(script: str) -> None:
    line = re.search("^scripts/setup.*$", (ROOT / "scripts" / script).read_text(), re.MULTILINE)
    if line is not None:
        assert (" --dev" in line[0]) is (script in SETS_UP_DEV)
