"""Finds OpenAPI constructs that handlers/dispatch does not implement; `scripts/generate` refuses them."""

from collections.abc import Iterator

from model_schemas import METHODS, Node

Problem = tuple[tuple[str, ...], str]
"""The keys of a part of the document, and the unsupported construct."""

PARAMETER_KEYS = {"name", "in", "description", "required", "schema", "example", "examples"}
SCHEMA_KEYS = {"discriminator", "uniqueItems", "minProperties", "maxProperties", "writeOnly"}
"""The keywords that the generated models do not check."""


def unsupported(document: Node) -> Iterator[Problem]:
    """Each construct of *document* that is not implemented."""
    if len(document["components"]["securitySchemes"]) != 1:
        yield ("components", "securitySchemes"), "only one security scheme is implemented"
    for name, schema in document["components"]["schemas"].items():
        for key in sorted(_keys(schema) & SCHEMA_KEYS):
            yield ("components", "schemas", name), f"{key} is not implemented; remove it"
    for url, item in document["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                declared = [*item.get("parameters", ()), *operation.get("parameters", ())]
                parameters = [resolved(document, parameter) for parameter in declared]
                for problem in _in_operation(operation, parameters, document):
                    yield ("paths", url, method), problem


def _in_operation(operation: Node, parameters: list[Node], document: Node) -> Iterator[str]:
    if "security" in operation:
        yield "security: the document's is that of every operation"
    yield from _in_parameters(parameters, document)
    bodies = [resolved(document, response) for response in operation["responses"].values()]
    for body in [*bodies, operation.get("requestBody", {})]:
        media = body.get("content", {"application/json": {}})
        if media.keys() != {"application/json"}:
            yield f"media types {sorted(media)}: only application/json is implemented"
    request = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if request and "$ref" not in request.get("schema", {}):
        yield "request body: only a $ref to a named schema is implemented"
    if not any(status.startswith("2") for status in operation["responses"]):
        yield "no success is declared"


def _in_parameters(parameters: list[Node], document: Node) -> Iterator[str]:
    for parameter in parameters:
        schema, name = resolved(document, parameter["schema"]), parameter["name"]
        if parameter["in"] not in ("path", "query", "header"):
            yield f"parameter {name}: in {parameter['in']} is not implemented"
        if odd := parameter.keys() - PARAMETER_KEYS:
            yield f"parameter {name}: {sorted(odd)} are not implemented"
        if schema.get("type") not in ("string", "integer") or "nullable" in schema:
            yield f"parameter {name}: only strings and integers are implemented"
    arguments = ["user", "body", *(parameter["name"].lower().replace("-", "_") for parameter in parameters)]
    if len(arguments) != len(set(arguments)):
        yield f"parameters {sorted(arguments[2:])}: two would be the same argument"


def resolved(document: Node, node: Node) -> Node:
    """*node*, or the target of its $ref."""
    while "$ref" in node:
        kind, name = node["$ref"].split("/")[-2:]
        node = document["components"][kind][name]
    return node


def _keys(node: object) -> set[str]:
    """The keywords of a schema and of its parts; the names of properties are none."""
    if isinstance(node, list):
        return set().union(*map(_keys, node))
    if not isinstance(node, dict):
        return set()
    properties = list(node.get("properties", {}).values())
    others = [value for key, value in node.items() if key not in ("properties", "example")]
    return set(node).union(*map(_keys, [*properties, *others]))
