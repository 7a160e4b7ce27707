"""Security S1 to S24 and S40 to S53; test_bola, test_bad_input and test_transport test more of them."""

import http.client
import json
import random
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import requests
from examples import example
from inspection import contents, moved, rows
from nodes import Client, Network, Node, in_transaction, one_database, outcome
from peers import PeerServer, envelope
from raw import exchange
from surface import IDS, PARTY, PEER, FilledNetwork, Push

from storage import access, connections

SCHEMAS = ["Token", "Location", "EVSE", "Connector", "Session", "Tariff"]
EVIL = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE ocpi_tokens; --",
    '" OR ""="',
    "Robert'); DELETE FROM gw_networks WHERE ('1'='1",
    "${jndi:ldap://x/a}",
    "{{7*7}}",
    "%s%n%x",
    "line\r\nX-Evil: 1",
    "tab\tnul-free",
    "\u202egnp.exe",
    "\u2028\u2029",
    "\U0001f600" * 10,
    "=cmd|' /C calc'!A0",
    "../../../../etc/passwd",
    "\\\\server\\share",
]


def test_stopping_the_session_of_another_peer_is_unknown_session(node: Node) -> None:
    """Security S3: the answer is the same for a foreign session and for a missing one."""
    network = node.network("CPO", PARTY)
    owner, thief, operator = network.peer(PEER), network.peer(("NL", "XIN")), network.operator()
    assert owner.put(owner.at("tokens", IDS["token_uid"]), example("Token")).ok
    session = example("Session", status="ACTIVE", end_datetime=None)
    assert operator.put(operator.at("sessions", session["id"], party=PARTY), session).ok

    def stop(client: Client, session_id: str) -> dict[str, Any]:
        body = example("StopSession", session_id=session_id, response_url="http://127.0.0.1:9999/x")
        answer: dict[str, Any] = client.post("commands/STOP_SESSION", body).json()
        return {name: value for name, value in answer.items() if name != "timestamp"}

    assert {"result": "UNKNOWN_SESSION"} == stop(thief, session["id"])["data"]
    assert stop(thief, "NONE") == stop(thief, session["id"])
    assert {"result": "NOT_SUPPORTED"} == stop(owner, session["id"])["data"]


@pytest.mark.parametrize("name", ["START_SESSION", None])
def test_a_result_for_the_command_of_another_peer_is_refused(
    node: Node, peer: PeerServer, name: str | None
) -> None:
    """Security S4."""
    stage = FilledNetwork(node, peer, "emsp", empty=True)
    thief = stage.network.peer(("NL", "XIN"))
    url = f"commands/{name}/{stage.uid}" if name else f"commands/{stage.uid}"
    before = contents()

    foreign = thief.post(url, {"result": "ACCEPTED"})
    missing = thief.post(url.replace(stage.uid, "UNKNOWN"), {"result": "ACCEPTED"})

    assert (404, 2000) == outcome(foreign)
    assert missing.json()["status_message"] == foreign.json()["status_message"]
    assert [] == moved(before, contents())
    assert (200, 1000) == outcome(stage.peer.post(url, {"result": "REJECTED"}))


def test_authorize_treats_a_foreign_location_as_a_missing_one(node: Node) -> None:
    """Security S1: another CPO pushed the location in the request."""
    network = node.network("EMSP", PARTY)
    owner, thief, operator = network.peer(PEER), network.peer(("NL", "XIN")), network.operator()
    token = example("Token")
    assert operator.put(operator.at("tokens", token["uid"], party=PARTY), token).ok
    assert owner.put(owner.at("locations", "LOC1"), example("Location")).ok

    def authorize(client: Client, location_id: str) -> Any:
        references = {"location_id": location_id, "evse_uids": ["3256"], "connector_ids": ["1"]}
        return client.post(f"tokens/{token['uid']}/authorize", references).json()["data"]

    assert "ALLOWED" == authorize(owner, "LOC1")["allowed"]
    assert "NOT_ALLOWED" == authorize(thief, "LOC1")["allowed"]
    assert authorize(thief, "NONE") == authorize(thief, "LOC1")


@one_database
def test_two_thousand_wrong_tokens_get_the_same_401_at_the_same_speed(cpo: Network) -> None:
    """Security S8."""
    times: list[float] = []
    answers = set()
    host = cpo.node.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        for number in range(2000):
            began = time.perf_counter()
            wrong = f"Token {number:043}"
            connection.request("GET", "/ocpi/cpo/2.1.1/locations", headers={"Authorization": wrong})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            times.append(time.perf_counter() - began)
            answers.add((answer.status, body["status_code"], body["status_message"]))

    assert {(401, 2000, "Unknown token.")} == answers
    assert statistics.median(times[-500:]) < 3 * statistics.median(times[:500]) + 0.002
    assert (200, 1000) == outcome(cpo.peer().get("locations"))


