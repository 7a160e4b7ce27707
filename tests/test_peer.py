"""Calls to peers: which URLs the policy lets through, and what peers may do wrong.

No packet leaves loopback.
"""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from badpeer import BadPeer, Seen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import assume, given
from hypothesis import strategies as st

from errors import PeerUnusable
from settings import Settings
from workflows import peer
from workflows.peer import Allowed, Policy

TOKEN = "ebf3b399-779f-4497-9b9d-ac6ad3cc44d2"
SECONDS = 1.0
PUBLIC = "93.184.216.34"

NAMES = {
    "localhost": ["::1", "127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "peer.example": [PUBLIC],
    "six.example": ["2606:2800:220:1::1"],
    "private.example": ["10.0.0.1"],
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "zone.example": ["fe80::1%1"],
    "zoned.example": ["2606:2800:220:1::1%1"],
    "mixed.example": [PUBLIC, "10.0.0.1"],
    "mixed-last.example": ["10.0.0.1", PUBLIC],
    "metadata.example": ["169.254.169.254"],
    "nothing.example": [],
}


def records(addresses: list[str], port: int) -> list[Any]:
    """What getaddrinfo says of *addresses*: each three times, as without a socket type."""
    return [
        (socket.AF_INET6 if ":" in address else socket.AF_INET, kind, 0, "", (address, port))
        for address in addresses
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
    ]


def resolve(host: str, port: int) -> list[Any]:
    """The names above, and like glibc every spelling of an IPv4 address."""
    if host in NAMES:
        return records(NAMES[host], port)
    try:
        return records([socket.inet_ntoa(socket.inet_aton(host))], port)
    except OSError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None


@pytest.fixture(autouse=True)
def _stay_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert ipaddress.ip_address(address[0]).is_loopback, address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(peer, "resolver", resolve)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts settings in force."""

    def choose(**values: Any) -> None:
        now = Settings(**{"allow_loopback_peers": False, "peer_timeout_seconds": SECONDS, **values})
        monkeypatch.setattr(peer, "settings", lambda: now)

    return choose


@pytest.fixture
def sandbox(chosen: Callable[..., None]) -> None:
    """Peers may lie on loopback."""
    chosen(allow_loopback_peers=True)


@pytest.fixture
def outside(chosen: Callable[..., None]) -> None:
    """Peers may not lie on loopback."""
    chosen()


@pytest.fixture(scope="module")
def bad() -> Iterator[BadPeer]:
    with BadPeer() as server:
        yield server


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch, bad: BadPeer) -> list[tuple[str, int]]:
    """Where connections would have gone; they go to the bad peer instead."""
    return redirect(monkeypatch, bad)


def redirect(monkeypatch: pytest.MonkeyPatch, server: BadPeer) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    dial = peer.dial

    def hook(address: peer.Address, port: int, deadline: float) -> socket.socket:
        seen.append((str(address), port))
        return dial(ipaddress.ip_address("127.0.0.1"), server.port, deadline)

    monkeypatch.setattr(peer, "dial", hook)
    return seen


def refuses(url: str) -> None:
    """The policy's one refusal, from each entrance, and nothing is connected to."""
    for refused in (
        lambda: peer.check(url),
        lambda: peer.call("GET", url, TOKEN),
        lambda: peer.call_unwrapped("POST", url, TOKEN, {}),
    ):
        with pytest.raises(PeerUnusable) as refusal:
            refused()

        assert "The address policy refuses this URL." == refusal.value.message
        assert PeerUnusable is refusal.type
        assert 3001 == refusal.value.status_code


# The vectors of security.md 3.2, loopback off

HOSTS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "0",
    "0.0.0.0",  # noqa: S104 - not bound
    "0x",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1:7f00:0:100::]",
    "[64:ff9b:1::808:808]",
    "[2002:7f00:1::]",
    "[2001:0:5db8:d822::80ff:fffe]",
    "[2001:0:7f00:1::a247:27dd]",
    "[fe80::1]",
    "[fe80::1%251]",
    "[fe80::1%1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[2001:2::1]",
    "[3fff::1]",
    "[100::1]",
    "[4000::1]",
    "[fec0::1]",
    "[::ffff:0:127.0.0.1]",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "lоcalhost",  # noqa: RUF001 - a Cyrillic o
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "100.100.100.200",
    "192.0.0.192",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "256.256.256.256",
    "1.2.3.4.5",
    "unknown.example",
    "nothing.example",
    "private.example",
    "loopback.example",
    "mapped.example",
    "metadata.example",
    "zone.example",
    "zoned.example",
    "mixed.example",
    "mixed-last.example",
    "a..example",
    ".peer.example",
    "-",
    f"{'a' * 64}.example",
    ".".join(["a" * 60] * 5),
    "peer.example%00",
    "[peer.example]",
    "[::1",
    "::1",
]


