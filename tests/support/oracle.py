"""The results of jsonschema-rs with the normalizer, and of the generated models, for the same body.

The first is the oracle: it reads the published schemas (`LocationIn`), the models read the strict ones
(`Location`) through the types of openapi/field_types.py. Neither knows of the other.
"""

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import contracts
import pydantic
from bad_values import VALUES
from normalizer import SchemaState

import errors
from generated import gateway_models, ocpi_models
from openapi.field_types import RULE, Model
from storage import deviations

OCPI, GATEWAY = contracts.ocpi(), contracts.gateway()
SCHEMAS: dict[str, Any] = OCPI.document["components"]["schemas"]
OBJECTS = (
    "Location", "EVSE", "Connector", "Session", "CDR", "Tariff", "Token",
    "Credentials", "ReserveNow", "StartSession", "StopSession", "UnlockConnector",
)  # fmt: skip
PATCHES = ("LocationPatch", "EVSEPatch", "ConnectorPatch", "SessionPatch", "TariffPatch", "TokenPatch")
REQUESTS = ("CpoCreateRequest", "LocationBulkCreateRequest", "LocationUpdateRequest")
NAMES = (*OBJECTS, *PATCHES, *REQUESTS)

ACCEPTED, BROKEN_RULE, BROKEN_SCHEMA = "accepted", "broken rule", "broken schema"


@dataclass(frozen=True)
class Outcome:
    """A verdict and, for an accepted body, the canonical value and the noted kinds of deviation."""

    verdict: str
    value: Any = None
    deviations: tuple[str, ...] = ()


def of_oracle(name: str, body: Any) -> Outcome:
    """The outcome of the oracle for *body*."""
    if name in REQUESTS:
        fits = GATEWAY.validator({"$ref": f"#/components/schemas/{name}"}).is_valid(body)
        return Outcome(ACCEPTED, known_members(name, body)) if fits else Outcome(BROKEN_SCHEMA)
    partial = name.endswith("Patch")
    published = name if partial else f"{name}In"
    if not OCPI.validator({"$ref": f"#/components/schemas/{published}"}).is_valid(body):
        return Outcome(BROKEN_SCHEMA)
    kinds: list[str] = []
    with mock.patch.object(deviations, "note", lambda kind, _example: kinds.append(kind)):
        try:
            if partial:
                value = OCPI.normal(name.removesuffix("Patch"), SchemaState.PARTIAL)(copy.deepcopy(body))
            else:
                value = OCPI.normalize(name, copy.deepcopy(body))
        except errors.RuleBroken:
            return Outcome(BROKEN_RULE)
    if name == "Tariff" and body.get("last_updated") is None:
        del value["last_updated"]  # the current time
    return Outcome(ACCEPTED, value, tuple(sorted(kinds)))


def known_members(name: str, body: Any) -> Any:
    """A gateway request without unknown members, which have no effect."""
    schemas = GATEWAY.document["components"]["schemas"]

    def without_unknown_members(schema: dict[str, Any], value: Any) -> Any:
        schema = GATEWAY.followed(schema["allOf"][0] if "allOf" in schema else schema)
        if "x-chosen-by" in schema:
            chosen = schema["anyOf"][0 if schema["x-chosen-by"] in value else 1]
            return without_unknown_members(chosen, value)
        if isinstance(value, list):
            return [without_unknown_members(schema["items"], item) for item in value]
        if not isinstance(value, dict):
            return value
        members, others = schema["properties"], schema.get("additionalProperties")
        return {
            key: without_unknown_members(members.get(key, {}), item)
            for key, item in value.items()
            if key in members or others
        }

    return without_unknown_members(schemas[name], body)


def model_of(name: str) -> type[Model]:
    """The generated class *name*."""
    model: type[Model] = getattr(gateway_models if name in REQUESTS else ocpi_models, name)
    return model


def of_models(name: str, body: Any) -> Outcome:
    """The outcome of the generated model for *body*, without extension members."""
    kinds: list[str] = []
    try:
        model = model_of(name).model_validate_json(
            json.dumps(body), context=lambda kind, _example: kinds.append(kind)
        )
    except pydantic.ValidationError as error:
        types = {each["type"] for each in error.errors(include_input=False, include_url=False)}
        return Outcome(BROKEN_RULE if types == {RULE} else BROKEN_SCHEMA)
    if name not in REQUESTS:
        forget_extensions(model)
    if name in PATCHES:
        value = changes(model)
    else:
        value = json.loads(
            model.json_text() if name in OBJECTS else model.model_dump_json(exclude_unset=True)
        )
    if name == "Tariff" and body.get("last_updated") is None:
        del value["last_updated"]
    return Outcome(ACCEPTED, value, tuple(sorted(kinds)))


