"""Input from attackers and from faulty clients. Security S17 to S24 and S45 to S50."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contracts
import pytest
from examples import example
from nodes import Client, Network, Node, one_database, outcome, switch_to
from peers import PeerServer
from raw import exchange
from surface import IDS, OPERATIONS, PARTY, PEER, FilledNetwork, Operation, Push, put_in

JSON = {"Content_Type": "application/json"}
MEBIBYTE = 1_048_576
LIMIT = 4 * MEBIBYTE
URL = "tokens/NL/TNM/012345678"
ODD_IN_URLS = ["%0d%0aX-Evil:%201", "a%00b", "%01", "%7f", "%c3%a9", "%e2%80%ae", "%ff%fe", "%c0%af"]
WITH_ID = [o for o in OPERATIONS if "{" in o.path and o.module != "commands"]


def usage(node: Node) -> tuple[float, int]:
    """CPU seconds that the program has used, and its resident bytes."""
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    seconds, pages = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[21])
    return seconds, pages * os.sysconf("SC_PAGE_SIZE")


@one_database
@pytest.mark.ocpi(30)
@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.method == "GET" and o.module != "versions"], ids=str
)
def test_answers_contain_only_members_of_the_contract(
    node: Node, peer: PeerServer, operation: Operation
) -> None:
    """Security S17."""
    stage = FilledNetwork(node, peer, operation.role)
    document = contracts.ocpi().document["paths"][operation.path]["get"]["responses"]["200"]
    if "$ref" in document:
        document = contracts.ocpi().document["components"]["responses"][document["$ref"].split("/")[-1]]
    schema = document["content"]["application/json"]["schema"]

    answer = stage.send(operation)

    assert [] == [
        e.message for e in contracts.ocpi().validator(schema, close=True).iter_errors(answer.json())
    ]
    for internal in ("network_id", "digest", "revision", "seq", "folded_id", "standing", "organization"):
        assert f'"{internal}"' not in answer.text


@one_database
@pytest.mark.ocpi(30)
@pytest.mark.parametrize(
    "name",
    ["__proto__", "__class__", "constructor", "a.b.c", "$ref", "$where", "", "data", "network_id", "owner_id",
     "token_hash", "role", "is_owner", "\u0000", "self", "body", "user", "..", "%s", "{0}", "json_text",
     "model_fields_set", "__pydantic_extra__"],
)  # fmt: skip
def test_a_member_with_a_special_name_is_stored_like_any_other(node: Node, name: str) -> None:
    """Security S15, S18."""
    push, strange = Push(node), {"__init__": {"x": 1}, "uid": "other"}
    body = example("Token", **{name: strange})

    assert (201, 1000) == outcome(push("Token", body))
    assert {**example("Token"), name: strange} == push.stored("Token", body)
    assert (200, 1000) == outcome(push.peer("Token").patch(URL, {name: {"polluted": True}, "valid": False}))
    changed = push.stored("Token", body)
    assert {"polluted": True} == changed.pop(name)
    assert {**example("Token"), "valid": False, "last_updated": changed["last_updated"]} == changed


@one_database
def test_a_body_over_the_limit_is_413_and_is_not_held_in_memory(cpo: Network) -> None:
    """Security S19."""
    peer = cpo.peer()
    token = json.dumps(example("Token")).encode()
    assert (201, 1000) == outcome(peer.send("PUT", URL, token.ljust(LIMIT), **JSON))
    _, before = usage(cpo.node)

    for _ in range(3):
        assert (413, 2000) == outcome(peer.send("PUT", URL, token.ljust(LIMIT + 1), **JSON))

    assert usage(cpo.node)[1] - before < 2 * LIMIT


@one_database
def test_an_endless_chunked_body_is_413_at_the_limit(cpo: Network) -> None:
    """Security S19: there is no Content-Length to check."""
    peer = cpo.peer()

    def endless() -> Any:
        for _ in range(160):
            yield b" " * 65_536

    response = peer.request("PUT", URL, data=endless(), headers={"Content-Type": "application/json"})

    assert (413, 2000) == outcome(response)
    assert (200, 1000) == outcome(peer.get("tokens"))


@one_database
def test_a_content_length_over_the_limit_is_413_before_the_body_arrives(cpo: Network) -> None:
    """Security S19."""
    lines = [
        f"Authorization: Token {cpo.peer().token}".encode(),
        b"Content-Type: application/json",
        b"Content-Length: 10737418240",
    ]

    answer = exchange(cpo.node.url, f"PUT /ocpi/cpo/2.1.1/{URL} HTTP/1.1\r\n".encode(), *lines, body=b"{}")

    assert 413 == answer.status
    assert 2000 == answer.json["status_code"]


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """A token with *depth* levels: the token is the first, an unknown member has the others."""
    inner = opening * (depth - 1) + b"1" + closing * (depth - 1)
    return json.dumps(example("Token", deep="MARK")).encode().replace(b'"MARK"', inner)


@one_database
@pytest.mark.ocpi(30)
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
@pytest.mark.parametrize(
    ("depth", "expected"), [(32, (201, 1000)), (33, (400, 2001)), (100_000, (400, 2001))]
)
def test_json_is_at_most_32_levels_deep(
    cpo: Network, depth: int, expected: tuple[int, int], opening: bytes, closing: bytes
) -> None:
    """Security S20."""
    peer = cpo.peer()

    assert expected == outcome(peer.send("PUT", URL, nested(depth, opening, closing), **JSON))
    assert 200 == peer.get("tokens").status_code


@one_database
@pytest.mark.ocpi(43)
@pytest.mark.parametrize("number", [b"9" * 5000, b"-" + b"9" * 5000, b"1" + b"0" * 900_000])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_huge_integer_is_400_and_uses_little_cpu(cpo: Network, method: str, number: bytes) -> None:
    """Security S21."""
    peer = cpo.peer()
    raw = json.dumps(example("Token", unknown="MARK")).encode().replace(b'"MARK"', number)
    before, _ = usage(cpo.node)

    assert (400, 2001) == outcome(peer.send(method, URL, raw, **JSON))
    assert usage(cpo.node)[0] - before < 1


def wide_objects(count: int) -> bytes:
    return b'{"a":{' + b",".join(b'"%x":0' % number for number in range(count)) + b"}}"


@one_database
@pytest.mark.parametrize(
    "raw",
    [
        wide_objects(100_000),
        b'{"a":[' + b"0," * 500_000 + b"0]}",
        b'{"evses":[' + b"{}," * 300_000 + b"{}]}",
        b'{"evses":[' + b'{"uid":"1"},' * 80_000 + b'{"uid":"1"}]}',
        b'{"name":"' + b"a" * 1_000_000 + b'"}',
        b'{"name":"' + b"\\u0000" * 170_000 + b'"}',
        b'{"last_updated":"' + b"2" * 1_000_000 + b'"}',
        b'{"operator":{"name":"x","website":"http://' + b"a" * 1_000_000 + b'"}}',
        b'{"coordinates":{"latitude":"' + b"1" * 500_000 + b'.","longitude":"1.1"}}',
        b'{"":[' + b'"' + b'\\"' * 400_000 + b'"]}',
    ],
    ids=["members", "elements", "empty evses", "equal evses",
         "long text", "escapes", "digits", "url", "decimals",
         "quotes"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_mebibyte_of_any_json_takes_less_than_a_second_of_cpu(
    emsp: Network, method: str, raw: bytes
) -> None:
    """Security S22, S28. One of three tries is enough, because a busy machine slows some of them."""
    peer = emsp.peer()
    peer.put(peer.at("locations", "LOC1"), example("Location"))
    assert len(raw) <= MEBIBYTE

    def seconds() -> float:
        before, _ = usage(emsp.node)
        response = peer.send(method, peer.at("locations", "LOC1"), raw, **JSON)

        assert response.status_code in (200, 400)
        assert len(response.content) < 1000
        return usage(emsp.node)[0] - before

    assert any(seconds() < 1 for _ in range(3))


@one_database
@pytest.mark.parametrize("limit", ["1000000000", "101", "9007199254740991"])
def test_a_limit_is_capped(node: Node, limit: str) -> None:
    """Security S23."""
    push = Push(node)
    for number in range(102):
        push("Tariff", example("Tariff", id=str(number)))

    response = push.peer("Tariff").get("tariffs", limit=limit)

    assert 100 == len(response.json()["data"])
    assert "100" == response.headers["X-Limit"]
    assert "102" == response.headers["X-Total-Count"]


@one_database
@pytest.mark.parametrize("number", ["9007199254740992", "9" * 40, "1e9", "0x10", "\u0661", "+1", " 1", "1_0"])
@pytest.mark.parametrize("name", ["limit", "offset"])
def test_a_limit_or_offset_that_is_not_a_small_integer_is_400(cpo: Network, name: str, number: str) -> None:
    """Security S23."""
    assert (400, 2001) == outcome(cpo.peer().get("locations", **{name: number}))


@one_database
@pytest.mark.parametrize("value", ["1", "2"])
def test_a_repeated_query_parameter_is_400(cpo: Network, value: str) -> None:
    """Security S49, for queries."""
    response = cpo.peer().get(f"locations?limit=1&limit={value}")

    assert (400, 2001) == outcome(response)
    assert "limit" in response.json()["status_message"]


@one_database
def test_an_unknown_query_parameter_may_be_repeated(cpo: Network) -> None:
    assert (200, 1000) == outcome(cpo.peer().get("locations?more=1&more=2"))


@one_database
@pytest.mark.ocpi(10)
@pytest.mark.parametrize(
    "encoding", ["gzip", "gzip, gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip"]
)
def test_a_compressed_body_is_415(cpo: Network, encoding: str) -> None:
    """Security S24."""
    peer = cpo.peer()
    raw = gzip.compress(json.dumps(example("Token")).encode())

    response = peer.send("PUT", URL, raw, Content_Encoding=encoding, **JSON)

    assert (415, 2000) == outcome(response)
    assert 404 == peer.get(URL).status_code


@one_database
@pytest.mark.parametrize("operation", WITH_ID, ids=str)
def test_an_id_in_a_url_must_be_printable_ascii(node: Node, peer: PeerServer, operation: Operation) -> None:
    """Security S45, S48."""
    client = FilledNetwork(node, peer, operation.role, empty=True).client(operation)

    for odd in ODD_IN_URLS:
        url = operation.url(**dict.fromkeys(IDS, odd))

        response = client.request(operation.method, url, json=operation.body)

        assert (400, 2001) == outcome(response), odd
        assert "X-Evil" not in response.headers, odd


@one_database
@pytest.mark.parametrize("header", ["Link", "Location"])
def test_no_line_break_reaches_a_header(node: Node, header: str) -> None:
    """Security S45: values that return in a header are escaped."""
    push = Push(node)
    peer = push.peer("CDR")
    push("CDR", example("CDR"))
    if header == "Location":
        response = push("CDR", example("CDR", id="a%22X-Evil: 1"))
    else:
        evil = "2020-01-01T00:00:00%0d%0aX-Evil:%201"
        refused = peer.get(f"cdrs?limit=1&date_from={evil}")
        assert (400, 2001) == outcome(refused)
        push("CDR", example("CDR", id="second"))
        response = peer.get("cdrs?limit=1&x=%0d%0aX-Evil:%201&date_from=2020-01-01T00:00:00%2B00:00")

    assert header in response.headers
    assert "X-Evil" not in response.headers
    assert "\r" not in response.headers[header]
    assert 200 == peer.get(response.headers[header].strip("<").partition(">")[0]).status_code


@one_database
@pytest.mark.ocpi(5)
@pytest.mark.parametrize(
    "token", ["good\r\nX-Evil: 1", "good\nX-Evil: 1", "good\rX", "good\r\n\r\nGET / HTTP/1.1"]
)
def test_a_line_break_in_a_peers_token_reaches_no_header(cpo: Network, peer: PeerServer, token: str) -> None:
    """Security S46."""
    response = cpo.registrant().post("credentials", peer.credentials(token=token))

    assert (400, 2001) == outcome(response)
    assert [] == peer.seen


@one_database
@pytest.mark.parametrize(
    "odd",
    ["..", "%2e%2e", "%252e%252e", "..%5c..%5cetc", "....", ".", "%2e", "~", "..%00", "%2e%2e%2fetc", "..;"],
)
def test_path_traversal_reaches_nothing(node: Node, odd: str) -> None:
    """Security S47."""
    push = Push(node)
    push("Token", example("Token"))
    head = f"GET /ocpi/cpo/2.1.1/tokens/NL/TNM/{odd} HTTP/1.1\r\n".encode()

    answer = exchange(node.url, head, f"Authorization: Token {push.peer('Token').token}".encode())

    assert answer.status in (400, 404)
    assert answer.json["status_code"] in (2000, 2001)


@pytest.mark.parametrize(
    "name", ["..", ".", "..%5c", "%2e%2e", "~root", "$(id)", "' OR 1=1 --", '"; DROP TABLE x']
)
def test_an_id_that_looks_like_a_path_or_a_query_is_an_ordinary_id(node: Node, name: str) -> None:
    """Security S47. Every byte of the id is percent-encoded, so that no client normalizes its dots."""
    push = Push(node)
    peer = push.peer("Tariff")
    body = example("Tariff", id=name)
    escaped = "".join(f"%{code:02x}" for code in name.encode())
    head = f"/ocpi/emsp/2.1.1/tariffs/NL/TNM/{escaped} HTTP/1.1\r\n".encode()
    lines = [f"Authorization: Token {peer.token}".encode(), b"Content-Type: application/json"]
    raw = json.dumps(body).encode()

    put = exchange(node.url, b"PUT " + head, *lines, b"Content-Length: %d" % len(raw), body=raw)
    read = exchange(node.url, b"GET " + head, *lines)

    assert (201, 1000) == (put.status, put.json["status_code"])
    assert body == read.json["data"]
    assert [body] == peer.data("tariffs")


@pytest.mark.ocpi(51)
def test_composed_and_decomposed_letters_are_kept(node: Node) -> None:
    """Security S48: NFC and NFD forms are different texts, and both come back byte by byte."""
    push = Push(node)

    for name in ("Caf\u00e9", "Cafe\u0301"):
        body = put_in(example("Location"), "name", name)
        push("Location", body)
        assert name == push.stored("Location", body)["name"]


@one_database
@pytest.mark.ocpi(51)
@pytest.mark.parametrize(
    "odd", [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82"]
)
def test_bytes_that_are_not_utf_8_are_400(cpo: Network, odd: bytes) -> None:
    """Security S48."""
    raw = json.dumps(example("Token", issuer="MARK")).encode().replace(b"MARK", odd)

    assert (400, 2001) == outcome(cpo.peer().send("PUT", URL, raw, **JSON))


@one_database
@pytest.mark.parametrize(
    "repeated",
    [
        b'{"uid":"012345678","uid":"012345678"}',
        b'{"uid":"012345678","u\\u0069d":"other"}',
        b'{"valid":true,"valid":false}',
        b'{"unknown":{"a":1,"a":2}}',
        b'{"unknown":[[{"a":1,"b":{},"a":2}]]}',
        b'{"\\u0061":1,"a":1}',
        b'{"x":"\\"a\\":","a":1,"a":1}',
    ],
)
def test_a_repeated_member_in_an_object_is_400(cpo: Network, repeated: bytes) -> None:
    """Security S49."""
    peer = cpo.peer()
    peer.put(URL, example("Token"))

    response = peer.send("PATCH", URL, repeated, **JSON)

    assert (400, 2001) == outcome(response)
    assert example("Token") == peer.data(URL)


@one_database
@pytest.mark.parametrize("text", ['"a":', '{"a":1,"a":2}', 'x":"y', "\\", '\\":'])
def test_text_that_looks_like_members_is_not_a_repeated_member(cpo: Network, text: str) -> None:
    """Security S49: the content of a string is text."""
    peer = cpo.peer()
    token = example("Token", issuer=text)

    assert (201, 1000) == outcome(peer.put(URL, token))
    assert token == peer.data(URL)


def test_two_objects_may_have_members_of_the_same_name(cpo: Network) -> None:
    """Security S49."""
    peer = cpo.peer()

    assert (201, 1000) == outcome(peer.put(URL, example("Token", a={"a": [{"a": 1}, {"a": 2}]})))


def test_the_limits_of_bodies_and_pages_are_settings(another_node: Callable[..., Node]) -> None:
    """Security S19, S23."""
    other = another_node(body_limit="2048", page_limit="2", demo="0")
    with switch_to(other.environment):
        peer: Client = other.network("CPO", PARTY).peer(PEER)
        for number in range(3):
            assert 201 == peer.put(f"tokens/NL/TNM/{number}", example("Token", uid=str(number))).status_code

        assert 2 == len(peer.data("tokens", limit=50))
        assert (413, 2000) == outcome(peer.send("PUT", URL, b" " * 2049, **JSON))
