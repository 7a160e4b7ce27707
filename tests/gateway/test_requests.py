"""Requests to the gateway: parameters, bodies, and a 422 that lists every problem."""

import json
import time
from typing import Any

import fake_api
import orjson
import pytest
from fake_api import KEY, SECRET, Client, FakeHandlers, bearer, post, problems

STRING, INTEGER, OBJECT = (
    f"Input should be {kind}" for kind in ("a valid string", "a valid integer", "an object")
)
AT_LEAST_1 = "Input should be greater than or equal to 1"
AT_MOST_5 = "String should have at most 5 characters"
AT_MOST_2 = "List should have at most 2 items after validation, not 3"
COLOR = "Input should be 'red', 'green' or 'blue'"
PATTERN = "String should match pattern '^[a-z]+$'"
REQUIRED = "Field required"


client, installed_handlers, fake_handlers = (
    fake_api.client,
    fake_api.installed_handlers,
    fake_api.fake_handlers,
)


# Parameters


def test_a_handler_gets_the_defaults_of_absent_parameters(
    client: Client, fake_handlers: FakeHandlers
) -> None:
    assert 200 == client.get("/ocpi/cpos", headers=bearer()).status_code
    assert (1, 50, None) == tuple(fake_handlers.arguments[name] for name in ("page", "limit", "color"))

    assert 200 == client.get("/ocpi/cpos?limit=7&color=red&more=1", headers=bearer()).status_code
    assert (1, 7, "red") == tuple(fake_handlers.arguments[name] for name in ("page", "limit", "color"))


def test_every_invalid_query_parameter_is_named(client: Client, fake_handlers: FakeHandlers) -> None:
    listed = problems(client.get("/ocpi/cpos?page=0&limit=x&color=pink", headers=bearer()))

    assert [
        {
            "loc": ["query", "page"],
            "msg": "Input should be greater than or equal to 1",
            "type": "greater_than_equal",
            "input": "0",
        },
        {
            "loc": ["query", "limit"],
            "msg": "Input should be a valid integer, unable to parse string as an integer",
            "type": "int_parsing",
            "input": "x",
        },
        {
            "loc": ["query", "color"],
            "msg": "Input should be 'red', 'green' or 'blue'",
            "type": "enum",
            "input": "pink",
        },
    ] == listed
    assert {} == fake_handlers.arguments


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "101", "1.0", "1e1", " 5", "99999999999999999999", "%D9%A5"]
)
def test_a_limit_out_of_range_is_422(client: Client, value: str) -> None:
    listed = problems(client.get(f"/ocpi/cpos?limit={value}", headers=bearer()))

    assert [["query", "limit"]] == [problem["loc"] for problem in listed]


def test_a_repeated_parameter_is_422(client: Client) -> None:
    listed = problems(client.get("/ocpi/cpos?limit=1&limit=2", headers=bearer()))

    assert [["query", "limit"]] == [problem["loc"] for problem in listed]


def test_problems_of_path_query_header_and_body_are_listed_together(
    client: Client, fake_handlers: FakeHandlers
) -> None:
    response = client.patch("/ocpi/cpos/0?n=1", json={"name": ""}, headers=bearer())

    assert [["path", "cpo_id"], ["query", "n"], ["body", "name"]] == [p["loc"] for p in problems(response)]
    assert {} == fake_handlers.arguments


def test_a_header_parameter_becomes_an_argument(client: Client, fake_handlers: FakeHandlers) -> None:
    valid = {"locations": [{"template": "t"}]}

    assert 202 == post(client, valid, **{KEY: "a-1"}).status_code
    assert "a-1" == fake_handlers.arguments["idempotency_key"]
    assert 202 == post(client, valid).status_code
    assert None is fake_handlers.arguments["idempotency_key"]


@pytest.mark.parametrize("value", ["", "two words", "x" * 256, f"{SECRET} \xe9"])
def test_an_invalid_header_is_named_and_its_value_is_not_repeated(client: Client, value: str) -> None:
    response = post(client, {"locations": [{"template": "t"}]}, **{KEY: value})

    assert all(["header", KEY] == problem["loc"] and "input" not in problem for problem in problems(response))
    assert SECRET not in response.text


# Bodies


