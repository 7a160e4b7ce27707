"""The gateway's contract agrees with the documentation of the gateway whose clients it serves.

tests/data/gateway holds the documented operations, fields and samples. Our additions are listed below.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import contracts
import pytest
from gateway_orders import validation_error

from openapi.iso_3166 import ALPHA_3

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/gateway"

CONTRACT = contracts.gateway()
PATHS: dict[str, Any] = CONTRACT.document["paths"]
SCHEMAS: dict[str, Any] = CONTRACT.document["components"]["schemas"]
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS: dict[str, str] = json.loads((DATA / "operations.json").read_text())
SAMPLES: dict[str, Any] = json.loads((DATA / "samples.json").read_text())

# The documentation names two URLs for each gallery; operations.json holds only one of them.
ALIASES = {"GET /ocpi/cpos/templates", "GET /ocpi/templates/locations"}
OURS = tuple(
    f"/ocpi/cpos/{{cpo_id}}/{name}"
    for name in ("invitations", "connections", "jobs", "locations/{location_id}/evses")
)
"""The beginnings of the URLs that the documentation does not have."""

OUR_TAGS = {"cdrs", "charging", "commands", "exchanges", "sessions", "tariffs", "tokens"}
"""The groups of operations that the documentation does not have."""

LOCATION_FIELDS = "name address city country coordinates timezone owner_name public parking_type"

# Schemas without a table in the documentation: the required fields, then the optional ones.
WITHOUT_TABLE = {
    "HttpErrorResponse": ("detail", ""),
    "HTTPValidationError": ("detail", ""),
    "ValidationError": ("loc msg type", "input ctx"),
    "ProvisioningProgress": ("", "current_step"),
    "CpoListResponse": ("data total page limit", ""),
    "CpoPartyScope": ("country_code party_id role", ""),
    "CpoTopologySummary": ("locations chargers evses connectors", ""),
    "CpoReportResponse": ("cpo_id markdown", ""),
    "OcpiLocationListResponse": ("data total page limit", ""),
    "Coordinates": ("latitude longitude", ""),
    "ChargerSummary": (
        "id identity", "connector_type ocpp_version charge_point_id evses topology_default_id"
    ),
    "EvseSummary": ("evse_uid", "ocpi_evse_id ocpi_connector_id topology_id"),
    "LocationBulkCreateRequest": ("locations", ""),
    "OcpiChargerGroup": ("template charger_ids", ""),
    "OcpiChargerTemplate": (
        "brand_slug model_slug connector_type ocpp_version ws_url identity_prefix", "template_name"
    ),
    "LocationFromTemplateRequest": ("template", "overrides"),
    "LocationTemplateOverrides": ("", f"{LOCATION_FIELDS} ocpp_version identity_prefix"),
    "LocationBulkAcceptedResponse": ("job_id status status_url", "workflow_run_id"),
    "LocationUpdateRequest": ("", LOCATION_FIELDS),
    "TemplateSummary": ("slug version description locations chargers", ""),
    "TemplateListResponse": ("data total", ""),
    "LocationTemplateListResponse": ("data total", ""),
    "BrandListResponse": ("data total page limit", ""),
    "BrandResponse": ("id slug name", "image_url created_at"),
    "ModelListResponse": ("data total page limit", ""),
    "ModelResponse": (
        "id slug name",
        "brand_slug brand_id image_url connector_count current_type supported_kwh connector_types created_at",
    ),
}  # fmt: skip

# Fields that we add: the schema, the field, and the reason.
ADDITIONS = {
    "CpoAcceptedResponse.operator_token": "the back office's token, shown once",
    "CpoRoamHelper.register_snippet": "a curl that really registers the caller",
    "ProvisioningProgress.locations_done": "the documentation reserves these counts for later",
    "ProvisioningProgress.locations_total": "the same reason",
    "LocationBulkStatusResponse.progress": "a bulk job may take minutes, like the creation of a network",
    "OcpiCreateLocationRequest.postal_code": "OCPI requires one",
    "LocationTemplateOverrides.postal_code": "the same reason",
    "LocationUpdateRequest.postal_code": "the same reason",
    "OcpiLocationResponse.postal_code": "the same reason",
    "TemplateSummary.role": "an eMSP template does not fit a CPO; always present",
}

TYPES = {
    "string": "string", "datetime": "string", "enum": "string", "integer": "integer", "boolean": "boolean",
    "object": "object", "map": "object", "list": "array", "`{latitude": "object",
    "CpoPartyScope": "object", "ProvisioningErrorDetail": "object", "ProvisioningProgress": "object",
}  # fmt: skip


class Field(NamedTuple):
    """One documented field; *required* is None if the documentation does not state it."""

    name: str
    type: str
    required: bool | None


FIELDS: dict[str, list[Field]] = {
    schema: [Field(*field) for field in fields]
    for schema, fields in json.loads((DATA / "fields.json").read_text()).items()
}


def properties(schema: str) -> dict[str, Any]:
    """The properties of a schema, with references resolved."""
    return {name: resolved(node) for name, node in SCHEMAS[schema]["properties"].items()}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The schema that a property refers to; a reference with a description is inside `allOf`."""
    return CONTRACT.followed(node["allOf"][0] if "allOf" in node else node)


def additions(schema: str) -> set[str]:
    """The fields that we add to a schema."""
    return {field.partition(".")[2] for field in ADDITIONS if field.startswith(f"{schema}.")}


# Operations