@pytest.mark.usefixtures("outside", "dialled")
@pytest.mark.parametrize("port", ["", ":22", ":80", ":5432", ":8080"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", HOSTS)
def test_an_address_that_is_not_public_is_refused(host: str, scheme: str, port: str) -> None:
    refuses(f"{scheme}://{host}{port}/ocpi/versions")


@pytest.mark.usefixtures("outside", "dialled")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "peer.example",
        "//peer.example/",
        "/ocpi",
        "http:",
        "http:peer.example",
        "http:/peer.example/",
        "http://",
        "http:///",
        "http:///peer.example",
        "http://:80/",
        "http://?x",
        "file:///etc/passwd",
        "gopher://peer.example/",
        "gopher:",
        "ftp://peer.example/",
        "ws://peer.example/",
        "javascript:alert(1)",
        "http://x@127.0.0.1/",
        "http://x@peer.example/",
        "http://x:y@peer.example/",
        "http://@peer.example/",
        "http://a#@127.0.0.1",
        "http://peer.example/#part",
        "http://peer.example#",
        "http://127.0.0.1\\@peer.example/",
        "http://peer.example\\@127.0.0.1/",
        "http:\\\\peer.example\\",
        "http://peer.example/a\\b",
        "http://peer.example/?a\\b",
        "http://peer.example/a b",
        " http://peer.example/",
        "http://peer.example/ ",
        "http://peer.example/\n",
        "http://peer.example\n/",
        "http://peer.example/\r\nX: y",
        "http://peer.example/a\x00",
        "http://peer.example/\x7f",
        "ht\ttp://peer.example/",
        "http://peer.exam\tple/",
        "http://peer.example/zürich",
        "http://bücher.example/",
        "http://peer.example:/",
        "http://peer.example:0/",
        "http://peer.example:00/",
        "http://peer.example:-1/",
        "http://peer.example:+80/",
        "http://peer.example:8_0/",
        "http://peer.example:８０/",  # noqa: RUF001 - full-width digits
        "http://peer.example:65536/",
        "http://peer.example:99999/",
        "http://peer.example:100080/",
        "http://peer.example:80:80/",
        "http://peer.example:80x/",
        "http://peer.example,other.example/",
        "http://peer.example;other.example/",
        "http://peer.example&@127.0.0.1/",
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    refuses(url)


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("port", [1, 21, 22, 25, 79, 81, 442, 444, 1023])
def test_a_port_of_another_service_is_refused(port: int, dialled: list[tuple[str, int]]) -> None:
    refuses(f"http://peer.example:{port}/")

    assert [] == dialled


@pytest.mark.usefixtures("outside", "dialled")
@pytest.mark.parametrize(
    "url",
    [
        "http://peer.example",
        "HTTPS://PEER.example/",
        "http://peer.example:80/",
        "http://peer.example:443/",
        "https://peer.example:1024/",
        "https://peer.example:65535/a/b;c=1,2@3:4?x=y/z?&%2f[]",
        "http://six.example:8080/",
        f"http://{PUBLIC}/",
        "http://8.8.8.8/",
        "http://100.63.255.255/",
        "http://172.32.0.1/",
        "http://198.20.0.1/",
        "http://[2606:2800:220:1::1]/",
        "http://[64:ff9b::808:808]/",
        "http://[2002:808:808::1]/",
        "http://[::ffff:8.8.8.8]/",
    ],
)
def test_a_public_address_passes(url: str) -> None:
    peer.check(url)


@pytest.mark.usefixtures("outside", "dialled")
@pytest.mark.parametrize("length", [255, 256])
def test_the_length_of_a_url_is_the_contracts_business(length: int) -> None:
    public, private = "https://peer.example/", "https://private.example/"
    peer.check(public + "a" * (length - len(public)))
    refuses(private + "a" * (length - len(private)))


@pytest.mark.usefixtures("outside")
def test_a_numeric_host_is_never_handed_to_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(peer, "resolver", lambda host, port: asked.append(host) or records([], port))
    for host in ("134744072", "0x8.8.8.8", "8.8", "010.8.8.8", "8.8.8.8", "[2606:2800::1]", "0x8"):
        try:
            peer.check(f"http://{host}/")
        except PeerUnusable:
            continue

    assert [] == asked


V4 = st.ip_addresses(v=4)


@given(V4)
def test_an_address_inside_another_is_judged_as_itself(inner: ipaddress.IPv4Address) -> None:
    bare = Policy().passes("peer.example", inner, 443)
    number = int(inner)
    for outer in (
        0xFFFF << 32 | number,
        number,
        0x64_FF9B << 96 | number,
        0x2002 << 112 | number << 80 | 1,
        0x2001_0000 << 96 | 0x0808_0808 << 64 | number ^ 0xFFFF_FFFF,
    ):
        address = ipaddress.IPv6Address(outer)

        assert bare is Policy().passes("peer.example", address, 443), address


@given(st.ip_addresses())
def test_what_python_does_not_call_global_never_passes(address: peer.Address) -> None:
    if isinstance(address, ipaddress.IPv6Address):
        assume(address.ipv4_mapped is None and address.teredo is None)

    assert address.is_global or not Policy(loopback=True).passes("peer.example", address, 443)


@pytest.mark.usefixtures("outside")
def test_a_refusal_does_not_tell_open_from_closed_from_filtered(bad: BadPeer) -> None:
    before = bad.connections
    for port in (bad.port, closed_port(), 9):
        refuses(f"http://127.0.0.1:{port}/ok")

    assert before == bad.connections


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# Loopback on

NEVER = [host for host in HOSTS if host not in {"127.0.0.1", "[::1]", "localhost", "LOCALHOST"}]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("port", [1024, 8080, 65535])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_passes_in_the_sandbox_by_its_plain_names(host: str, port: int) -> None:
    peer.check(f"http://{host}:{port}/ocpi/versions")


@pytest.mark.usefixtures("sandbox", "dialled")
@pytest.mark.parametrize("host", [*NEVER, "loopback6.example"])
def test_no_other_name_of_loopback_passes_in_the_sandbox(host: str) -> None:
    refuses(f"http://{host}:8080/")


@pytest.mark.usefixtures("sandbox", "dialled")
@pytest.mark.parametrize("port", ["", ":22", ":80", ":443", ":1023"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_system_port_on_loopback_does_not_pass_in_the_sandbox(host: str, port: str) -> None:
    refuses(f"http://{host}{port}/")


@pytest.mark.usefixtures("sandbox", "dialled")
@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1"], ["169.254.169.254"]])
def test_localhost_that_is_elsewhere_does_not_pass(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "resolver", lambda _host, port: records(addresses, port))
    refuses("http://localhost:8080/")


def test_loopback_is_open_exactly_while_the_host_is_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for host, opened in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):  # noqa: S104 - not bound
        now = Settings(host=host, allow_loopback_peers=None)
        monkeypatch.setattr(peer, "settings", lambda now=now: now)

        assert Policy(loopback=opened) == peer.policy()


@pytest.mark.usefixtures("sandbox")
def test_localhost_is_tried_at_each_of_its_addresses(bad: BadPeer) -> None:
    # The bad peer listens on 127.0.0.1 only, and ::1 comes first.

    assert 1000 == peer.call("GET", bad.url("/ok", "localhost"), TOKEN).status_code


# PEER_ALLOW

ALLOW = "10.0.0.1:22-23, 127.0.0.1:20000-20999 ,[::1]:20000-20000,[fd00::1]:443-443"


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:22/",
        "http://10.0.0.1:23/",
        "http://private.example:23/",
        "http://127.0.0.1:20000/",
        "http://127.0.0.1:20999/",
        "http://loopback.example:20500/",
        "http://[::1]:20000/",
        "https://[fd00::1]/",
        "https://[fd00:0::1]/",
    ],
)
def test_an_allowed_address_and_port_pass(url: str, chosen: Callable[..., None]) -> None:
    chosen(peer_allow=ALLOW)
    peer.check(url)


@pytest.mark.usefixtures("dialled")
@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:21/",
        "http://10.0.0.1:24/",
        "http://10.0.0.1/",
        "http://10.0.0.2:22/",
        "http://peer.example:22/",
        "http://127.0.0.1:19999/",
        "http://127.0.0.1:21000/",
        "http://127.0.0.2:20000/",
        "http://127.1:20000/",
        "http://2130706433:20000/",
        "http://[::1]:20001/",
        "http://[::ffff:127.0.0.1]:20000/",
        "http://[64:ff9b::7f00:1]:20000/",
        "http://[2002:7f00:1::]:20000/",
        "http://[::ffff:10.0.0.1]:22/",
        "https://[fd00::2]/",
        "http://mixed.example:22/",
    ],
)
def test_nothing_beside_the_allowed_passes(url: str, chosen: Callable[..., None]) -> None:
    chosen(peer_allow=ALLOW)
    refuses(url)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1",
        "10.0.0.1:80",
        "10.0.0.1:80-",
        "10.0.0.1:81-80",
        "10.0.0.1:0-80",
        "10.0.0.1:80-65536",
        "10.0.0.0/8:80-80",
        "peer.example:80-80",
        "10.0.0.01:80-80",
        "10.1:80-80",
        "::1:80-80",
        "[::1:80-80",
        "[10.0.0.1:80-80",
        "*:80-80",
        "169.254.169.254:80-80",
        "[::ffff:169.254.169.254]:80-80",
        "[fe80::1]:80-80",
    ],
)
def test_an_entry_that_cannot_be_read_stops_the_program(text: str) -> None:
    with pytest.raises(ValueError, match=r"PEER_ALLOW|address"):
        Policy.of(Settings(peer_allow=f"10.0.0.9:80-80,{text}"))