def changes(patch: pydantic.BaseModel) -> dict[str, Any]:
    """The changes of a PATCH: the members that were set, null to clear one."""
    found = {}
    for field, value in patch:
        if field not in patch.model_fields_set:
            continue
        if field == "evses" and value is not None:
            found[field] = [changes(item) for item in value]
        else:
            found[field] = json.loads(patch.model_dump_json(include={field}, exclude_none=True)).get(field)
    return found


def forget_extensions(value: Any) -> None:
    """Remove the members that the contract does not name from a model, at every level."""
    if isinstance(value, list):
        for item in value:
            forget_extensions(item)
    elif isinstance(value, pydantic.BaseModel):
        if value.__pydantic_extra__ and value.model_config.get("extra") == "allow":
            value.__pydantic_extra__.clear()
        for field in type(value).model_fields:
            forget_extensions(getattr(value, field))


# Bodies

_ANYTHING: list[Any] = [
    None, True, 0, 1, -1, 7, 1.0, 2.5, 230.0, 1e300, 2**31, 99_999_999_999, "", "x", "NL", "XX", "nld", "DEU",
    "2.50", "0.30", "1e1", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00.123456+05:30", "2026-11-20T12:00:00",
    "9999-12-31T23:59:59-01:00", "1000-01-01T00:00:00+01:00", "2026-02-30T00:00:00Z", "51.0", "-0.12345678",
    "99.9999999", "18:00", "07:00", "SPECIAL", "special", "RFID_READER", "ENERGY",
    [], {}, ["x"], [{}], [None],
]  # fmt: skip
POOL = [*_ANYTHING, *(v for _, _, values in VALUES for v in values if len(repr(v)) < 300)]


def example(name: str) -> Any:
    """An example of a request body for *name*."""
    api = GATEWAY if name in REQUESTS else OCPI
    schemas: dict[str, Any] = api.document["components"]["schemas"]
    base = name.removesuffix("Patch") if name in PATCHES else name
    return copy.deepcopy(schemas[base]["example"])


def bodies(seed: int, count: int) -> Iterator[tuple[str, Any]]:
    """*count* names and bodies: examples with up to three random changes."""
    rng = random.Random(seed)
    examples = {name: example(name) for name in NAMES}
    for _ in range(count):
        name = rng.choice(NAMES)
        body = copy.deepcopy(examples[name])
        if name in PATCHES and rng.random() < 0.7:
            body = {key: body[key] for key in body if rng.random() < 0.4}
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            mutate(body, rng)
        yield name, body


def mutate(body: Any, rng: random.Random) -> None:
    """Change one member of *body*, at any depth."""
    places = [(node, key) for node in containers(body) for key in keys(node)]
    if not places:
        return
    node, key = rng.choice(places)
    match rng.randrange(6):
        case 0 | 1:
            node[key] = copy.deepcopy(rng.choice(POOL))
        case 2:
            del node[key]
        case 3:
            node[key] = None
        case 4 if isinstance(node, dict):
            node[rng.choice(("x_extension", "authorization_id", "nul"))] = copy.deepcopy(rng.choice(POOL))
        case 4 | 5 if isinstance(node, list):
            node.append(copy.deepcopy(node[key]))
        case _:
            other_node, other_key = rng.choice(places)
            node[key] = copy.deepcopy(other_node[other_key])


def containers(value: Any) -> Iterator[Any]:
    """Every object and list in *value*, itself first."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def keys(node: Any) -> list[Any]:
    """The keys or indexes of the members of *node*."""
    return list(node) if isinstance(node, dict) else list(range(len(node)))


# Expected differences


def is_explained(name: str, old: Outcome, new: Outcome) -> bool:
    """Whether a difference is the expected one: a PATCH with a time outside the years 1000 to 9999 in UTC.

    The models refuse it at once. Today the normalizer reads it, and the result of the PATCH is refused.
    """
    return name in PATCHES and (old.verdict, new.verdict) == (ACCEPTED, BROKEN_RULE)
