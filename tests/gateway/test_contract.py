"""The gateway's contract against the documented facts: operations, fields, the documentation's samples.

The facts are read at run time and not quoted. What is ours beside them is listed here, with its reason.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import contracts
import pytest
from gateway_orders import misfit

from openapi.iso_3166 import ALPHA_3

SHARED = Path(__file__).parent.parent.parent.parent / "shared"
FACTS = SHARED / "gateway-api.md"
if not FACTS.is_file():
    pytest.skip(f"the facts of the gateway API are not at {FACTS}", allow_module_level=True)

BOOK = contracts.gateway()
PATHS: dict[str, Any] = BOOK.document["paths"]
SCHEMAS: dict[str, Any] = BOOK.document["components"]["schemas"]
METHODS = ("get", "post", "put", "patch", "delete")
SERVED = {1, 2, 3, *range(42, 56)}

# Operations beside the numbered ones: the documentation names two URLs of each gallery.
ALIASES = {"GET /ocpi/cpos/templates", "GET /ocpi/templates/locations"}

# Which table, by the number of its section, describes which schema.
TABLES = {
    "2.5": "ProvisioningErrorDetail",
    "3.1": "CpoResponse",
    "4.1": "CpoCreateRequest",
    "4.2": "CpoAcceptedResponse",
    "4.3": "CpoRoamHelper",
    "5": "CpoStatusResponse",
    "7.1": "OcpiLocationResponse",
    "7.2": "OcpiCreateLocationRequest",
    "7.3": "LocationBulkStatusResponse",
}

PLACE_FIELDS = "name address city country coordinates timezone owner_name public parking_type"

# What is told in a sentence and not in a table: the required fields, then the others.
SENTENCES = {
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
    "LocationTemplateOverrides": ("", f"{PLACE_FIELDS} ocpp_version identity_prefix"),
    "LocationBulkAcceptedResponse": ("job_id status status_url", "workflow_run_id"),
    "LocationUpdateRequest": ("", PLACE_FIELDS),
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

# Fields of ours: the schema, the field, and why.
ADDITIONS = {
    "CpoAcceptedResponse.operator_token": "the back office's token, shown once (design 6)",
    "CpoRoamHelper.register_snippet": "a curl that really registers the caller (design 6)",
    "ProvisioningProgress.locations_done": "the counts that the documentation reserves for later",
    "ProvisioningProgress.locations_total": "likewise",
    "LocationBulkStatusResponse.progress": "a bulk job may take minutes as well as a network",
    "OcpiCreateLocationRequest.postal_code": "OCPI asks for one (design 10)",
    "LocationTemplateOverrides.postal_code": "likewise",
    "LocationUpdateRequest.postal_code": "likewise",
    "OcpiLocationResponse.postal_code": "likewise",
    "TemplateSummary.role": "an eMSP template is none for a CPO (design 6); always there",
}

TYPES = {
    "string": "string", "datetime": "string", "enum": "string", "integer": "integer", "boolean": "boolean",
    "object": "object", "map": "object", "list": "array", "`{latitude": "object",
    "CpoPartyScope": "object", "ProvisioningErrorDetail": "object", "ProvisioningProgress": "object",
}  # fmt: skip


class Field(NamedTuple):
    """One field of a table; what the table leaves out is None."""

    name: str
    type: str
    required: bool | None


def sections() -> dict[str, list[str]]:
    """The lines of each section of the facts, by its number."""
    found: dict[str, list[str]] = {}
    number = ""
    for line in FACTS.read_text().splitlines():
        if heading := re.match(r"#+ (\d+(?:\.\d+)?)\.? ", line):
            number = heading[1]
        found.setdefault(number, []).append(line)
    return found


def operations() -> dict[int, tuple[str, str]]:
    """Method with path, and the type of the success, of each operation that has a row of its own."""
    rows = (line.strip("|").split("|") for line in sections()["1.2"] if line.startswith("|"))
    plain = ([cell.replace("*", "").strip() for cell in row] for row in rows)
    return {int(row[0]): (row[1], row[3]) for row in plain if row[0].isdecimal()}


def fields(section: str) -> Iterator[Field]:
    """The fields of the table of a section; one row may describe several."""
    rows = [line.strip("|").split("|") for line in sections()[section] if line.startswith("|")]
    head = [cell.strip() for cell in rows[0]]
    for row in rows[2:]:
        cells = dict(zip(head, (cell.replace("*", "").strip() for cell in row), strict=False))
        required = next((value for name, value in cells.items() if name.startswith("required")), None)
        for name in re.split(r",\s*", cells["field"]):
            yield Field(name, cells["type"], None if required is None else required.startswith("yes"))


def properties(schema: str) -> dict[str, Any]:
    """The properties of a schema, each with its reference followed."""
    return {name: resolved(node) for name, node in SCHEMAS[schema]["properties"].items()}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a property is, behind the reference with which it carries its description."""
    return BOOK.followed(node["allOf"][0] if "allOf" in node else node)


