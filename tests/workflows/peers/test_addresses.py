"""The address policy: the URLs that it allows, and no connection after a refusal.

No packet leaves loopback.
"""

import ipaddress
import itertools
from collections.abc import Callable

import bad_peer
import pytest
from bad_peer import PUBLIC, BadPeer, records, refuses
from hypothesis import assume, given
from hypothesis import strategies as st
from nodes import free_port

from errors import PeerUnusable
from settings import Settings
from workflows.peers import addresses, client
from workflows.peers.addresses import Allowed, Policy

bad, dialed = bad_peer.bad, bad_peer.dialed
chosen, sandbox, outside = bad_peer.chosen, bad_peer.sandbox, bad_peer.outside
stay_on_loopback = bad_peer.stay_on_loopback


# The vectors of docs/security-cases.md "Address policy", loopback off

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


@pytest.mark.usefixtures("outside", "dialed")
@pytest.mark.parametrize("host", HOSTS)
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    for scheme, port in itertools.product(("http", "https"), ("", ":22", ":80", ":5432", ":8080")):
        refuses(f"{scheme}://{host}{port}/ocpi/versions")


@pytest.mark.usefixtures("outside", "dialed")
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
def test_a_malformed_url_is_refused(url: str) -> None:
    refuses(url)


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("port", [1, 21, 22, 25, 79, 81, 442, 444, 1023])
def test_a_system_port_is_refused(port: int, dialed: list[tuple[str, int]]) -> None:
    refuses(f"http://peer.example:{port}/")

    assert [] == dialed


@pytest.mark.usefixtures("outside", "dialed")
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
    client.check(url)


@pytest.mark.usefixtures("outside", "dialed")
@pytest.mark.parametrize("length", [255, 256])
def test_the_policy_does_not_check_the_length_of_a_url(length: int) -> None:
    public, private = "https://peer.example/", "https://private.example/"
    client.check(public + "a" * (length - len(public)))
    refuses(private + "a" * (length - len(private)))


@pytest.mark.usefixtures("outside")
def test_a_numeric_host_is_never_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    monkeypatch.setattr(addresses, "resolver", lambda host, port: resolved.append(host) or records([], port))
    for host in ("134744072", "0x8.8.8.8", "8.8", "010.8.8.8", "8.8.8.8", "[2606:2800::1]", "0x8"):
        try:
            client.check(f"http://{host}/")
        except PeerUnusable:
            continue

    assert [] == resolved


V4 = st.ip_addresses(v=4)


@given(V4)
def test_an_embedded_ipv4_address_is_judged_like_the_address_itself(inner: ipaddress.IPv4Address) -> None:
    bare = Policy().refusal("peer.example", inner, 443)
    number = int(inner)
    for outer in (
        0xFFFF << 32 | number,
        number,
        0x64_FF9B << 96 | number,
        0x2002 << 112 | number << 80 | 1,
        0x2001_0000 << 96 | 0x0808_0808 << 64 | number ^ 0xFFFF_FFFF,
    ):
        address = ipaddress.IPv6Address(outer)

        assert (bare is None) is (Policy().refusal("peer.example", address, 443) is None), address


@given(st.ip_addresses())
def test_an_address_that_is_not_global_in_python_never_passes(address: addresses.Address) -> None:
    if isinstance(address, ipaddress.IPv6Address):
        assume(address.ipv4_mapped is None and address.teredo is None)

    assert address.is_global or Policy(loopback=True).refusal("peer.example", address, 443)


@pytest.mark.usefixtures("outside")
def test_a_refusal_is_the_same_for_open_closed_and_filtered_ports(bad: BadPeer) -> None:
    before = bad.connections
    for port in (bad.port, free_port(), 9):
        refuses(f"http://127.0.0.1:{port}/ok")

    assert before == bad.connections


# Loopback on

NEVER = [host for host in HOSTS if host not in {"127.0.0.1", "[::1]", "localhost", "LOCALHOST"}]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("port", [1024, 8080, 65535])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_passes_in_the_sandbox_under_its_plain_names(host: str, port: int) -> None:
    client.check(f"http://{host}:{port}/ocpi/versions")


@pytest.mark.usefixtures("sandbox", "dialed")
@pytest.mark.parametrize("host", [*NEVER, "loopback6.example"])
def test_no_other_name_of_loopback_passes_in_the_sandbox(host: str) -> None:
    refuses(f"http://{host}:8080/")


@pytest.mark.usefixtures("sandbox", "dialed")
@pytest.mark.parametrize("port", ["", ":22", ":80", ":443", ":1023"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_system_port_on_loopback_does_not_pass_in_the_sandbox(host: str, port: str) -> None:
    refuses(f"http://{host}{port}/")


@pytest.mark.usefixtures("sandbox", "dialed")
@pytest.mark.parametrize("found", [["127.0.0.1", "10.0.0.1"], ["169.254.169.254"]])
def test_localhost_with_a_foreign_address_does_not_pass(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "resolver", lambda _host, port: records(found, port))
    refuses("http://localhost:8080/")


def test_loopback_is_allowed_exactly_if_the_host_is_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for host, allowed in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):  # noqa: S104 - not bound
        current = Settings(host=host, public_url="https://ocpi.example", allow_loopback_peers=None)
        monkeypatch.setattr(addresses, "settings", lambda current=current: current)

        assert Policy(loopback=allowed) == addresses.policy()


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
    client.check(url)


@pytest.mark.usefixtures("dialed")
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
def test_any_other_address_or_port_does_not_pass(url: str, chosen: Callable[..., None]) -> None:
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
def test_a_malformed_entry_stops_the_program(text: str) -> None:
    with pytest.raises(ValueError, match=r"PEER_ALLOW|address"):
        Policy.of(Settings(peer_allow=f"10.0.0.9:80-80,{text}"))


def test_link_local_does_not_pass_even_when_allowed() -> None:
    address = ipaddress.ip_address("169.254.169.254")
    rules = Policy(loopback=True, allowed=(Allowed(address, range(1, 65536)),))

    assert "link-local" in (rules.refusal("169.254.169.254", address, 80) or "")


def test_nothing_is_allowed_by_default() -> None:
    assert Policy(loopback=False, allowed=()) == Policy.of(Settings(allow_loopback_peers=False))
