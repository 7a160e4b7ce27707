"""The HTTP server: waitress, with deadlines for slow clients and the program's form of refusals.

One thread reads all connections. A request reaches one of the request threads once it is complete.
docs/architecture.md "The server"; Security S19, S26, S39, S51.
"""

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask
from waitress.utilities import RequestEntityTooLarge

import errors
from settings import settings

REFUSAL = "ocpi_gateway.refusal"
"""The key of the WSGI environment with the reason why the program must refuse the request, or None."""

BACKLOG = 2048
REQUEST_SECONDS = 30
"""The longest time from the first byte of a request to its last."""
IDLE_SECONDS = 10
CROWDED = 0.9
"""Above this share of the connection limit, connections without a complete request end after
`CROWDED_SECONDS`. Otherwise clients that send a byte now and then would block all others."""
CROWDED_SECONDS = 1
_HEADER_BYTES = 32_768
_FOLDED_LINE = re.compile(rb"\r\n[ \t]")
_TRANSFER_ENCODING = re.compile(rb"(?im)^transfer-encoding:")

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Parser(HTTPRequestParser):
    """Parses a request. An invalid one is still passed to the program, which refuses it."""

    command, path, request_uri, query, url_scheme = (
        "GET",
        "/",
        "/",
        "",
        "http",
    )  # if the first line is unreadable
    refusal: errors.Refusal | None = None

    def received(self, data: bytes) -> int:
        """Parse bytes of the request; returns how many of them belong to it."""
        consumed: int = super().received(data)
        if self.error is not None:
            self.refusal, self.error = _refusal(self.error), None
            self.expect_continue = False  # otherwise waitress would request the body
            self.headers["CONNECTION"] = "close"  # the start of the next request is unknown
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers.

        Raises:
            ParsingError: they are not valid HTTP/1.0 or 1.1, or are ambiguous.
        """
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a URL or a number that Python cannot parse
            raise ParsingError("The request line or a header is invalid") from error
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("The server speaks HTTP/1.0 and HTTP/1.1")
        if _FOLDED_LINE.search(header_plus):  # waitress unfolds it; RFC 9112 5.2
            raise ParsingError("A header is folded over several lines")
        host = self.headers.get("HOST")
        if (host is None and self.version == "1.1") or "," in (host or ""):  # waitress joins two with a comma
            raise ParsingError("Send one Host header")  # RFC 9112 3.2
        # RFC 9112 6.1 and 6.3: behind a proxy that reads the other header, the body would be a request.
        is_framed_twice = "CONTENT_LENGTH" in self.headers or self.version == "1.0"
        if is_framed_twice and _TRANSFER_ENCODING.search(header_plus):
            raise ParsingError("Send either Content-Length or, with HTTP/1.1, Transfer-Encoding")


def _refusal(error: Any) -> errors.Refusal:
    """The refusal for an error of waitress, whose own text would repeat what was sent."""
    if isinstance(error, RequestEntityTooLarge):
        limit = settings().body_limit
        return errors.TooLarge(f"The body is larger than {limit} bytes; split it into several requests.")
    reason = error.body.partition('"')[0].strip()
    return errors.BadRequest(f"{error.reason}: {reason}.")


class _Task(WSGITask):
    """Calls the program."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[REFUSAL] = self.request.refusal
        return environ


class _Channel(HTTPChannel):
    """One connection; it records since when it has been waiting for a complete request."""

    parser_class = _Parser
    task_class = _Task
    first_byte: float | None = None
    """When the incomplete request began."""
    must_linger = False
    is_lingering = False

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.waiting_since: float = self.creation_time

    def received(self, data: bytes) -> bool:
        """Receive bytes from the client."""
        if self.first_byte is None:
            self.first_byte = time.time()
        return not self.is_lingering and bool(super().received(data))

    def service(self) -> None:
        """Serve one request.

        Pipelined requests are dropped and the connection ends, as RFC 9112 9.3.2 allows: otherwise a thread
        would wait until the client has read the earlier responses.
        """
        with self.requests_lock:
            if len(self.requests) > 1 or self.server.is_stopping:
                self.requests[0].headers["CONNECTION"] = "close"
            self.must_linger = self.requests[0].refusal is not None
        super().service()
        self.first_byte = None
        self.waiting_since = time.time()

    def handle_close(self) -> None:
        """Close the connection.

        After a refusal only a second call closes it, from the client or from `maintenance`. Until then the
        rest of the request is discarded, so that the client can read the response. RFC 9112 9.6.
        """
        if self.must_linger and self.socket is not None:
            self.must_linger, self.is_lingering = False, True
            self.will_close = self.close_when_flushed = False
            with contextlib.suppress(OSError):  # the client is gone already
                self.socket.shutdown(socket.SHUT_WR)
            return
        super().handle_close()

    def is_late(self, now: float, *, crowded: bool) -> bool:
        """Whether the client took too long to send a request or to read a response."""
        if self.requests:
            return False
        if crowded and now - self.waiting_since > CROWDED_SECONDS:
            return True
        return self.first_byte is not None and now - self.first_byte > REQUEST_SECONDS


class Server(TcpWSGIServer):
    """Serves a WSGI application on a socket until it is stopped."""

    channel_class = _Channel

    def __init__(self, application: Wsgi, listening: socket.socket, threads: int, connections: int) -> None:
        self.is_stopping = False
        self._poll_began = self._last_poll_began = time.time()
        adjustments = Adjustments(
            threads=threads,
            connection_limit=connections,
            backlog=BACKLOG,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            asyncore_use_poll=True,
            max_request_header_size=_HEADER_BYTES,
            max_request_body_size=settings().body_limit + 1,  # it refuses a body of exactly this size
            ident="",  # Security S39
            log_socket_errors=False,  # broken connections of clients are normal
            clear_untrusted_proxy_headers=False,  # the program does not read them
        )
        address = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(application, _sock=listening, adj=adjustments, sockinfo=address, bind_socket=False)

    def handle_accept(self) -> None:
        """Accept all waiting connections at once, because polling thousands for each one takes seconds."""
        count = -1
        while count != len(self._map) < self.adj.connection_limit:
            count = len(self._map)
            super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Close the connections of slow clients; once a second."""
        super().maintenance(now)
        crowded = len(self.active_channels) >= CROWDED * self.adj.connection_limit
        for channel in self.active_channels.values():
            # Compared with the last poll, because bytes that arrived since have not been read yet.
            if channel.is_late(self._last_poll_began, crowded=crowded):
                channel.will_close = True

    def stop(self) -> None:
        """Make `run` return soon; safe in a signal handler."""
        self.is_stopping = True
        self.pull_trigger()

    def run(self) -> None:
        """Serve until `stop` is called."""
        while not self.is_stopping:
            self._poll()

    def drain(self, seconds: float) -> None:
        """Stop accepting, and let running requests finish for at most *seconds*."""
        wasyncore.dispatcher.close(self)
        deadline = time.monotonic() + seconds
        while self._close_idle_channels() and time.monotonic() < deadline:
            self._poll()
        self.task_dispatcher.shutdown(timeout=1)

    def _poll(self) -> None:
        self._last_poll_began, self._poll_began = self._poll_began, time.time()
        wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)

    def _close_idle_channels(self) -> bool:
        """Close every connection without a running request; True if others remain."""
        for channel in list(self.active_channels.values()):
            if not channel.requests and not channel.total_outbufs_len:
                channel.handle_close()
        return bool(self.active_channels)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. It is opened first, so that two servers never share a port.

    Raises:
        OSError: the port is taken, or this host does not have the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::")
