"""The recipes of docs/clients.md. scripts/clients runs both; the gate runs only the one without Node.js."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
from nodes import ROOT, Node, one_database


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that runs the recipes."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("client_recipes")


@one_database
def test_the_python_recipe_generates_checks_and_drives_a_client(
    recipes: ModuleType, node: Node, tmp_path: Path
) -> None:
    key = node.gateway().key
    assert key

    printed = recipes.run("Python", node.url, key, tmp_path)

    assert re.search(r"^network \d+ NL ABC\nlocations 6\nlocation LOC1 Utrecht\n\Z", printed, re.MULTILINE)
    assert "Success: no issues found in 1 source file" in printed
    assert "Warning" not in printed


def test_a_failing_recipe_stops_with_the_output_of_its_command(
    recipes: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recipes, "blocks", lambda _language: [("sh", "echo said; false\necho not reached")])

    with pytest.raises(recipes.subprocess.CalledProcessError) as failure:
        recipes.run("Python", "http://127.0.0.1:1", "key", tmp_path)

    assert "said\n" == failure.value.stdout


@pytest.mark.parametrize("language", ["Python", "TypeScript"])
def test_each_recipe_generates_a_client_writes_a_program_and_runs_it(
    recipes: ModuleType, language: str
) -> None:
    kinds = [kind for kind, _ in recipes.blocks(language) if kind != "console"]

    assert "sh" == kinds[0] == kinds[-1]
    assert {"Python": "python", "TypeScript": "ts"}[language] == kinds[-2]