@pytest.mark.parametrize(
    ("item", "loc", "kind", "message", "repeated"),
    [
        (7, [], "model_type", OBJECT, 7),
        ({"template": 5}, ["template"], "string_type", STRING, 5),
        ({"template": None}, ["template"], "string_type", STRING, None),
        ({"template": "t", "count": 0}, ["count"], "greater_than_equal", AT_LEAST_1, 0),
        ({"template": "t", "count": True}, ["count"], "int_type", INTEGER, True),
        ({"template": "t", "count": "1"}, ["count"], "int_type", INTEGER, "1"),
        ({"template": ""}, ["template"], "string_too_short", "String should have at least 1 character", ""),
        ({"name": "abcdef"}, ["name"], "string_too_long", AT_MOST_5, "abcdef"),
        ({"name": ...}, ["name"], "missing", REQUIRED, None),
        ({"at": {}}, ["at", "x"], "missing", REQUIRED, None),
        ({"at": []}, ["at"], "model_type", OBJECT, None),
        ({"at": {"x": 91}}, ["at", "x"], "less_than_equal", "Input should be less than or equal to 90", 91),
        ({"color": "pink"}, ["color"], "enum", COLOR, "pink"),
        ({"color": 1}, ["color"], "enum", COLOR, 1),
        ({"note": 1}, ["note"], "string_type", STRING, 1),
        ({"tags": "x"}, ["tags"], "list_type", "Input should be a valid array", "x"),
        ({"tags": ["a", "B"]}, ["tags", 1], "string_pattern_mismatch", PATTERN, "B"),
        ({"tags": ["a"] * 3}, ["tags"], "too_long", AT_MOST_2, None),
        ({"tags": ["a", "B", "C"]}, ["tags", 1], "string_pattern_mismatch", PATTERN, "B"),
        ({"numbers": {"a": 1, "b": "x", "c": None}}, ["numbers", "b"], "int_type", INTEGER, "x"),
    ],
    ids=str,
)  # fmt: skip
def test_the_problems_of_an_item_have_the_messages_of_pydantic(
    client: Client, item: Any, loc: list[str | int], kind: str, message: str, repeated: Any
) -> None:
    """An item with `template` is checked against the first schema, any other item against the second."""
    if isinstance(item, dict) and "template" not in item:
        item = {"name": "a", "at": {"x": 1}, **item}
        item = {name: value for name, value in item.items() if value is not ...}
    listed = problems(post(client, {"locations": [{"template": "t"}, item]}))

    expected = {"loc": ["body", "locations", 1, *loc], "msg": message, "type": kind}
    assert [expected if repeated is None else {**expected, "input": repeated}] == listed


def test_a_valid_body_reaches_the_handler_unchanged(client: Client, fake_handlers: FakeHandlers) -> None:
    items = [{"name": "a", "at": {"x": 1.5}, "note": None}, {"template": "t"}]

    assert 202 == post(client, {"locations": items}).status_code
    assert {"locations": items} == fake_handlers.arguments["body"]


def test_members_that_the_contract_does_not_name_do_not_reach_the_handler(
    client: Client, fake_handlers: FakeHandlers
) -> None:
    sent = {"locations": [{"name": "a", "at": {"x": 1.5, "y": 2}, "more": [1]}], "else": {}}

    assert 202 == post(client, sent).status_code
    assert {"locations": [{"name": "a", "at": {"x": 1.5}}]} == fake_handlers.arguments["body"]


@pytest.mark.parametrize(
    ("value", "loc", "kind"),
    [
        ([], ["body"], "model_type"),
        (None, ["body"], "model_type"),
        ({}, ["body", "locations"], "missing"),
        ({"locations": {}}, ["body", "locations"], "list_type"),
        ({"locations": []}, ["body", "locations"], "too_short"),
        ({"locations": [{}] * 10_001}, ["body", "locations"], "too_long"),
    ],
    ids=["list", "null", "empty", "object", "none", "too many"],
)
def test_an_outer_problem_is_listed_alone(client: Client, value: Any, loc: list[str], kind: str) -> None:
    response = client.post("/ocpi/cpos", data=json.dumps(value), headers=bearer())

    assert [(loc, kind)] == [(problem["loc"], problem["type"]) for problem in problems(response)]


def test_an_absent_body_is_422(client: Client) -> None:
    listed = problems(client.post("/ocpi/cpos", headers=bearer()))

    assert [["body"]] == [problem["loc"] for problem in listed]


def test_a_number_with_too_many_digits_is_422(client: Client) -> None:
    raw = b'{"locations":[{"name":"a","at":{"x":0.12345678901234567}}]}'
    listed = problems(client.post("/ocpi/cpos", data=raw, headers=bearer()))

    assert [(["body", "locations", 0, "at", "x"], "float_precision")] == [
        (p["loc"], p["type"]) for p in listed
    ]
    assert "input" not in listed[0]


def test_an_invalid_value_is_repeated_only_if_it_is_short(client: Client) -> None:
    for length, repeated in ((100, True), (101, False)):
        listed = problems(post(client, {"locations": [{"template": "x" * length}]}))
        assert repeated == ("input" in listed[0])


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([{}] * 10_000, id="every item is wrong"),
        pytest.param([{"template": "t"}] * 9_999 + [{}], id="the last item is wrong"),
        pytest.param([{}] * 2_000_000, id="far too many items"),
        pytest.param([{"numbers": {str(n): "x" for n in range(200_000)}}], id="one item is huge"),
        pytest.param([{"tags": ["A"] * 2_000_000}], id="one list is huge"),
    ],
)
def test_a_huge_body_is_refused_quickly_with_few_problems(client: Client, items: list[Any]) -> None:
    raw = orjson.dumps({"locations": items})
    start = time.process_time()

    problems(client.post("/ocpi/cpos", data=raw, headers=bearer()))

    assert time.process_time() - start < 5


@pytest.mark.parametrize("raw", [b"{", b"nonsense", b"\xff", b'{"a":1,"a":2}', b"[" * 100_000])
def test_a_body_that_is_not_json_is_400(client: Client, raw: bytes) -> None:
    response = client.post("/ocpi/cpos", data=raw, headers=bearer())

    assert (400, {"detail"}) == (response.status_code, response.json.keys())
    assert isinstance(response.json["detail"], str)


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}], ids=str)
def test_another_media_type_is_415(client: Client, headers: dict[str, str]) -> None:
    response = client.post("/ocpi/cpos", data=b"{}", headers={**bearer(), **headers})

    assert (415, {"detail"}) == (response.status_code, response.json.keys())