def test_a_token_is_looked_up_by_its_digest_alone() -> None:
    """Security S9, by structure: only digests are compared, never the first bytes of a token."""
    assert {"digest"} == set(access._IDENTIFY.compile().params)
    assert not {"token", "prefix"} & {column.name for column in access.ACCESS.columns}


@one_database
def test_an_almost_right_token_takes_as_long_as_any_wrong_one(cpo: Network) -> None:
    """Security S9, by time: Mann-Whitney over interleaved samples; |z| < 4 fails once in 15,000 runs."""
    token = cpo.peer().token or ""
    near = token[:-1] + ("A" if token[-1] != "A" else "B")
    far = "".join(random.Random(9).sample(token[::-1], len(token)))
    guesses = [near, far] * 300
    random.Random(9).shuffle(guesses)
    samples: list[tuple[float, bool]] = []
    with closing(http.client.HTTPConnection(cpo.node.url.removeprefix("http://"), timeout=10)) as connection:
        for guess in guesses:
            began = time.perf_counter()
            connection.request("GET", "/ocpi/cpo/versions", headers={"Authorization": f"Token {guess}"})
            answer = connection.getresponse()
            answer.read()
            samples.append((time.perf_counter() - began, guess == near))
            assert 401 == answer.status

    ranks = sum(rank for rank, (_, is_near) in enumerate(sorted(samples), 1) if is_near)
    half = len(guesses) // 2
    u = ranks - half * (half + 1) / 2
    z = (u - half * half / 2) / (half * half * (2 * half + 1) / 12) ** 0.5

    assert abs(z) < 4


def test_one_of_twenty_parties_that_share_a_token_a_registers(cpo: Network) -> None:
    """Security S11: twenty parties register at once; the others get 401 or 429 and leave nothing."""
    token = cpo.token_a()

    def register(number: int) -> requests.Response:
        with PeerServer(("NL", f"R{number:02}")) as foreign:
            client = cpo.node.client(token, cpo.role)
            return client.post("credentials", foreign.credentials())

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(register, range(20)))

    assert {(200, 1000): 1} == Counter(outcome(answer) for answer in answers if answer.ok)
    assert {(401, 2000), (429, 2000)} >= {outcome(answer) for answer in answers if not answer.ok}
    assert 1 == len(in_transaction(connections.of_network, cpo.id))
    assert 1 == len([row for row in rows("ocpi_access") if row["network_id"] == cpo.id])


@one_database
@pytest.mark.parametrize("schema", SCHEMAS)
def test_members_with_the_names_of_columns_change_no_column(node: Node, schema: str) -> None:
    """Security S15: with and without such members, the rows differ only in key and document."""
    extra = {
        "owner_id": 1, "organization_id": "x", "party_id": "XIN", "country_code": "BE", "token_hash": "x",
        "created_at": 1, "role": "CPO", "is_owner": True, "network_id": 1, "connection_id": 1, "seq": 1,
        "revision": 99, "published": False, "publish": False, "reader": "NL/XIN", "folded_id": "x",
        "standing": "ALLOWED", "restricted_to": "[]", "document": "{}", "digest": "x", "kind": "operator",
        "user": {"kind": "operator"}, "body": {}, "owner": "BE/XIN", "also": "BE/XIN", "expires_at": 1,
    }  # fmt: skip
    stored = []
    for more in ({}, extra):
        push = Push(node)
        standard = example(schema)
        unknown = {name: value for name, value in more.items() if name not in standard}
        body = {**standard, **unknown}
        assert push(schema, body).ok
        url, peer = push.path(schema, body), push.peer(schema)
        assert (200, 1000) == outcome(peer.patch(url, {**unknown, "last_updated": "2027-01-01T00:00:00Z"}))
        kept = [
            {
                name: value
                for name, value in row.items()
                if name not in ("seq", "network_id", "auth_since", "document", "document_bytes")
            }
            for table in ("locations", "tokens", "sessions", "tariffs")
            for row in rows(f"ocpi_{table}")
            if row["network_id"] == next(iter(push.networks.values())).id
        ]
        stored.append(kept)

    assert stored[0] == stored[1]
    assert 1 == len(stored[0])


