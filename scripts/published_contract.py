"""The document that clients read, made from the one that the program reads.

It has no `x-` keys but those that generators of clients know. A property of a request has no
`default`, because generators make such a property required or send it always; its description tells
the default. A body that may be absent is not nullable as well.
"""

import copy
import json
from typing import Any

from model_schemas import METHODS, SCHEMAS, Node

FOR_GENERATORS = {"x-enum-varnames"}


def published(runtime: Node) -> Node:
    """What is published of the document *runtime*."""
    document: Node = without_extensions(copy.deepcopy(runtime))
    for schema in document["components"]["schemas"].values():
        for node in schema.get("properties", {}).values():
            describe_default(node)
    for item in document["paths"].values():
        for operation in (item[method] for method in METHODS if method in item):
            body = operation.get("requestBody", {"required": True})
            if not body.get("required"):
                refuse_null(document, body["content"]["application/json"])
    return document


def without_extensions(node: Any) -> Any:
    """*node* without the `x-` keys that steer only the program."""
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


def refuse_null(document: Node, media: Node) -> None:
    """Let the optional body *media* refer to `XIn` instead of the nullable `XOrNull`."""
    schemas = document["components"]["schemas"]
    name = media["schema"]["$ref"].removeprefix(SCHEMAS)
    stricter = f"{name.removesuffix('OrNull')}In"
    if name in schemas:
        schemas[stricter] = schemas.pop(name)
        del schemas[stricter]["nullable"]
    media["schema"] = {"$ref": SCHEMAS + stricter}