def own(schema: str) -> set[str]:
    """The fields of a schema that are ours."""
    return {field.partition(".")[2] for field in ADDITIONS if field.startswith(f"{schema}.")}


# Operations


def test_every_operation_of_the_facts_is_there_and_no_other() -> None:
    documented = {operations()[number][0] for number in SERVED}
    declared = {f"{m.upper()} {path}" for path, item in PATHS.items() for m in METHODS if m in item}

    assert len(documented) == len(SERVED)
    assert documented | ALIASES == declared


@pytest.mark.parametrize("number", sorted(SERVED))
def test_an_operation_answers_with_the_type_of_the_facts(number: int) -> None:
    (method, path), success = operations()[number][0].split(), operations()[number][1]
    responses = PATHS[path][method.lower()]["responses"]
    status = "202" if "Accepted" in success else "204" if success == "empty" else "200"
    answer = BOOK.followed(responses[status])
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    expected = {"empty": "", "untyped JSON": "LocationTemplateListResponse"}.get(success, success)

    assert expected == schema.get("$ref", "").rpartition("/")[2]


@pytest.mark.parametrize(
    ("alias", "path"),
    [
        ("/ocpi/cpos/templates", "/ocpi/templates/cpos"),
        ("/ocpi/templates/locations", "/ocpp/templates/locations"),
    ],
)
def test_an_alias_takes_and_answers_the_same(alias: str, path: str) -> None:
    assert PATHS[path].get("parameters") == PATHS[alias].get("parameters")
    assert PATHS[path]["get"]["responses"] == PATHS[alias]["get"]["responses"]


def test_tenant_operations_take_the_organization_and_creations_a_key() -> None:
    taken: dict[str, set[str]] = {"X-Organization-Id": set(), "Idempotency-Key": set()}
    expected: dict[str, set[str]] = {name: set() for name in taken}
    for path, item in PATHS.items():
        for method in METHODS & item.keys():
            given = (*item.get("parameters", ()), *item[method].get("parameters", ()))
            name = item[method]["operationId"]
            for header in taken.keys() & {BOOK.followed(parameter)["name"] for parameter in given}:
                taken[header].add(name)
            if path.startswith("/ocpi/cpos") and "templates" not in path:
                expected["X-Organization-Id"].add(name)
            if name in ("create_network", "create_locations"):
                expected["Idempotency-Key"].add(name)
        assert path.startswith(("/ocpi/", "/ocpp/"))

    assert expected == taken


# Fields


@pytest.mark.parametrize(("section", "schema"), TABLES.items())
def test_a_table_is_in_the_contract_as_it_is(section: str, schema: str) -> None:
    table = list(fields(section))
    found = properties(schema)

    assert {field.name for field in table} == found.keys() - own(schema)
    for field in table:
        assert TYPES[field.type.split()[0].rstrip(",:")] == found[field.name].get("type"), field
        if field.required is not None:
            assert field.required == (field.name in SCHEMAS[schema].get("required", ())), field
            assert ("or null" in field.type) == (found[field.name].get("nullable") is True), field