@one_database
@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("value", ["OTHER", "", None, 7, ["x"], {"id": "x"}])
def test_a_patch_cannot_change_the_id_of_an_object(node: Node, schema: str, value: object) -> None:
    """Security S16."""
    push = Push(node)
    body = example(schema)
    assert push(schema, body).ok
    url, key = push.path(schema, body), "uid" if schema in ("Token", "EVSE") else "id"

    response = push.peer(schema).patch(url, {key: value, "last_updated": "2027-01-01T00:00:00Z"})

    assert outcome(response) in {(200, 2001), (400, 2001)}
    assert body == push.stored(schema, body)


@one_database
@pytest.mark.parametrize("text", EVIL)
def test_text_that_is_code_elsewhere_is_stored_as_text(node: Node, text: str) -> None:
    """Security S42: text comes back byte by byte, as JSON that no browser interprets as anything else."""
    push = Push(node)
    location = example("Location", name=text, directions=[{"language": "en", "text": text}])
    before = len(rows("gw_networks"))

    response = push("Location", location)
    answer = push.peer("Location").get(push.path("Location", location))

    if outcome(response) == (400, 2001):  # the contract's pattern for text excludes it
        assert any(ord(letter) < 32 for letter in text)
        assert 404 == answer.status_code
        return
    assert (201, 1000) == outcome(response)
    assert [text, text] == [answer.json()["data"]["name"], answer.json()["data"]["directions"][0]["text"]]
    assert ("application/json", "nosniff") == (
        answer.headers["Content-Type"],
        answer.headers["X-Content-Type-Options"],
    )
    assert "X-Evil" not in answer.headers
    assert before <= len(rows("gw_networks"))


@one_database
@pytest.mark.parametrize(
    "answer",
    [
        *({"version": text, "url": "http://127.0.0.1:9/"} for text in EVIL),
        {"version": "2.1.1", "url": "javascript:alert(1)"},
        {"version": "2.1.1", "url": "x" * 1_000_000},
        {"version": "x" * 1_000_000, "url": "http://127.0.0.1:9/"},
        {"version": {"2.1.1": 1}, "url": ["http://127.0.0.1:9/"]},
        None,
        [],
        "2.1.1",
        2.11,
    ],
    ids=lambda value: str(value)[:30].encode("unicode_escape").decode(),
)
def test_strange_versions_of_a_peer_get_one_short_refusal(
    cpo: Network, peer: PeerServer, answer: object
) -> None:
    """Security S42, for the answers of a peer."""
    peer.answers["/versions"] = lambda _: (200, envelope([answer]))
    before = contents()

    response = cpo.registrant().post("credentials", peer.credentials())

    assert 200 == response.status_code
    assert response.json()["status_code"] in {3001, 3002}
    assert len(response.text) < 600
    changed = moved(before, contents())
    assert [("ocpi_access", "registration")] == [(table, row["kind"]) for table, row in changed]


def test_a_name_in_credentials_that_is_code_or_too_long_causes_no_error(
    cpo: Network, peer: PeerServer
) -> None:
    """Security S42."""
    for text in EVIL:
        details = {"name": text[:100], "website": "https://x.example.com"}
        response = cpo.registrant().post("credentials", peer.credentials(business_details=details))
        assert outcome(response) in {(200, 1000), (400, 2001)}, text
    too_long = peer.credentials(business_details={"name": "x" * 1_000_000})
    assert (400, 2001) == outcome(cpo.registrant().post("credentials", too_long))


@pytest.mark.parametrize("year", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999Z", "1000-01-01T00:00:00Z"])
def test_an_extreme_timestamp_affects_only_its_own_object(node: Node, year: str) -> None:
    """Security S44."""
    push = Push(node)
    peer = push.peer("Location")
    extreme, other = example("Location", id="POISON", last_updated=year), example("Location", id="OTHER")
    assert (201, 1000) == outcome(push("Location", extreme))
    assert (201, 1000) == outcome(push("Location", other))

    newer = peer.data("locations", date_from="2026-01-01T00:00:00Z", date_to="2999-01-01T00:00:00Z")
    assert ["OTHER"] == [each["id"] for each in newer]
    url = peer.at("locations", "POISON")
    assert (200, 1000) == outcome(peer.patch(url, {"name": "new"}))
    assert (200, 1000) == outcome(peer.patch(f"{url}/3256", {"status": "CHARGING"}))
    assert (200, 1000) == outcome(peer.patch(f"{url}/3256/1", {"voltage": 400}))
    stored = peer.data(url)
    assert ["new", "CHARGING", 400] == [
        stored["name"], stored["evses"][0]["status"], stored["evses"][0]["connectors"][0]["voltage"],
    ]  # fmt: skip
    assert outcome(peer.get("locations", date_from=year)) == (200, 1000)


@one_database
@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/openapi/ocpi.json", "/openapi/ocpi.yaml",
                                  "/docs/swagger-ui.css", "/docs/no", "/no", "/ocpi"])  # fmt: skip
