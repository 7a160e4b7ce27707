"""The published document, derived from the one that the program reads.

Generators of clients shape it. It has no `x-` keys but those that they know. A property of a request
has no `default`, because it would become required or be sent always; its description tells the
default. What may be null says so beside the reference, because a schema `XOrNull` would become a
second class for X. A body that may be absent is not nullable as well.
"""

import copy
import json
from typing import Any

from model_schemas import METHODS, SCHEMAS, Node

FOR_GENERATORS = {"x-enum-varnames"}
OR_NULL = "OrNull"


def published(runtime: Node) -> Node:
    """The published form of the document *runtime*."""
    document: Node = without_extensions(copy.deepcopy(runtime))
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        for node in schema.get("properties", {}).values():
            describe_default(node)
    for item in document["paths"].values():
        for operation in (item[method] for method in METHODS if method in item):
            body = operation.get("requestBody", {"required": True})
            if not body.get("required"):
                refuse_null(schemas, body["content"]["application/json"])
    for name in [name for name in schemas if name.endswith(OR_NULL)]:
        schemas.setdefault(name.removesuffix(OR_NULL), without_null(schemas[name]))
        del schemas[name]
    nullable: Node = with_null_beside(document)
    return nullable


def without_extensions(node: Any) -> Any:
    """*node* without the `x-` keys that only the program uses."""
    if isinstance(node, list):
        return [without_extensions(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = (key for key in node if not key.startswith("x-") or key in FOR_GENERATORS)
    return {key: without_extensions(node[key]) for key in kept}


def describe_default(node: Node) -> None:
    """Turn the `default` of a property into a sentence of its description."""
    if "default" in node:
        default = node.pop("default")
        text = default if isinstance(default, str) else json.dumps(default)
        node["description"] = f"{node['description']} The default is `{text}`."


def refuse_null(schemas: Node, media: Node) -> None:
    """Let the optional body *media* refer to `XIn` instead of the nullable `XOrNull`."""
    name = media["schema"]["$ref"].removeprefix(SCHEMAS)
    stricter = f"{name.removesuffix(OR_NULL)}In"
    if name in schemas:
        schemas[stricter] = without_null(schemas.pop(name))
    media["schema"] = {"$ref": SCHEMAS + stricter}


def without_null(schema: Node) -> Node:
    """*schema* without null."""
    stricter = {key: value for key, value in schema.items() if key != "nullable"}
    if "anyOf" in stricter:
        stricter["anyOf"] = [without_null(alternative) for alternative in stricter["anyOf"]]
    if "enum" in stricter:
        stricter["enum"] = [value for value in stricter["enum"] if value is not None]
    return stricter


def with_null_beside(node: Any) -> Any:
    """*node* with `X` and `nullable` wherever it refers to `XOrNull`."""
    if isinstance(node, list):
        return [with_null_beside(item) for item in node]
    if not isinstance(node, dict):
        return node
    references = [part.get("$ref", "") for part in node.get("allOf", [node])]
    if len(references) == 1 and references[0].startswith(SCHEMAS) and references[0].endswith(OR_NULL):
        beside = {key: value for key, value in node.items() if key not in ("$ref", "allOf")}
        return {"allOf": [{"$ref": references[0].removesuffix(OR_NULL)}], **beside, "nullable": True}
    return {key: with_null_beside(value) for key, value in node.items()}
