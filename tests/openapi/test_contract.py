"""The contracts are complete and limited, have examples, and name a handler for each operation."""

import functools
import importlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import contracts
import jsonschema_rs
import pytest
from contracts import Contract, nodes

OCPI, GATEWAY = contracts.ocpi(), contracts.gateway()
CONTRACTS = (OCPI, GATEWAY)
MODULES = {
    OCPI: ("versions", "credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands"),
    GATEWAY: (
        "networks",
        "locations",
        "invitations",
        "connections",
        "pushes",
        "charging",
        "jobs",
        "exchanges",
        "commands",
        "sessions",
        "cdrs",
        "tariffs",
        "tokens",
        "templates",
        "catalog",
    ),
}
PAGES = {
    "credentials", "transport_and_format", "version_information_endpoint",
    *(f"mod_{module}" for module in MODULES[OCPI][2:]),
}  # fmt: skip
CALLERS = {OCPI: {"registration", "callback", "peer", "operator"}, GATEWAY: {"user", "admin"}}
ALWAYS = {
    OCPI: {"400", "401", "405", "500", "503"},
    GATEWAY: {"401", "403", "405", "422", "500", "503"},
}
WITH_BODY = {OCPI: {"413", "415"}, GATEWAY: {"400", "413", "415"}}
SUCCESSES = {
    OCPI: {
        "get": {"200"},
        "put": {"200", "201"},
        "patch": {"200"},
        "delete": {"200"},
        "post": {"200", "201"},
    },
    GATEWAY: {
        "get": {"200", "204"},
        "put": {"200"},
        "post": {"200", "201"},
        "patch": {"200"},
        "delete": {"204"},
    },
}
"""The successes of operations that start no job; the others respond with 202."""

WITH_CONFLICTS = {
    "update_connection",
    "put_simulation",
    "start_driver_session",
    "stop_driver_session",
}
"""Operations of the gateway, beside the orders, that the state of a network may not allow."""

# Strings in requests that may have control characters, because the program ignores them.
IGNORED: dict[Contract, set[str]] = {
    OCPI: {
        "WrappedCommandResponse/properties/status_message",
        "WrappedCommandResponse/properties/timestamp",
    },
    GATEWAY: set(),
}