def test_a_forged_host_appears_in_no_page(node: Node, path: str) -> None:
    """Security S50, outside the modules. Security S36: no page allows another origin."""
    evil = dict.fromkeys(("Host", "X-Forwarded-Host", "X-Original-URL", "Forwarded"), "evil.example")

    response = requests.get(
        f"{node.url}{path}", headers={**evil, "Origin": "https://evil.example"}, timeout=9
    )

    assert response.status_code in {200, 401, 404}
    assert "evil.example" not in response.text + str(response.headers)
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "nosniff" == response.headers["X-Content-Type-Options"]


@one_database
@pytest.mark.parametrize(
    "name",
    ["..%2f..%2fsettings.py", "../../settings.py", "%2e%2e/%2e%2e/settings.py", "..%5c..%5csettings.py",
     "/etc/passwd", "%2fetc%2fpasswd", "....//settings.py", "index.html%00.css", "%00", "a" * 5000, "."],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["docs/", "openapi/"])
def test_only_the_documents_are_served_as_files(node: Node, folder: str, name: str) -> None:
    """Security S47, on the routes where a path becomes a file name."""
    answer = exchange(node.url, f"GET /{folder}{name} HTTP/1.1\r\n".encode())

    assert 404 == answer.status
    assert b"OCPI_GATEWAY_" not in answer.body
    assert b"root:" not in answer.body


@one_database
@pytest.mark.parametrize(
    "head",
    [
        b'GET /ocpi/cpo/2.1.1/tokens/NL/TNM/x%0a{"what":"INJECTED"} HTTP/1.1\r\n',
        b"GET /ocpi/cpo/2.1.1/tokens/NL/TNM/x%0d%0aINJECTED HTTP/1.1\r\n",
        b"GET /x%0aINJECTED%1b[31m%e2%80%a8INJECTED HTTP/1.1\r\n",
        b"GET /%c2%85INJECTED%ff%fe%00 HTTP/1.1\r\n",
        b"GET /" + b"%0aINJECTED" * 1000 + b" HTTP/1.1\r\n",
        b"INJECTED /ocpi/cpo/versions HTTP/1.1\r\n",
        b"GET /ocpi/cpo/versions?x=%0aINJECTED HTTP/1.1\r\n",
        b'GET /","level":"INJECTED","x":" HTTP/1.1\r\n',
    ],
)
def test_a_line_break_in_a_request_adds_no_line_to_the_log(node: Node, head: bytes) -> None:
    """Security S53: every line is one JSON object that the program wrote."""
    before = len(node.log)

    exchange(node.url, head)
    marker = f"/marker-{random.Random().random()}"
    requests.get(f"{node.url}{marker}", timeout=9)
    deadline = time.monotonic() + 60
    while marker not in node.log[before:] and time.monotonic() < deadline:
        time.sleep(0.02)

    lines = [json.loads(line) for line in node.log[before:].split("\n") if line]
    assert marker == lines[-1]["path"]
    for line in lines:
        assert {"at", "level", "what"} <= line.keys()
        assert "INJECTED" not in {line["what"], line["level"]}
        assert len(json.dumps(line)) < 4000
    assert all(ord(letter) >= 32 or letter == "\n" for letter in node.log[before:])


def test_a_refused_body_does_not_break_the_connection_for_the_next_request(cpo: Network) -> None:
    """After a refusal with an unread body, the connection stays open or the answer says that it closes."""
    host = cpo.node.url.removeprefix("http://")
    for method, path in [("PUT", "/ocpi/cpo/2.1.1/tokens/NL/TNM/1"), ("POST", "/nothing")] * 15:
        with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
            for _ in range(4):
                connection.request(method, path, b'{"uid":"1"}', {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                assert answer.status in {401, 404, 405}
                if answer.getheader("Connection") == "close":
                    break


def test_a_hundred_silent_connections_do_not_block_other_clients(cpo: Network) -> None:
    """Security S26, on a small scale: each connection sends half a head, and other clients are served."""
    client = cpo.peer()
    silent = []
    try:
        for _ in range(100):
            connection = http.client.HTTPConnection(cpo.node.url.removeprefix("http://"), timeout=10)
            connection.connect()
            connection.sock.sendall(b"PUT /ocpi/cpo/2.1.1/tokens/NL/TNM/1 HTTP/1.1\r\nHost: x\r\nX-")
            silent.append(connection)
        for _ in range(5):  # a client gives up after 30 s
            assert (200, 1000) == outcome(client.get("tokens"))
    finally:
        for connection in silent:
            connection.close()
