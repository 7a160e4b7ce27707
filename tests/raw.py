"""HTTP by hand, for what a proper client refuses to send."""

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


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


def exchange(node_url: str, head: bytes, *lines: bytes, body: bytes = b"", wait: bool = False) -> Answer:
    """Send a request as it is given, and read until the server closes; *wait* for 100 Continue first."""
    address = urlsplit(node_url)
    host = f"Host: {address.netloc}\r\n".encode()
    request = head + host + b"".join(line + b"\r\n" for line in (*lines, b"Connection: close")) + b"\r\n"
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=10) as connection:
        connection.sendall(request if wait else request + body)
        received = b""
        if wait:
            received = connection.recv(65_536)
            assert received.startswith(b"HTTP/1.1 100 "), received
            received = received.partition(b"\r\n\r\n")[2]
            connection.sendall(body)
        while chunk := connection.recv(65_536):
            received += chunk
    header, _, content = received.partition(b"\r\n\r\n")
    status, *named = header.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in named)
    return Answer(
        int(status.split(" ")[1]),
        {name.lower(): value for name, value in headers.items()},
        content,
        received.count(b"HTTP/1.1 "),
    )