def test_link_local_does_not_pass_even_when_allowed() -> None:
    address = ipaddress.ip_address("169.254.169.254")
    rules = Policy(loopback=True, allowed=(Allowed(address, range(1, 65536)),))

    assert not rules.passes("169.254.169.254", address, 80)


def test_no_allowance_is_the_default() -> None:
    assert Policy(loopback=False, allowed=()) == Policy.of(Settings(allow_loopback_peers=False))


# What is connected to is what was checked


@pytest.mark.usefixtures("outside")
def test_a_name_that_turns_private_later_is_reached_at_the_checked_address(
    monkeypatch: pytest.MonkeyPatch, dialled: list[tuple[str, int]]
) -> None:
    answers = [[PUBLIC], ["127.0.0.1"], ["10.0.0.1"]]
    monkeypatch.setattr(peer, "resolver", lambda _host, port: records(answers.pop(0), port))

    assert 1000 == peer.call("GET", "http://rebind.example:8080/ok", TOKEN).status_code
    assert [(PUBLIC, 8080)] == dialled
    assert 2 == len(answers)


@pytest.mark.usefixtures("outside")
def test_a_name_that_was_public_when_checked_is_checked_again_when_called(
    monkeypatch: pytest.MonkeyPatch, dialled: list[tuple[str, int]]
) -> None:
    answers = [[PUBLIC], ["127.0.0.1"]]
    monkeypatch.setattr(peer, "resolver", lambda _host, port: records(answers.pop(0), port))
    peer.check("http://rebind.example:8080/ok")
    with pytest.raises(PeerUnusable, match="address policy"):
        peer.call("GET", "http://rebind.example:8080/ok", TOKEN)

    assert [] == dialled


