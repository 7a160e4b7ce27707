"""Responses and log lines have the id of their request; a refusal has its reason; tokens are not logged."""

import contextvars
import json
import logging
import re
import secrets
from typing import Any

import pytest
import requests
from crashable_node import until
from nodes import Gateway, Network, Node, one_database, refusal
from peers import PeerServer
from raw import exchange

from handlers.dispatch import logs


def lines(node: Node, request_id: str) -> list[dict[str, Any]]:
    """The log lines of a request; waits for its access line."""

    def written() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in node.log.splitlines() if f'"{request_id}"' in line]
        return found if any(line["what"] == "request" for line in found) else []

    until(written)
    return written()


@one_database
@pytest.mark.parametrize("sent", ["a", "A.b_c-9", "x" * 64])
def test_a_valid_request_id_of_the_client_is_returned_and_logged(node: Node, sent: str) -> None:
    unique = sent[:40] + secrets.token_hex(8) if len(sent) < 40 else sent

    response = requests.get(f"{node.url}/nothing", headers={"X-Request-ID": unique}, timeout=9)

    assert unique == response.headers["X-Request-ID"]
    assert all(line["request_id"] == unique for line in lines(node, unique))


@one_database
@pytest.mark.parametrize("sent", [b"", b"x" * 65, b"a b", b"a/b", b"\xc3\xa9", b'"', b"a\r\nX-Request-ID: b"])
def test_an_invalid_request_id_is_replaced(node: Node, sent: bytes) -> None:
    response = exchange(node.url, b"GET /health HTTP/1.1\r\n", b"X-Request-ID: " + sent)

    assert 200 == response.status
    assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])


@one_database
@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\n", b"GET /ready HTTP/1.1\r\n", b"GET /docs HTTP/1.1\r\n",
        b"GET /x HTTP/1.1\r\n", b"GET /openapi/ocpi.json HTTP/1.1\r\n", b"GET /ocpi/cpos HTTP/1.1\r\n",
        b"GET /ocpi/cpo/versions HTTP/1.1\r\n",
        b"PUT /x HTTP/1.1\r\nContent-Length: 99999999\r\n", b"GET / HTTP/2.0\r\n", b"nonsense\r\n",
    ],
)  # fmt: skip
def test_every_response_has_a_request_id(node: Node, head: bytes) -> None:
    response = exchange(node.url, head)

    assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])
    assert lines(node, response.headers["x-request-id"])


@one_database
def test_the_refusal_of_an_unusable_peer_is_logged_with_the_request_id(
    cpo: Network, peer: PeerServer
) -> None:
    """The refusal is raised in a workflow."""
    peer.answers["/versions"] = lambda _: (500, {})
    request_id = secrets.token_hex(8)

    cpo.registrant().request(
        "POST", "credentials", json=peer.credentials(), headers={"X-Request-ID": request_id}
    )

    (access,) = [line for line in lines(cpo.node, request_id) if line["what"] == "request"]
    assert ("CallFailed", "127.0.0.1") == (access["refusal"], access["client"])


def test_a_log_line_of_another_module_has_the_request_id() -> None:
    formatter, record = logs.Lines(), logging.makeLogRecord({"msg": "slot_lost"})

    def line(request_id: str | None) -> dict[str, Any]:
        logs.request_id.set(request_id)
        return json.loads(formatter.format(record))

    with_id, without = (contextvars.copy_context().run(line, request_id) for request_id in ("the-id", None))

    assert ("slot_lost", "the-id") == (with_id["what"], with_id["request_id"])
    assert "request_id" not in without


@one_database
def test_a_refusal_is_logged_with_its_reason_and_fields_but_without_values(
    cpo: Network, gateway: Gateway
) -> None:
    logged = []
    client = cpo.peer()
    for response in (
        client.put("tokens/NL/TNM/1", {"uid": "1", "type": "THE-VALUE"}),
        client.get("locations", limit="THE-VALUE"),
        cpo.node.client("THE-VALUE", "cpo").get("locations"),
        client.put("tokens/NL/TNM/1", "THE-VALUE"),
        gateway.post("/ocpi/cpos", {"template": ["THE-VALUE"], "seed": "THE-VALUE"}),
        client.get("locations/THE-VALUE/x/y/z/a/b"),
    ):
        found = lines(cpo.node, response.headers["X-Request-ID"])
        assert "THE-VALUE" not in json.dumps([{**line, "path": None} for line in found])
        (access,) = [line for line in found if line["what"] == "request"]
        assert "127.0.0.1" == access["client"]
        logged.append((access["refusal"], access["fields"]))
        assert response.status_code >= 400

    assert ("SchemaViolation", ["query.limit"]) == logged[1]
    assert ("Unauthorized", []) == logged[2]
    assert "SchemaViolation" == logged[0][0] == logged[3][0] == logged[4][0]
    assert {"body.template", "body.seed"} <= set(logged[4][1])
    assert ("NotFound", []) == logged[5]
    assert 422 == refusal(gateway.post("/ocpi/cpos", {"seed": "x"}))[0]


@one_database
@pytest.mark.parametrize("prefix", ["", "a_", "o_", "ogk_"])
@pytest.mark.parametrize(
    "path",
    ["/{}", "/ocpi/cpo/2.1.1/tokens/NL/TNM/{}", "/ocpi/cpos/{}/status", "/x-{}/y", f"/{'p/' * 135}{{}}"],
)
def test_a_token_in_a_url_is_not_in_the_log(node: Node, prefix: str, path: str) -> None:
    """docs/security-cases.md "Tokens"."""
    token = prefix + secrets.token_urlsafe(32)

    response = requests.get(node.url + path.format(token), timeout=9)

    (line,) = lines(node, response.headers["X-Request-ID"])
    assert token[:20] not in node.log
    assert token[-20:] not in node.log
    assert len(line["path"]) <= 300


@one_database
@pytest.mark.parametrize(
    "path",
    ["/ocpi/cpo/2.1.1/tokens/NL/TNM/" + "x" * 36, "/0190163d-8694-739b-aea5-966c26f8ad91", "/" + "a" * 42],
)
def test_an_ordinary_id_is_in_the_log(node: Node, path: str) -> None:
    response = requests.get(node.url + path, timeout=9)

    assert [path] == [line["path"] for line in lines(node, response.headers["X-Request-ID"])]
