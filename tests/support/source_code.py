"""The source files of the program: syntax trees, imports and functions."""

import ast
from collections.abc import Iterator

from nodes import ROOT

ROOMS = ("generated", "storage", "workflows", "handlers", "openapi")

PRODUCT = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.py"),
        *(p for room in ROOMS for p in (ROOT / room).rglob("*.py")),
    )
)


def tree(file: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / file).read_text())


def imports(file: str) -> Iterator[str]:
    """The modules that a file imports anywhere; `from a import b` may be a module a.b."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(file: str) -> Iterator[tuple[str, int]]:
    """Every function of a file, with the number of lines of its body without the docstring."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
