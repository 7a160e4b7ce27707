"""Functions take and return OCPI and gateway objects as models, never as decoded JSON."""

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for folder in ("handlers", "workflows")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "__init__.py"
)
EXCEPTIONS = {
    "handlers.dispatch.apis": "the document",
    "handlers.dispatch.app": "a WSGI environment; a line of the log",
    "handlers.dispatch.auth": "the result of a security function for Connexion",
    "handlers.dispatch.bearer": "the claims of a JWT; the result of a security function for Connexion",
    "handlers.dispatch.gateway_api": "a WSGI environment; a line of the log; a problem of a 422",
    "handlers.dispatch.json_body": "a WSGI environment; JSON that is only inspected",
    "handlers.dispatch.logs": "a line of the log",
    "handlers.dispatch.ocpi_api": "a WSGI environment; a line of the log",
    "handlers.dispatch.operations": "the document; arguments by name; a WSGI environment",
    "handlers.dispatch.patch": "validated fields of a model by name",
    "handlers.dispatch.recording": "a WSGI environment",
    "handlers.dispatch.response_check": "the document",
    "handlers.dispatch.server": "a WSGI environment",
    "handlers.dispatch.validation": "a body that is not valid; the details of Pydantic's errors",
    "workflows.peers.client": "the envelope of a peer's answer, before its validation",
    "workflows.permissions": "the scope of a list: values of columns",
    "workflows.running_server": "the status report of a running server",
}
"""Modules whose functions take or return dicts, and the content of these dicts."""


def functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """Every function and method that *module* defines."""
    classes = [each for each in vars(module).values() if inspect.isclass(each)]
    for owner in (module, *(each for each in classes if each.__module__ == module.__name__)):
        for _, function in inspect.getmembers(owner, inspect.isfunction):
            if function.__module__ == module.__name__:
                yield function


def decoded(annotation: Any) -> bool:
    """Whether *annotation* contains a dict of arbitrary values by name."""
    if typing.is_typeddict(annotation):  # the parameters of a list operation
        return False
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    is_mapping = isinstance(origin or annotation, type) and issubclass(origin or annotation, Mapping)
    if is_mapping and (not arguments or arguments[1] in (Any, object)):
        return True
    return any(decoded(part) for part in arguments if not isinstance(part, list)) or any(
        decoded(inner) for part in arguments if isinstance(part, list) for inner in part
    )


def with_decoded_json(module: ModuleType) -> list[str]:
    """The functions of *module* that take or return decoded JSON."""
    return [
        function.__qualname__
        for function in functions(module)
        if any(map(decoded, typing.get_type_hints(function).values()))
    ]


def test_no_function_takes_or_returns_an_object_as_decoded_json() -> None:
    found = {name: with_decoded_json(importlib.import_module(name)) for name in MODULES}

    assert set(EXCEPTIONS) == {name for name, functions_of_module in found.items() if functions_of_module}


def test_a_function_with_decoded_json_is_found() -> None:
    module = ModuleType("sample")

    def direct(body: dict[str, Any]) -> None:
        del body

    def nested() -> list[Callable[[Mapping[str, Any]], int]] | None:
        return None

    def typed() -> dict[str, int]:
        return {}

    for function in (direct, nested, typed):
        function.__module__ = "sample"
        setattr(module, function.__name__, function)

    assert ["direct", "nested"] == [name.rpartition(".")[2] for name in with_decoded_json(module)]


def test_the_program_imports_every_generated_module() -> None:
    product = "\n".join(
        path.read_text()
        for folder in ("handlers", "workflows", "storage")
        for path in (ROOT / folder).rglob("*.py")
    )

    for path in (ROOT / "generated").glob("*_models.py"):
        assert f"from generated.{path.stem} import" in product
