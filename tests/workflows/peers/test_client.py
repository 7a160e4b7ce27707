"""Calls to peers: the address of the connection, the request, and TLS.

No packet leaves loopback.
"""

import datetime as dt
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bad_peer
import orjson
import pytest
from bad_peer import IN_TIME, PUBLIC, TOKEN, BadPeer, records, redirect, refuses, sent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from nodes import free_port

from errors import PeerUnusable
from workflows.peers import addresses, client

bad, dialed = bad_peer.bad, bad_peer.dialed
chosen, sandbox, outside = bad_peer.chosen, bad_peer.sandbox, bad_peer.outside
stay_on_loopback = bad_peer.stay_on_loopback


# The connection goes to the checked address


@pytest.mark.usefixtures("outside")
def test_a_name_is_called_at_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, dialed: list[tuple[str, int]]
) -> None:
    resolutions = [[PUBLIC], ["127.0.0.1"], ["10.0.0.1"]]
    monkeypatch.setattr(addresses, "resolver", lambda _host, port: records(resolutions.pop(0), port))

    assert 1000 == client.call("GET", "http://rebind.example:8080/ok", TOKEN).status_code
    assert [(PUBLIC, 8080)] == dialed
    assert 2 == len(resolutions)


@pytest.mark.usefixtures("outside")
def test_a_name_is_checked_again_for_each_call(
    monkeypatch: pytest.MonkeyPatch, dialed: list[tuple[str, int]]
) -> None:
    resolutions = [[PUBLIC], ["127.0.0.1"]]
    monkeypatch.setattr(addresses, "resolver", lambda _host, port: records(resolutions.pop(0), port))
    client.check("http://rebind.example:8080/ok")
    with pytest.raises(PeerUnusable, match="address policy"):
        client.call("GET", "http://rebind.example:8080/ok", TOKEN)

    assert [] == dialed


@pytest.mark.usefixtures("outside")
def test_a_name_with_a_public_and_a_private_address_is_refused(
    dialed: list[tuple[str, int]],
) -> None:
    refuses("http://mixed.example/ok")
    refuses("http://mixed-last.example/ok")

    assert [] == dialed


@pytest.mark.usefixtures("outside")
def test_the_name_stays_in_the_host_header(bad: BadPeer, dialed: list[tuple[str, int]]) -> None:
    for url, host in (
        ("http://peer.example/ok", "peer.example"),
        ("http://Peer.Example:8080/ok", "peer.example:8080"),
        ("http://[2606:2800:220:1::1]:8080/ok", "[2606:2800:220:1::1]:8080"),
    ):
        client.call("GET", url, TOKEN)

        assert host == bad.requests[-1].headers["host"]
    assert [(PUBLIC, 80), (PUBLIC, 8080), ("2606:2800:220:1::1", 8080)] == dialed


@pytest.mark.usefixtures("outside", "dialed")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, "metadata", "same", "endless"])
def test_a_redirect_is_not_followed(status: object, bad: BadPeer) -> None:
    before = bad.connections
    for call in (
        lambda url: client.call("GET", url, TOKEN),
        lambda url: client.call_unwrapped("POST", url, TOKEN, {}),
    ):
        with pytest.raises(PeerUnusable, match=r"^\w+ http://peer\.example/redirect/\w+: HTTP 30"):
            call(f"http://peer.example/redirect/{status}")

    assert 2 == bad.connections - before


