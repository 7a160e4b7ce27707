"""Slow clients that hold connections: silent, with half a request, or with a byte now and then."""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import requests

DRIP_SECONDS = 4.0
"""Shorter than every inactivity timeout."""


@dataclass(frozen=True)
class Habit:
    """The first bytes of a slow client, and those that it sends every few seconds."""

    name: str
    first: bytes
    drip: bytes = b""


_HALF_BODY = b"PUT /ocpi/emsp/2.1.1/locations/NL/TNM/X HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"
HABITS = (
    Habit("silent", b""),
    Habit("half a header", b"GET /ocpi/versions HTTP/1.1\r\nHost: x\r\nX-A: "),
    Habit("half a body", _HALF_BODY),
    Habit("a byte of a header every four seconds", b"GET /ocpi/versions HTTP/1.1\r\nHost: x\r\nX-A: ", b"a"),
    Habit("a byte of a body every four seconds", _HALF_BODY, b" "),
    Habit("a blank line every four seconds", b"", b"\r\n\r\n"),
)


class SlowClients:
    """Keeps *count* connections of one habit open and reopens closed ones at once."""

    def __init__(self, address: tuple[str, int], habit: Habit, count: int) -> None:
        self.opened = 0
        self._address = address
        self._habit = habit
        self._count = count
        self._selector = selectors.DefaultSelector()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self._close(key.fileobj)
        self._selector.close()

    def _run(self) -> None:
        for _ in range(self._count):
            self._open()
        next_drip = time.monotonic() + DRIP_SECONDS
        while not self._ending.is_set():
            for key, _ in self._selector.select(0.05):
                self._serve(key)
            if self._habit.drip and time.monotonic() > next_drip:
                next_drip = time.monotonic() + DRIP_SECONDS
                self._send_drips()

    def _open(self) -> None:
        wire = socket.socket()
        wire.setblocking(False)
        wire.connect_ex(self._address)
        self._selector.register(wire, selectors.EVENT_WRITE)
        self.opened += 1

    def _serve(self, key: selectors.SelectorKey) -> None:
        """Handle a connection that was opened, or closed by the server."""
        wire = key.fileobj
        assert isinstance(wire, socket.socket)
        if key.events == selectors.EVENT_WRITE:
            with contextlib.suppress(OSError):
                wire.send(self._habit.first)
            self._selector.modify(wire, selectors.EVENT_READ)
            return
        with contextlib.suppress(OSError):
            if wire.recv(65_536):
                return
        self._close(wire)
        self._open()

    def _close(self, wire: object) -> None:
        assert isinstance(wire, socket.socket)
        self._selector.unregister(wire)
        wire.close()

    def _send_drips(self) -> None:
        for key in self._selector.get_map().values():
            if key.events == selectors.EVENT_READ:
                assert isinstance(key.fileobj, socket.socket)
                with contextlib.suppress(OSError):
                    key.fileobj.send(self._habit.drip)


def answer_seconds(url: str, patience: float, headers: Mapping[str, str] | None = None) -> float | None:
    """Seconds until the response on a new connection; None if longer than *patience*."""
    began = time.monotonic()
    try:
        response = requests.get(url, timeout=patience, headers={**(headers or {}), "Connection": "close"})
    except requests.RequestException:
        return None
    return time.monotonic() - began if response.ok else None