@pytest.mark.usefixtures("outside")
def test_a_name_with_a_public_and_a_private_address_is_refused(
    dialled: list[tuple[str, int]],
) -> None:
    refuses("http://mixed.example/ok")
    refuses("http://mixed-last.example/ok")

    assert [] == dialled


@pytest.mark.usefixtures("outside")
def test_the_name_stays_in_the_host_header(bad: BadPeer, dialled: list[tuple[str, int]]) -> None:
    for url, host in (
        ("http://peer.example/ok", "peer.example"),
        ("http://Peer.Example:8080/ok", "peer.example:8080"),
        ("http://[2606:2800:220:1::1]:8080/ok", "[2606:2800:220:1::1]:8080"),
    ):
        peer.call("GET", url, TOKEN)

        assert host == bad.requests[-1].headers["host"]
    assert [(PUBLIC, 80), (PUBLIC, 8080), ("2606:2800:220:1::1", 8080)] == dialled


@pytest.mark.usefixtures("outside", "dialled")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, "metadata", "same", "endless"])
def test_a_redirect_is_not_followed(status: object, bad: BadPeer) -> None:
    before = bad.connections
    for call in (
        lambda url: peer.call("GET", url, TOKEN),
        lambda url: peer.call_unwrapped("POST", url, TOKEN, {}),
    ):
        with pytest.raises(PeerUnusable, match=r"^\w+ http://peer\.example/redirect/\w+: HTTP 30"):
            call(f"http://peer.example/redirect/{status}")

    assert 2 == bad.connections - before


