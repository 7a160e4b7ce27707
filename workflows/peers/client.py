"""The HTTP client for calls to peers, at addresses that workflows/peers/addresses.py allows.

The socket connects to the checked address itself, and a kept connection stays with that address. The URL
parsing, redirects, cookies, netrc and proxies of requests are not used, so its adapter is used without a
Session.

Spec: 2.1.1 transport_and_format.
"""

import contextlib
import functools
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection

from errors import PeerUnusable
from openapi.field_types import Model
from settings import settings
from workflows.peers import exchanges
from workflows.peers.addresses import Address, Target, left, parse, resolve
from workflows.peers.exchange_rows import Observed
from workflows.peers.exchanges import Origin

BODY_LIMIT = 2 * 1024 * 1024
CONNECT_SECONDS = 3.0

# The most bytes of a whole response: a body in small chunks, headers and trailers.
_WIRE_LIMIT = 4 * BODY_LIMIT

#: The file of the authorities that may sign a peer's certificate.
authorities: str = DEFAULT_CA_BUNDLE_PATH


class CallFailed(PeerUnusable):
    """A call has no usable response. *http_status*: None without any; *retry_after*: in seconds."""

    def __init__(
        self, message: str, http_status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after = retry_after


class PeerUnauthorized(CallFailed):
    """The peer does not accept the token: HTTP 401 or 403."""


@dataclass(frozen=True)
class Answer:
    """A peer's response with its OCPI envelope. Header names are in lower case."""

    http_status: int
    status_code: int | None
    status_message: str
    data: Any
    headers: Mapping[str, str]


# Connections with a deadline


class _TooMuchError(Exception):
    """The response is larger than the limit."""


class _Socket(socket.socket):
    """A socket with one deadline for all of its operations together, not for each read."""

    deadline: float | None = None
    budget = _WIRE_LIMIT

    def _bound(self) -> None:
        if self.deadline is not None:
            self.settimeout(left(self.deadline))

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
    """The same with TLS."""


@functools.lru_cache(maxsize=1)
def _tls(cafile: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=cafile)
    context.sslsocket_class = _TLSSocket
    return context


def dial(address: Address, port: int, deadline: float) -> socket.socket:
    """Connect to *address*. No other code of the program opens a connection to a peer."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    sock = _Socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(min(CONNECT_SECONDS, left(deadline)))
        sock.connect((str(address), port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.deadline = deadline
        sock.settimeout(left(deadline))  # bounds the TLS handshake
    except BaseException:
        sock.close()
        raise
    return sock


@dataclass
class _Route:
    """The call that a connection serves now. *sock*: the open socket."""

    target: Target
    deadline: float
    sock: _Socket | None = None


class _Connection(HTTPConnection):
    """A connection to the checked addresses. *host* stays the name, for Host, SNI and the certificate."""

    def __init__(self, *args: Any, route: _Route, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._route = route

    def connect(self) -> None:
        """Connect, and set the deadline on the final socket, because TLS wraps the dialed one in another."""
        super().connect()
        if isinstance(self.sock, _Socket):
            self.sock.deadline = self._route.deadline
            self._route.sock = self.sock

    def _new_conn(self) -> socket.socket:
        target, deadline = self._route.target, self._route.deadline
        failure: OSError = ConnectionRefusedError()
        for address in resolve(target, deadline):
            try:
                return dial(address, target.port, deadline)
            except OSError as error:
                failure = error
        raise failure

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Write the request line with the peer's unchanged target; urllib3 has normalized *url*."""
        del url
        super().putrequest(method, self._route.target.target, *args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    """The same with TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """The transport of requests to one scheme, host and port, without retries; one call at a time."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._route = _Route(target, 0)
        self._pool: urllib3.HTTPConnectionPool
        if target.scheme == "https":
            context = _tls(authorities)
            self._pool = _TLSPool(target.host, target.port, route=self._route, ssl_context=context)
        else:
            self._pool = _Pool(target.host, target.port, route=self._route)

    def begin(self, target: Target, deadline: float) -> None:
        """Begin a call. A kept connection gets its deadline and a new limit of bytes."""
        self._route.target, self._route.deadline = target, deadline
        if self._route.sock is not None:
            self._route.sock.deadline, self._route.sock.budget = deadline, _WIRE_LIMIT

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> Any:
        """The adapter's pool, so that the request's URL is not parsed again."""
        return self._pool

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: the pool's context already requires a certificate for the host's name."""

    def request_url(self, *_args: Any, **_kwargs: Any) -> str:
        """The unchanged target."""
        return self._route.target.target

    def close(self) -> None:
        """Close the connection, even if an unread response still refers to it."""
        self._pool.close()
        super().close()
        descriptor = -1 if self._route.sock is None else self._route.sock.detach()
        if descriptor >= 0:
            os.close(descriptor)


class KeptConnections:
    """Connections to one peer that stay open between calls. One thread at a time uses them."""

    def __init__(self) -> None:
        self._adapters: dict[tuple[str, str, int], _Adapter] = {}

    @contextlib.contextmanager
    def adapter(self, target: Target) -> Iterator[_Adapter]:
        """The adapter for *target*. It is closed and forgotten if the call fails."""
        origin = target.scheme, target.host, target.port
        adapter = self._adapters.pop(origin, None) or _Adapter(target)
        try:
            yield adapter
        except BaseException:
            adapter.close()
            raise
        self._adapters[origin] = adapter

    def close(self) -> None:
        """Close every connection."""
        while self._adapters:
            self._adapters.popitem()[1].close()


# Calls

_TOKEN = re.compile(r"[!-~]+")
_MAX_DIGITS = 10


def _request(
    method: str, target: Target, token: str, body: object, origin: Origin | None, *, is_kept: bool
) -> requests.PreparedRequest:
    """The request. requests needs its URL, but the connection does not use it."""
    request = requests.PreparedRequest()
    request.method, request.url = method, target.display
    request.headers = CaseInsensitiveDict(
        {
            "Authorization": f"Token {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "ocpi-gateway",
        }
    )
    if not is_kept:
        request.headers["Connection"] = "close"
    if origin is not None:
        request.headers["X-Request-ID"] = origin.request_id
    if body is not None:
        content = body.json_text().encode() if isinstance(body, Model) else orjson.dumps(body)
        request.body = content
        request.headers["Content-Type"] = "application/json"
        request.headers["Content-Length"] = str(len(content))
    return request


_DESCRIPTIONS: tuple[tuple[type[BaseException], str], ...] = (
    (_TooMuchError, "more than 2 MiB"),
    (TimeoutError, "timed out"),
    (ConnectionRefusedError, "connection refused"),
    (ssl.SSLCertVerificationError, "certificate not accepted"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionError, "connection broken off"),
)


def _description(error: BaseException) -> str:
    """A description of the failure, from the first of the nested errors that has one."""
    cause: BaseException | None = error
    while cause is not None:
        for kind, description in _DESCRIPTIONS:
            if isinstance(cause, kind):
                return description
        cause = cause.__cause__ or cause.__context__
    return "no complete HTTP answer"


_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, _TooMuchError)
"""The errors of a call that gets no complete answer."""


@contextlib.contextmanager
def _exchange(
    method: str,
    url: str,
    token: str,
    body: object,
    origin: Origin | None,
    deadline: float | None = None,
    kept: KeptConnections | None = None,
) -> Iterator[tuple[requests.Response, str, Observed]]:
    """Send a request; yields the response with its body unread, a name for messages, and what is recorded."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("A token is printable ASCII without spaces.")
    target = parse(url)
    request = _request(method, target, token, body, origin, is_kept=kept is not None)
    name = f"{method} {target.display}"
    adapters = kept.adapter(target) if kept else contextlib.closing(_Adapter(target))
    with exchanges.outgoing(origin, method, url, request.headers, request.body) as observed:
        try:
            with adapters as adapter:
                adapter.begin(target, _end_of_call(deadline))
                seconds = settings().peer_timeout_seconds
                with adapter.send(request, stream=True, timeout=seconds) as response:
                    observed.answer(response.status_code, list(response.headers.items()))
                    _accept_status(name, response, observed)
                    yield response, name, observed
        except _FAILURES as error:
            observed.error = _description(error)
            raise CallFailed(f"{name}: {observed.error}") from None


def _accept_status(name: str, response: requests.Response, observed: Observed) -> None:
    """Raise unless the status is 2xx or 4xx. An OCPI refusal may come with either."""
    status = response.status_code
    if status not in {401, 403} and status // 100 in {2, 4}:
        return
    with contextlib.suppress(*_FAILURES, CallFailed):  # the body only explains the status
        observed.read(_content(name, response))
    if status in {401, 403}:
        raise PeerUnauthorized(f"{name}: HTTP {status}", status)
    raise CallFailed(f"{name}: HTTP {status}", status, retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, or None. The form with a date is ignored. RFC 9110 10.2.3."""
    value = headers.get("retry-after", "").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < _MAX_DIGITS else None


def _content(name: str, response: requests.Response) -> bytes:
    """The body, at most BODY_LIMIT bytes."""
    coding = response.headers.get("Content-Encoding", "")
    if coding.strip().lower() not in {"", "identity"}:
        raise CallFailed(f"{name}: the answer is compressed", response.status_code)
    content = bytearray()
    for chunk in response.raw.stream(65536, decode_content=False):
        content += chunk
        if len(content) > BODY_LIMIT:
            raise _TooMuchError
    return bytes(content)


def _envelope(name: str, status: int, content: bytes) -> dict[str, Any]:
    try:
        envelope = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise CallFailed(f"{name}: HTTP {status}, not JSON", status) from None
    # type(), because isinstance(True, int) holds
    if not isinstance(envelope, dict) or type(envelope.get("status_code")) is not int:
        raise CallFailed(f"{name}: HTTP {status}, no OCPI envelope", status)
    return envelope


def _end_of_call(deadline: float | None) -> float:
    """The deadline of a call that starts now: PEER_TIMEOUT_SECONDS from now, or *deadline* if earlier."""
    end = time.monotonic() + settings().peer_timeout_seconds
    return end if deadline is None else min(end, deadline)


def check(url: str, deadline: float | None = None) -> None:
    """Resolve *url* and check it against the address policy, without connecting.

    Raises:
        PeerUnusable: the policy refuses the URL; the message is the same for every reason.
    """
    resolve(parse(url), _end_of_call(deadline))


def call(
    method: str,
    url: str,
    token: str,
    body: object = None,
    deadline: float | None = None,
    kept: KeptConnections | None = None,
    *,
    origin: Origin | None = None,
) -> Answer:
    """Call a peer's OCPI interface and read its envelope leniently.

    With a *body* of None the request has no body. An orjson.Fragment in it is sent byte for byte. *deadline*:
    an instant of time.monotonic() that bounds several calls together. *kept*: connections to use and to keep.
    *origin*: the network and the peer of the call; without it the call is not recorded.

    Raises:
        PeerUnauthorized: HTTP 401 or 403.
        CallFailed: any outcome but HTTP 2xx or 4xx with an envelope.
        AddressRefused: the policy refuses the URL or an address.
        ValueError: the token is not valid in a header.
    """
    with _exchange(method, url, token, body, origin, deadline, kept) as (response, name, observed):
        content = _content(name, response)
        observed.read(content)
        envelope = _envelope(name, response.status_code, content)
        message = envelope.get("status_message")
        return Answer(
            http_status=response.status_code,
            status_code=envelope["status_code"],
            status_message=message if isinstance(message, str) else "",
            data=envelope.get("data"),
            headers={key.lower(): value for key, value in response.headers.items()},
        )


def call_unwrapped(method: str, url: str, token: str, body: object, *, origin: Origin | None = None) -> int:
    """Call a peer's URL that responds without an envelope; only the HTTP status is read.

    Spec: 2.1.1 mod_commands: the result goes to response_url, whose response has no body.

    Raises:
        PeerUnauthorized: HTTP 401 or 403.
        PeerUnusable: any outcome but HTTP 2xx or 4xx.
        ValueError: the token is not valid in a header.
    """
    with _exchange(method, url, token, body, origin) as (response, _, _):
        return response.status_code