def test_only_the_id_of_a_location_is_required_and_the_rest_may_be_null() -> None:
    """The table of this schema says so in a sentence above it."""
    found = properties("OcpiLocationResponse")

    assert ["id"] == SCHEMAS["OcpiLocationResponse"]["required"]
    assert {"id"} == {name for name, node in found.items() if not node.get("nullable")}


@pytest.mark.parametrize("schema", SENTENCES)
def test_what_a_sentence_tells_is_in_the_contract(schema: str) -> None:
    required, others = (set(names.split()) for names in SENTENCES[schema])
    declared = set(SCHEMAS[schema].get("required", ()))

    assert required == declared - own(schema)
    assert required | others == SCHEMAS[schema]["properties"].keys() - own(schema)


@pytest.mark.parametrize("field", ADDITIONS)
def test_an_addition_is_there_and_has_a_reason(field: str) -> None:
    schema, _, name = field.partition(".")

    assert name in SCHEMAS[schema]["properties"]
    assert ADDITIONS[field]


def test_the_codes_of_a_failure_are_the_closed_list_of_the_design() -> None:
    (row,) = re.findall(
        r"^\| error codes \|.*$", (SHARED / "archive" / "design-0.1.md").read_text(), re.MULTILINE
    )
    codes = [code for code in re.findall(r"`(\w+)`", row) if code != "retryable"]

    assert codes == SCHEMAS["ProvisioningErrorCode"]["enum"]


def test_countries_are_those_that_ocpi_knows_by_three_letters() -> None:
    assert sorted(ALPHA_3) == SCHEMAS["Country"]["enum"]


# Samples of the documentation


def samples(section: str) -> list[Any]:
    """The JSON samples of a section."""
    text = "\n".join(sections()[section])
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def seed_samples(number: str) -> Iterator[Any]:
    """The requests and answers on one of the users' own pages, whose lines are numbered."""
    (page,) = (SHARED / "seeds").glob(f"{number}*")
    text = re.sub(r"^\d+(?=[ {}]|payload|\w+ =|$)", "", page.read_text(), flags=re.MULTILINE)
    for block in re.findall(r"^payload = (\{.*?^ ?\] \})$", text, re.DOTALL | re.MULTILINE):
        yield ast.literal_eval(block)
    for block in re.findall(r"^(\{.*?^\})$", text, re.DOTALL | re.MULTILINE):
        yield json.loads(block)


def test_the_documented_create_request_fits_but_for_its_ocpi_version() -> None:
    (request,) = samples("4.1")

    assert "ocpi_version" in misfit("CpoCreateRequest", request)
    assert not misfit("CpoCreateRequest", {**request, "ocpi_version": "2.1.1"})


def test_the_documented_answers_fit() -> None:
    (networks,), (accepted,), (status,) = samples("3"), samples("4.2"), samples("5")
    token = "a_" + 43 * "T"

    assert not misfit("CpoListResponse", networks)
    assert not misfit("CpoAcceptedResponse", {**accepted, "token_a": token})
    assert not misfit("CpoStatusResponse", status)


def test_the_documented_bulk_request_fits() -> None:
    (request,) = samples("7.2")

    assert not misfit("LocationBulkCreateRequest", request)


def test_the_samples_of_the_users_pages_fit() -> None:
    (network,), (brussels, job), (locations,) = (list(seed_samples(n)) for n in ("002", "003", "004"))

    assert not misfit("CpoResponse", network)
    assert not misfit("LocationBulkCreateRequest", brussels)
    assert not misfit("LocationBulkAcceptedResponse", job)
    assert not misfit("OcpiLocationListResponse", locations)
