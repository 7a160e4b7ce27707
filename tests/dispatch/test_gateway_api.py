"""Dispatch of the gateway: routing, authentication, responses, refusals, published documents."""

import copy
import json
import re
from typing import Any

import fake_api
import pytest
from fake_api import (
    DOCUMENT,
    HOME,
    OTHER,
    PAGE,
    SECRET,
    Client,
    FakeHandlers,
    bearer,
    models_of,
    operation,
    parameter,
    problems,
    text,
)

import errors
from storage.keys import Member

client, installed_handlers, fake_handlers = (
    fake_api.client,
    fake_api.installed_handlers,
    fake_api.fake_handlers,
)


# Routing and authentication


@pytest.mark.parametrize(
    "path",
    [
        "/ocpi/cpos",
        "/ocpi/cpos/1",
        "/ocpi/cpos/nowhere/at/all",
        "/ocpi/cpos/",
        "/ocpi//cpos",
        "/ocpi/templates",
        "/ocpi/templates/cpos",
        "/ocpp",
        "/ocpp/nowhere",
    ],
)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "Token user",
        "Bearer",
        "Bearer ",
        "Bearer nobody",
        "Bearer  user",
        "Bearer user x",
        "Basic user",
        "user",
        "Bearer\tuser",
    ],
)
def test_every_url_of_the_gateway_is_401_without_a_valid_key(
    client: Client, path: str, header: str | None
) -> None:
    response = client.get(path, headers={} if header is None else {"Authorization": header})

    assert 401 == response.status_code
    assert "Bearer" == response.headers["WWW-Authenticate"]
    assert "application/json" == response.content_type
    assert {"detail": response.json["detail"]} == response.json


@pytest.mark.parametrize(
    "path", ["/ocpi", "/ocpi/cposx", "/ocpi/cpo/versions", "/ocpi/templatesx", "/ocpi/x"]
)
def test_a_gateway_key_is_401_at_the_urls_of_the_peer_api(client: Client, path: str) -> None:
    response = client.get(path, headers=bearer())

    assert 401 == response.status_code
    assert "Token" == response.headers["WWW-Authenticate"]
    assert 2000 == response.json["status_code"]


@pytest.mark.parametrize("header", ["Bearer user", "bearer user", "BEARER user"])
def test_the_scheme_is_case_insensitive(client: Client, header: str) -> None:
    assert 200 == client.get("/ocpi/cpos", headers={"Authorization": header}).status_code


@pytest.mark.parametrize("path", ["/ocpi/cpos/1/nothing", "/ocpi/templates", "/ocpp", "/ocpp/catalog"])
def test_an_unknown_url_is_404_with_a_valid_key(client: Client, path: str) -> None:
    response = client.get(path, headers=bearer())

    assert (404, {"detail"}) == (response.status_code, response.json.keys())


def test_a_user_acts_only_in_its_own_organization_and_an_admin_in_any(
    client: Client, fake_handlers: FakeHandlers
) -> None:
    def status(kind: str, organization: str, path: str = "/ocpi/cpos") -> int:
        return client.get(path, headers=bearer(kind, **{"X-Organization-Id": organization})).status_code

    assert 403 == status("user", OTHER)
    assert 403 == status("admin", "unknown")
    assert 403 == status("admin", "")
    assert 403 == status("user", OTHER, "/ocpi/cpos/nowhere/at/all")
    assert {} == fake_handlers.arguments
    assert 200 == status("admin", OTHER)
    assert Member("admin", OTHER) == fake_handlers.arguments["user"]
    assert 200 == status("user", HOME)
    assert Member("user", HOME) == fake_handlers.arguments["user"]


def test_an_operation_for_another_role_is_403(client: Client) -> None:
    response = client.get("/ocpi/templates/cpos", headers=bearer("user"))

    assert (403, {"detail"}) == (response.status_code, response.json.keys())
    assert 200 == client.get("/ocpi/templates/cpos", headers=bearer("admin")).status_code


def test_an_undeclared_method_is_405_and_allow_lists_the_declared_ones(client: Client) -> None:
    for method in ("PUT", "TRACE", "PROPFIND"):
        response = client.open("/ocpi/cpos/x", method=method, headers=bearer())
        assert (405, {"detail"}) == (response.status_code, response.json.keys())
        assert "GET, PATCH, DELETE" == response.headers["Allow"]
    response = client.options("/ocpi/cpos/x", headers=bearer())
    assert (204, "GET, PATCH, DELETE, OPTIONS") == (response.status_code, response.headers["Allow"])


