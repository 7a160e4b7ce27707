"""Calls to peers: the reading of valid and bad responses.

No packet leaves loopback.
"""

import contextlib
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import bad_peer
import pytest
from bad_peer import IN_TIME, SECONDS, TOKEN, BadPeer, sent
from nodes import free_port

from errors import PeerUnusable
from workflows.peers import addresses, client

bad, dialed = bad_peer.bad, bad_peer.dialed
chosen, sandbox, outside = bad_peer.chosen, bad_peer.sandbox, bad_peer.outside
stay_on_loopback = bad_peer.stay_on_loopback


# Valid responses


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ok", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/list", (200, 1000, "Success", [1, 2])),
        ("/ok/null", (200, 1000, "Success", None)),
        ("/ok/string", (200, 1000, "Success", "NOT_SUPPORTED")),
        ("/ok/nodata", (200, 1000, "Success", None)),
        ("/ok/nomessage", (200, 1000, "", {"id": "LOC1"})),
        ("/ok/message7", (200, 1000, "", {"id": "LOC1"})),
        ("/ok/identity", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/chunked", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/toeof", (200, 1000, "Success", {"id": "LOC1"})),
        ("/ok/2000", (200, 2000, "No.", None)),
        ("/ok/3001", (200, 3001, "", None)),
        ("/ok/400", (400, 2001, "No.", None)),
        ("/ok/404", (404, 2003, "No.", None)),
        ("/ok/405", (405, 2000, "", None)),
        ("/ok/429", (429, 2000, "", None)),
    ],
)
def test_an_envelope_is_read_leniently(path: str, expected: tuple[object, ...], bad: BadPeer) -> None:
    response = client.call("GET", bad.url(path), TOKEN)

    assert expected == (
        response.http_status,
        response.status_code,
        response.status_message,
        response.data,
    )


@pytest.mark.usefixtures("sandbox")
def test_the_headers_of_a_response_are_in_lower_case(bad: BadPeer) -> None:
    headers = client.call("GET", bad.url("/ok/headers"), TOKEN).headers

    assert "7" == headers["x-total-count"]
    assert '<http://a/>; rel="next"' == headers["link"]
    assert set() == {name for name in headers if name != name.lower()}


@pytest.mark.usefixtures("sandbox")
def test_a_body_of_exactly_the_limit_is_read(bad: BadPeer) -> None:
    response = client.call("GET", bad.url("/ok/limit"), TOKEN)

    assert client.BODY_LIMIT - 1000 < len(response.data["name"]) < client.BODY_LIMIT


BAD = [
    *((f"/{status}", f"HTTP {status}") for status in (500, 502, 503)),
    *((f"/{status}/bare", f"HTTP {status}") for status in (101, 304, 500, 503, 600)),
    *((f"/{status}/bare", f"HTTP {status}, not JSON") for status in (200, 204, 400, 404, 405, 429)),
    ("/hangup", "connection broken off"),
    ("/reset/start", "connection broken off"),
    ("/reset/headers", "connection broken off"),
    ("/reset/body", "connection broken off"),
    ("/cut/headers", "HTTP 200, not JSON"),
    ("/cut/body", "no complete HTTP answer"),
    ("/cut/chunk", "no complete HTTP answer"),
    ("/cut/chunks", "no complete HTTP answer"),
    ("/silence", "timed out"),
    ("/slow", "timed out"),
    ("/slow/body", "timed out"),
    ("/slow/chunks", "timed out"),
    ("/slow/fast", "timed out"),
    ("/html", "HTTP 200, not JSON"),
    ("/nothttp", "no complete HTTP answer"),
    ("/badchunk", "no complete HTTP answer"),
    ("/badlength", "no complete HTTP answer"),
    ("/truncated", "HTTP 200, not JSON"),
    ("/utf8", "HTTP 200, not JSON"),
    ("/deep", "HTTP 200, not JSON"),
    ("/nan", "HTTP 200, not JSON"),
    ("/list", "HTTP 200, no OCPI envelope"),
    ("/number", "HTTP 200, no OCPI envelope"),
    ("/nocode", "HTTP 200, no OCPI envelope"),
    *((f"/code/{name}", "HTTP 200, no OCPI envelope") for name in ("text", "true", "null", "float")),
    ("/big", "more than 2 MiB"),
    ("/limit", "more than 2 MiB"),
    ("/endless", "more than 2 MiB"),
    ("/endless/header", "no complete HTTP answer"),
    ("/endless/headers", "no complete HTTP answer"),
    ("/endless/continue", "no complete HTTP answer|more than 2 MiB|timed out"),
    ("/endless/extension", "no complete HTTP answer|more than 2 MiB"),
    ("/endless/trailer", "no complete HTTP answer|more than 2 MiB|timed out"),
    ("/gzip", "the answer is compressed"),
    ("/gzip/bomb", "the answer is compressed"),
    ("/gzip/twice", "the answer is compressed"),
    ("/gzip/quiet", "HTTP 200, not JSON"),
    ("/deflate", "the answer is compressed"),
]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("path", "words"), BAD, ids=[path for path, _ in BAD])
def test_a_bad_response_is_refused_in_time(path: str, words: str, bad: BadPeer) -> None:
    start, sent_before, connections = time.monotonic(), bad.sent, bad.connections
    with pytest.raises(PeerUnusable) as refusal:
        client.call("GET", bad.url(f"{path}?secret=in-the-query"), TOKEN)
    seconds = time.monotonic() - start
    call, _, reason = refusal.value.message.partition(": ")

    assert f"GET {bad.url(path)}" == call
    assert reason in words.split("|")
    assert client.CallFailed is refusal.type
    assert seconds < IN_TIME
    assert 1 == bad.connections - connections
    # At most 8 MiB are read; the rest is in the buffers of two sockets.
    assert bad.sent - sent_before < 24 * 1024 * 1024


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", ["/401", "/403", "/401/bare", "/403/bare"])
def test_a_refused_token_has_its_own_error(path: str, bad: BadPeer) -> None:
    for call in (
        lambda: client.call("GET", bad.url(path), TOKEN),
        lambda: client.call_unwrapped("POST", bad.url(path), TOKEN, {}),
    ):
        with pytest.raises(client.PeerUnauthorized, match=rf"{path}: HTTP {path[1:4]}$"):
            call()

    assert issubclass(client.PeerUnauthorized, PeerUnusable)


