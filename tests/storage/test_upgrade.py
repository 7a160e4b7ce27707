"""An upgrade of the database of an older version loses nothing."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from nodes import Node, free_port, session, switch_to
from peers import PeerServer
from recorded_database import DOCUMENTS, RECORDED, documents, load, settings_of
from starting import Site

from storage import connections, database, parties

RESPONSES: list[dict[str, Any]] = RECORDED["answers"]


@pytest.fixture(scope="module")
def upgraded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Site]]:
    """A node that has upgraded the recorded database, and the site of the database."""
    site = Site(database_url, tmp_path_factory.mktemp("recorded"))
    load(site)
    with Node({**settings_of(site), "OCPI_GATEWAY_PORT": str(free_port())}) as node:
        yield node, site
    site.remove()


def call(node: Node, caller: dict[str, str], path: str, **more: Any) -> requests.Response:
    """Send a request as *caller*: a GET, or a POST if it has a body."""
    headers = {"Authorization": f"{caller['scheme']} {caller['token']}", **more.pop("headers", {})}
    method = "POST" if "json" in more else "GET"
    return session().request(method, node.url + path, headers=headers, timeout=30, **more)


def test_every_document_keeps_its_text(upgraded: tuple[Node, Site]) -> None:
    recorded = {name: [row["document"] for row in RECORDED["tables"][name]] for name in DOCUMENTS}

    assert recorded == documents(upgraded[1])


@pytest.mark.parametrize(
    "recorded", RESPONSES, ids=lambda recorded: f"{recorded['caller']}: {recorded['path']}"
)
def test_every_token_reads_the_same_as_before(upgraded: tuple[Node, Site], recorded: dict[str, Any]) -> None:
    response = call(upgraded[0], RECORDED["callers"][recorded["caller"]], recorded["path"])

    assert 200 == response.status_code, response.text
    body = {k: v for k, v in response.json().items() if k not in ("timestamp", "status_message")}
    if recorded["path"].startswith("/ocpi/cpos/1/locations?"):
        for location, before in zip(body["data"], recorded["body"]["data"], strict=True):
            added = {"ocpp_location_id", "timezone"} - before.keys()  # new since the recorded version
            assert all(location.pop(name) for name in added)
    assert recorded["body"] == body


def test_the_recorded_responses_cover_every_caller() -> None:
    assert {recorded["caller"] for recorded in RESPONSES} == RECORDED["callers"].keys()


@pytest.mark.parametrize("ended", RECORDED["ended_tokens"], ids=lambda ended: ended["message"])
def test_an_ended_token_is_still_refused_with_its_reason(
    upgraded: tuple[Node, Site], ended: dict[str, str]
) -> None:
    response = call(upgraded[0], ended, ended["path"])

    assert 401 == response.status_code
    assert ended["message"] == (response.json().get("status_message") or response.json()["detail"])


def test_a_repeated_request_gets_the_same_response_as_before(upgraded: tuple[Node, Site]) -> None:
    order = RECORDED["order"]
    headers = {"Idempotency-Key": order["key"]}
    gateway = RECORDED["callers"]["gateway"]
    response = call(upgraded[0], gateway, "/ocpi/cpos", json=order["body"], headers=headers)

    assert (202, order["answer"]) == (response.status_code, response.json())


def test_the_tokens_of_peers_are_still_readable(upgraded: tuple[Node, Site]) -> None:
    with PeerServer() as server:
        peer_token = server.token
    with switch_to(settings_of(upgraded[1])), database.connect() as transaction:
        stored = [peer.token for network in (1, 2) for peer in connections.of_network(transaction, network)]

    assert {None, "b" * 40, peer_token} == set(stored)


def test_a_connection_keeps_the_parties_that_it_was_allowed(upgraded: tuple[Node, Site]) -> None:
    """But not the own party of another connection."""
    with switch_to(settings_of(upgraded[1])), database.connect() as connection:
        named = parties.named(connection, 1)

    assert {1: [("NL", "TNM"), ("NL", "ABC")], 2: [("NL", "REG")], 3: [("DE", "OUT")]} == named


def test_a_job_that_an_upgrade_interrupts_fails(upgraded: tuple[Node, Site]) -> None:
    gateway, url = RECORDED["callers"]["gateway"], RECORDED["unfinished_job"]
    deadline = time.monotonic() + 60
    while (job := call(upgraded[0], gateway, url).json())["status"] not in ("READY", "FAILED"):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)

    assert "FAILED" == job["status"]
    assert "interrupted by an upgrade" in job["error"]["message"]