@pytest.mark.usefixtures("sandbox")
def test_the_environment_has_no_say(bad: BadPeer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    peer.call("GET", bad.url("/ok"), TOKEN)

    assert f"Token {TOKEN}" == bad.requests[-1].headers["authorization"]
    assert "/ok" == bad.requests[-1].target


# What is sent

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def sent(bad: BadPeer) -> Seen:
    return bad.requests[-1]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("token", [*PRINTABLE, PRINTABLE, PRINTABLE[::-1], "=?utf-8?q?=41?=", "a" * 64])
def test_the_token_goes_out_byte_for_byte(token: str, bad: BadPeer) -> None:
    peer.call("GET", bad.url("/ok"), token)

    assert b"\r\nAuthorization: Token " + token.encode() + b"\r\n" in sent(bad).head


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nX: y", "a\n", "\ta", "a\x00", "\x7f", "ä"])
def test_a_token_that_cannot_stand_in_a_header_is_an_error_of_ours(token: str, bad: BadPeer) -> None:
    before = bad.connections
    for call in (peer.call, peer.call_unwrapped):
        with pytest.raises(ValueError, match=r"^A token is printable ASCII without spaces\.$"):
            call("GET", bad.url("/ok"), token, None)

    assert before == bad.connections


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "body", [{"a": "ü\u2028", "b": [1, 0.1, None]}, [], {}, "text", orjson.Fragment(b'{"a": 1.50}')]
)
def test_a_body_goes_out_as_json(method: str, body: object, bad: BadPeer) -> None:
    peer.call(method, bad.url("/ok"), TOKEN, body)
    headers = sent(bad).headers

    assert method == sent(bad).method
    assert orjson.dumps(body) == sent(bad).body
    assert "application/json" == headers["content-type"]
    assert str(len(sent(bad).body)) == headers["content-length"]
    assert "transfer-encoding" not in headers


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_no_body_is_no_body(method: str, bad: BadPeer) -> None:
    peer.call(method, bad.url("/ok"), TOKEN)

    assert b"" == sent(bad).body
    assert "content-type" not in sent(bad).headers
    assert "identity" == sent(bad).headers["accept-encoding"]
    assert "gateway" in sent(bad).headers["user-agent"]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    "target",
    [
        "/ok/a%2fb%C3%9f/../c",
        "/ok?x=%2f&y=a+b&z=[1]|{2}",
        "/ok//double//",
        "/ok/a|b^c`{d}\"<e>'f'(g)*",
        "/ok?",
        "/ok/http://other.example/",
        "/ok/./",
        "/",
        "//other.example/ok",
    ],
)
def test_the_target_goes_out_as_it_was_given(target: str, bad: BadPeer) -> None:
    peer.call_unwrapped("POST", bad.url(target), TOKEN, {"result": "ACCEPTED"})

    assert target == sent(bad).target
    assert f"127.0.0.1:{bad.port}" == sent(bad).headers["host"]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("rest", "target"), [("", "/"), ("?a=1", "/?a=1")])
def test_a_url_without_a_path_asks_for_the_root(rest: str, target: str, bad: BadPeer) -> None:
    peer.call("GET", bad.url(rest), TOKEN)

    assert target == sent(bad).target


# What is read


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ok", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/list", (200, 1000, "Success", [1, 2])),
        ("/ok/null", (200, 1000, "Success", None)),
        ("/ok/string", (200, 1000, "Success", "NOT_SUPPORTED")),
        ("/ok/nodata", (200, 1000, "Success", None)),
        ("/ok/nomessage", (200, 1000, "", {"id": "LOC1"})),
        ("/ok/message7", (200, 1000, "", {"id": "LOC1"})),
        ("/ok/identity", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/chunked", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/toeof", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/2000", (200, 2000, "No.", None)),
        ("/ok/3001", (200, 3001, "", None)),
        ("/ok/400", (400, 2001, "No.", None)),
        ("/ok/404", (404, 2003, "No.", None)),
        ("/ok/405", (405, 2000, "", None)),
        ("/ok/429", (429, 2000, "", None)),
    ],
)
def test_an_envelope_is_read_leniently(path: str, expected: tuple[object, ...], bad: BadPeer) -> None:
    answer = peer.call("GET", bad.url(path), TOKEN)

    assert expected == (
        answer.http_status,
        answer.status_code,
        answer.status_message,
        answer.data,
    )


