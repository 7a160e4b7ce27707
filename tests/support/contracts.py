"""The contract in jsonschema-rs: the oracle for the generated models."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
from normalizer import Normal, Normalizer, SchemaState

import errors
from handlers.dispatch.response_check import closed, draft4
from storage import timestamps

GENERATED = Path(__file__).parent.parent.parent / "generated"
_SCHEMAS = "#/components/schemas/"
_LONGEST = 120
_MASK = "the value"  # a message must not repeat a value, which may be a token
_KEYWORD_TEXTS = {
    "required": "is required",
    "enum": "is none of the values that are allowed",
    "anyOf": "has none of the forms that are allowed",
    "pattern": "does not have the form that is asked for",
    "type": "has the wrong type",
}

Schema = dict[str, Any]


class Contract:
    """One published document and its compiled validators."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.document: dict[str, Any] = orjson.loads((GENERATED / f"{name}_runtime.json").read_bytes())
        self._schemas = self.document["components"]["schemas"]
        self._translated = {"schemas": draft4(self._schemas)}
        self._closed = {"schemas": closed(self._translated["schemas"])}
        self.normalizer = Normalizer(self._schemas)

    def validator(self, schema: Schema, *, close: bool = False) -> jsonschema_rs.Draft4Validator:
        """A compiled validator; *close*: members that the schema does not name are refused."""
        return self._compiled(orjson.dumps(schema), close)

    @functools.cache  # noqa: B019  (a Contract lives as long as the program)
    def _compiled(self, schema: bytes, close: bool) -> jsonschema_rs.Draft4Validator:  # noqa: FBT001  (the cache's key)
        """Cached, because most operations share their refusals."""
        components = self._closed if close else self._translated
        normalized = draft4(orjson.loads(schema))
        whole = {**(closed(normalized) if close else normalized), "components": components}
        return jsonschema_rs.Draft4Validator(whole, mask=_MASK)

    def followed(self, node: Schema) -> Schema:
        """*node*, or the target of its $ref."""
        while "$ref" in node:
            kind, name = node["$ref"].split("/")[-2:]
            node = self.document["components"][kind][name]
        return node

    @functools.cache  # noqa: B019  (a Contract lives as long as the program)
    def strict(self, name: str) -> jsonschema_rs.Draft4Validator:
        """The validator of the strict schema *name*, for stored and sent objects."""
        return self.validator({"$ref": _SCHEMAS + name}, close=True)

    def normalize(self, name: str, value: Any) -> Any:
        """*value* in its canonical form.

        Raises:
            errors.RuleBroken: a rule of the contract refuses it.
        """
        normalized = self.normal(name)(value)
        for absent in self._schemas[name].get("x-optional-on-input", ()):
            normalized.setdefault(absent, timestamps.now())  # only timestamps are optional (conformance 161)
        self.check_strict(name, normalized)
        return normalized

    @functools.cache  # noqa: B019  (a Contract lives as long as the program)
    def normal(self, name: str, state: SchemaState = SchemaState.ACCEPTED) -> Normal:
        """The normalizer of the strict schema *name*."""
        return self.normalizer.of(name, state)

    def check_strict(self, name: str, value: Any) -> None:
        """Refuse a value that violates the strict schema *name*.

        Raises:
            errors.RuleBroken: the message names the field.
        """
        validator = self.strict(name)
        if not validator.is_valid(value):
            raise errors.RuleBroken(explain(validator, value))


@functools.cache
def ocpi() -> Contract:
    """The contract of the OCPI peer API."""
    return Contract("ocpi")


@functools.cache
def gateway() -> Contract:
    """The contract of the gateway API."""
    return Contract("gateway")


def explain(validator: jsonschema_rs.Draft4Validator, value: Any) -> str:
    """What is wrong with *value*: the field, then what it should be."""
    error = _first_error(validator, value)
    path = [str(step) for step in error.instance_path]
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    message = error.message
    if keyword == "required":
        path.append(message.partition('"')[2].partition('"')[0])
    if keyword in _KEYWORD_TEXTS and (keyword == "required" or len(message) > _LONGEST):
        message = _KEYWORD_TEXTS[keyword]
    if len(message) > _LONGEST:
        message = f"is refused by {keyword}"
    return f"{'.'.join(path) or 'body'}: {message}"[:500]


def _first_error(validator: jsonschema_rs.Draft4Validator, value: Any) -> jsonschema_rs.ValidationError:
    """The first error; the others are not computed, because there may be a million."""
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return error
    raise errors.ServerError("A value was refused and then accepted.")


def nodes(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping below *node* that is not part of an example, with its place."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from nodes(item, f"{place}/{index}")
    elif isinstance(node, dict):
        yield place, node
        for key, value in node.items():
            if key in ("properties", "examples"):  # names, which may be any word
                for name, named in value.items():
                    yield from nodes(named, f"{place}/{key}/{name}")
            elif key not in ("example", "value"):
                yield from nodes(value, f"{place}/{key}")
