"""The input of datamodel-code-generator: schemas of models, and the parameters of operations.

A strict schema serves for requests as well, because the types of openapi/field_types.py accept the
loose forms. So the published `LocationIn` has no model of its own: `Location` reads it.
"""

import copy
from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]

METHODS = ("get", "put", "post", "patch", "delete")
SCHEMAS = "#/components/schemas/"
STORED = ("Location", "EVSE", "Connector", "Session", "CDR", "Tariff", "Token")
"""The objects that keep extension members. Conformance 30."""
NOT_MODELS = ("OrNull", "Envelope", "Page")
"""Endings of schemas without a model: an envelope is written around stored text."""


def for_models(folded: Node) -> Node:
    """The document for the generator, from one with unresolved references."""
    document = copy.deepcopy(folded)
    components = document["components"]
    schemas = {name: node for name, node in components["schemas"].items() if not name.endswith(NOT_MODELS)}
    wanted = {reference.removeprefix(SCHEMAS) for reference in references(document["paths"])}
    for name in sorted(wanted - schemas.keys()):
        if name.endswith("Patch"):
            add_patch(schemas, name.removesuffix("Patch"), "Patch")
    for name in reachable(schemas, {*STORED, *(f"{name}Patch" for name in STORED)} & schemas.keys()):
        if "properties" in schemas[name]:
            schemas[name]["additionalProperties"] = True
    if not schemas.keys() & set(STORED):
        refuse_null(schemas, document["paths"])
    for node in schemas.values():
        for optional in node.get("x-optional-on-input", ()):
            node["required"].remove(optional)  # its base class fills it in
    return {
        **{key: document[key] for key in ("openapi", "info")},
        "paths": {url: parameters_only(item) for url, item in document["paths"].items()},
        "components": {
            "schemas": schemas,
            "parameters": {key: argument(node) for key, node in components["parameters"].items()},
        },
    }


def add_patch(schemas: Node, name: str, suffix: str) -> None:
    """Add the schema of a partial *name*: any of its members, null only for the optional ones."""
    strict = schemas[name]
    needed = ["uid"] if suffix == "PatchItem" else []
    properties = dict(strict["properties"])
    if properties.get("evses", {}).get("x-patch") == "merge-by-uid":
        add_patch(schemas, "EVSE", "PatchItem")
        properties["evses"] = {**properties["evses"], "items": {"$ref": f"{SCHEMAS}EVSEPatchItem"}}
    for key in set(strict["required"]) - set(needed):
        properties[key] = absent_not_null(properties[key])
    schemas[f"{name}{suffix}"] = {
        "type": "object",
        "description": f"The members of a {name} that change; null clears one.",
        "properties": properties,
        **({"required": needed} if needed else {}),
    }


def refuse_null(schemas: Node, paths: Node) -> None:
    """Let what a request of the gateway carries be null only where the contract says so.

    In OCPI, a null member counts as absent (conformance 44), so there the models accept it.
    """
    bodies = {
        reference.removeprefix(SCHEMAS)
        for item in paths.values()
        for method in METHODS
        for reference in references(item.get(method, {}).get("requestBody", {}))
        if reference.startswith(SCHEMAS)
    }
    for name in reachable(schemas, bodies):
        required = schemas[name].get("required", ())
        for key, node in schemas[name].get("properties", {}).items():
            if key not in required and "default" not in node:
                schemas[name]["properties"][key] = absent_not_null(node)


def absent_not_null(node: Node) -> Node:
    """A member that may be absent but not null: with strict-nullable, a default of null says so."""
    return node if node.get("nullable") else {**node, "default": None}


def parameters_only(item: Node) -> Node:
    """A path item whose operations have their parameters and nothing else."""
    shared = [argument(node) for node in item.get("parameters", ())]
    return {
        method: {
            "operationId": item[method]["operationId"],
            "parameters": [*shared, *map(argument, item[method].get("parameters", ()))],
            "responses": {},
        }
        for method in METHODS
        if method in item
    }


def argument(parameter: Node) -> Node:
    """A parameter under the name of the handler's argument; the generator skips headers."""
    if "$ref" in parameter:
        return parameter
    schema = parameter["schema"]
    if schema.get("type") == "integer":  # a key of the generator, which only it reads
        schema = {**schema, "customTypePath": "openapi.field_types.IntegerText"}
    return {
        **parameter,
        "in": "path" if parameter["in"] == "path" else "query",
        "name": parameter["name"].lower().replace("-", "_"),
        "schema": schema,
    }


def reachable(schemas: Node, names: set[str]) -> list[str]:
    """*names* and every schema that they refer to, in alphabetical order."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        refers = {reference.removeprefix(SCHEMAS) for reference in references(schemas[name])}
        waiting |= refers & schemas.keys() - found
    return sorted(found)


def references(node: Any) -> Iterator[str]:
    """Every $ref below *node*."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
