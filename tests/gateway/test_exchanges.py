"""Exchanges: what is recorded, and how it is read. docs/gateway.md "Exchanges"."""

import base64
import itertools
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import raw
import sqlalchemy
from examples import example
from inspection import rows
from nodes import Client, Gateway, Node, in_transaction, one_database, outcome, switch_to
from peers import PeerServer

from storage import exchanges, timestamps
from workflows.peers.exchange_rows import BODY_BYTES, Observed
from workflows.peers.exchanges import Recorder

LONG = "x" * BODY_BYTES


class Watched:
    """A network whose exchanges are read."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
        self.url = self.accepted["destroy_url"]
        self.network_id = int(self.accepted["cpo_id"])
        self.operator = gateway.operator(self.accepted)

    def read(self, **filters: Any) -> list[dict[str, Any]]:
        """The exchanges that match."""
        found: list[dict[str, Any]] = self.gateway.data(f"{self.url}/exchanges", **filters)["data"]
        return found

    def wait(self, count: int, **filters: Any) -> list[dict[str, Any]]:
        """The exchanges that match, once there are *count*."""
        deadline = time.monotonic() + 60
        while len(found := self.read(**filters)) < count:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        assert count == len(found)
        return found

    def get(self, exchange: dict[str, Any]) -> Any:
        """An exchange with headers and bodies."""
        return self.gateway.data(f"{self.url}/exchanges/{exchange['exchange_id']}")

    def client(self, authorization: str | None) -> Client:
        """A client with an Authorization header in any form."""
        client = self.gateway.node.client(None, self.operator.role)
        request = client.request
        headers = {} if authorization is None else {"Authorization": authorization}
        client.request = lambda method, path, **more: request(method, path, **more, headers=headers)  # type: ignore[method-assign]
        return client


@pytest.fixture
def watched(gateway: Gateway) -> Watched:
    """A new network with one location."""
    return Watched(gateway)


# What is recorded


def test_a_registration_and_the_calls_that_it_causes_are_recorded(watched: Watched, peer: PeerServer) -> None:
    registrant = watched.gateway.node.client(watched.accepted["token_a"], "cpo")
    registered = registrant.post("credentials", peer.credentials())
    token_c = registered.json()["data"]["token"]

    found = watched.wait(3)

    assert [
        ("in", "credentials", "POST", "/ocpi/cpo/2.1.1/credentials"),
        ("out", "versions", "GET", f"{peer.url}/2.1.1"),
        ("out", "versions", "GET", peer.versions_url),
    ] == [tuple(each[name] for name in ("direction", "module", "method", "url")) for each in found]
    assert {("NL/TNM", 200, 1000, False)} == {
        (each["peer"], each["status"], each["status_code"], each["cut"]) for each in found
    }
    assert ["registration", None, None] == [each.get("caller") for each in found]
    assert {each["request_id"] for each in found[1:]} == {r["headers"]["X-Request-ID"] for r in peer.seen}
    assert registered.headers["X-Request-ID"] == found[0]["request_id"]
    incoming, details = watched.get(found[0]), watched.get(found[1])
    assert {**peer.credentials(), "token": "[redacted]"} == json.loads(incoming["request"]["body"])
    assert "[redacted]" == json.loads(incoming["response"]["body"])["data"]["token"]
    assert {"name": "Authorization", "value": "Token [redacted]"} in details["request"]["headers"]
    assert "endpoints" in details["response"]["body"]
    shown = json.dumps([incoming, details, watched.read()])
    assert [] == [token for token in (watched.accepted["token_a"], token_c, peer.token) if token in shown]


def test_a_call_without_an_answer_has_an_error_and_one_with_a_refusal_its_body(
    watched: Watched, peer: PeerServer
) -> None:
    registrant = watched.gateway.node.client(watched.accepted["token_a"], "cpo")
    peer.answers["/versions"] = lambda _: (500, b"the peer is ill")
    assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials()))
    unreachable = peer.credentials(url="http://127.0.0.1:9999/versions")
    assert (200, 3001) == outcome(registrant.post("credentials", unreachable))

    unanswered, refused = watched.wait(2, direction="out")

    assert ("connection refused", None) == (unanswered["error"], unanswered.get("status"))
    assert None is watched.get(unanswered).get("response")
    assert (500, None) == (refused["status"], refused.get("error"))
    assert "the peer is ill" == watched.get(refused)["response"]["body"]


@one_database
def test_a_push_is_recorded_with_its_peer_and_can_be_found_by_its_request_id(
    watched: Watched, peer: PeerServer
) -> None:
    registrant = watched.gateway.node.client(watched.accepted["token_a"], "cpo")
    assert registrant.post("credentials", peer.credentials()).ok
    tariff = watched.operator.at("tariffs", "12", party=watched.operator.party)
    assert watched.operator.put(tariff, example("Tariff")).ok

    [push] = watched.wait(1, direction="out", module="tariffs")

    assert ("NL/TNM", "PUT", 404) == (push["peer"], push["method"], push["status"])
    [request] = peer.requests("PUT", push["url"].removeprefix(peer.url))
    assert push["request_id"] == request["headers"]["X-Request-ID"]
    assert request["raw"].decode() == watched.get(push)["request"]["body"]
    found = in_transaction(exchanges.ids_of, watched.network_id, [push["request_id"], "unknown"])
    assert {push["request_id"]: int(push["exchange_id"])} == found


def test_a_token_that_ended_or_has_a_wrong_form_is_recorded_for_its_network(
    watched: Watched, peer: PeerServer
) -> None:
    token_a, operator = watched.accepted["token_a"], str(watched.operator.token)
    assert watched.gateway.node.client(token_a, "cpo").post("credentials", peer.credentials()).ok
    encoded = base64.b64encode(operator.encode()).decode()
    headers = {
        f"Token {token_a}": "Token [redacted]",
        operator: "[redacted]",
        f"Bearer {operator}": "Bearer [redacted]",
        f"Token {encoded}": "Token [redacted]",
    }
    for header in (*headers, None, "Token " + "x" * 43):
        assert 401 == watched.client(header).get("locations").status_code

    found = watched.wait(4, status=401)

    assert [*headers.values()] == [
        next(h["value"] for h in watched.get(each)["request"]["headers"] if h["name"] == "Authorization")
        for each in reversed(found)
    ]
    assert {None} == {each.get("caller") for each in found}
    stored = json.dumps(rows("ocpi_exchanges"))
    assert [] == [secret for secret in (token_a, operator, encoded) if secret in stored]


@one_database
def test_a_long_body_is_cut_and_has_no_curl(watched: Watched) -> None:
    path = watched.operator.at("locations", "LONG", party=watched.operator.party)
    body = example("Location", id="LONG", extra=LONG)
    assert watched.operator.put(path, body).ok
    assert watched.operator.get(path).ok

    got, put = map(watched.get, watched.wait(2))

    assert (True, False) == (put["request"]["cut"], put["response"]["cut"])
    assert (False, True) == (got["request"]["cut"], got["response"]["cut"])
    assert [True, True] == [each["summary"]["cut"] for each in (got, put)]
    assert put["request"]["body"] in json.dumps(body)
    assert BODY_BYTES - 64 <= len(put["request"]["body"]) <= BODY_BYTES
    assert None is put.get("curl")
    assert got["curl"]


@one_database
def test_the_curl_repeats_the_request(watched: Watched, peer: PeerServer) -> None:
    registrant = watched.gateway.node.client(watched.accepted["token_a"], "cpo")
    quoted = peer.credentials(business_details={"name": 'The peer\'s $HOME `name` \\ "quoted"'})
    assert registrant.post("credentials", quoted).ok
    command = watched.get(watched.wait(1, direction="in")[0])["curl"]

    shell = f"curl() {{ printf '%s\\0' \"$@\"; }}; {command}"
    variables = {"TOKEN": "the token of the caller", "MY_TOKEN": peer.token}
    done = subprocess.run(["/bin/sh", "-c", shell], env=variables, capture_output=True, text=True, check=True)
    unset = subprocess.run(["/bin/sh", "-c", shell], env={}, capture_output=True, text=True, check=False)

    words = done.stdout.split("\0")
    assert ["-X", "POST", f"{watched.gateway.node.url}/ocpi/cpo/2.1.1/credentials"] == words[:3]
    assert "Authorization: Token the token of the caller" in words
    assert quoted == json.loads(words[words.index("--data-binary") + 1])
    assert "set TOKEN to" in unset.stderr


@one_database
def test_requests_that_a_proper_client_does_not_send_can_be_read(watched: Watched) -> None:
    token = b"Authorization: Token " + str(watched.operator.token).encode()
    short_headers = [b"%c%c:" % (65 + n // 26, 65 + n % 26) for n in range(676)]
    url = watched.gateway.node.url
    raw.exchange(url, b"GET /ocpi/cpo/2.1.1/locations?x='\"<>|[\x7f HTTP/1.1\r\n", token)
    raw.exchange(url, b"GET /ocpi/cpo/2.1.1/locations HTTP/1.1\r\n", token, *short_headers * 6)
    raw.exchange(url, b"BREW /ocpi/cpo/2.1.1/locations HTTP/1.1\r\n", token, b"Transfer-Encoding: x")

    for exchange in watched.wait(3):
        assert str(watched.operator.token) not in json.dumps(watched.get(exchange))


# How it is read


def test_filters_select_exchanges(watched: Watched, peer: PeerServer) -> None:
    registrant = watched.gateway.node.client(watched.accepted["token_a"], "cpo")
    assert registrant.post("credentials", peer.credentials()).ok
    assert watched.operator.get("tariffs").ok
    assert 404 == watched.operator.get("locations/nowhere").status_code
    watched.wait(5)

    assert ["locations", "tariffs"] == [each["module"] for each in watched.read(direction="in")[:2]]
    assert ["locations"] == [each["module"] for each in watched.read(status=404)]
    assert ["locations"] == [each["module"] for each in watched.read(status=2000)]
    assert ["tariffs"] == [each["module"] for each in watched.read(module="tariffs")]
    assert 3 == len(watched.read(peer="nl/tnm"))
    assert ["credentials"] == [each["module"] for each in watched.read(text="foreign PARTY", direction="in")]
    assert [] == watched.read(peer="NL/TNM", module="tariffs")
    assert [] == watched.read(text="100%_")
    assert 422 == watched.gateway.get(f"{watched.url}/exchanges", peer="TNM").status_code


def test_a_follower_reads_every_exchange_once_and_pages_go_back(watched: Watched) -> None:
    pages = []
    cursor = watched.gateway.data(f"{watched.url}/exchanges", limit=1)["cursor"]
    for number in range(7):
        assert watched.operator.get(f"locations?limit={number + 1}").ok
    watched.wait(7)
    while (page := watched.gateway.data(f"{watched.url}/exchanges", since=cursor, limit=3))["data"]:
        pages.append([each["url"].partition("?limit=")[2] for each in page["data"]])
        cursor = page["cursor"]

    assert [["1", "2", "3"], ["4", "5", "6"], ["7"]] == pages
    nothing = watched.gateway.data(f"{watched.url}/exchanges", since=cursor, module="cdrs")
    assert {"data": [], "cursor": cursor} == nothing
    newest = watched.read(limit=2)
    older = watched.read(limit=2, before=newest[-1]["exchange_id"])
    assert ["7", "6", "5", "4"] == [each["url"].partition("?limit=")[2] for each in (*newest, *older)]


def test_deleted_exchanges_are_gone_and_later_ones_have_higher_ids(watched: Watched) -> None:
    assert watched.operator.get("locations").ok
    [first] = watched.wait(1)
    for _ in range(3):
        assert watched.operator.get("tariffs").ok

    assert 204 == watched.gateway.delete(f"{watched.url}/exchanges").status_code

    assert [] == watched.read()
    assert 404 == watched.gateway.get(f"{watched.url}/exchanges/{first['exchange_id']}").status_code
    assert watched.operator.get("locations").ok
    [later] = watched.wait(1, since=first["exchange_id"])
    assert int(later["exchange_id"]) > int(first["exchange_id"])


def test_the_end_of_a_network_ends_its_exchanges(watched: Watched) -> None:
    assert watched.operator.get("locations").ok
    watched.wait(1)
    assert watched.operator.get("locations").ok

    assert 204 == watched.gateway.delete(watched.url).status_code

    assert 404 == watched.gateway.get(f"{watched.url}/exchanges").status_code
    deadline = time.monotonic() + 60
    while [row for row in rows("ocpi_exchanges") if row["network_id"] == watched.network_id]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


# What changed


def test_changes_name_the_kinds_that_changed(watched: Watched, peer: PeerServer) -> None:
    def poll(cursor: str | None, kind: str | None) -> str:
        """Wait until *kind* changed, or until nothing does; returns the new cursor."""
        deadline = time.monotonic() + 60
        while True:
            response = watched.gateway.get(f"{watched.url}/changes", **({"since": cursor} if cursor else {}))
            if response.status_code == 204:
                assert b"" == response.content
                if kind is None:
                    assert cursor is not None
                    return cursor
            else:
                cursor = response.json()["cursor"]
                if kind in response.json()["changed"]:
                    return str(cursor)
            assert time.monotonic() < deadline, (kind, response.text)
            time.sleep(0.05)

    cursor = poll(poll(None, "tokens"), None)
    tariff = watched.operator.at("tariffs", "12", party=watched.operator.party)
    assert watched.operator.put(tariff, example("Tariff", last_updated="2020-01-01T00:00:00Z")).ok
    cursor = poll(poll(cursor, "tariffs"), None)
    # The highest id and the highest instant are those of other tariffs.
    assert watched.operator.put(tariff, example("Tariff", last_updated="2020-01-02T00:00:00Z")).ok
    cursor = poll(poll(cursor, "tariffs"), None)
    location = watched.gateway.data(f"{watched.url}/locations")["data"][0]["id"]
    assert watched.gateway.patch(f"{watched.url}/locations/{location}", {"name": "New"}).ok
    cursor = poll(poll(cursor, "locations"), None)
    invited = watched.gateway.post(f"{watched.url}/invitations", {}).json()["invitation_id"]
    cursor = poll(poll(cursor, "invitations"), None)
    assert 204 == watched.gateway.delete(f"{watched.url}/invitations/{invited}").status_code
    cursor = poll(poll(cursor, "invitations"), None)
    registrant = watched.gateway.node.client(watched.accepted["token_a"], "cpo")
    assert registrant.post("credentials", peer.credentials()).ok
    poll(cursor, "connections")
    assert 10 == len(
        watched.gateway.data(f"{watched.url}/changes", since="exchanges.9999999999999999999999")["changed"]
    )


# Bounds


def test_a_network_keeps_its_newest_exchanges(another_node: Callable[..., Node]) -> None:
    node = another_node(exchanges_kept="20", demo="0")
    with switch_to(node.environment):
        watched = Watched(node.gateway())
        for number in range(60):
            assert watched.operator.get(f"locations?limit={number + 1}").ok

        deadline = time.monotonic() + 60
        while not (found := watched.read()) or len(found) > 21 or not found[0]["url"].endswith("=60"):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        assert len(found) >= 20


def observed(network_id: int | None, url: str = "/ocpi/cpo/2.1.1/locations", **more: Any) -> Observed:
    """A received request."""
    return Observed(
        direction="in", method="GET", url=url, started_at=timestamps.now_ms(), request_id="1",
        request_headers=[], request_body=b"", request_cut=False, network_id=network_id, **more,
    )  # fmt: skip


def test_old_exchanges_are_purged_and_a_network_is_trimmed(node: Node) -> None:
    network_id = node.network("CPO", ("NL", "OLD")).id
    in_transaction(lambda transaction: transaction.execute(sqlalchemy.delete(exchanges.EXCHANGES)))
    recorder = Recorder()
    for number in range(30):
        exchange = observed(network_id, f"/ocpi/cpo/2.1.1/locations?limit={number}")
        if number == 29:
            exchange.started_at = 1
        recorder.put(exchange)
    recorder.flush()

    in_transaction(exchanges.trim, network_id, 10)
    kept = [row["url"] for row in rows("ocpi_exchanges") if row["network_id"] == network_id]
    while in_transaction(exchanges.purge, 1000):
        pass

    assert [f"/ocpi/cpo/2.1.1/locations?limit={number}" for number in range(20, 30)] == sorted(kept)
    left = [row["url"] for row in rows("ocpi_exchanges") if row["network_id"] == network_id]
    assert sorted(kept)[:9] == sorted(left)


@one_database
def test_what_does_not_fit_into_the_queue_is_counted(
    node: Node, monkeypatch: pytest.MonkeyPatch, gateway: Gateway
) -> None:
    watched = Watched(gateway)
    recorder = Recorder()
    monkeypatch.setattr("workflows.peers.exchanges.QUEUE_LIMIT", 4)
    for _, network_id in itertools.product(range(5), (watched.network_id, None)):
        recorder.put(observed(network_id))
    recorder.flush()
    recorder.put(observed(watched.network_id))
    recorder.flush()
    assert node.url

    assert [3, 0, 0] == [each["lost_before"] for each in watched.wait(3)]


@one_database
def test_an_exchange_that_cannot_be_written_does_not_stop_the_others(gateway: Gateway) -> None:
    watched = Watched(gateway)
    recorder = Recorder()
    nothing: Any = None
    for number in range(4):
        exchange = observed(watched.network_id, f"/ocpi/cpo/2.1.1/locations?limit={number}")
        if number == 1:
            exchange.request_headers = nothing  # a mistake in the program
        recorder.put(exchange)
        if number > 1:
            recorder.flush()

    assert [("3", 1), ("2", 0), ("0", 0)] == [
        (each["url"][-1], each["lost_before"]) for each in watched.wait(3)
    ]
