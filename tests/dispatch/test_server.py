"""The server: the requests that it refuses, its port, and its shutdown."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from bulk import ENDED, check_results, count_settled, order_job
from command_line import Done, run_module
from crashable_node import CrashableNode, environment, until
from migrated import new_database
from nodes import ROOT, Network, Node, Process, clean_environment, free_port, launch, one_database
from peers import PeerServer, envelope
from raw import exchange

GRACE_SECONDS = 15
"""The longest that a stop may take."""


def address(node: Node) -> tuple[str, int]:
    """The address at which a node listens."""
    return "127.0.0.1", int(node.environment["OCPI_GATEWAY_PORT"])


# Requests


@one_database
@pytest.mark.parametrize("path", ["/ocpi/cpo/versions", "/ocpi/cpos", "/health", "/nothing"])
@pytest.mark.parametrize(
    "host", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nHost: b\r\n", b"Host: a, b\r\n"]
)
def test_a_request_without_exactly_one_host_is_400(node: Node, path: str, host: bytes) -> None:
    response = exchange(node.url, f"GET {path} HTTP/1.1\r\n".encode(), host=host)

    assert (400, 1) == (response.status, response.count)
    assert "one Host header" in response.json.get("detail", response.json.get("status_message"))
    assert ("detail" in response.json) == (path == "/ocpi/cpos")


def test_http_1_0_needs_no_host(node: Node) -> None:
    assert 200 == exchange(node.url, b"GET /health HTTP/1.0\r\n", host=b"").status


@pytest.mark.parametrize("values", ["{0}|Token {0}", "Token {0}|Token {0}", "Token {0}|", "|Token {0}"])
def test_two_authorization_headers_are_401(cpo: Network, values: str) -> None:
    """Security S14."""
    lines = [f"Authorization: {each}".encode() for each in values.format(cpo.peer().token).split("|")]

    assert 401 == exchange(cpo.node.url, b"GET /ocpi/cpo/versions HTTP/1.1\r\n", *lines).status


@one_database
@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/2.0", b"GET / HTTP/3.0", b"GET / HTTP/0.9", b"GET /", b"GET http://[ HTTP/1.1",
        b"get / HTTP/1.1", b"GET / HTTP/1.1 x", b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\r\nX Y: z", b"GET / HTTP/1.1\r\nContent-Length: -1",
        b"GET / HTTP/1.1\r\nContent-Length: 1, 1",
        b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000, b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b'GET / HTTP/1.1\r\n"><script>alert(1)</script>',
    ],
)  # fmt: skip
def test_invalid_http_is_400_and_is_not_echoed(node: Node, request_line: bytes) -> None:
    response = exchange(node.url, request_line + b"\r\n", b"Expect: 100-continue", connection=b"keep-alive")

    assert (400, 2000, 1) == (response.status, response.json["status_code"], response.count)
    assert ("application/json", "nosniff", "close") == tuple(
        response.headers[name] for name in ("content-type", "x-content-type-options", "connection")
    )
    assert "script" not in response.json["status_message"]
    assert "server" not in response.headers


def test_http_2_with_prior_knowledge_is_refused_in_http_1(node: Node) -> None:
    """HTTP/2 frames are never parsed as a request."""
    settings_frame = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with socket.create_connection(address(node), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_frame * 100)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk

    assert received.startswith(b"HTTP/1.0 400 ")
    assert 1 == received.count(b"status_code")


def test_no_response_names_the_server(node: Node) -> None:
    """Security S39."""
    for path in ("/health", "/ocpi/versions", "/docs/swagger-ui.css", "/nothing"):
        headers = requests.get(f"{node.url}{path}", timeout=9).headers
        assert not {"Server", "Via", "X-Powered-By"} & headers.keys()


def test_a_413_reaches_a_client_that_is_still_sending(node: Node) -> None:
    """The server keeps reading for a while, because a reset would discard the response."""
    with socket.create_connection(address(node), timeout=20) as connection:
        connection.sendall(b"PUT /ocpi/cpo/2.1.1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n")
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        connection.sendall(b"x" * 20_000_000)

    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"4194304 bytes; split it" in received


def test_pipelined_requests_get_one_response(node: Node) -> None:
    """Otherwise a client that reads no responses would hold a thread."""
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

    response = exchange(node.url, request + b"GET /health HTTP/1.1\r\n", connection=b"keep-alive")

    assert (200, 1, "close") == (response.status, response.count, response.headers["connection"])


# The port


def start(changes: dict[str, str], folder: Path) -> Done:
    """A start that is expected to fail."""
    settings = {"OCPI_GATEWAY_DATA_DIR": str(folder / "data"), "OCPI_GATEWAY_PORT": str(free_port())}
    return run_module({**clean_environment(), **settings, **changes}, "handlers.dispatch.serve")


@one_database
@pytest.mark.parametrize("taken_by", ["a node", "a socket that reuses addresses and ports"])
def test_a_taken_port_is_refused_before_anything_is_created(
    node: Node, tmp_path: Path, taken_by: str
) -> None:
    with socket.socket() as other:
        port = address(node)[1]
        if taken_by != "a node":
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
        result = start({"OCPI_GATEWAY_PORT": str(port)}, tmp_path)

    assert (1, "") == (result.returncode, result.stdout)
    assert f"Port {port} is taken" in result.stderr
    assert "OCPI_GATEWAY_PORT" in result.stderr
    assert 1 == result.stderr.count("\n")
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_machine_is_refused_in_one_line(tmp_path: Path) -> None:
    result = start({"OCPI_GATEWAY_HOST": "192.0.2.1"}, tmp_path)

    assert (1, 1) == (result.returncode, result.stderr.count("\n"))
    assert "OCPI_GATEWAY_HOST" in result.stderr


def test_a_removed_setting_is_refused(tmp_path: Path) -> None:
    result = start({"OCPI_GATEWAY_WORKERS": "2"}, tmp_path)

    assert (1, 1) == (result.returncode, result.stderr.count("\n"))
    assert "several instances on one PostgreSQL" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_connection_limit_above_the_limit_of_open_files_is_lowered(tmp_path: Path) -> None:
    settings = {
        "OCPI_GATEWAY_DATA_DIR": str(tmp_path / "data"),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
    }
    command = [
        "/bin/sh",
        "-c",
        f"ulimit -Sn 256; ulimit -Hn 500; exec {sys.executable} -m handlers.dispatch.serve",
    ]
    with running(command, settings, tmp_path) as (process, log):
        (line,) = [each for each in log.read_text().splitlines() if "connection_limit_lowered" in each]
        assert (300, 500) == (json.loads(line)["connection_limit"], json.loads(line)["open_files"])
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert ["500", "500"] == limits.partition("Max open files")[2].split()[:2]


# Shutdown


@contextlib.contextmanager
def running(command: list[str], settings: dict[str, str], folder: Path) -> Iterator[tuple[Process, Path]]:
    """A process that responds, and its log."""
    log = folder / "log"
    with log.open("a") as stderr:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean_environment(), **settings},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                if requests.get(f"http://127.0.0.1:{settings['OCPI_GATEWAY_PORT']}/health", timeout=5).ok:
                    break
            time.sleep(0.1)
        yield process, log
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def shut_down(node: Node, number: int = signal.SIGTERM) -> tuple[int | None, float]:
    """Signal a node; returns its exit code and the seconds until it ended."""
    process = node._process
    assert process is not None
    began = time.monotonic()
    process.send_signal(number)
    process.wait(60)
    return process.returncode, time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_node_shuts_down_at_once(another_node: Callable[..., Node], number: int) -> None:
    node = another_node(demo="0")
    with socket.create_connection(address(node)), socket.create_connection(address(node)) as half:
        half.sendall(b"PUT /ocpi/cpo/2.1.1/tokens/NL/TNM/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        with requests.Session() as session:
            assert session.get(f"{node.url}/health", timeout=5).ok

            code, seconds = shut_down(node, number)

    assert 0 == code
    assert seconds < GRACE_SECONDS / 2
    assert "Traceback" not in node.log
    assert not is_listening(node)


class Registration:
    """A registration with a new node. The peer responds once `peer_may_answer` is set."""

    def __init__(self, node: Node, peer: PeerServer) -> None:
        self.responses: list[requests.Response] = []
        self.peer_may_answer = threading.Event()
        peer_was_called = threading.Event()

        def versions(_: object) -> tuple[int, object]:
            peer_was_called.set()
            self.peer_may_answer.wait(60)
            return 200, envelope([])

        peer.answers["/versions"] = versions
        token = next(word for word in node.banner.split() if word.startswith("a_"))
        client = node.client(token, "cpo")  # the demo CPO comes first in the banner

        def register() -> None:
            with contextlib.suppress(requests.RequestException):
                self.responses.append(client.post("credentials", peer.credentials()))

        self.thread = threading.Thread(target=register)
        self.thread.start()
        assert peer_was_called.wait(20)


def test_a_running_request_is_answered_before_shutdown(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    node = another_node(peer_timeout_seconds="60")
    registration = Registration(node, peer)
    assert node._process is not None

    node._process.send_signal(signal.SIGTERM)
    until(lambda: not is_listening(node))
    registration.peer_may_answer.set()
    node._process.wait(30)
    registration.thread.join(30)

    assert 0 == node._process.returncode
    assert [3002] == [response.json()["status_code"] for response in registration.responses]
    assert "Traceback" not in node.log


def test_a_request_that_does_not_end_delays_shutdown_by_less_than_15_seconds(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    node = another_node(peer_timeout_seconds="60")
    registration = Registration(node, peer)

    code, seconds = shut_down(node)
    registration.peer_may_answer.set()
    registration.thread.join(30)

    assert (0, []) == (code, registration.responses)
    assert 5 < seconds < GRACE_SECONDS + 3
    assert "Traceback" not in node.log


def is_listening(node: Node) -> bool:
    """Whether a node accepts connections."""
    try:
        socket.create_connection(address(node)).close()
    except ConnectionRefusedError:
        return False
    return True


@one_database
def test_a_job_stops_between_two_steps_and_continues_after_the_next_start(
    database_url: str, tmp_path: Path
) -> None:
    node = CrashableNode(environment(new_database(database_url, tmp_path), str(tmp_path)))
    with contextlib.ExitStack() as stack:
        stack.callback(node.kill)
        node.start()
        job = order_job(node, 300)
        until(lambda: count_settled(node, job))

        code, seconds = shut_down(node)

        assert (0, True) == (code, seconds < GRACE_SECONDS)
        assert "Traceback" not in node.log
        assert 0 < count_settled(node, job) < 300
        node.start()
        until(lambda: node.read(job.status_url)["status"] in ENDED, 120)
        assert [] == check_results(node, job)


def test_an_interrupted_start_ends(tmp_path: Path) -> None:
    """At any moment: a launch first imports for about two seconds, a fork does not."""
    fork = Node.fork or launch
    moments = (launch, 0.05), (launch, 1.0), (fork, 0.05), (fork, 0.15), (fork, 0.3)
    for number, (begin, seconds) in enumerate(moments):
        folder = tmp_path / str(number)
        folder.mkdir()
        settings = {
            **clean_environment(),
            "OCPI_GATEWAY_DATA_DIR": str(folder),
            "OCPI_GATEWAY_PORT": str(free_port()),
        }
        process = begin(settings, folder / "out", folder / "log")
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        assert process.wait(GRACE_SECONDS + 5) in (0, -signal.SIGTERM)
        assert "Traceback" not in (folder / "log").read_text()
