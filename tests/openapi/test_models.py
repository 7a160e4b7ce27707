"""The generated models and tests/support/oracle.py have equal verdicts and equal canonical values."""

import copy
import json
import time
from typing import Any

import oracle
import pydantic
import pytest
from bad_values import VALUES
from oracle import (
    ACCEPTED,
    BROKEN_SCHEMA,
    GATEWAY,
    NAMES,
    OBJECTS,
    OCPI,
    model_of,
    of_models,
    of_oracle,
)
from surface import put_in

from openapi.field_types import Model
from openapi.iso_3166 import ALPHA_3

BODIES = 1000


@pytest.mark.parametrize(
    ("name", "path", "values"), [pytest.param(*case, id=".".join(case[:2])) for case in VALUES]
)
def test_models_and_oracle_agree_on_every_bad_value(name: str, path: str, values: list[Any]) -> None:
    for value in values:
        body = put_in(oracle.example(name), path, copy.deepcopy(value))

        judgment = of_oracle(name, body)

        assert judgment == of_models(name, body), value
        assert judgment.verdict != ACCEPTED, value


@pytest.mark.parametrize("name", NAMES)
def test_models_and_oracle_agree_on_the_example_of_each_schema(name: str) -> None:
    body = oracle.example(name)

    judgment = of_oracle(name, body)

    assert judgment == of_models(name, body)
    assert judgment.verdict == ACCEPTED


def request_examples() -> list[Any]:
    """The examples of every request body in both documents, each with its schema."""
    found = []
    for contract in (OCPI, GATEWAY):
        for item in contract.document["paths"].values():
            for operation in (entry for entry in item.values() if isinstance(entry, dict)):
                media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                name = media.get("schema", {}).get("$ref", "").rpartition("/")[2].removesuffix("In")
                found += [
                    pytest.param(
                        name, contract.followed(node)["value"], id=f"{operation['operationId']}-{key}"
                    )
                    for key, node in media.get("examples", {}).items()
                    if name in NAMES
                ]
    return found


@pytest.mark.parametrize(("name", "body"), request_examples())
def test_models_and_oracle_agree_on_the_examples_of_every_request(name: str, body: Any) -> None:
    judgment = of_oracle(name, body)

    assert judgment == of_models(name, body)
    assert judgment.verdict == ACCEPTED


def test_models_and_oracle_agree_on_generated_bodies() -> None:
    judgments = [
        (name, body, of_oracle(name, body), of_models(name, body)) for name, body in oracle.bodies(1, BODIES)
    ]

    assert [] == [
        (name, body, old, new)
        for name, body, old, new in judgments
        if old != new and not oracle.is_explained(name, old, new)
    ]
    assert {old.verdict for _, _, old, _ in judgments} >= {ACCEPTED, BROKEN_SCHEMA}


def test_the_comparison_detects_a_model_with_other_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        oracle, "model_of", lambda _name: pydantic.create_model("Anything", __base__=Model, uid=(str, ""))
    )

    assert any(of_oracle(name, body) != of_models(name, body) for name, body in oracle.bodies(1, 20))


def test_models_and_oracle_agree_on_every_country() -> None:
    for alpha_2 in ALPHA_3:
        body = {**oracle.example("Location"), "country": alpha_2}
        assert of_oracle("Location", body) == of_models("Location", body)


# What the oracle does not cover: extension members, and the limits of a refusal.

STORED = [
    name for name in OBJECTS if name in ("Location", "EVSE", "Connector", "Session", "CDR", "Tariff", "Token")
]


@pytest.mark.parametrize("name", STORED)
def test_extension_members_of_a_stored_object_are_kept_unchanged(name: str) -> None:
    nested = {"b": [1, None, {"c": None}], "a": 2.50}
    extensions = {"z_last": nested, "authorization_id": "x", "nothing": None}
    body = {**extensions, **oracle.example(name)}

    model = model_of(name).model_validate_json(json.dumps(body))
    kept = json.loads(model.json_text())

    assert list(kept)[-2:] == ["z_last", "authorization_id"]
    assert kept["z_last"] == nested
    assert "nothing" not in kept


def test_extension_members_are_kept_at_every_level() -> None:
    body = oracle.example("Location")
    body["evses"][0]["connectors"][0]["voltage_peak"] = 400
    body["coordinates"]["altitude"] = "12"

    kept = json.loads(model_of("Location").model_validate_json(json.dumps(body)).json_text())

    assert kept["evses"][0]["connectors"][0]["voltage_peak"] == 400
    assert kept["coordinates"]["altitude"] == "12"


@pytest.mark.parametrize("name", ["Credentials", "StopSession", "CpoCreateRequest"])
def test_other_objects_drop_unknown_members(name: str) -> None:
    model = model_of(name).model_validate_json(json.dumps({**oracle.example(name), "unknown": 1}))

    assert "unknown" not in json.loads(model.model_dump_json())


def test_a_list_is_validated_up_to_its_first_invalid_item() -> None:
    """Otherwise 250 EVSEs with empty parts cause 115,750 errors, and Pydantic keeps all of them."""
    body = {**oracle.example("Location"), "evses": [{}] * 250}

    with pytest.raises(pydantic.ValidationError) as refused:
        model_of("Location").model_validate_json(json.dumps(body))

    assert {error["loc"][:2] for error in refused.value.errors()} == {("evses", 0)}
    assert refused.value.error_count() == len(model_of("EVSE").model_json_schema()["required"])


def test_a_large_invalid_body_has_few_errors() -> None:
    text = json.dumps({"locations": [{"name": 7, "charges": [{}] * 20}] * 10_000})
    began = time.process_time()

    with pytest.raises(pydantic.ValidationError) as refused:
        model_of("LocationBulkCreateRequest").model_validate_json(text)

    assert refused.value.error_count() < 20
    assert time.process_time() - began < 1


def test_the_text_of_an_error_does_not_contain_the_input() -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        model_of("Credentials").model_validate_json('{"token": "secret secret"}')

    assert "secret" not in str(refused.value)