@pytest.mark.usefixtures("sandbox")
def test_an_answer_has_its_headers_in_lower_case(bad: BadPeer) -> None:
    headers = peer.call("GET", bad.url("/ok/headers"), TOKEN).headers

    assert "7" == headers["x-total-count"]
    assert '<http://a/>; rel="next"' == headers["link"]
    assert set() == {name for name in headers if name != name.lower()}


@pytest.mark.usefixtures("sandbox")
def test_a_body_of_just_the_limit_is_read(bad: BadPeer) -> None:
    answer = peer.call("GET", bad.url("/ok/limit"), TOKEN)

    assert peer.BODY_LIMIT - 1000 < len(answer.data["name"]) < peer.BODY_LIMIT


BAD = [
    *((f"/{status}", f"HTTP {status}") for status in (500, 502, 503)),
    *((f"/{status}/bare", f"HTTP {status}") for status in (101, 304, 500, 503, 600)),
    *((f"/{status}/bare", f"HTTP {status}, not JSON") for status in (200, 204, 400, 404, 405, 429)),
    ("/hangup", "connection broken off"),
    ("/reset/start", "connection broken off"),
    ("/reset/headers", "connection broken off"),
    ("/reset/body", "connection broken off"),
    ("/cut/headers", "HTTP 200, not JSON"),
    ("/cut/body", "no complete HTTP answer"),
    ("/cut/chunk", "no complete HTTP answer"),
    ("/cut/chunks", "no complete HTTP answer"),
    ("/silence", "timed out"),
    ("/slow", "timed out"),
    ("/slow/body", "timed out"),
    ("/slow/chunks", "timed out"),
    ("/slow/fast", "timed out"),
    ("/html", "HTTP 200, not JSON"),
    ("/nothttp", "no complete HTTP answer"),
    ("/badchunk", "no complete HTTP answer"),
    ("/badlength", "no complete HTTP answer"),
    ("/truncated", "HTTP 200, not JSON"),
    ("/utf8", "HTTP 200, not JSON"),
    ("/deep", "HTTP 200, not JSON"),
    ("/nan", "HTTP 200, not JSON"),
    ("/list", "HTTP 200, no OCPI envelope"),
    ("/number", "HTTP 200, no OCPI envelope"),
    ("/nocode", "HTTP 200, no OCPI envelope"),
    *((f"/code/{name}", "HTTP 200, no OCPI envelope") for name in ("text", "true", "null", "float")),
    ("/big", "more than 2 MiB"),
    ("/limit", "more than 2 MiB"),
    ("/endless", "more than 2 MiB"),
    ("/endless/header", "no complete HTTP answer"),
    ("/endless/headers", "no complete HTTP answer"),
    ("/endless/continue", "no complete HTTP answer|more than 2 MiB|timed out"),
    ("/endless/extension", "no complete HTTP answer|more than 2 MiB"),
    ("/endless/trailer", "no complete HTTP answer|more than 2 MiB|timed out"),
    ("/gzip", "the answer is compressed"),
    ("/gzip/bomb", "the answer is compressed"),
    ("/gzip/twice", "the answer is compressed"),
    ("/gzip/quiet", "HTTP 200, not JSON"),
    ("/deflate", "the answer is compressed"),
]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("path", "words"), BAD, ids=[path for path, _ in BAD])
def test_a_bad_answer_is_a_refusal_in_time(path: str, words: str, bad: BadPeer) -> None:
    start, sent_before, connections = time.monotonic(), bad.sent, bad.connections
    with pytest.raises(PeerUnusable) as refusal:
        peer.call("GET", bad.url(f"{path}?secret=in-the-query"), TOKEN)
    took = time.monotonic() - start
    name, _, what = refusal.value.message.partition(": ")

    assert f"GET {bad.url(path)}" == name
    assert what in words.split("|")
    assert PeerUnusable is refusal.type
    assert took < SECONDS + 1
    assert 1 == bad.connections - connections
    # 8 MiB are read at most; the rest stands in the buffers of two sockets.

    assert bad.sent - sent_before < 24 * 1024 * 1024


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", ["/401", "/403", "/401/bare", "/403/bare"])
def test_an_unknown_token_is_told_apart(path: str, bad: BadPeer) -> None:
    for call in (
        lambda: peer.call("GET", bad.url(path), TOKEN),
        lambda: peer.call_unwrapped("POST", bad.url(path), TOKEN, {}),
    ):
        with pytest.raises(peer.PeerUnauthorized, match=rf"{path}: HTTP {path[1:4]}$"):
            call()

    assert issubclass(peer.PeerUnauthorized, PeerUnusable)


