"""Compare the published documents with those of the last release, and refuse changes that break clients.

A break needs a higher minor version in pyproject.toml, and a line under "Breaking" in CHANGELOG.md
that names what changed. These changes are breaks:

- an operation, a parameter, a body, an answer, a schema or a property is gone, or has another name;
- a parameter, a body or a property of a request becomes required;
- the URL of an operation changes, or a type, a reference, a pattern or a format;
- a request may carry less: no null, fewer values or alternatives, tighter bounds;
- an answer promises less: null, more values or alternatives, a property that may be absent.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from model_schemas import METHODS, Node, reachable, references
from packaging.version import Version

ROOT = Path(__file__).parent.parent
BOUNDS = {"maxLength": 1, "maxItems": 1, "maximum": 1, "minLength": -1, "minItems": -1, "minimum": -1}
"""Keys of bounds; 1 where a lower bound is tighter."""


class Interface:
    """A document as schemas by name; requests and responses of operations are schemas, too."""

    def __init__(self, document: Node) -> None:
        self.schemas: Node = dict(document["components"]["schemas"])
        self.requests: set[str] = set()
        self.answers: set[str] = set()
        shared = {
            f"#/components/{kind}/{name}": node
            for kind in ("parameters", "responses")
            for name, node in document["components"][kind].items()
        }
        for url, item in document["paths"].items():
            for method in item.keys() & set(METHODS):
                operation = item[method]
                nodes = item.get("parameters", []) + operation.get("parameters", [])
                parts = {
                    each["name"]: each for each in (shared.get(node.get("$ref"), node) for node in nodes)
                }
                parts |= {"body": operation["requestBody"]} if "requestBody" in operation else {}
                name = operation["operationId"]
                self.requests.add(name)
                self.schemas[name] = {
                    "url": f"{method.upper()} {url}",
                    "properties": {key: schema_of(part) for key, part in parts.items()},
                    "required": [key for key, part in parts.items() if part.get("required")],
                }
                responses = {
                    status: schema_of(shared.get(node.get("$ref"), node))
                    for status, node in operation["responses"].items()
                }
                self.answers.add(f"answer of {name}")
                self.schemas[f"answer of {name}"] = {"properties": responses, "required": [*responses]}
        self.requests = self.including_what_they_refer_to(self.requests)
        self.answers = self.including_what_they_refer_to(self.answers)

    def including_what_they_refer_to(self, names: set[str]) -> set[str]:
        """*names* and the schemas behind them."""
        return set(reachable(self.schemas, names))


def schema_of(node: Node) -> Node:
    """The schema of a parameter, a body or a response."""
    content = node.get("content", {}).get("application/json", {})
    schema: Node = (node | content).get("schema", {})
    return schema


def breaks(old: Interface, new: Interface) -> Iterator[tuple[str, str]]:
    """The changes in *new* that break a client of *old*: a name such as `put_token`, and a text."""
    for name, schema in old.schemas.items():
        if name in new.schemas:
            sent, received = name in new.requests, name in new.answers
            yield from changes(name, schema, new.schemas[name], sent=sent, received=received)
        elif not name.startswith("answer of "):
            yield name, "it is gone"


def changes(name: str, old: Node, new: Node, *, sent: bool, received: bool) -> Iterator[tuple[str, str]]:
    """The changes in the schema *new* that break a client that sends or receives *old*."""
    for key in [*different(old, new), *(tighter(old, new) if sent else ())]:
        yield name, f"{key} is {new.get(key)} now, it was {old.get(key)}"
    members, new_members = old.get("properties", {}), new.get("properties", {})
    before, after = (allowed(schema, members.keys() & new_members.keys()) for schema in (old, new))
    for thing in sorted(before - after if sent else ()):
        yield name, f"requests no longer allow {thing}"
    for thing in sorted(after - before if received else ()):
        yield name, f"answers now allow {thing}"
    for key in sorted(set(new.get("required", ())) - members.keys() if sent else ()):
        yield f"{name}.{key}", "it is new and required"
    for key, node in members.items():
        if key in new_members:
            yield from changes(f"{name}.{key}", node, new_members[key], sent=sent, received=received)
        else:
            yield f"{name}.{key}", "it is gone"
    for part, new_part in zip(parts(old), parts(new), strict=False):
        yield from changes(name, part, new_part, sent=sent, received=received)


def different(old: Node, new: Node) -> list[str]:
    """The changed keys that must not change."""
    return [key for key in ("url", "type", "$ref", "pattern", "format") if old.get(key) != new.get(key)]


def tighter(old: Node, new: Node) -> list[str]:
    """The keys of bounds that became stricter."""
    return [
        key for key in BOUNDS if key in new and (key not in old or BOUNDS[key] * (new[key] - old[key]) < 0)
    ]


def parts(schema: Node) -> list[Node]:
    """The schema of the items, and the one that a nullable reference leads to."""
    return [*filter(None, [schema.get("items")]), *schema.get("allOf", ())]


def allowed(schema: Node, members: set[str]) -> set[str]:
    """*schema* in words, with only *members* of its properties."""
    values = {f"the value {value}" for value in schema.get("enum", ())} or {"any value"}
    absent = {f"the absence of {key}" for key in members - set(schema.get("required", ()))}
    null = {"null"} if schema.get("nullable") else set()
    return values | absent | null | set(references(schema.get("anyOf", ())))


def announced(name: str, released: str, version: str, changelog: str) -> bool:
    """Whether *version* may break *name*, and *changelog* says so under "Breaking"."""
    section = re.search(rf"(?ms)^## (Unreleased|{re.escape(version)}\b).*?(?=^## |\Z)", changelog)
    breaking = re.search(r"(?ms)^### Breaking$.*?(?=^### |\Z)", section[0] if section else "")
    is_higher = Version(version).release[:2] > Version(released).release[:2]
    return is_higher and breaking is not None and f"`{name}`" in breaking[0]


def main() -> None:
    """Exit with the breaking changes that are not announced."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    last = max((ROOT / "docs" / "releases").iterdir(), key=lambda folder: Version(folder.name))
    places = (last, ROOT / "generated")
    lines = [
        f"{file}: {name}: {text}. It breaks clients of {last.name}: raise the minor version in "
        f'pyproject.toml and name `{name}` under "Breaking" in CHANGELOG.md'
        for file in ("ocpi.json", "gateway.json")
        for name, text in breaks(*(Interface(json.loads((place / file).read_text())) for place in places))
        if not announced(name, last.name, version, changelog)
    ]
    if lines:
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
