"""The house rules that a machine can hold: who may import what, and how long things may be.

Directions: handlers, then workflows, then storage, then generated; below all lie settings,
errors and the field types of openapi/.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("generated", "storage", "workflows", "handlers")  # each may import those before it
BELOW_ALL = ("settings", "errors", "openapi")
NEVER_IMPORTED = ("tests", "scripts", *(path.stem for path in (ROOT / "tests").glob("*.py")))

# Who may use a third party's package. What is not here may be used anywhere.
ONLY_IN = {
    ("flask", "connexion", "werkzeug", "swagger_ui_bundle"): ("handlers/app.py", "handlers/compile.py"),
    ("waitress",): ("handlers/server.py",),
    ("jwt",): ("handlers/bearer.py", "handlers/jwks.py"),
    ("requests", "urllib3", "httpx", "http", "urllib.request"): ("workflows/peer.py",),
    ("sqlalchemy", "sqlmodel", "alembic", "psycopg", "sqlite3"): ("storage/",),
    ("dbos",): ("workflows/",),
}
# A second connection inside a transaction waits on SQLite for the lock that its own caller holds.
OPENING = {"database.connect", "database.transaction", "sqlalchemy.create_engine"}
OWN_ENGINES = {
    "storage/database.py",
    "storage/migrations/env.py",  # Alembic runs outside the program's transactions
    "storage/readiness.py",  # its write must neither wait for nor occupy a connection of a request
    "storage/slots.py",  # the advisory lock lives as long as the connection that took it
}

PRODUCT = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.py"),
        *(p for room in (*ROOMS, "openapi") for p in (ROOT / room).rglob("*.py")),
    )
)
OTHERS = sorted(
    path.relative_to(ROOT).as_posix() for room in ("scripts", "tests") for path in (ROOT / room).glob("*.py")
)
for_each_file = pytest.mark.parametrize("file", PRODUCT)


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


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    """Is *module* one of *packages* or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def functions(file: str) -> Iterator[tuple[str, int]]:
    """Every function of a file, and how many lines its body has without the docstring."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_there_is_something_to_look_at() -> None:
    assert len(PRODUCT) > 40
    assert {"storage/tokens.py", "handlers/app.py", "errors.py"} <= set(PRODUCT)
    assert {"storage.instants", "errors"} <= {
        name.removesuffix(".x") for name in imports("handlers/listing.py")
    }
    assert "workflows.exchange.VERSION" in imports("handlers/ocpi/versions.py")


@for_each_file
def test_imports_point_one_way(file: str) -> None:
    room = Path(file).parts[0].removesuffix(".py")
    beside = tuple(name for name in BELOW_ALL if name != room)
    above = ROOMS[ROOMS.index(room) + 1 :] if room in ROOMS else (*ROOMS, *beside)

    assert [] == [name for name in imports(file) if is_in(name, (*above, *NEVER_IMPORTED))]


@for_each_file
def test_a_package_is_used_only_where_it_belongs(file: str) -> None:
    wrong = [
        name
        for packages, places in ONLY_IN.items()
        for name in imports(file)
        if is_in(name, packages) and not file.startswith(places)
    ]

    assert [] == wrong


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


@pytest.mark.parametrize(
    "file", [f for f in PRODUCT if not f.startswith(("generated", "storage/migrations"))]
)
def test_no_function_is_longer_than_a_screen(file: str) -> None:
    assert {} == {name: lines for name, lines in functions(file) if lines > 38}


@pytest.mark.parametrize("file", [f for f in (*PRODUCT, *OTHERS) if not f.startswith("generated/")])
def test_no_file_has_more_than_450_lines(file: str) -> None:
    lines = len((ROOT / file).read_text().splitlines())

    assert lines <= 450


@pytest.mark.parametrize("file", [f for f in (*PRODUCT, *OTHERS) if not f.startswith("generated/")])
def test_a_module_says_what_it_is(file: str) -> None:
    assert ast.get_docstring(tree(file))