@pytest.mark.usefixtures("sandbox")
def test_a_closed_port_is_reported_as_a_refused_connection() -> None:
    with pytest.raises(PeerUnusable, match=r"^GET http://127\.0\.0\.1:\d+/a: connection refused$"):
        client.call("GET", f"http://127.0.0.1:{free_port()}/a", TOKEN)


@pytest.mark.usefixtures("sandbox")
def test_only_the_address_in_the_url_is_called(bad: BadPeer) -> None:
    # The bad peer listens only on 127.0.0.1.
    with pytest.raises(PeerUnusable, match=r": connection refused$"):
        client.call("GET", bad.url("/ok", "127.0.0.9"), TOKEN)


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", ["/ok", "/500", "/badlength", "/big", "/reset/body", "/gzip"])
def test_a_call_leaves_no_socket_open(path: str, bad: BadPeer) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(20):
        with contextlib.suppress(PeerUnusable):
            client.call("GET", bad.url(path), TOKEN)
    end = time.monotonic() + 5  # the server closes its sockets in its threads
    while len(list(Path("/dev/fd").iterdir())) > before and time.monotonic() < end:
        time.sleep(0.01)

    assert before >= len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize(("connect", "total"), [(30.0, SECONDS), (SECONDS, 30.0)])
def test_a_port_that_accepts_no_connection_ends_in_time(
    connect: float, total: float, chosen: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(allow_loopback_peers=True, peer_timeout_seconds=total)
    monkeypatch.setattr(client, "CONNECT_SECONDS", connect)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        start = time.monotonic()
        with pytest.raises(PeerUnusable, match=r": timed out$"):
            client.call("GET", f"http://127.0.0.1:{full.getsockname()[1]}/", TOKEN)

        assert time.monotonic() - start < IN_TIME


def test_a_connection_may_take_three_seconds() -> None:
    assert 3 == client.CONNECT_SECONDS


@pytest.mark.usefixtures("outside")
def test_a_silent_resolver_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(addresses, "resolver", lambda _host, _port: ended.wait(30) and [])
    start = time.monotonic()
    with pytest.raises(PeerUnusable, match="address policy"):
        client.call("GET", "http://peer.example/", TOKEN)

    assert time.monotonic() - start < IN_TIME
    ended.set()


@pytest.mark.usefixtures("sandbox")
def test_a_peer_that_reads_no_body_ends_in_time(bad: BadPeer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(PeerUnusable, match=r": timed out$"):
            client.call("POST", f"http://127.0.0.1:{silent.getsockname()[1]}/", TOKEN, "x" * 30_000_000)

        assert time.monotonic() - start < IN_TIME
    assert 1000 == client.call("GET", bad.url("/ok"), TOKEN).status_code


QUICK = [path for path, _ in BAD if not path.startswith(("/slow", "/silence"))]


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", [*QUICK, "/401", "/ok"])
def test_neither_the_error_nor_the_log_has_the_token(
    path: str, bad: BadPeer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    error = ""
    try:
        client.call("POST", bad.url(path), TOKEN, {"a": 1})
    except PeerUnusable:
        error = traceback.format_exc()

    assert (path == "/ok") is (error == "")
    assert TOKEN not in error
    assert TOKEN not in caplog.text


# Command results


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ok", 200),
        ("/204/bare", 204),
        ("/200/bare", 200),
        ("/404/bare", 404),
        ("/429/bare", 429),
        ("/html", 200),
        ("/gzip/bomb", 200),
        ("/big", 200),
        ("/endless", 200),
        ("/slow/body", 200),
    ],
)
def test_only_the_status_of_an_unwrapped_response_is_read(path: str, status: int, bad: BadPeer) -> None:
    url = bad.url(path)

    assert status == client.call_unwrapped("POST", url, TOKEN, {"result": "ACCEPTED"})
    assert b'{"result":"ACCEPTED"}' == sent(bad).body


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("path", ["/500", "/503/bare", "/silence", "/slow", "/reset/headers"])
def test_an_unwrapped_call_fails_like_a_call(path: str, bad: BadPeer) -> None:
    start = time.monotonic()
    with pytest.raises(PeerUnusable, match=rf"^POST {bad.url(path)}: \w+"):
        client.call_unwrapped("POST", bad.url(path), TOKEN, {"result": "ACCEPTED"})

    assert time.monotonic() - start < IN_TIME


@pytest.mark.usefixtures("sandbox")
def test_calls_in_many_threads_are_independent(bad: BadPeer) -> None:
    statuses: list[int | None] = []

    def run() -> None:
        statuses.extend(client.call("GET", bad.url("/ok"), TOKEN).status_code for _ in range(5))

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1000] * 80 == statuses
