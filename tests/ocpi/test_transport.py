"""Authorization, media types, headers and framing. Conformance A; Security S12, S14, S51."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from examples import example
from nodes import Client, Network, Node, one_database, outcome, switch_to
from peers import PeerServer
from raw import Answer, exchange
from surface import OPERATIONS, PARTY, PEER, FilledNetwork

UNKNOWN = "x" * 43
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))
LISTS = [o for o in OPERATIONS if o.method == "GET" and o.path.endswith(("tokens", "cdrs"))]


def get_with_headers(client: Client, *lines: bytes, path: str = "versions") -> Answer:
    """GET *path* with exactly these header lines."""
    target = f"/ocpi/{client.role}/2.1.1/{path}" if path != "versions" else f"/ocpi/{client.role}/versions"
    return exchange(client.node_url, b"GET %s HTTP/1.1\r\n" % target.encode(), *lines)


@one_database
@pytest.mark.ocpi(1, 2, 6)
@pytest.mark.parametrize("token", [None, UNKNOWN], ids=["no token", "unknown token"])
def test_every_request_without_a_valid_token_is_401(node: Node, token: str | None) -> None:
    stranger = node.client(token)

    for operation in OPERATIONS:
        response = stranger.request(operation.method, operation.url(), json=operation.body)

        assert (401, 2000) == outcome(response), operation
        assert response.headers["WWW-Authenticate"].startswith("Token"), operation


@one_database
@pytest.mark.ocpi(2)
@pytest.mark.parametrize(
    "path", ["/ocpi", "/ocpi/nothing", "/ocpi/cpo/2.1.1/nothing", "/ocpi/2.2.1/versions"]
)
def test_an_unknown_url_is_401_without_a_token_and_404_with_one(cpo: Network, path: str) -> None:
    stranger = cpo.node.client(UNKNOWN)

    assert (401, 2000) == outcome(stranger.get(path))
    assert (404, 2000) == outcome(cpo.peer().get(path))


@one_database
@pytest.mark.ocpi(3, 6)
@pytest.mark.parametrize(
    ("scheme", "status"),
    [
        ("Token ", 200),
        ("token ", 200),
        ("TOKEN ", 200),
        ("Bearer ", 401),
        ("Basic ", 401),
        ("", 401),
        ("Token:", 401),
        ("Token=", 401),
        ("TokenX ", 401),
    ],
)
def test_only_the_scheme_token_in_any_case_authenticates(cpo: Network, scheme: str, status: int) -> None:
    client = cpo.peer()

    response = client.request("GET", "locations", headers={"Authorization": f"{scheme}{client.token}"})

    assert status == outcome(response)[0]


@one_database
@pytest.mark.ocpi(3)
def test_a_token_in_the_base64_form_of_ocpi_2_2_is_401(cpo: Network) -> None:
    client = cpo.peer()
    encoded = base64.b64encode(client.token.encode()).decode()

    assert (401, 2000) == outcome(locations_with(client, encoded))


def locations_with(client: Client, token: str) -> requests.Response:
    """The answer to GET locations with another token."""
    return Client(client.node_url, token, client.role).get("locations")


@one_database
@pytest.mark.ocpi(3)
@pytest.mark.parametrize("changed", [str.swapcase, str.upper, lambda t: t[:-1], lambda t: t + "="])
def test_a_token_is_compared_byte_by_byte(cpo: Network, changed: Callable[[str], str]) -> None:
    client = cpo.peer()

    assert (401, 2000) == outcome(locations_with(client, changed(client.token)))


@one_database
@pytest.mark.ocpi(4)
@pytest.mark.parametrize("token", [PRINTABLE[:64], PRINTABLE[30:]], ids=["0x21 to 0x60", "0x3f to 0x7e"])
def test_a_peers_token_may_have_any_printable_character_and_is_sent_unchanged(
    cpo: Network, peer: PeerServer, token: str
) -> None:
    peer.token = token

    response = cpo.registrant().post("credentials", peer.credentials())

    assert (200, 1000) == outcome(response)
    assert [f"Token {token}"] * 2 == [request["authorization"] for request in peer.seen]
    assert 64 == len(token)


@one_database
@pytest.mark.ocpi(5)
@pytest.mark.parametrize(
    "token",
    ["a b", " a", "a ", "a\tb", "a\r\nX-Evil: 1", "a\nb", "tok\u00e9n", "\u20ac", "", "a\x00b", "a\x7f"],
)
def test_credentials_with_a_token_that_is_no_header_value_are_2001(
    cpo: Network, peer: PeerServer, token: str
) -> None:
    response = cpo.registrant().post("credentials", peer.credentials(token=token))

    assert (400, 2001) == outcome(response)
    assert "token" in response.json()["status_message"]
    assert [] == peer.seen


@one_database
@pytest.mark.ocpi(5, 7)
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Token",
        b"Token ",
        b"Token  ",
        b"Token x y",
        b"Token  x y",
        b"Token\tx",
        b"Token  {token}",
        b"Token {token} y",
        b"Token {token},",
        b"Token " + b"x" * 8192,
        b"Token \xff\xfe",
        b"Token \xc3\xa9\xe2\x82\xac",
        b"\xc3\xa9",
        b"Token %00",
    ],
)
def test_a_malformed_authorization_is_401_and_never_a_server_error(cpo: Network, value: bytes) -> None:
    client = cpo.peer()

    answer = get_with_headers(client, b"Authorization: " + value.replace(b"{token}", client.token.encode()))

    assert 401 == answer.status
    assert 2000 == answer.json["status_code"]


@one_database
@pytest.mark.ocpi(7)
@pytest.mark.parametrize("second", [b"Token " + UNKNOWN.encode(), b"Token {token}", b"Bearer x"])
@pytest.mark.parametrize("first", [b"Token {token}", b"Token " + UNKNOWN.encode()])
def test_two_authorization_headers_are_401(cpo: Network, first: bytes, second: bytes) -> None:
    """Security S14."""
    client = cpo.peer()
    lines = [b"Authorization: " + v.replace(b"{token}", client.token.encode()) for v in (first, second)]

    assert 401 == get_with_headers(client, *lines).status


@one_database
def test_an_authorization_folded_over_two_lines_is_refused(cpo: Network) -> None:
    """Security S14."""
    client = cpo.peer()

    answer = get_with_headers(client, b"X-Other: 1\r\n Authorization: Token " + client.token.encode())
    folded = get_with_headers(client, b"Authorization: Token\r\n " + client.token.encode())

    assert {answer.status, folded.status} <= {400, 401}


@one_database
@pytest.mark.parametrize(
    "more",
    [
        {"params": {"token": "{token}"}},
        {"params": {"Authorization": "Token {token}", "access_token": "{token}"}},
        {"headers": {"Cookie": "Authorization=Token {token}; token={token}"}},
        {"headers": {"X-Authorization": "Token {token}", "Proxy-Authorization": "Token {token}"}},
        {"json": {"token": "{token}", "Authorization": "Token {token}"}},
    ],
    ids=["query", "query as header", "cookie", "another header", "body"],
)
def test_a_token_outside_the_authorization_header_is_401(cpo: Network, more: dict[str, Any]) -> None:
    """Security S12."""
    token = cpo.peer().token
    arguments = json.loads(json.dumps(more).replace("{token}", token))

    assert (401, 2000) == outcome(cpo.node.client(None).request("GET", "locations", **arguments))


@one_database
@pytest.mark.ocpi(8)
@pytest.mark.parametrize("body", [b'{"uid":', b"\xff", b"[" * 100_000, b"{}"])
def test_authentication_comes_before_the_body_is_read(cpo: Network, body: bytes) -> None:
    stranger = cpo.node.client(UNKNOWN)
    json_type = {"Content_Type": "application/json"}

    assert (401, 2000) == outcome(stranger.send("PUT", "tokens/NL/TNM/1", body, **json_type))
    assert (401, 2000) == outcome(stranger.send("POST", "credentials", body, **json_type))
    assert (401, 2000) == outcome(stranger.send("PUT", "tokens/NL/TNM/1", body, Content_Type="text/plain"))


@one_database
@pytest.mark.ocpi(8)
def test_a_client_without_a_token_cannot_learn_what_exists(node: Node, peer: PeerServer) -> None:
    stage = FilledNetwork(node, peer, "cpo")
    stranger = node.client(UNKNOWN)

    existing = stranger.get("locations/LOC1")
    missing = stranger.get("locations/NOTHING")
    malformed = stranger.get("locations", limit="x")

    assert stage.peer.data("locations/LOC1")
    assert {(401, 2000)} == {outcome(existing), outcome(missing), outcome(malformed)}
    assert existing.json()["status_message"] == missing.json()["status_message"]


@one_database
@pytest.mark.ocpi(9)
@pytest.mark.parametrize("role", ["CPO", "EMSP"])
def test_token_a_gives_access_to_versions_details_and_credentials(node: Node, role: str) -> None:
    network = node.network(role, PARTY)
    registrant = network.registrant()

    for path in ("/ocpi/versions", "/ocpi/2.1.1/details", network.versions_url, "", "credentials"):
        assert (200, 1000) == outcome(registrant.get(path)), path


@one_database
@pytest.mark.ocpi(9)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_token_a_gives_access_to_no_other_module(node: Node, role: str) -> None:
    registrant = node.network(role.upper(), PARTY).registrant()
    modules = [o for o in OPERATIONS if o.role == role and o.module not in ("versions", "credentials")]

    for operation in modules:
        response = registrant.request(operation.method, operation.url(), json=operation.body)

        assert (401, 2000) == outcome(response), operation


@one_database
@pytest.mark.ocpi(10)
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"',
        None,
    ],
)
def test_json_is_read_with_and_without_a_content_type(cpo: Network, content_type: str | None) -> None:
    client = cpo.peer()
    token = example("Token", issuer="Vattenfall M\u00fcnchen")
    url = client.at("tokens", token["uid"])
    headers = {"Content_Type": content_type} if content_type else {}

    response = client.send("PUT", url, json.dumps(token, ensure_ascii=False).encode(), **headers)

    assert (201, 1000) == outcome(response)
    assert token == client.data(url)


@one_database
@pytest.mark.ocpi(10)
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/merge-patch+json",
        "application/json; charset=latin-1",
    ],
)
def test_another_content_type_is_415(cpo: Network, content_type: str) -> None:
    client = cpo.peer()
    token = example("Token")
    url = client.at("tokens", token["uid"])

    response = client.send("PUT", url, json.dumps(token).encode(), Content_Type=content_type)

    assert (415, 2000) == outcome(response)
    assert 404 == client.get(url).status_code


@one_database
@pytest.mark.ocpi(11)
def test_a_chunked_body_is_validated_and_stored_like_any_other(cpo: Network) -> None:
    client = cpo.peer()
    token = example("Token")
    url = client.at("tokens", token["uid"])
    raw = json.dumps(token).encode()

    def chunks(body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    json_type = {"Content-Type": "application/json"}

    assert (201, 1000) == outcome(client.request("PUT", url, data=chunks(raw), headers=json_type))
    assert token == client.data(url)
    assert (400, 2001) == outcome(client.request("PUT", url, data=chunks(b'{"uid":'), headers=json_type))
    assert outcome(client.request("PUT", url, data=chunks(raw), headers={"Content-Type": "text/plain"})) == (
        415,
        2000,
    )


@one_database
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("encoding", [b"chunked", b"", b"gzip", b"chunked, chunked"])
@pytest.mark.parametrize("length_comes_first", [True, False])
def test_content_length_with_transfer_encoding_is_400_and_nothing_after_it_is_read(
    cpo: Network,
    version: bytes,
    encoding: bytes,
    length_comes_first: bool,  # noqa: FBT001  (a case)
) -> None:
    """Security S51: the connection is keep-alive, and a request is hidden in the body."""
    client = cpo.peer()
    token = f"Authorization: Token {client.token}".encode()
    hidden = b"GET /ocpi/cpo/versions HTTP/1.1\r\nHost: x\r\n" + token + b"\r\n\r\n"
    lines = [b"Content-Length: 5", b"Transfer-Encoding: " + encoding]
    head = b"PUT /ocpi/cpo/2.1.1/tokens/NL/TNM/1 HTTP/" + version + b"\r\n"

    answer = exchange(
        client.node_url,
        head,
        token,
        *(lines if length_comes_first else lines[::-1]),
        body=b"0\r\n\r\n" + hidden,
        connection=b"keep-alive",
    )

    assert (400, 2000, 1) == (answer.status, answer.json["status_code"], answer.count)
    assert "close" == answer.headers["connection"]


@one_database
@pytest.mark.ocpi(12)
@pytest.mark.parametrize(
    "path", ["/ocpi/cpo/versions", "/ocpi/nothing", "/nothing", "/ocpi/cpo/2.1.1/tokens?limit=x"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PROPFIND"])
def test_every_answer_is_application_json(cpo: Network, method: str, path: str) -> None:
    response = cpo.peer().request(method, path)

    assert "application/json" == response.headers["Content-Type"]
    assert isinstance(response.json(), dict)


@pytest.mark.ocpi(13)
def test_every_url_we_advertise_begins_with_the_configured_public_url(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    """Security S50: the Host header is ignored."""
    public = "https://ocpi.example.com/base"
    other = another_node(public_url=f"{public}/", demo="0")
    with switch_to(other.environment):
        found = [url for role in ("cpo", "emsp") for url in advertised(other, peer, role)]

    assert len(found) == 2 + 14 + 2 + 2 + 2
    assert [] == [url for url in found if not url.startswith(f"{public}/ocpi/")]
    assert [] == [url for url in found if url.endswith("/") or "evil" in url]


@one_database
@pytest.mark.ocpi(13)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_a_forged_host_header_appears_in_no_answer(node: Node, peer: PeerServer, role: str) -> None:
    """Security S50."""
    found = advertised(node, peer, role)

    assert [] == [url for url in found if not url.startswith(f"{node.url}/ocpi/")]


def advertised(node: Node, peer: PeerServer, role: str) -> list[str]:
    """Every URL that a node advertises, read with forged headers."""
    stage = FilledNetwork(node, peer, role)
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "ftp"}
    client = stage.peer

    def send(path: str, method: str = "GET", sender: Client = client, **more: Any) -> requests.Response:
        return sender.request(method, path, headers=evil, **more)

    page = next(o for o in LISTS if o.role == role and o.path.endswith("cdrs"))
    poster = stage.operator if role == "cpo" else client
    posted = send("cdrs", "POST", poster, json=example("CDR", id="another"))
    link = poster.request("GET", page.url() + "?limit=1", headers=evil).headers["Link"]
    return [
        send(f"/ocpi/{role}/versions").json()["data"][0]["url"],
        *(endpoint["url"] for endpoint in send("").json()["data"]["endpoints"]),
        send("credentials").json()["data"]["url"],
        posted.headers["Location"],
        link[1:].partition(">")[0],
    ]


@one_database
@pytest.mark.ocpi(31)
def test_head_is_get_without_the_body(node: Node, peer: PeerServer) -> None:
    stage = FilledNetwork(node, peer, "cpo")

    response = stage.peer.get("locations")
    head = stage.peer.request("HEAD", "locations")

    assert (200, b"") == (head.status_code, head.content)
    for name in ("Content-Type", "X-Total-Count", "X-Limit"):
        assert response.headers[name] == head.headers[name]
    assert 404 == stage.peer.request("HEAD", "locations/NOTHING").status_code
    assert 401 == node.client(UNKNOWN).request("HEAD", "locations").status_code


@one_database
@pytest.mark.ocpi(31)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_options_needs_a_token_and_answers_204_with_the_declared_methods(node: Node, role: str) -> None:
    peer = node.network(role.upper(), PARTY).peer(PEER)
    methods: dict[str, set[str]] = {}
    for operation in (o for o in OPERATIONS if o.role == role):
        methods.setdefault(operation.url(), set()).add(operation.method)

    for url, declared in methods.items():
        response = peer.request("OPTIONS", url)
        allowed = {method.strip() for method in response.headers["Allow"].split(",")}

        assert (204, b"") == (response.status_code, response.content), url
        assert declared == allowed - {"OPTIONS", "HEAD"}, url
        assert 401 == node.client(None).request("OPTIONS", url).status_code, url
        assert 401 == node.client(UNKNOWN).request("OPTIONS", url).status_code, url


@one_database
@pytest.mark.ocpi(31)
def test_expect_100_continue_works(cpo: Network) -> None:
    client = cpo.peer()
    raw = json.dumps(example("Token")).encode()
    head = b"PUT /ocpi/cpo/2.1.1/tokens/NL/TNM/012345678 HTTP/1.1\r\n"
    lines = [
        f"Authorization: Token {client.token}".encode(),
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(raw),
        b"Expect: 100-continue",
    ]

    answer = exchange(client.node_url, head, *lines, body=raw, wait=True)

    assert (201, 1000) == (answer.status, answer.json["status_code"])
