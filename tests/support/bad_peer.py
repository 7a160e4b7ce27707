"""A peer whose URL selects its misbehavior: a threaded server on loopback for the tests of calls.

    with BadPeer() as peer:
        call("GET", peer.url("/slow/body"), "token")

BEHAVIOURS lists the paths; with *has_recovered* every path is "/ok". What came in is in *requests*, what went
out is counted in *sent*.
At the end: a world of names and the fixtures for calls in it; a test file takes them over by name.
"""

import contextlib
import gzip
import ipaddress
import json
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

from errors import PeerUnusable
from settings import Settings
from workflows.peers import addresses, client

ENVELOPE = {
    "status_code": 1000,
    "status_message": "Success",
    "timestamp": "2026-01-01T00:00:00Z",
    "data": {"id": "LOC1"},
}
REASONS = {200: "OK", 204: "No Content", 302: "Found", 401: "Unauthorized", 404: "Not Found"}
METADATA = "http://169.254.169.254/latest/meta-data/"


@dataclass(frozen=True)
class Seen:
    """A request as received."""

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case, values stripped."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.lower(): value.strip(" ") for name, _, value in pairs}


class BadPeer(socketserver.ThreadingTCPServer):
    """The server. With *tls* it speaks TLS; a behavior begins with the handshake."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    block_on_close = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Seen] = []
        self.sent = 0
        self.connections = 0
        self.has_recovered = False
        self.tls = tls
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Connection)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: clients hang up on bad peers."""


