"""Code rules that import-linter and ruff do not check. `[tool.importlinter]` in pyproject.toml says
which folder may import which.
"""

import ast

from nodes import ROOT
from source_code import PRODUCT, ROOMS, functions, imports, tree

# On SQLite, a second connection inside a transaction waits for the lock that its own caller holds.
OPENING = {"database.connect", "database.transaction", "sqlalchemy.create_engine"}
OWN_ENGINES = {
    "storage/database.py",
    "storage/migrations/env.py",  # Alembic runs outside the program's transactions
    "storage/readiness.py",  # its write neither waits for a connection of a request nor occupies one
    "storage/executor_lease.py",  # the advisory lock lives as long as the connection that took it
}


def test_the_checked_files_and_imports_are_found() -> None:
    assert len(PRODUCT) > 40
    assert {"storage/tokens.py", "handlers/dispatch/app.py", "errors.py"} <= set(PRODUCT)
    assert "storage.objects.Window" in imports("handlers/dispatch/pagination.py")
    assert "workflows.peers.credentials_exchange.VERSION" in imports("handlers/ocpi/versions.py")


def test_settings_and_errors_import_no_folder() -> None:
    """They are not packages, so import-linter checks only the imports of them."""
    packages = {name.partition(".")[0] for file in ("errors.py", "settings.py") for name in imports(file)}

    assert set() == packages & set(ROOMS)


def test_storage_opens_no_connection_of_its_own() -> None:
    for file in (f for f in PRODUCT if f.startswith("storage/") and f not in OWN_ENGINES):
        calls = {ast.unparse(node.func) for node in ast.walk(tree(file)) if isinstance(node, ast.Call)}

        assert set() == calls & OPENING, file
        assert set() == set(imports(file)) & {f"storage.{name}" for name in OPENING}, file


def test_a_handler_has_at_most_fifteen_lines() -> None:
    handlers = [file for file in PRODUCT if file.startswith(("handlers/ocpi/", "handlers/gateway/"))]
    long = {f"{file}: {name}": n for file in handlers for name, n in functions(file) if n > 15}

    assert {} == long
    assert len(handlers) > 20


def test_no_function_has_more_than_38_lines() -> None:
    hand_written = [file for file in PRODUCT if not file.startswith(("generated", "storage/migrations"))]
    long = {f"{file}: {name}": n for file in hand_written for name, n in functions(file) if n > 38}

    assert {} == long


def test_no_file_of_the_program_has_more_than_450_lines() -> None:
    counts = {file: len((ROOT / file).read_text().splitlines()) for file in PRODUCT}

    assert {} == {
        file: lines for file, lines in counts.items() if lines > 450 and not file.startswith("generated/")
    }
