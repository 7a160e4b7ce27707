"""HTTP by hand, for what a proper client refuses to send."""

import json
import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import recording


@dataclass(frozen=True)
class Answer:
    """The first answer on a connection, and how many answers there were."""

    status: int
    headers: dict[str, str]
    body: bytes
    count: int

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


def exchange(
    node_url: str,
    head: bytes,
    *lines: bytes,
    body: bytes = b"",
    wait: bool = False,
    connection: bytes = b"close",
    host: bytes | None = None,
) -> Answer:
    """Send a request as it is, and read until the server closes; *wait* for 100 Continue first.

    *host*: the Host lines, if not one with the server's address.
    """
    address = urlsplit(node_url)
    first = f"Host: {address.netloc}\r\n".encode() if host is None else host
    last = b"Connection: " + connection
    request = head + first + b"".join(line + b"\r\n" for line in (*lines, last)) + b"\r\n"
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=20) as wire:
        wire.sendall(request if wait else request + body)
        received = b""
        if wait:
            received = wire.recv(65_536)
            assert received.startswith(b"HTTP/1.1 100 "), received
            received = received.partition(b"\r\n\r\n")[2]
            wire.sendall(body)
        while chunk := wire.recv(65_536):
            received += chunk
    header, _, content = received.partition(b"\r\n\r\n")
    status, *named = header.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in named)
    answer = Answer(
        int(status.split(" ")[1]),
        {name.lower(): value for name, value in headers.items()},
        content,
        len(re.findall(rb"HTTP/1\.[01] \d{3} ", received)),
    )
    if recording.RECORDER is not None:
        recording.RECORDER.answered("raw", f"{node_url}/", answer.status, answer.body)
    return answer