def test_the_operations_are_exactly_the_documented_ones() -> None:
    documented = {path: item for path, item in PATHS.items() if not path.startswith(OURS)}
    declared = {f"{m.upper()} {path}" for path, item in documented.items() for m in METHODS if m in item}

    ours = {
        f"{m.upper()} {path}"
        for path, item in PATHS.items()
        for m in METHODS
        if m in item and OUR_TAGS & {*item[m]["tags"]}
    }
    assert OPERATIONS.keys() | ALIASES == declared - ours


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_returns_the_documented_type(operation: str) -> None:
    (method, path), success = operation.split(), OPERATIONS[operation]
    responses = PATHS[path][method.lower()]["responses"]
    status = "202" if "Accepted" in success else "204" if success == "empty" else "200"
    response = CONTRACT.followed(responses[status])
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    expected = {"empty": "", "untyped JSON": "LocationTemplateListResponse"}.get(success, success)

    assert expected == schema.get("$ref", "").rpartition("/")[2]


@pytest.mark.parametrize(
    ("alias", "path"),
    [
        ("/ocpi/cpos/templates", "/ocpi/templates/cpos"),
        ("/ocpi/templates/locations", "/ocpp/templates/locations"),
    ],
)
def test_an_alias_has_the_same_parameters_and_responses(alias: str, path: str) -> None:
    assert PATHS[path].get("parameters") == PATHS[alias].get("parameters")
    assert PATHS[path]["get"]["responses"] == PATHS[alias]["get"]["responses"]


def test_tenant_operations_accept_an_organization_and_creations_an_idempotency_key() -> None:
    accepted: dict[str, set[str]] = {"X-Organization-Id": set(), "Idempotency-Key": set()}
    expected: dict[str, set[str]] = {name: set() for name in accepted}
    for path, item in PATHS.items():
        for method in METHODS & item.keys():
            declared_parameters = (*item.get("parameters", ()), *item[method].get("parameters", ()))
            name = item[method]["operationId"]
            for header in accepted.keys() & {
                CONTRACT.followed(parameter)["name"] for parameter in declared_parameters
            }:
                accepted[header].add(name)
            if path.startswith("/ocpi/cpos") and "templates" not in path:
                expected["X-Organization-Id"].add(name)
            if name in ("create_network", "create_locations", "create_connection"):
                expected["Idempotency-Key"].add(name)
        assert path.startswith(("/ocpi/", "/ocpp/"))

    assert expected == accepted


# Fields


@pytest.mark.parametrize("schema", FIELDS)
def test_the_contract_has_the_documented_fields(schema: str) -> None:
    table = FIELDS[schema]
    found = properties(schema)

    assert {field.name for field in table} == found.keys() - additions(schema)
    for field in table:
        assert TYPES[field.type.split()[0].rstrip(",:")] == found[field.name].get("type"), field
        if field.required is not None:
            assert field.required == (field.name in SCHEMAS[schema].get("required", ())), field
            assert ("or null" in field.type) == (found[field.name].get("nullable") is True), field


def test_only_the_id_of_a_location_is_required_and_the_rest_may_be_null() -> None:
    found = properties("OcpiLocationResponse")

    assert ["id"] == SCHEMAS["OcpiLocationResponse"]["required"]
    assert {"id"} == {name for name, node in found.items() if not node.get("nullable")}


@pytest.mark.parametrize("schema", WITHOUT_TABLE)
def test_a_schema_without_a_table_has_the_documented_fields(schema: str) -> None:
    required, others = (set(names.split()) for names in WITHOUT_TABLE[schema])
    declared = set(SCHEMAS[schema].get("required", ()))

    assert required == declared - additions(schema)
    assert required | others == SCHEMAS[schema]["properties"].keys() - additions(schema)


@pytest.mark.parametrize("field", ADDITIONS)
def test_an_addition_exists_and_has_a_reason(field: str) -> None:
    schema, _, name = field.partition(".")

    assert name in SCHEMAS[schema]["properties"]
    assert ADDITIONS[field]


def test_the_error_codes_are_those_that_the_page_lists() -> None:
    section = (ROOT / "docs/gateway.md").read_text().partition("\n## Error codes\n")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == SCHEMAS["ProvisioningErrorCode"]["enum"]


def test_countries_are_those_with_a_three_letter_code() -> None:
    assert sorted(ALPHA_3) == SCHEMAS["Country"]["enum"]


# Samples of the documentation


def test_the_documented_create_request_fits_except_for_its_ocpi_version() -> None:
    request = SAMPLES["CpoCreateRequest"]

    assert "ocpi_version" in validation_error("CpoCreateRequest", request)
    assert not validation_error("CpoCreateRequest", {**request, "ocpi_version": "2.1.1"})


def test_the_documented_responses_fit() -> None:
    token = "a_" + 43 * "T"

    assert not validation_error("CpoListResponse", SAMPLES["CpoListResponse"])
    assert not validation_error("CpoAcceptedResponse", {**SAMPLES["CpoAcceptedResponse"], "token_a": token})
    assert not validation_error("CpoStatusResponse", SAMPLES["CpoStatusResponse"])


def test_the_documented_bulk_request_fits() -> None:
    request = SAMPLES["LocationBulkCreateRequest"]

    assert not validation_error("LocationBulkCreateRequest", request)


@pytest.mark.parametrize(
    ("sample", "schema"),
    [
        ("get_network", "CpoResponse"),
        ("create_locations", "LocationBulkAcceptedResponse"),
        ("list_locations", "OcpiLocationListResponse"),
    ],
)
def test_the_responses_to_the_documented_programs_fit(sample: str, schema: str) -> None:
    """tests/gateway/test_samples.py runs the programs."""
    assert not validation_error(schema, json.loads((DATA / f"{sample}.json").read_text()))
