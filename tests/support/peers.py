"""An OCPI peer on loopback, with versions, details, credentials and what a test adds."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""HTTP status, body (bytes as they are, anything else as JSON), and perhaps more headers."""


def envelope(data: Any = None, status_code: int = 1000) -> dict[str, Any]:
    """An OCPI envelope."""
    body = {"status_code": status_code, "status_message": "ok", "timestamp": "2026-11-20T12:00:00Z"}
    return body if data is None else {**body, "data": data}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Ignore clients that hang up: tests kill them."""


class PeerServer:
    """A correct peer; `answers[path]` replaces a response, `seen` records requests.

    *default*: the response at every other path.
    """

    def __init__(self, party: tuple[str, str] = ("NL", "TNM")) -> None:
        self.party = party
        self.token = "peer-token-" + "x" * 20
        self.seen: list[dict[str, Any]] = []
        self.default: Reply = (404, envelope(status_code=2000))
        self.answers: dict[str, Callable[[dict[str, Any]], Reply]] = {}
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def versions_url(self) -> str:
        """The peer's versions URL."""
        return f"{self.url}/versions"

    def credentials(self, **changes: Any) -> dict[str, Any]:
        """The credentials object that this peer sends."""
        return {
            "token": self.token,
            "url": self.versions_url,
            "business_details": {"name": "Foreign party"},
            "party_id": self.party[1],
            "country_code": self.party[0],
            **changes,
        }

    def answer(self, request: dict[str, Any]) -> Reply:
        """The response to *request*."""
        path = request["path"].partition("?")[0]
        if path in self.answers:
            return self.answers[path](request)
        if path == "/versions":
            offered = {"version": "2.1.1", "url": f"{self.url}/2.1.1"}
            return 200, envelope([{"version": "2.0", "url": f"{self.url}/2.0"}, offered])
        if path == "/2.1.1":
            modules = (
                "credentials",
                "locations",
                "sessions",
                "cdrs",
                "tariffs",
                "tokens",
                "commands",
            )
            endpoints = [{"identifier": m, "url": f"{self.url}/2.1.1/{m}"} for m in modules]
            return 200, envelope({"version": "2.1.1", "endpoints": endpoints})
        if path == "/2.1.1/credentials":
            return 200, envelope(None if request["method"] == "DELETE" else self.credentials())
        return self.default

    def requests(self, method: str, path: str) -> list[dict[str, Any]]:
        """The recorded requests for *method* and *path*."""
        return [r for r in self.seen if r["method"] == method and r["path"].partition("?")[0] == path]

    def _handler(peer) -> type[BaseHTTPRequestHandler]:  # noqa: N805  (`self` is the handler's)
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # one packet an answer: a second one would wait for the first to be acknowledged

            def serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                request = {
                    "method": self.command,
                    "path": self.path,
                    "authorization": self.headers.get("Authorization"),
                    "headers": dict(self.headers),
                    "raw": raw,
                    "body": json.loads(raw) if raw else None,
                }
                peer.seen.append(request)
                status, body, *headers = peer.answer(request)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def log_message(self, *_: object) -> None:
                """Keep tests quiet."""

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
