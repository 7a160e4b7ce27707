"""Rules of the code that import-linter and ruff do not hold: `[tool.importlinter]` in pyproject.toml says
who may import what.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("generated", "storage", "workflows", "handlers", "openapi")

# A second connection inside a transaction waits on SQLite for the lock that its own caller holds.
OPENING = {"database.connect", "database.transaction", "sqlalchemy.create_engine"}
OWN_ENGINES = {
    "storage/database.py",
    "storage/migrations/env.py",  # Alembic runs outside the program's transactions
    "storage/readiness.py",  # its write must neither wait for nor occupy a connection of a request
    "storage/executor_lease.py",  # the advisory lock lives as long as the connection that took it
}

PRODUCT = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.py"),
        *(p for room in ROOMS for p in (ROOT / room).rglob("*.py")),
    )
)
OTHERS = sorted(
    path.relative_to(ROOT).as_posix() for room in ("scripts", "tests") for path in (ROOT / room).glob("*.py")
)


def tree(file: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / file).read_text())


def imports(file: str) -> Iterator[str]:
    """The modules that a file imports, wherever in it; `from a import b` may be a module a.b."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(file: str) -> Iterator[tuple[str, int]]:
    """Every function of a file, and how many lines its body has without the docstring."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_there_is_something_to_look_at() -> None:
    assert len(PRODUCT) > 40
    assert {"storage/tokens.py", "handlers/dispatch/app.py", "errors.py"} <= set(PRODUCT)
    assert "storage.objects.Window" in imports("handlers/dispatch/pagination.py")
    assert "workflows.peers.credentials_exchange.VERSION" in imports("handlers/ocpi/versions.py")


def test_settings_and_errors_import_no_room() -> None:
    """They are no packages, so import-linter sees them from outside only."""
    tops = {name.partition(".")[0] for file in ("errors.py", "settings.py") for name in imports(file)}

    assert set() == tops & set(ROOMS)


@pytest.mark.parametrize("file", [f for f in PRODUCT if f.startswith("storage/") and f not in OWN_ENGINES])
def test_storage_opens_no_connection_of_its_own(file: str) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(tree(file)) if isinstance(node, ast.Call)}

    assert set() == calls & OPENING
    assert set() == set(imports(file)) & {f"storage.{name}" for name in OPENING}


@pytest.mark.parametrize(
    "file", [f for f in PRODUCT if f.startswith(("handlers/ocpi/", "handlers/gateway/"))]
)
def test_a_handler_has_at_most_fifteen_lines(file: str) -> None:
    assert {} == {name: lines for name, lines in functions(file) if lines > 15}


def test_no_function_is_longer_than_a_screen() -> None:
    hand_written = [file for file in PRODUCT if not file.startswith(("generated", "storage/migrations"))]
    long = {f"{file}: {name}": n for file in hand_written for name, n in functions(file) if n > 38}

    assert {} == long


def test_no_file_has_more_than_450_lines() -> None:
    counts = {file: len((ROOT / file).read_text().splitlines()) for file in (*PRODUCT, *OTHERS)}

    assert {} == {
        file: lines for file, lines in counts.items() if lines > 450 and not file.startswith("generated/")
    }
