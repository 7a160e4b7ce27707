"""Checks responses against the contract, in every test and with the setting VALIDATE_RESPONSES.

The schemas are closed: a member that the contract does not name is an error, unless its schema allows
extension members. jsonschema-rs does the check, so that the models do not check their own output.
"""

import functools
from typing import Any

import flask
import jsonschema_rs
import orjson

import errors

Schema = dict[str, Any]


class ResponseCheck:
    """Checks the responses of one document."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._components = {"schemas": closed(draft4(document["components"]["schemas"]))}
        self._responses = {
            operation["operationId"]: operation["responses"]
            for item in document["paths"].values()
            for operation in item.values()
            if isinstance(operation, dict) and "operationId" in operation
        }

    def __call__(self, operation_id: str, response: flask.Response) -> None:
        """Check a response.

        Raises:
            errors.ServerError: the contract does not allow it.
        """
        status = str(response.status_code)
        if status not in self._responses[operation_id]:
            raise errors.ServerError(f"{operation_id}: {status} is not in the contract")
        validator = self._validator(operation_id, status)
        if validator is None:
            return
        try:
            validator.validate(orjson.loads(response.get_data() or b"null"))
        except jsonschema_rs.ValidationError as error:
            path = ".".join(map(str, error.instance_path))
            raise errors.ServerError(f"{operation_id}: {path}: {error.message[:200]}") from None

    @functools.cache  # noqa: B019  (a ResponseCheck lives as long as the program)
    def _validator(self, operation_id: str, status: str) -> jsonschema_rs.Draft4Validator | None:
        response = self._responses[operation_id][status]
        if "$ref" in response:
            response = self._document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        if "content" not in response:
            return None
        schema = closed(draft4(response["content"]["application/json"]["schema"]))
        return jsonschema_rs.Draft4Validator({**schema, "components": self._components}, mask="the value")


def draft4(node: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema draft 4, which has no `nullable`."""
    if isinstance(node, list):
        return [draft4(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: draft4(value) for key, value in node.items() if key not in ("example", "nullable")}
    if schema.get("required") == []:
        del schema["required"]  # draft 4 forbids an empty list
    if node.get("nullable") is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema


def closed(node: Any) -> Any:
    """The same schema, but without unnamed members unless it allows them explicitly."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "type" in node:
        schema.setdefault("additionalProperties", False)
    return schema
