"""Peers: the one place that calls them, and the policy that says which addresses may be called.

A URL is read once and by one parser, its name is resolved once, every address is judged, and the
socket goes to a judged address: what is connected to is what was checked. requests' own parsing,
redirects, cookies, netrc and proxies have no part in it, so its adapter is used without a Session.

Spec: 2.1.1 transport_and_format.
"""

import contextlib
import functools
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection

from errors import PeerUnusable
from settings import Settings, settings

BODY_LIMIT = 2 * 1024 * 1024
CONNECT_SECONDS = 3.0
REFUSED = "The address policy refuses this URL."

# What a connection may bring in all: a body in small chunks, its headers and its trailers.
_WIRE_LIMIT = 4 * BODY_LIMIT
_WEB_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024
_LAST_PORT = 65535

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Names to addresses; looked up at each call, so that a test can put its own here.
resolver: Callable[[str, int], Any] = socket.getaddrinfo
#: The file of the authorities that may sign a peer's certificate.
authorities: str = DEFAULT_CA_BUNDLE_PATH


class PeerUnauthorized(PeerUnusable):
    """The peer does not know the token: HTTP 401 or 403."""


@dataclass(frozen=True)
class Answer:
    """What a peer answered, in its OCPI envelope. Header names are in lower case."""

    http_status: int
    status_code: int | None
    status_message: str
    data: Any
    headers: Mapping[str, str]


# The policy


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
_LINK_LOCAL = _networks("169.254.0.0/16", "fe80::/10")
_DENIED = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    # All but 2000::/3, the only unicast in use: so ::1, fc00::/7, fe80::/10 and ff00::/8 too, and
    # 64:ff9b:1::/48, in which only its own network knows where the IPv4 address stands.
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
_IPV4_IN_LAST_BITS = _networks("::/96", "::ffff:0:0/96", "64:ff9b::/96")


def _meant(address: Address) -> tuple[Address, ...]:
    """The addresses that traffic to *address* can end at: itself, or the IPv4 ones it carries."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if any(address in network for network in _IPV4_IN_LAST_BITS):
        return (ipaddress.IPv4Address(address.packed[-4:]),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or (address,)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


@dataclass(frozen=True)
class Allowed:
    """One entry of PEER_ALLOW: an address and the ports on it."""

    address: Address
    ports: range

    @classmethod
    def read(cls, text: str) -> Self:
        """The entry that *text* spells: address:port-port, an IPv6 address in brackets.

        Raises:
            ValueError: it is spelt otherwise, or names a link-local address.
        """
        entry = re.fullmatch(r"(\[[^\]]+\]|[0-9.]+):([0-9]{1,5})-([0-9]{1,5})", text)
        if entry is None:
            raise ValueError(f"PEER_ALLOW: {text!r} is not address:port-port.")
        address = ipaddress.ip_address(entry[1].strip("[]"))
        first, last = int(entry[2]), int(entry[3])
        if not 0 < first <= last <= _LAST_PORT:
            raise ValueError(f"PEER_ALLOW: {text!r} has no ports.")
        if _is_link_local(address):
            raise ValueError(f"PEER_ALLOW: {text!r} is link-local, where metadata services are.")
        return cls(address, range(first, last + 1))


def _is_link_local(address: Address) -> bool:
    return any(_within(meant, _LINK_LOCAL) for meant in _meant(address))


@dataclass(frozen=True)
class Policy:
    """Which addresses may be called. The default: public ones."""

    loopback: bool = False
    allowed: tuple[Allowed, ...] = ()

    @classmethod
    def of(cls, chosen: Settings) -> Self:
        """The policy that the settings ask for.

        Raises:
            ValueError: an entry of PEER_ALLOW cannot be read.
        """
        entries = chosen.peer_allow.replace(" ", "").split(",")
        return cls(chosen.loopback_peers, tuple(Allowed.read(entry) for entry in entries if entry))

    def passes(self, host: str, address: Address, port: int) -> bool:
        """May *address*, to which *host* resolved, be connected to on *port*?"""
        if getattr(address, "scope_id", None) is not None or _is_link_local(address):
            return False
        if any(address == entry.address and port in entry.ports for entry in self.allowed):
            return True
        if _within(address, _LOOPBACK) and host in {"localhost", str(address)}:
            return self.loopback and port >= _FIRST_FREE_PORT
        if port not in _WEB_PORTS and port < _FIRST_FREE_PORT:
            return False
        return not any(_within(meant, _DENIED) for meant in _meant(address))


def policy() -> Policy:
    """The policy in force."""
    return Policy.of(settings())


# From a URL to addresses

# Printable ASCII; no user, no fragment, no backslash, no empty host and no empty port.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!\"$->@-\[\]-~]*)?"
    r"(?P<query>\?[!\"$-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
# WHATWG URL, "ends in a number": resolvers read such a host as an IPv4 address, whatever its form.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_LONGEST_NAME = 253


@dataclass(frozen=True)
class _Target:
    """A URL, read. *target* is the path and query as they were given."""

    scheme: str
    host: str
    port: int
    path: str
    target: str
    literal: Address | None

    @property
    def shown(self) -> str:
        """The URL without its query, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{host}{'' if usual else f':{self.port}'}{self.path}"