@pytest.mark.usefixtures("sandbox")
def test_a_closed_port_that_is_allowed_is_called_by_its_name() -> None:
    with pytest.raises(PeerUnusable, match=r"^GET http://127\.0\.0\.1:\d+/a: connection refused$"):
        peer.call("GET", f"http://127.0.0.1:{closed_port()}/a", TOKEN)


@pytest.mark.usefixtures("sandbox")
def test_the_address_that_was_given_is_the_one_that_is_connected_to(bad: BadPeer) -> None:
    # The bad peer listens on 127.0.0.1 alone.
    with pytest.raises(PeerUnusable, match=r": connection refused$"):
        peer.call("GET", bad.url("/ok", "127.0.0.9"), TOKEN)


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", ["/ok", "/500", "/badlength", "/big", "/reset/body", "/gzip"])
def test_a_call_leaves_no_socket_open(path: str, bad: BadPeer) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(20):
        with contextlib.suppress(PeerUnusable):
            peer.call("GET", bad.url(path), TOKEN)
    end = time.monotonic() + 5  # the server's own ends close in their threads
    while len(list(Path("/dev/fd").iterdir())) > before and time.monotonic() < end:
        time.sleep(0.01)

    assert before >= len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize(("connect", "total"), [(3.0, SECONDS), (SECONDS, 30.0)])
def test_a_port_that_takes_no_connection_ends_in_time(
    connect: float, total: float, chosen: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(allow_loopback_peers=True, peer_timeout_seconds=total)
    monkeypatch.setattr(peer, "CONNECT_SECONDS", connect)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        start = time.monotonic()
        with pytest.raises(PeerUnusable, match=r": timed out$"):
            peer.call("GET", f"http://127.0.0.1:{full.getsockname()[1]}/", TOKEN)

        assert time.monotonic() - start < SECONDS + 1


def test_three_seconds_are_the_limit_of_a_connect() -> None:
    assert 3 == peer.CONNECT_SECONDS


@pytest.mark.usefixtures("outside")
def test_a_resolver_that_does_not_answer_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(peer, "resolver", lambda _host, _port: ended.wait(30) and [])
    start = time.monotonic()
    with pytest.raises(PeerUnusable, match="address policy"):
        peer.call("GET", "http://peer.example/", TOKEN)

    assert time.monotonic() - start < SECONDS + 1
    ended.set()


@pytest.mark.usefixtures("sandbox")
def test_a_peer_that_takes_no_body_ends_in_time(bad: BadPeer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        start = time.monotonic()
        with pytest.raises(PeerUnusable, match=r": timed out$"):
            peer.call("POST", f"http://127.0.0.1:{deaf.getsockname()[1]}/", TOKEN, "x" * 30_000_000)

        assert time.monotonic() - start < SECONDS + 1
    assert 1000 == peer.call("GET", bad.url("/ok"), TOKEN).status_code


QUICK = [path for path, _ in BAD if not path.startswith(("/slow", "/silence"))]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", [*QUICK, "/401", "/ok"])
def test_nothing_that_is_said_tells_the_token(
    path: str, bad: BadPeer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said = ""
    try:
        peer.call("POST", bad.url(path), TOKEN, {"a": 1})
    except PeerUnusable:
        said = traceback.format_exc()

    assert (path == "/ok") is (said == "")
    assert TOKEN not in said
    assert TOKEN not in caplog.text


# Command results


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ok", 200),
        ("/204/bare", 204),
        ("/200/bare", 200),
        ("/404/bare", 404),
        ("/429/bare", 429),
        ("/html", 200),
        ("/gzip/bomb", 200),
        ("/big", 200),
        ("/endless", 200),
        ("/slow/body", 200),
    ],
)
def test_of_an_unwrapped_answer_only_the_status_is_read(path: str, status: int, bad: BadPeer) -> None:
    url = bad.url(path)

    assert status == peer.call_unwrapped("POST", url, TOKEN, {"result": "ACCEPTED"})
    assert b'{"result":"ACCEPTED"}' == sent(bad).body


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", ["/500", "/503/bare", "/silence", "/slow", "/reset/headers"])
def test_an_unwrapped_call_fails_as_a_call_does(path: str, bad: BadPeer) -> None:
    start = time.monotonic()
    with pytest.raises(PeerUnusable, match=rf"^POST {bad.url(path)}: \w+"):
        peer.call_unwrapped("POST", bad.url(path), TOKEN, {"result": "ACCEPTED"})

    assert time.monotonic() - start < SECONDS + 1


@pytest.mark.usefixtures("sandbox")
def test_calls_in_many_threads_do_not_meet(bad: BadPeer) -> None:
    answers: list[int | None] = []

    def run() -> None:
        answers.extend(peer.call("GET", bad.url("/ok"), TOKEN).status_code for _ in range(5))

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1000] * 80 == answers