class _Connection(socketserver.StreamRequestHandler):
    server: BadPeer

    def setup(self) -> None:
        self.server.connections += 1
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        if self.server.tls is not None:
            self.request.close()

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
        seen = Seen(method, target, head, b"")
        body = self.rfile.read(int(seen.headers.get("content-length", "0")))
        self.server.requests.append(Seen(method, target, head, body))
        with contextlib.suppress(OSError):
            path = "/ok" if self.server.has_recovered else target.partition("?")[0]
            _behaviour(path)(self)

    # Building blocks of behaviors

    def put(self, data: bytes) -> None:
        self.wfile.write(data)
        self.server.sent += len(data)

    def answer(self, status: int, body: bytes, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Odd')}", *headers]
        if not any(line.lower().startswith("transfer-encoding") for line in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.put("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def wait(self, seconds: float) -> bool:
        """Wait; True while the server runs."""
        return not self.server.ended.wait(seconds)

    def reset(self) -> None:
        """End with RST instead of FIN."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.request.close()


Behavior = Callable[[_Connection], None]
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


def _json(body: object, status: int = 200, *headers: str) -> Behavior:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda connection: connection.answer(status, content, JSON, *headers)


def _bare(status: int, *headers: str) -> Behavior:
    return lambda connection: connection.answer(status, b"", *headers)


def _without(member: str) -> dict[str, Any]:
    return {name: value for name, value in ENVELOPE.items() if name != member}


def _dribble(data: bytes, seconds: float, first: bytes = b"") -> Behavior:
    """Send *first* at once, then one byte each *seconds*."""

    def behave(connection: _Connection) -> None:
        connection.put(first)
        for byte in data:
            connection.put(bytes([byte]))
            if not connection.wait(seconds):
                return

    return behave


def _forever(first: bytes, again: bytes) -> Behavior:
    def behave(connection: _Connection) -> None:
        connection.put(first)
        while connection.wait(0):
            connection.put(again)

    return behave


def _silence(connection: _Connection) -> None:
    connection.wait(60)


def _hang_up(connection: _Connection) -> None:
    connection.request.shutdown(socket.SHUT_RDWR)


def _reset(first: bytes) -> Behavior:
    def behave(connection: _Connection) -> None:
        connection.put(first)
        connection.wait(0.05)
        connection.reset()

    return behave


def _cut_off(first: bytes) -> Behavior:
    return lambda connection: connection.put(first)


def _big(connection: _Connection) -> None:
    size = 50 * 1024 * 1024
    connection.put(f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {size}\r\n\r\n".encode())
    for _ in range(size // 65536):
        connection.put(b" " * 65536)


def _sized(size: int) -> bytes:
    """An envelope of exactly *size* bytes."""
    frame = json.dumps({**ENVELOPE, "data": {"name": ""}}).encode()
    return json.dumps({**ENVELOPE, "data": {"name": "x" * (size - len(frame))}}).encode()


def _chunked(connection: _Connection) -> None:
    content = json.dumps(ENVELOPE).encode()
    pieces = (content[place : place + 7] for place in range(0, len(content), 7))
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    connection.answer(200, body, JSON, CHUNKED)


_OK = json.dumps(ENVELOPE).encode()
_HEAD = f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {len(_OK)}\r\n\r\n".encode()
_CHUNKED_HEAD = f"HTTP/1.1 200 OK\r\n{JSON}\r\n{CHUNKED}\r\n\r\n".encode()
_LIMIT = 2 * 1024 * 1024

BEHAVIOURS: dict[str, Behavior] = {
    # Fine
    "/ok": _json(ENVELOPE),
    "/ok/list": _json({**ENVELOPE, "data": [1, 2]}),
    "/ok/null": _json({**ENVELOPE, "data": None}),
    "/ok/string": _json({**ENVELOPE, "data": "NOT_SUPPORTED"}),
    "/ok/nodata": _json(_without("data")),
    "/ok/nomessage": _json(_without("status_message")),
    "/ok/message7": _json({**ENVELOPE, "status_message": 7}),
    "/ok/headers": _json(ENVELOPE, 200, "X-Total-Count: 7", 'LINK: <http://a/>; rel="next"'),
    "/ok/identity": _json(ENVELOPE, 200, "Content-Encoding: identity"),
    "/ok/chunked": _chunked,
    "/ok/toeof": _cut_off(f"HTTP/1.1 200 OK\r\n{JSON}\r\n\r\n".encode() + _OK),
    "/ok/limit": _json(_sized(_LIMIT)),
    "/ok/2000": _json({"status_code": 2000, "status_message": "No.", "timestamp": "x"}),
    "/ok/3001": _json({"status_code": 3001, "timestamp": "x"}),
    "/ok/400": _json({"status_code": 2001, "status_message": "No."}, 400),
    "/ok/404": _json({"status_code": 2003, "status_message": "No."}, 404),
    "/ok/405": _json({"status_code": 2000}, 405),
    "/ok/429": _json({"status_code": 2000}, 429, "Retry-After: 60"),
    # Statuses; a bare one has no body
    "/401": _json({"status_code": 2000}, 401),
    "/403": _json({"status_code": 2000}, 403),
    "/500": _json({"status_code": 3000}, 500),
    "/502": _json({"status_code": 3000}, 502),
    "/503": _json({"status_code": 3000}, 503),
    "/101/bare": _bare(101, "Upgrade: websocket", "Connection: Upgrade"),
    "/204/bare": _cut_off(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "/304/bare": _cut_off(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "/600/bare": _bare(600),
    **{f"/{status}/bare": _bare(status) for status in (200, 400, 401, 403, 404, 405, 500, 503)},
    "/429/bare": _bare(429, "Retry-After: 60"),
    **{
        f"/redirect/{status}": _json(ENVELOPE, status, "Location: http://other.example/ok")
        for status in (301, 302, 303, 307, 308)
    },
    "/redirect/metadata": _json(ENVELOPE, 302, f"Location: {METADATA}"),
    "/redirect/same": _json(ENVELOPE, 302, "Location: /ok"),
    "/redirect/endless": _forever(
        b"HTTP/1.1 302 Found\r\nLocation: /ok\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b" " * 65536 + b"\r\n",
    ),
    # Broken off
    "/hangup": _hang_up,
    "/reset/start": _reset(b""),
    "/reset/headers": _reset(_HEAD[:30]),
    "/reset/body": _reset(_HEAD + _OK[:30]),
    "/cut/headers": _cut_off(_HEAD[:30]),
    "/cut/body": _cut_off(_HEAD + _OK[:30]),
    "/cut/chunk": _cut_off(_CHUNKED_HEAD + b"40\r\n" + _OK[:30]),
    "/cut/chunks": _cut_off(_CHUNKED_HEAD + b"%x\r\n" % len(_OK) + _OK + b"\r\n"),
    # Slow
    "/silence": _silence,
    "/slow": _dribble(_HEAD + _OK, 1),
    "/slow/body": _dribble(_OK, 1, _HEAD),
    "/slow/chunks": _dribble(b"1\r\n \r\n" * 60, 1, _CHUNKED_HEAD),
    "/slow/fast": _dribble(b"1\r\n \r\n" * 6000, 0.01, _CHUNKED_HEAD),
    # Wrong responses
    "/html": lambda connection: connection.answer(200, b"<html>Welcome</html>", "Content-Type: text/html"),
    "/nothttp": _cut_off(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "/badchunk": _cut_off(_CHUNKED_HEAD + b"zz\r\n" + _OK),
    "/badlength": _json(ENVELOPE, 200, "Content-Length: 1, 2"),
    "/truncated": _json(_OK[:-10]),
    "/utf8": _json(_OK.replace(b"Success", b"\xff\xfe")),
    "/deep": _json(b'{"status_code":1000,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "/list": _json([ENVELOPE]),
    "/number": _json(1000),
    "/nan": _json(b'{"status_code": NaN}'),
    "/nocode": _json(_without("status_code")),
    **{
        f"/code/{name}": _json({**ENVELOPE, "status_code": code})
        for name, code in {"text": "1000", "true": True, "null": None, "float": 1000.5}.items()
    },
    # Too much
    "/big": _big,
    "/limit": _json(_sized(_LIMIT + 1)),
    "/endless": _forever(_CHUNKED_HEAD, b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "/endless/header": _forever(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536),
    "/endless/headers": _forever(b"HTTP/1.1 200 OK\r\n", b"X-Again: x\r\n" * 1000),
    "/endless/continue": _forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "/endless/extension": _forever(_CHUNKED_HEAD + b"1;", b"x" * 65536),
    "/endless/trailer": _forever(_CHUNKED_HEAD + b"0\r\n", b"X-Again: x\r\n" * 1000),
    "/gzip": _json(gzip.compress(_OK), 200, "Content-Encoding: gzip"),
    "/gzip/bomb": _json(gzip.compress(b" " * 10_000_000), 200, "Content-Encoding: gzip"),
    "/gzip/twice": _json(gzip.compress(gzip.compress(_OK)), 200, "Content-Encoding: gzip, GZIP"),
    "/gzip/quiet": _json(gzip.compress(_OK)),
    "/deflate": _json(_OK, 200, "content-encoding: Deflate"),
}


def _behaviour(path: str) -> Behavior:
    """The behavior of the longest registered prefix of *path*, by default a correct response."""
    while path not in BEHAVIOURS and "/" in path:
        path = path.rpartition("/")[0]
    return BEHAVIOURS.get(path, BEHAVIOURS["/ok"])


# Calls and their environment

TOKEN = "ebf3b399-779f-4497-9b9d-ac6ad3cc44d2"
SECONDS = 2.0
IN_TIME = SECONDS + 10  # on a slow machine too; without its deadline a call lasts much longer
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


def records(found: list[str], port: int) -> list[Any]:
    """The result of getaddrinfo for *found*: three entries each, as without a socket type."""
    return [
        (socket.AF_INET6 if ":" in address else socket.AF_INET, kind, 0, "", (address, port))
        for address in found
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
    ]


def resolve(host: str, port: int) -> list[Any]:
    """Resolve the names above and, like glibc, every form of an IPv4 address."""
    if host in NAMES:
        return records(NAMES[host], port)
    try:
        return records([socket.inet_ntoa(socket.inet_aton(host))], port)
    except OSError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None


@pytest.fixture(autouse=True)
def stay_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert ipaddress.ip_address(address[0]).is_loopback, address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(addresses, "resolver", resolve)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Apply settings."""

    def choose(**values: Any) -> None:
        now = Settings(**{"allow_loopback_peers": False, "peer_timeout_seconds": SECONDS, **values})
        monkeypatch.setattr(addresses, "settings", lambda: now)
        monkeypatch.setattr(client, "settings", lambda: now)

    return choose


@pytest.fixture
def sandbox(chosen: Callable[..., None]) -> None:
    """Peers may be on loopback."""
    chosen(allow_loopback_peers=True)


@pytest.fixture
def outside(chosen: Callable[..., None]) -> None:
    """Peers may not be on loopback."""
    chosen()


@pytest.fixture(scope="module")
def bad() -> Iterator[BadPeer]:
    with BadPeer() as server:
        yield server


@pytest.fixture
def dialed(monkeypatch: pytest.MonkeyPatch, bad: BadPeer) -> list[tuple[str, int]]:
    """The addresses of connections, which go to the bad peer instead."""
    return redirect(monkeypatch, bad)


def redirect(monkeypatch: pytest.MonkeyPatch, server: BadPeer) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    dial = client.dial

    def hook(address: addresses.Address, port: int, deadline: float) -> socket.socket:
        seen.append((str(address), port))
        return dial(ipaddress.ip_address("127.0.0.1"), server.port, deadline)

    monkeypatch.setattr(client, "dial", hook)
    return seen


def refuses(url: str) -> None:
    """Check that each function refuses *url* with the policy's message and opens no connection."""
    for refused in (
        lambda: client.check(url),
        lambda: client.call("GET", url, TOKEN),
        lambda: client.call_unwrapped("POST", url, TOKEN, {}),
    ):
        with pytest.raises(PeerUnusable) as refusal:
            refused()

        assert "The address policy refuses this URL." == refusal.value.message
        assert addresses.AddressRefused is refusal.type


def sent(bad: BadPeer) -> Seen:
    """The last received request."""
    return bad.requests[-1]
