"""Slow clients: 300 half-sent headers, then 20 half-sent bodies of a peer; is anybody else served?"""

import argparse
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import requests

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from nodes import Client, Node, free_port, switch_to  # noqa: E402  (found by the line above)

HEADERS, BODIES, SECONDS = 300, 20, 45


def main() -> None:
    """Measure, and write what was seen."""
    parser = argparse.ArgumentParser(prog="scripts/slow", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measurements/slow.md")
    out = parser.parse_args().out
    lines = [
        "# Slow clients",
        "",
        "Command: `scripts/slow`. One process, four threads, nothing in front.",
        "",
        "| connections | others are served meanwhile | still open after 45 s |",
        "| --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as place:
        environment = {
            "OCPI_GATEWAY_DATA_DIR": place,
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_DEMO": "0",
        }
        with switch_to(environment), Node(environment) as node:
            peer = node.network("EMSP", ("NL", "DEP")).peer()
            for what, request, count in (
                ("half a header", b"GET /ocpi/versions HTTP/1.1\r\nHost: x\r\nX-A: ", HEADERS),
                ("half a body, registered peer", half_a_body(peer), BODIES),
            ):
                print(f"{count} x {what} ...", file=sys.stderr, flush=True)
                lines.append(row(node, what, request, count))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print(out.read_text())


def half_a_body(peer: Client) -> bytes:
    """A PUT that promises more than it sends."""
    return (
        "PUT /ocpi/emsp/2.1.1/locations/NL/TNM/X HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Token {peer.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()


def row(node: Node, what: str, request: bytes, count: int) -> str:
    """Open *count* connections that send *request* and no more; a line of the table."""
    with held(node, request, count) as connections:
        time.sleep(1)
        served = "yes" if all(answers(node) for _ in range(3)) else "**no**"
        time.sleep(SECONDS)
        still = sum(map(is_open, connections))
    return f"| {count} x {what} | {served} | {still} |"


@contextlib.contextmanager
def held(node: Node, request: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Connections that have sent *request*."""
    port = int(node.url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(request)
            connections.append(connection)
        yield connections


def answers(node: Node) -> bool:
    """Does the node answer within five seconds."""
    try:
        return requests.get(f"{node.url}/health", timeout=5).ok
    except requests.RequestException:
        return False


def is_open(connection: socket.socket) -> bool:
    """Has the server left the connection open."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