# TLS


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """A server's context for *name*, and the file of the authority that signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context, str(chain)


@pytest.fixture
def secure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: Callable[..., None]
) -> Iterator[tuple[BadPeer, list[str]]]:
    """A bad peer that is peer.example under TLS, and the names that were asked for."""
    chosen()
    context, authorities = certificate(tmp_path, "peer.example")
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    monkeypatch.setattr(peer, "authorities", authorities)
    with BadPeer(context) as server:
        redirect(monkeypatch, server)
        yield server, names


def test_under_tls_the_name_is_asked_for_and_proven(secure: tuple[BadPeer, list[str]]) -> None:
    server, names = secure
    answer = peer.call("PUT", "https://peer.example/ok", TOKEN, {"a": 1})

    assert 1000 == answer.status_code
    assert ["peer.example"] == names
    assert "peer.example" == sent(server).headers["host"]
    assert f"Token {TOKEN}" == sent(server).headers["authorization"]
    assert b'{"a":1}' == sent(server).body


@pytest.mark.parametrize("host", ["six.example", PUBLIC])
def test_a_certificate_of_another_name_is_not_accepted(host: str, secure: tuple[BadPeer, list[str]]) -> None:
    with pytest.raises(PeerUnusable, match=rf"^GET https://{host}/ok: certificate not accepted$"):
        peer.call("GET", f"https://{host}/ok", TOKEN)

    assert [] == secure[0].requests


def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    secure: tuple[BadPeer, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "authorities", peer.DEFAULT_CA_BUNDLE_PATH)
    with pytest.raises(PeerUnusable, match="certificate not accepted"):
        peer.call("GET", "https://peer.example/ok", TOKEN)

    assert [] == secure[0].requests


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/silence", "timed out"),
        ("/slow", "timed out"),
        ("/slow/body", "timed out"),
        ("/slow/fast", "timed out"),
        ("/big", "more than 2 MiB"),
        ("/endless", "more than 2 MiB"),
        ("/500", "HTTP 500"),
    ],
)
@pytest.mark.usefixtures("secure")
def test_a_bad_answer_under_tls_is_a_refusal_in_time(path: str, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(PeerUnusable, match=f": {words}$"):
        peer.call("GET", f"https://peer.example{path}", TOKEN)

    assert time.monotonic() - start < SECONDS + 1


@pytest.mark.usefixtures("outside", "dialled")
def test_a_peer_without_tls_where_tls_is_asked_for_is_refused() -> None:
    with pytest.raises(PeerUnusable, match=r": (timed out|TLS failed|connection broken off)$"):
        peer.call("GET", "https://peer.example/ok", TOKEN)


@pytest.mark.usefixtures("sandbox")
def test_a_handshake_that_does_not_come_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        start = time.monotonic()
        with pytest.raises(PeerUnusable, match=r": timed out$"):
            peer.call("GET", f"https://127.0.0.1:{deaf.getsockname()[1]}/", TOKEN)

        assert time.monotonic() - start < SECONDS + 1
