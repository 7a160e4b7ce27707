"""An upgrade of a database that an older version wrote loses nothing."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from nodes import Node, free_port, session, switch_to
from peers import PeerServer
from recorded_database import DOCUMENTS, RECORDED, documents, load, settings_of
from starting import Site

from storage import connections, database

ANSWERS: list[dict[str, Any]] = RECORDED["answers"]


@pytest.fixture(scope="module")
def upgraded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Site]]:
    """A node that has upgraded the recorded database, and where the database is."""
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


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['caller']}: {answer['path']}")
def test_every_token_reads_what_it_read_before(upgraded: tuple[Node, Site], answer: dict[str, Any]) -> None:
    response = call(upgraded[0], RECORDED["callers"][answer["caller"]], answer["path"])

    assert 200 == response.status_code, response.text
    body = {k: v for k, v in response.json().items() if k not in ("timestamp", "status_message")}
    if answer["path"].startswith("/ocpi/cpos/1/locations?"):
        for location, recorded in zip(body["data"], answer["body"]["data"], strict=True):
            added = {"ocpp_location_id", "timezone"} - recorded.keys()  # since the recorded version
            assert all(location.pop(name) for name in added)
    assert answer["body"] == body


def test_every_caller_is_among_them() -> None:
    assert {answer["caller"] for answer in ANSWERS} == RECORDED["callers"].keys()


@pytest.mark.parametrize("ended", RECORDED["ended_tokens"], ids=lambda ended: ended["message"])
def test_a_token_that_ended_is_still_told_why(upgraded: tuple[Node, Site], ended: dict[str, str]) -> None:
    response = call(upgraded[0], ended, ended["path"])

    assert 401 == response.status_code
    assert ended["message"] == (response.json().get("status_message") or response.json()["detail"])


def test_an_order_that_is_sent_again_is_answered_as_before(upgraded: tuple[Node, Site]) -> None:
    order = RECORDED["order"]
    headers = {"Idempotency-Key": order["key"]}
    gateway = RECORDED["callers"]["gateway"]
    response = call(upgraded[0], gateway, "/ocpi/cpos", json=order["body"], headers=headers)

    assert (202, order["answer"]) == (response.status_code, response.json())


def test_the_tokens_of_peers_are_still_readable(upgraded: tuple[Node, Site]) -> None:
    with PeerServer() as server:
        recorded = server.token
    with switch_to(settings_of(upgraded[1])), database.connect() as connection:
        found = [link.token for network in (1, 2) for link in connections.of_network(connection, network)]

    assert {None, "b" * 40, recorded} == set(found)


def test_a_job_that_an_upgrade_interrupts_has_failed(upgraded: tuple[Node, Site]) -> None:
    gateway, url = RECORDED["callers"]["gateway"], RECORDED["unfinished_job"]
    deadline = time.monotonic() + 60
    while (job := call(upgraded[0], gateway, url).json())["status"] not in ("READY", "FAILED"):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)

    assert "FAILED" == job["status"]
    assert "interrupted by an upgrade" in job["error"]["message"]