# Responses and refusals


def test_a_response_has_the_status_that_the_contract_declares(
    client: Client, fake_handlers: FakeHandlers
) -> None:
    fake_handlers.result = {"a": None, "b": [1.5, "é"]}

    response = client.get("/ocpi/cpos/1", headers=bearer())
    assert (200, "application/json", fake_handlers.result) == (
        response.status_code,
        response.content_type,
        response.json,
    )
    response = client.head("/ocpi/cpos/1", headers=bearer())
    assert (200, b"") == (response.status_code, response.data)
    response = client.delete("/ocpi/cpos/1", headers=bearer())
    assert (204, b"", None) == (response.status_code, response.data, response.content_type)


@pytest.mark.parametrize("result", [None, [1], "x"])
def test_a_response_that_the_contract_does_not_declare_is_500(
    client: Client, fake_handlers: FakeHandlers, result: Any
) -> None:
    fake_handlers.result = result

    assert 500 == client.get("/ocpi/cpos/1", headers=bearer()).status_code


@pytest.mark.parametrize(
    ("failure", "status", "headers"),
    [
        (errors.NotFound("x"), 404, {}),
        (errors.Conflict("x"), 409, {}),
        (errors.Forbidden("x"), 403, {}),
        (errors.TooMany("x", 30), 429, {"Retry-After": "30"}),
        (errors.Unavailable("x"), 503, {"Retry-After": "1"}),
        (errors.Unauthorized("x"), 401, {"WWW-Authenticate": "Bearer"}),
        (errors.RuleBroken("x"), 409, {}),
        (errors.PeerUnusable("x"), 500, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_message_of_a_refusal_is_its_detail(
    client: Client, fake_handlers: FakeHandlers, failure: Exception, status: int, headers: dict[str, str]
) -> None:
    fake_handlers.failure = failure

    response = client.get("/ocpi/cpos/1", headers=bearer())

    assert (status, {"detail": "x"}) == (response.status_code, response.json)
    assert headers.items() <= dict(response.headers).items()


def test_a_schema_violation_in_a_handler_is_reported_like_one_in_the_dispatcher(
    client: Client, fake_handlers: FakeHandlers
) -> None:
    fake_handlers.failure = errors.SchemaViolation("ocpi_version: 2.1.1 is supported")
    assert [["body"]] == [p["loc"] for p in problems(client.get("/ocpi/cpos/1", headers=bearer()))]

    fake_handlers.failure = errors.SchemaViolation(
        "x", [errors.Problem(("body", "city"), "No", "not_empty", "")]
    )
    assert [{"loc": ["body", "city"], "msg": "No", "type": "not_empty", "input": ""}] == problems(
        client.get("/ocpi/cpos/1", headers=bearer())
    )


def test_a_crash_is_500_without_details(
    client: Client, fake_handlers: FakeHandlers, caplog: pytest.LogCaptureFixture
) -> None:
    fake_handlers.failure = ZeroDivisionError(SECRET)

    response = client.get("/ocpi/cpos/1", headers=bearer())

    assert (500, {"detail"}) == (response.status_code, response.json.keys())
    assert SECRET not in response.text
    assert "crashed" in caplog.text


# Published documents


def test_both_documents_are_published(client: Client) -> None:
    for name in ("ocpi", "gateway"):
        assert client.get(f"/openapi/{name}.json").json["openapi"] == "3.0.3"
        assert client.get(f"/openapi/{name}.yaml").content_type == "application/yaml"
    assert 404 == client.get("/openapi/other.json").status_code
    assert 404 == client.get("/openapi/gateway.txt").status_code


@pytest.mark.parametrize(
    ("page", "name"),
    [("/", "ocpi"), ("/docs", "ocpi"), ("/docs/ocpi", "ocpi"), ("/docs/gateway", "gateway")],
)
def test_a_page_shows_its_document(client: Client, page: str, name: str) -> None:
    text = client.get(page).text

    assert f'<redoc spec-url="/openapi/{name}.json">' in text
    assert text.index(">OCPI peer API<") < text.index(">Gateway API<")


def test_one_page_offers_both_documents_to_try_out(client: Client) -> None:
    (urls,) = re.findall(r"data-urls='([^']+)'", client.get("/docs/try").text)

    assert [
        {"name": "OCPI peer API", "url": "/openapi/ocpi.json"},
        {"name": "Gateway API", "url": "/openapi/gateway.json"},
    ] == json.loads(urls)


@pytest.mark.parametrize("page", ["/docs/ocpi", "/docs/try"])
def test_a_page_loads_only_cacheable_assets_of_this_server(client: Client, page: str) -> None:
    response = client.get(page)
    links = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assets = [client.get(link) for link in links if re.search(r"\.(js|css|ico)$", link)]

    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert "<script>" not in response.text
    assert len(assets) > 2
    assert {(200, 86400)} == {(asset.status_code, asset.cache_control.max_age) for asset in assets}
    assert all(asset.headers["ETag"] for asset in assets)
    assert {200} == {client.get(link).status_code for link in links if link.startswith("/")}


def test_there_is_no_other_page(client: Client) -> None:
    assert 404 == client.get("/docs/plugins.py").status_code
    assert 404 == client.get("/docs/read.html").status_code


@pytest.mark.parametrize("url", ["/openapi/ocpi.json", "/openapi/gateway.yaml", "/docs"])
def test_a_document_with_a_known_etag_is_not_sent_again(client: Client, url: str) -> None:
    first = client.get(url)
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    other = client.get(url, headers={"If-None-Match": '"another"'})

    assert (304, b"") == (again.status_code, again.data)
    assert first.headers["ETag"] == again.headers["ETag"]
    assert (200, first.data) == (other.status_code, other.data)
    assert "no-cache" == first.headers["Cache-Control"]


# Unsupported contracts


def document_with(path: str, value: Any) -> dict[str, Any]:
    """The document with *value* at *path*, whose keys are separated by spaces."""
    document = copy.deepcopy(DOCUMENT)
    *steps, last = path.split()
    inner: Any = document
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return document


LIST, BULK, ONE = "paths /ocpi/cpos get", "paths /ocpi/cpos post", "paths /ocpi/cpos/{cpo_id} get"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{LIST} parameters", [parameter("c", "cookie", text())], r"paths /ocpi/cpos get: .*cookie"),
        (f"{LIST} parameters", [parameter("a", "query", {"type": "array", "items": text()})], r"parameter a"),
        (f"{LIST} parameters", [parameter("a", "query", {"type": "boolean"})], r"parameter a"),
        (f"{LIST} parameters", [parameter("a", "query", text(), style="form")], r"style"),
        (f"{LIST} parameters", [parameter("user", "query", text())], r"same argument"),
        (f"{LIST} parameters", [parameter(n, "header", text()) for n in ("A-b", "a_b")], r"same argument"),
        (f"{ONE} security", [{"gatewayBearer": [], "other": []}], r"paths /ocpi/cpos/{cpo_id} get: security"),
        (f"{ONE} security", [], r"security"),
        ("components securitySchemes other", {"type": "http", "scheme": "basic"}, r"security"),
        (f"{ONE} responses", {"404": {"description": "None."}}, r"no success"),
        (f"{ONE} responses 200 content", {"text/html": {}}, r"text/html"),
        (f"{BULK} requestBody content", {"text/csv": {"schema": text()}}, r"text/csv"),
        (f"{BULK} requestBody content application/json schema", {"type": "object"}, r"named schema"),
        ("components schemas Name properties name writeOnly", True, r"Name: writeOnly"),
        ("components schemas Name uniqueItems", True, r"Name: uniqueItems"),
    ],
)  # fmt: skip
def test_an_unsupported_feature_of_the_contract_is_refused_when_models_are_generated(
    path: str, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        models_of(document_with(path, value))


def test_a_handler_whose_argument_the_contract_lacks_stops_the_start(fake_handlers: FakeHandlers) -> None:
    with pytest.raises(TypeError, match=r"needs \['limit'\], which the contract does not have"):
        fake_handlers.assemble(document_with(f"{LIST} parameters", PAGE[:1]))


def test_a_url_of_another_api_stops_the_start(fake_handlers: FakeHandlers) -> None:
    with pytest.raises(ValueError, match="/ocpi/elsewhere belongs to another API"):
        fake_handlers.assemble(document_with("paths /ocpi/elsewhere", {"get": operation("fail")}))