@pytest.mark.usefixtures("sandbox")
def test_proxies_and_netrc_of_the_environment_are_ignored(
    bad: BadPeer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    client.call("GET", bad.url("/ok"), TOKEN)

    assert f"Token {TOKEN}" == bad.requests[-1].headers["authorization"]
    assert "/ok" == bad.requests[-1].target


@pytest.mark.usefixtures("sandbox")
def test_each_address_of_localhost_is_tried(bad: BadPeer) -> None:
    # The bad peer listens only on 127.0.0.1, and ::1 comes first.
    assert 1000 == client.call("GET", bad.url("/ok", "localhost"), TOKEN).status_code


# Requests

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@pytest.mark.usefixtures("sandbox")
def test_the_token_is_sent_unchanged(bad: BadPeer) -> None:
    for token in (*PRINTABLE, PRINTABLE, PRINTABLE[::-1], "=?utf-8?q?=41?=", "a" * 64):
        client.call("GET", bad.url("/ok"), token)

        assert b"\r\nAuthorization: Token " + token.encode() + b"\r\n" in sent(bad).head


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("token", ["", " ", "a b", "a\r\nX: y", "a\n", "\ta", "a\x00", "\x7f", "ä"])
def test_a_token_that_does_not_fit_a_header_is_a_value_error(token: str, bad: BadPeer) -> None:
    before = bad.connections
    for call in (client.call, client.call_unwrapped):
        with pytest.raises(ValueError, match=r"^A token is printable ASCII without spaces\.$"):
            call("GET", bad.url("/ok"), token, None)

    assert before == bad.connections


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "body", [{"a": "ü\u2028", "b": [1, 0.1, None]}, [], {}, "text", orjson.Fragment(b'{"a": 1.50}')]
)
def test_a_body_is_sent_as_json(method: str, body: object, bad: BadPeer) -> None:
    client.call(method, bad.url("/ok"), TOKEN, body)
    headers = sent(bad).headers

    assert method == sent(bad).method
    assert orjson.dumps(body) == sent(bad).body
    assert "application/json" == headers["content-type"]
    assert str(len(sent(bad).body)) == headers["content-length"]
    assert "transfer-encoding" not in headers


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_a_request_without_a_body_has_no_body_headers(method: str, bad: BadPeer) -> None:
    client.call(method, bad.url("/ok"), TOKEN)

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
def test_the_target_is_sent_unchanged(target: str, bad: BadPeer) -> None:
    client.call_unwrapped("POST", bad.url(target), TOKEN, {"result": "ACCEPTED"})

    assert target == sent(bad).target
    assert f"127.0.0.1:{bad.port}" == sent(bad).headers["host"]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("rest", "target"), [("", "/"), ("?a=1", "/?a=1")])
def test_a_url_without_a_path_requests_the_root(rest: str, target: str, bad: BadPeer) -> None:
    client.call("GET", bad.url(rest), TOKEN)

    assert target == sent(bad).target


# TLS


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """A server context for *name*, and the file of the certificate, which signs itself."""
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
    """A bad peer with a certificate for peer.example, and the server names that clients requested."""
    chosen()
    context, authorities = certificate(tmp_path, "peer.example")
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    monkeypatch.setattr(client, "authorities", authorities)
    with BadPeer(context) as server:
        redirect(monkeypatch, server)
        yield server, names


def test_under_tls_the_host_name_is_sent_and_verified(secure: tuple[BadPeer, list[str]]) -> None:
    server, names = secure
    response = client.call("PUT", "https://peer.example/ok", TOKEN, {"a": 1})

    assert 1000 == response.status_code
    assert ["peer.example"] == names
    assert "peer.example" == sent(server).headers["host"]
    assert f"Token {TOKEN}" == sent(server).headers["authorization"]
    assert b'{"a":1}' == sent(server).body


@pytest.mark.parametrize("host", ["six.example", PUBLIC])
def test_a_certificate_for_another_name_is_refused(host: str, secure: tuple[BadPeer, list[str]]) -> None:
    with pytest.raises(PeerUnusable, match=rf"^GET https://{host}/ok: certificate not accepted$"):
        client.call("GET", f"https://{host}/ok", TOKEN)

    assert [] == secure[0].requests


def test_a_certificate_of_an_unknown_authority_is_refused(
    secure: tuple[BadPeer, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "authorities", client.DEFAULT_CA_BUNDLE_PATH)
    with pytest.raises(PeerUnusable, match="certificate not accepted"):
        client.call("GET", "https://peer.example/ok", TOKEN)

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
def test_a_bad_response_under_tls_is_refused_in_time(path: str, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(PeerUnusable, match=f": {words}$"):
        client.call("GET", f"https://peer.example{path}", TOKEN)

    assert time.monotonic() - start < IN_TIME


@pytest.mark.usefixtures("outside", "dialed")
def test_an_https_url_of_a_peer_without_tls_is_refused() -> None:
    with pytest.raises(PeerUnusable, match=r": (timed out|TLS failed|connection broken off)$"):
        client.call("GET", "https://peer.example/ok", TOKEN)


@pytest.mark.usefixtures("sandbox")
def test_a_missing_handshake_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(PeerUnusable, match=r": timed out$"):
            client.call("GET", f"https://127.0.0.1:{silent.getsockname()[1]}/", TOKEN)

        assert time.monotonic() - start < IN_TIME
