"""The files of openapi/ as they are written: the place of each part, and the mistakes in them.

A mistake is one line: the file, the line number, what is wrong, and what to do.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from model_schemas import METHODS, Node

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "openapi"
KINDS = ("parameters", "headers", "responses", "examples", "schemas", "requestBodies", "callbacks")
DERIVED = ("InOrNull", "In", "PatchItem", "Patch")
"""Endings of schemas that scripts/contract.py derives from the schema without the ending."""

Keys = tuple[str | int, ...]


class File:
    """A YAML file of openapi/, with the line of each part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(SOURCE.parent).as_posix()
        self.content: Node = {}
        self.tree: yaml.Node = yaml.MappingNode("tag:yaml.org,2002:map", [])
        self.mistakes: list[str] = []
        try:
            tree = yaml.compose(path.read_text(), yaml.CSafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self.mistakes = [f"{self.name}:{line}: invalid YAML: {error.problem}; correct the syntax"]
            return
        if not isinstance(tree, yaml.MappingNode):
            self.mistakes = [f"{self.name}:1: the file is no mapping; begin with a key such as paths"]
            return
        self.tree = tree
        self.mistakes = list(self._bad_keys(tree))
        if not self.mistakes:
            self.content = yaml.constructor.SafeConstructor().construct_document(tree)

    def place(self, *keys: str | int) -> str:
        """File and line of the deepest part that *keys* lead to."""
        node, line = self.tree, 1
        for key in keys:
            if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                node = node.value[key]
                line = node.start_mark.line + 1
                continue
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            found = [pair for pair in pairs if pair[0].value == key]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        return f"{self.name}:{line}"

    def _bad_keys(self, node: yaml.Node) -> Iterator[str]:
        """Repeated keys, of which YAML would keep the last, and keys that are not text."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._bad_keys(item)
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                place = f"{self.name}:{line}"
                if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                    yield f"{place}: the key is no text; put it in quotes"
                elif key.value in lines:
                    yield f"{place}: {key.value} occurs twice, first in line {lines[key.value]}; remove one"
                else:
                    lines[key.value] = line
                yield from self._bad_keys(value)


class Source:
    """The files of one document: the table of contents *name*.yaml and the modules in *name*/."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root = File(SOURCE / f"{name}.yaml")
        paths = sorted((SOURCE / name).glob("*.yaml"), key=lambda path: (path.stem != "common", path))
        self.modules = {path.relative_to(SOURCE).as_posix(): File(path) for path in paths}
        """The modules by name, the shared one first."""

    def mistakes(self) -> list[str]:
        """The mistakes; if a file has the wrong structure, only that one."""
        files = [self.root, *self.modules.values()]
        if unreadable := [mistake for file in files for mistake in file.mistakes]:
            return unreadable
        if malformed := list(self._sections()):
            return malformed
        found = list(self._repeated_names())
        found += [mistake for file in files for mistake in self._references(file)]
        return [*found, *self._unlisted_paths(), *self._operations()]

    def place(self, keys: Keys) -> str:
        """File and line of the part at *keys* in the folded document."""
        if keys[:1] == ("paths",) and len(keys) > 1:
            file, key = self.module_of(str(keys[1]))
            return file.place("paths", key, *keys[2:])
        if keys[:1] == ("components",) and len(keys) > 2:  # noqa: PLR2004  (components, kind, name)
            names = [str(keys[2]), *_bases(str(keys[2]))]
            for file in self.modules.values():
                for name in names:
                    if name in file.content.get(keys[1], {}):
                        return file.place(keys[1], name, *keys[3:])
        return self.root.place(*keys)

    def module_of(self, url: str) -> tuple[File, str]:
        """The module that has the operations of *url*, and the key of its path item there."""
        path, _, key = self.root.content["paths"][url]["$ref"].partition("#/paths/")
        return self.modules[path], key

    def _sections(self) -> Iterator[str]:
        for key in ("openapi", "info", "paths", "components", "x-every-operation", "x-every-body"):
            if not self.root.content.get(key):
                yield f"{self.root.name}:1: there is no {key}; add it"
        for url, item in (self.root.content.get("paths") or {}).items():
            if not isinstance(item, dict) or item.keys() != {"$ref"}:
                yield f"{self.root.place('paths', url)}: {url} is no $ref; write {{$ref: FILE#/paths/NAME}}"
        for file in self.modules.values():
            for key in file.content.keys() - {"paths", *KINDS}:
                yield f"{file.place(key)}: {key} is no section of a module; use paths, {', '.join(KINDS)}"
            for key in ("paths", *KINDS):
                section = file.content.get(key, {})
                if not isinstance(section, dict) or not all(
                    isinstance(part, dict) for part in section.values()
                ):
                    yield f"{file.place(key)}: {key} is no mapping of names to mappings; correct it"

    def _repeated_names(self) -> Iterator[str]:
        places: dict[tuple[str, str], str] = {}
        for file in self.modules.values():
            for kind in KINDS:
                for name in file.content.get(kind, ()):
                    first = places.setdefault((kind, name), file.place(kind, name))
                    if first != (place := file.place(kind, name)):
                        yield f"{place}: {kind}/{name} exists in {first}, too; remove or rename one"

    def _references(self, file: File) -> Iterator[str]:
        for keys, reference in _references(file.content):
            place = f"{file.place(*keys)}: $ref {reference}"
            path, mark, target = str(reference).partition("#/")
            kind, _, name = target.partition("/")
            expected = "paths" if keys[0] == "paths" and file is self.root else _kind(keys)
            if not mark or kind != expected:
                yield f"{place} does not lead to {expected}; write FILE#/{expected}/NAME"
                continue
            there = (file.path.parent / path if path else file.path).resolve()
            module = next((each for each in self.modules.values() if each.path.resolve() == there), None)
            if module is None:
                yield f"{place}: there is no such file in openapi/{self.name}/; correct the name"
            elif not {name, *_bases(name)} & module.content.get(kind, {}).keys():
                yield f"{place} leads nowhere; add {name} to {kind} of {module.name} or correct the $ref"

    def _unlisted_paths(self) -> Iterator[str]:
        listed = {item["$ref"] for item in self.root.content["paths"].values()}
        for path, file in self.modules.items():
            for key in file.content.get("paths", ()):
                if f"{path}#/paths/{key}" not in listed:
                    place = file.place("paths", key)
                    yield f"{place}: no URL leads to {key}; add one to paths of {self.root.name}"

    def _operations(self) -> Iterator[str]:
        seen: dict[str, str] = {}
        for file, keys, operation in self.operations():
            place = file.place(*keys)
            if not isinstance(operation, dict) or not isinstance(operation.get("operationId"), str):
                yield f"{place}: the operation has no operationId; add the name of its handler"
                continue
            name = operation["operationId"]
            if name in seen:
                yield f"{place}: the operationId {name} is that of {seen[name]}, too; rename one"
            seen[name] = place
            if not operation.get("x-callers"):
                yield f"{place}: {name} has no x-callers; add who may call it"

    def operations(self) -> Iterator[tuple[File, Keys, Any]]:
        """Every operation, with its file and place."""
        for file in self.modules.values():
            for key, item in file.content.get("paths", {}).items():
                for method in METHODS:
                    if method in item:
                        yield file, ("paths", key, method), item[method]

    def missing_handlers(self) -> Iterator[str]:
        """One mistake for each operation without a function of its name in the module of its file."""
        for file, keys, operation in self.operations():
            module = ROOT / "handlers" / file.path.relative_to(SOURCE).with_suffix(".py")
            names = _functions(module) if module.exists() else set()
            if (name := operation["operationId"]) not in names:
                handlers = module.relative_to(ROOT).as_posix()
                yield f"{file.place(*keys)}: {name} has no handler; write def {name} in {handlers}"


def _functions(module: Path) -> set[str]:
    """The functions of a module of handlers, and their aliases."""
    statements = ast.parse(module.read_text()).body
    names = {node.name for node in statements if isinstance(node, ast.FunctionDef)}
    assigned = (
        node for s in statements if isinstance(s, ast.Assign) for t in s.targets for node in ast.walk(t)
    )
    return names | {node.id for node in assigned if isinstance(node, ast.Name)}


def _bases(name: str) -> list[str]:
    """The schemas that *name* may be derived from."""
    return [name.removesuffix(ending) for ending in DERIVED if name.endswith(ending)]


def _references(node: Any, *keys: str | int) -> Iterator[tuple[Keys, Any]]:
    """Every $ref below *node* with its keys, except in examples."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _references(item, *keys, index)
    elif isinstance(node, dict):
        if "$ref" in node:
            yield (*keys, "$ref"), node["$ref"]
        for key, value in node.items():
            if key not in ("example", "value", "$ref") or keys[-1:] == ("properties",):
                yield from _references(value, *keys, key)


def _kind(keys: Keys) -> str:
    """The kind of the target of a $ref at *keys*; by default a schema."""
    above = keys[-3] if len(keys) > 2 else ""  # noqa: PLR2004  (kind, name, $ref)
    is_property = keys[-4:-3] == ("properties",)
    return str(above) if above in KINDS and not is_property else "schemas"