class Operation(NamedTuple):
    """An operation with its contract, its path, and its path item."""

    contract: Contract
    path: str
    item: dict[str, Any]
    method: str
    raw: dict[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Its parameters, including those of its path."""
        parameters = (*self.item.get("parameters", ()), *self.raw.get("parameters", ()))
        return [self.contract.followed(parameter) for parameter in parameters]

    @property
    def bodies(self) -> dict[str, dict[str, Any]]:
        """Its JSON bodies: "request", and each response by status, except 204."""
        found = {
            status: self.contract.followed(response) for status, response in self.raw["responses"].items()
        }
        if "requestBody" in self.raw:
            found["request"] = self.raw["requestBody"]
        return {place: body["content"]["application/json"] for place, body in found.items() if place != "204"}

    @property
    def is_order(self) -> bool:
        """Whether it starts a job."""
        return "202" in self.raw["responses"]

    @property
    def sends_command(self) -> bool:
        """Whether it sends a command to a peer."""
        return self.raw["operationId"].startswith("send_")

    @property
    def needs_owner(self) -> bool:
        """Whether the id in its path identifies an object only together with an owner in the query."""
        return {"country_code", "party_id"} <= {
            each["name"] for each in self.parameters if each["in"] == "query"
        }

    @property
    def calls_peer(self) -> bool:
        """Whether it calls the peer, or waits for a slow token, before it answers."""
        is_exchange = self.path.endswith("/credentials") and self.method in {"post", "put"}
        waiting = {"authorize_token", "authorize_token_of_party", "start_driver_session"}
        return is_exchange or self.sends_command or self.raw["operationId"] in waiting


OPERATIONS = [
    Operation(contract, path, item, method, item[method])
    for contract in CONTRACTS
    for path, item in contract.document["paths"].items()
    for method in ("get", "put", "post", "patch", "delete")
    if method in item
]


def for_each_operation(check: Callable[[Operation], None]) -> Callable[[], None]:
    """Turn a check of one operation into one test of all operations. A failure names its operation."""

    @functools.wraps(check)
    def test() -> None:
        for operation in OPERATIONS:
            try:
                check(operation)
            except Exception as error:
                error.add_note(f"{operation.contract.name}: {operation.raw['operationId']}")
                raise

    del test.__wrapped__  # type: ignore[attr-defined]  # pytest would take its argument for a fixture
    return test


for_each_contract = pytest.mark.parametrize(
    "contract", CONTRACTS, ids=[contract.name for contract in CONTRACTS]
)


def of_type(contract: Contract, *types: str) -> dict[str, dict[str, Any]]:
    """The schemas of *types* anywhere in the document, by place."""
    return {place: node for place, node in nodes(contract.document) if node.get("type") in types}


def fault(contract: Contract, schema: dict[str, Any], value: Any) -> str:
    """The error in *value*, or "". A member that the schema does not name is an error."""
    validator = closed(contract, json.dumps(schema))
    return "" if validator.is_valid(value) else contracts.explain(validator, value)


@functools.cache
def closed(contract: Contract, schema: str) -> jsonschema_rs.Draft4Validator:
    """The validator of a schema, cached because many operations share a schema."""
    return contract.validator(json.loads(schema), close=True)


def handler(operation: Operation) -> Any:
    """The handler function of *operation*."""
    module = importlib.import_module(operation.raw["x-openapi-router-controller"])
    return getattr(module, operation.raw["operationId"])


@for_each_contract
def test_no_reference_dangles(contract: Contract) -> None:
    references = {node["$ref"] for _, node in nodes(contract.document) if "$ref" in node}

    assert len(references) > 100
    for reference in references:
        assert contract.followed({"$ref": reference})


@for_each_contract
def test_operation_ids_are_unique_in_their_document(contract: Contract) -> None:
    ids = [operation.raw["operationId"] for operation in OPERATIONS if operation.contract is contract]

    assert sorted(set(ids)) == sorted(ids)
    assert len(ids) > 15


@for_each_operation
def test_an_operation_id_is_the_name_of_a_handler(operation: Operation) -> None:
    (module,) = operation.raw["tags"]

    assert module in MODULES[operation.contract]
    assert f"handlers.{operation.contract.name}.{module}" == operation.raw["x-openapi-router-controller"]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation.raw["operationId"])
    assert callable(handler(operation))


def test_a_path_parameter_has_the_same_name_in_every_path() -> None:
    """Only two paths have segments with two meanings (docs/architecture.md "The contract")."""
    names = {name for operation in OPERATIONS for name in re.findall(r"{(\w+)}", operation.path)}

    assert names == {
        "brand_slug", "cdr_id", "command", "connection_id", "connector_id", "connector_or_location",
        "country_code", "cpo_id", "evse_or_party", "evse_uid", "exchange_id", "invitation_id", "job_id",
        "location_id", "location_or_country", "model_slug", "party_id", "session_id", "tariff_id",
        "token_uid", "uid",
    }  # fmt: skip


HANDLERS = [
    f"handlers.{contract.name}.{module}" for contract, modules in MODULES.items() for module in modules
]


@pytest.mark.parametrize("module", HANDLERS)
def test_a_public_function_of_a_module_is_an_operation(module: str) -> None:
    public = {
        member
        for name, member in vars(importlib.import_module(module)).items()
        if callable(member) and not name.startswith("_") and member.__module__ == module
    }
    operations = [o for o in OPERATIONS if o.raw["x-openapi-router-controller"] == module]

    assert public
    assert set() == public - {handler(operation) for operation in operations}


@for_each_contract
def test_every_object_is_a_named_schema(contract: Contract) -> None:
    """Generated clients crash on inline objects or invent names for them."""
    objects = of_type(contract, "object")

    assert [] == [place for place in objects if not re.fullmatch(r"/components/schemas/\w+", place)]
    assert len(objects) > 30


@for_each_contract
def test_every_enumeration_of_several_values_is_a_named_schema(contract: Contract) -> None:
    inline = [
        place
        for place, node in nodes(contract.document)
        if len(node.get("enum", ())) > 1 and not re.fullmatch(r"/components/schemas/\w+", place)
    ]

    assert [] == inline


@for_each_operation
def test_every_body_is_a_reference_to_a_named_schema(operation: Operation) -> None:
    assert [] == [place for place, body in operation.bodies.items() if body["schema"].keys() != {"$ref"}]


@for_each_operation
def test_an_operation_names_its_purpose_its_callers_and_its_page(operation: Operation) -> None:
    pages = set(re.findall(r"Spec 2\.1\.1 (\w+),? [\w.]+", operation.raw["description"]))
    callers = set(operation.raw["x-callers"])

    assert 3 < len(operation.raw["summary"]) < 80
    assert len(operation.raw["description"]) > 50
    assert bool(pages) == (operation.contract is OCPI)
    assert pages <= PAGES
    assert callers
    assert callers <= CALLERS[operation.contract]


@for_each_contract
def test_every_tag_is_described(contract: Contract) -> None:
    assert list(MODULES[contract]) == [tag["name"] for tag in contract.document["tags"]]
    for tag in contract.document["tags"]:
        assert len(tag["description"]) > 100


@for_each_operation
def test_an_operation_declares_the_common_refusals(operation: Operation) -> None:
    expected = set(ALWAYS[operation.contract])
    expected |= WITH_BODY[operation.contract] if "requestBody" in operation.raw else set()
    expected |= {"404"} if "{" in operation.path else set()
    expected |= {"404", "409", "429"} if operation.is_order else set()
    expected |= {"409"} if operation.sends_command or operation.needs_owner else set()
    expected |= {"409"} if operation.raw["operationId"] in WITH_CONFLICTS else set()
    expected |= {"429"} if operation.calls_peer else set()
    declared = operation.raw["responses"].keys()
    successes = {status for status in declared if status.startswith("2")}
    schema = "HttpErrorResponse" if operation.contract is GATEWAY else "ErrorEnvelope"

    possible = {"202"} if operation.is_order else SUCCESSES[operation.contract][operation.method]

    assert expected == declared - successes
    assert successes
    assert successes <= possible
    for status in expected:
        name = "HTTPValidationError" if status == "422" else schema
        assert {"$ref": f"#/components/schemas/{name}"} == operation.bodies[status]["schema"]


@for_each_operation
def test_a_response_declares_its_headers(operation: Operation) -> None:
    expected = {"401": {"WWW-Authenticate"}, "405": {"Allow"}, "503": {"Retry-After"}}
    if operation.is_order or operation.calls_peer:
        expected["429"] = {"Retry-After"}
    if "offset" in [parameter["name"] for parameter in operation.parameters]:
        expected["200"] = {"Link", "X-Total-Count", "X-Limit"}
    if operation.method == "post" and operation.path.endswith("/cdrs"):
        expected |= {"200": {"Location"}, "201": {"Location"}}
    responses = operation.raw["responses"].items()
    followed = operation.contract.followed
    declared = {status: followed(response).get("headers", {}) for status, response in responses}

    assert expected == {status: headers.keys() for status, headers in declared.items() if headers}
    for header in (followed(h) for headers in declared.values() for h in headers.values()):
        assert header["description"]
        assert "" == fault(operation.contract, header["schema"], header["schema"]["example"])


def test_a_command_declares_the_callback_for_its_result() -> None:
    commands = [o for o in OPERATIONS if "CommandAnswered" in str(o.raw["responses"])]

    assert {"reserve_now", "start_session", "stop_session", "unlock_connector"} == {
        operation.raw["operationId"] for operation in commands
    }
    for operation in commands:
        (callback,) = [OCPI.followed(callback) for callback in operation.raw["callbacks"].values()]
        (url,) = callback
        media = callback[url]["post"]["requestBody"]["content"]["application/json"]
        assert "{$request.body#/response_url}" == url
        assert {"$ref": "#/components/schemas/CommandResponse"} == media["schema"]
        for example in media["examples"].values():
            assert "" == fault(OCPI, media["schema"], OCPI.followed(example)["value"])


# Examples


@for_each_operation
def test_an_operation_has_valid_examples(operation: Operation) -> None:
    for place, media in operation.bodies.items():
        assert media["examples"], f"{place} has no example"
        for name, example in media["examples"].items():
            resolved = operation.contract.followed(example)
            wrong = fault(operation.contract, media["schema"], resolved["value"])
            assert not wrong, f"example {name}: {wrong}"
            assert resolved["summary"]


WITHOUT_EXAMPLE = {
    "before", "cursor", "date_from", "date_to", "offset", "peer", "since", "status", "text",
    "X-Organization-Id", "Idempotency-Key",
}  # fmt: skip
"""Parameters without an example: Swagger UI would send it, and get an empty or refused answer."""


@for_each_operation
def test_a_parameter_is_described_and_has_a_valid_example(operation: Operation) -> None:
    segments = [p["name"] for p in operation.parameters if p["in"] == "path"]

    assert sorted(re.findall(r"{(\w+)}", operation.path)) == sorted(segments)
    for parameter in operation.parameters:
        assert parameter["description"]
        if parameter["name"] in WITHOUT_EXAMPLE:
            assert "example" not in {**operation.contract.followed(parameter["schema"]), **parameter}
        else:
            assert "" == fault(operation.contract, parameter["schema"], parameter["example"])


@for_each_contract
def test_a_schema_has_valid_examples(contract: Contract) -> None:
    for name, schema in contract.document["components"]["schemas"].items():
        examples = {
            place: (node, node["example"])
            for place, node in nodes(schema)
            if "example" in node and {"type", "allOf", "anyOf"} & node.keys()
        }

        assert schema["description"], name
        assert ("" in examples) == (name != "DateTimeQuery"), name
        for place, (node, example) in examples.items():
            wrong = fault(contract, node, example)
            assert not wrong, f"example of {name}{place}: {wrong}"
        for field, node in schema.get("properties", {}).items():
            assert contract is OCPI or node["description"], f"{name}.{field}"


@for_each_contract
def test_the_example_of_a_property_agrees_with_that_of_its_object(contract: Contract) -> None:
    """The example of a scalar is wrong for most of its uses: not every URL is a versions URL."""
    examples = [
        (name, key, node["example"], schema["example"][key])
        for name, schema in contract.document["components"]["schemas"].items()
        for key, node in schema.get("properties", {}).items()
        if "example" in node and (schema["example"] or {}).get(key) is not None
    ]
    own_examples = {"msg", "type", "address", "city", "ocpp_version"}  # the source has an example for each

    assert [] == [each for each in examples if each[2] != each[3] and each[1] not in own_examples]
    assert len(examples) > 50


# Limits


@for_each_contract
def test_every_number_has_limits(contract: Contract) -> None:
    numbers = of_type(contract, "integer", "number")

    assert [] == [p for p, n in numbers.items() if "enum" not in n and not {"minimum", "maximum"} <= n.keys()]
    assert len(numbers) > 30


@for_each_contract
def test_every_string_and_every_list_has_a_maximum_length(contract: Contract) -> None:
    strings, lists = of_type(contract, "string"), of_type(contract, "array")

    assert [] == [place for place, node in strings.items() if not {"enum", "maxLength"} & node.keys()]
    assert [] == [place for place, node in lists.items() if "maxItems" not in node]
    assert len(strings) > 100
    assert len(lists) > 15


@pytest.mark.ocpi(32)
@for_each_contract
def test_no_schema_has_a_format(contract: Contract) -> None:
    """Tools disagree about `format: date-time`, so dates have patterns."""
    assert [] == [place for place, node in nodes(contract.document) if isinstance(node.get("format"), str)]


def reachable(
    contract: Contract, schema: Any, place: str, seen: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping in *schema* and in the schemas that it refers to."""
    for where, node in nodes(schema, place):
        yield where, node
        reference = node.get("$ref", "")
        if reference and reference not in seen:
            seen.add(reference)
            yield from reachable(contract, contract.followed(node), reference.rpartition("/")[2], seen)


@pytest.mark.ocpi(51)
@for_each_contract
def test_no_string_of_a_request_may_contain_nul(contract: Contract) -> None:
    """SQLite stores NUL and PostgreSQL refuses it, so the contract excludes it."""
    seen: set[str] = set()
    requests = [
        (operation.raw["operationId"], part["schema"])
        for operation in OPERATIONS
        if operation.contract is contract
        for part in (*operation.parameters, operation.bodies.get("request", {"schema": {}}))
    ]
    strings = {
        place: node
        for name, schema in requests
        for place, node in reachable(contract, schema, name, seen)
        if node.get("type") == "string"
    }
    nul = [
        p for p, n in strings.items() if any(contract.validator(n).is_valid("\0" * x) for x in (1, 2, 3, 10))
    ]

    assert IGNORED[contract] == set(nul)
    assert len(strings) > 30