@dataclass(frozen=True)
class _Route:
    """Where a call goes: the target, the addresses that passed, until when; what it opened."""

    target: _Target
    addresses: tuple[Address, ...]
    deadline: float
    opened: list[socket.socket] = field(default_factory=list)


def _parse(url: str) -> _Target:
    """*url*, read; ValueError when it is not one that may be called."""
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError("form")
    scheme, host = parts["scheme"].lower(), parts["host"].lower()
    port = int(parts["port"] or (443 if scheme == "https" else 80))
    if not 0 < port <= _LAST_PORT or len(host) > _LONGEST_NAME:
        raise ValueError("port or length")
    literal: Address | None = None
    if host.startswith("["):
        host = host[1:-1]
        literal = ipaddress.IPv6Address(host)
    elif _NUMBER.fullmatch(host):
        literal = ipaddress.IPv4Address(host)
    path = parts["path"] or "/"
    return _Target(scheme, host, port, path, path + (parts["query"] or ""), literal)


def _resolve(host: str, port: int, deadline: float) -> list[Address]:
    """The addresses of *host*, each once; in a thread, as getaddrinfo knows no deadline."""
    found: Future[Any] = Future()

    def look_up() -> None:
        try:
            found.set_result(resolver(host, port))
        except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True, name="resolve-peer").start()
    records = found.result(timeout=_left(deadline))
    return list(dict.fromkeys(ipaddress.ip_address(record[4][0]) for record in records))


def _route(url: str, deadline: float) -> _Route:
    """The way to *url*, or the one refusal that tells nothing: not even whether a name exists."""
    rules = policy()
    try:
        target = _parse(url)
        addresses = (
            _resolve(target.host, target.port, deadline) if target.literal is None else [target.literal]
        )
    except (ValueError, OSError):
        raise PeerUnusable(REFUSED) from None
    if not addresses or not all(rules.passes(target.host, address, target.port) for address in addresses):
        raise PeerUnusable(REFUSED)
    return _Route(target, tuple(addresses), deadline)


# Connections that end in time


class _TooMuchError(Exception):
    """The answer is longer than is read."""


