"""The load generator and its servers, each in separate processes on one core."""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CORES = sorted(os.sched_getaffinity(0))
"""The servers run on the first core, everything else on the last."""

LEAST = 5
"""The minimum number of requests per batch."""


class Failed(Exception):
    """The benchmark cannot continue; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The seconds per request in one batch: CPU of the server, and wall clock."""

    cpu: float
    wall: float


class Line:
    """One keep-alive connection with one pending request."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1 << 20)
        self.view = memoryview(self.buffer)
        self.filled = self.expected = 0

    def ask(self, request: bytes) -> None:
        """Send *request*."""
        self.filled = self.expected = 0
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Read the available bytes; True if the response is complete.

        Raises:
            Failed: it is not a success.
        """
        got = self.socket.recv_into(self.view[self.filled :])
        if not got:
            raise Failed("a server closed its connection")
        self.filled += got
        if not self.expected:
            end = self.buffer.find(b"\r\n\r\n", 0, self.filled)
            if end < 0:
                return False
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", self.buffer[:end])
            if length is None:
                raise Failed("an answer without a length")
            self.expected = end + 4 + int(length[1])
        if self.filled < self.expected:
            return False
        if self.buffer[9:10] != b"2" or self.buffer.find(b'"status_code":1000', 0, self.filled) < 0:
            raise Failed(f"not a success: {bytes(self.view[: min(self.filled, 800)])!r}")
        return True

    @property
    def answer(self) -> tuple[bytes, bytes]:
        """Head and body of the complete response."""
        head, _, body = bytes(self.view[: self.filled]).partition(b"\r\n\r\n")
        return head, body


def drive(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> tuple[int, float]:
    """Keep *connections* busy for about *seconds*; returns the number of responses and the exact seconds."""
    lines = [Line(port) for _ in range(connections)]
    by_descriptor = {line.socket.fileno(): line for line in lines}
    count, asking = 0, len(lines)
    with contextlib.ExitStack() as stack, select.epoll() as poll:
        for line in lines:
            stack.callback(line.socket.close)
            poll.register(line.socket, select.EPOLLIN)
        began = time.perf_counter()
        deadline = began + seconds
        for line in lines:
            line.ask(next(requests))
        while asking:
            events = poll.poll(30)
            if not events:
                raise Failed("no answer within 30 seconds")
            for descriptor, _ in events:
                line = by_descriptor[descriptor]
                if line.answered():
                    count += 1
                    if time.perf_counter() < deadline or count < LEAST:
                        line.ask(next(requests))
                    else:
                        asking -= 1
        return count, time.perf_counter() - began


def fetch(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of one response."""
    line = Line(port)
    with line.socket:
        line.ask(request)
        while not line.answered():
            pass
        return line.answer


def request(method: str, path: str, token: str | None, body: bytes = b"") -> bytes:
    """A request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if token:
        head += f"Authorization: Token {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


class Server:
    """One of the variants in separate processes on the servers' core."""

    def __init__(self, name: str, command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        self.name, self.command, self.cwd = name, command, cwd
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("OCPI_GATEWAY_")}
        self.environment |= environment
        self.port = int(environment["BENCH_PORT"])

    def __enter__(self) -> Self:
        os.sched_setaffinity(0, {CORES[0]})  # a child inherits it
        try:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, {CORES[-1]})
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.1)
        raise Failed(f"the {self.name} did not start: {' '.join(map(str, self.command[1:]))}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def processes(self) -> list[int]:
        """Every process of the server's session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == self.process.pid:
                        found.append(int(entry.name))
        return found

    def measure(self, requests: Iterator[bytes], connections: int, seconds: float) -> Sample:
        """Measure one batch."""
        processes = self.processes()
        before = _cpu(processes)
        count, wall = drive(self.port, requests, connections, seconds)
        return Sample((_cpu(processes) - before) / count, wall / count)


def _cpu(processes: Iterable[int]) -> float:
    """User and system seconds of *processes*: /proc/PID/stat in nanoseconds, see clock_getcpuclockid(3)."""
    return sum(time.clock_gettime((~process << 3) | 2) for process in processes)