def _left(deadline: float) -> float:
    """Seconds until *deadline*; TimeoutError after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Socket(socket.socket):
    """A socket whose deadline is for all it does together, not for each read."""

    deadline: float | None = None
    budget = _WIRE_LIMIT

    def _bound(self) -> None:
        if self.deadline is not None:
            self.settimeout(_left(self.deadline))

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._bound()
        count = super().recv_into(*args, **kwargs)
        self.budget -= count
        if self.budget < 0:
            raise _TooMuchError
        return count

    def send(self, *args: Any, **kwargs: Any) -> int:
        self._bound()
        return super().send(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._bound()
        return super().sendall(*args, **kwargs)


class _TLSSocket(_Socket, ssl.SSLSocket):
    """The same under TLS."""


@functools.lru_cache(maxsize=1)
def _tls(cafile: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=cafile)
    context.sslsocket_class = _TLSSocket
    return context


def dial(address: Address, port: int, deadline: float) -> socket.socket:
    """A connection to *address* itself; the only line of the program that opens one to a peer."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    sock = _Socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(min(CONNECT_SECONDS, _left(deadline)))
        sock.connect((str(address), port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.deadline = deadline
        sock.settimeout(_left(deadline))  # a TLS handshake ends by this one
    except BaseException:
        sock.close()
        raise
    return sock


class _Connection(HTTPConnection):
    """A connection to the checked addresses. *host* stays the name: for Host, SNI, certificate."""

    def __init__(self, *args: Any, route: _Route, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._route = route

    def connect(self) -> None:
        """Connect; TLS has put a socket of its own around the dialled one."""
        super().connect()
        if isinstance(self.sock, _Socket):
            self.sock.deadline = self._route.deadline
            self._route.opened.append(self.sock)

    def _new_conn(self) -> socket.socket:
        failure: OSError = ConnectionRefusedError()
        for address in self._route.addresses:
            try:
                return dial(address, self._route.target.port, self._route.deadline)
            except OSError as error:
                failure = error
        raise failure

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """The request line, with the target as the peer gave it: *url* went through urllib3."""
        del url
        super().putrequest(method, self._route.target.target, *args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    """The same under TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """requests' transport for one call on one route. No retry."""

    def __init__(self, route: _Route) -> None:
        super().__init__()
        host, port = route.target.host, route.target.port
        self._route = route
        self._pool: urllib3.HTTPConnectionPool
        if route.target.scheme == "https":
            self._pool = _TLSPool(host, port, route=route, ssl_context=_tls(authorities))
        else:
            self._pool = _Pool(host, port, route=route)

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Any:
        """The route's own pool: the request's URL is not parsed again."""
        return self._pool

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing: the pool's context requires a certificate that bears the host's name."""

    def request_url(self, *_args: Any, **_kwargs: Any) -> str:
        """The target, not parsed again."""
        return self._route.target.target

    def close(self) -> None:
        """Close the route's connection, even where an unread answer still holds on to it."""
        self._pool.close()
        super().close()
        for sock in self._route.opened:
            descriptor = sock.detach()
            if descriptor >= 0:
                os.close(descriptor)


# Calls

_TOKEN = re.compile(r"[!-~]+")


def _request(method: str, target: _Target, token: str, body: object) -> requests.PreparedRequest:
    """The request; its URL is for requests' eyes only."""
    request = requests.PreparedRequest()
    request.method, request.url = method, target.shown
    request.headers = CaseInsensitiveDict(
        {
            "Authorization": f"Token {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "ocpi-gateway",
        }
    )
    if body is not None:
        content = orjson.dumps(body)
        request.body = content
        request.headers["Content-Type"] = "application/json"
        request.headers["Content-Length"] = str(len(content))
    return request


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (_TooMuchError, "more than 2 MiB"),
    (TimeoutError, "timed out"),
    (ConnectionRefusedError, "connection refused"),
    (ssl.SSLCertVerificationError, "certificate not accepted"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionError, "connection broken off"),
)


def _words(error: BaseException) -> str:
    """What happened, from the first of the nested errors that says so."""
    link: BaseException | None = error
    while link is not None:
        for kind, words in _WORDS:
            if isinstance(link, kind):
                return words
        link = link.__cause__ or link.__context__
    return "no complete HTTP answer"


@contextlib.contextmanager
def _exchange(method: str, url: str, token: str, body: object) -> Iterator[tuple[requests.Response, str]]:
    """Send a request; hand over the answer, its body unread, and what to call the exchange."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("A token is printable ASCII without spaces.")
    seconds = settings().peer_timeout_seconds
    route = _route(url, time.monotonic() + seconds)
    request, name = _request(method, route.target, token, body), f"{method} {route.target.shown}"
    try:
        with (
            contextlib.closing(_Adapter(route)) as adapter,
            adapter.send(request, stream=True, timeout=seconds) as response,
        ):
            _accept_status(name, response.status_code)
            yield response, name
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        _TooMuchError,
    ) as error:
        raise PeerUnusable(f"{name}: {_words(error)}") from None


def _accept_status(name: str, status: int) -> None:
    """Let 2xx and 4xx pass; 4xx because an OCPI refusal comes with either."""
    if status in {401, 403}:
        raise PeerUnauthorized(f"{name}: HTTP {status}")
    if status // 100 not in {2, 4}:
        raise PeerUnusable(f"{name}: HTTP {status}")


def _content(name: str, response: requests.Response) -> bytes:
    """The body as it was sent, at most BODY_LIMIT bytes."""
    coding = response.headers.get("Content-Encoding", "")
    if coding.strip().lower() not in {"", "identity"}:
        raise PeerUnusable(f"{name}: the answer is compressed")
    content = bytearray()
    for piece in response.raw.stream(65536, decode_content=False):
        content += piece
        if len(content) > BODY_LIMIT:
            raise _TooMuchError
    return bytes(content)


def _envelope(name: str, status: int, content: bytes) -> dict[str, Any]:
    try:
        envelope = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise PeerUnusable(f"{name}: HTTP {status}, not JSON") from None
    # type(), as True is an int too
    if not isinstance(envelope, dict) or type(envelope.get("status_code")) is not int:
        raise PeerUnusable(f"{name}: HTTP {status}, no OCPI envelope")
    return envelope


def check(url: str) -> None:
    """Raise unless the address policy lets *url* be called. Resolves, connects to nothing.

    Raises:
        PeerUnusable: it does not; the message is the same whatever the reason.
    """
    _route(url, time.monotonic() + settings().peer_timeout_seconds)


def call(method: str, url: str, token: str, body: object = None) -> Answer:
    """Call a peer's OCPI interface; read its envelope leniently.

    A *body* of None sends none; an orjson.Fragment in it goes out byte for byte.

    Raises:
        PeerUnauthorized: HTTP 401 or 403.
        PeerUnusable: any other end than HTTP 2xx or 4xx with an envelope.
        ValueError: the token cannot stand in a header.
    """
    with _exchange(method, url, token, body) as (response, name):
        envelope = _envelope(name, response.status_code, _content(name, response))
        message = envelope.get("status_message")
        return Answer(
            http_status=response.status_code,
            status_code=envelope["status_code"],
            status_message=message if isinstance(message, str) else "",
            data=envelope.get("data"),
            headers={key.lower(): value for key, value in response.headers.items()},
        )


def call_unwrapped(method: str, url: str, token: str, body: object) -> int:
    """Call a peer's URL that answers without an envelope; only the HTTP status is read.

    Spec: 2.1.1 mod_commands: the result goes to response_url, whose answer has no body.

    Raises:
        PeerUnauthorized: HTTP 401 or 403.
        PeerUnusable: any other end than HTTP 2xx or 4xx.
        ValueError: the token cannot stand in a header.
    """
    with _exchange(method, url, token, body) as (response, _):
        return response.status_code
