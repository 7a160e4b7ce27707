"""Valid and forged JWTs, an issuer that publishes its keys, and settings for it."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import settings as settings_module
from handlers.dispatch import bearer
from storage import keys, networks
from storage.keys import Member

SECRET = "s" * 32
HOME, OTHER, UNKNOWN = "1f8d2d8e-home", "2a9e3f9f-other", "no-such-organization"
ISSUER, AUDIENCE = "https://id.example", "gateway"
KEYS = {"ogk_user": Member("user", HOME), "ogk_admin": Member("admin", HOME)}

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
WEAK_RSA_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505  (it must be refused)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

Configure = Callable[..., None]


@contextmanager
def configurable() -> Iterator[Configure]:
    """Change settings and restore them; storage has two organizations and two keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "identify", lambda _, key: KEYS.get(key))
        patch.setattr(networks, "organization_exists", lambda _, key: key in {HOME, OTHER})

        def change(**changes: str) -> None:
            for name, value in changes.items():
                patch.setenv(f"OCPI_GATEWAY_{name.upper()}", value)
            _forget()

        change()
        yield change
    _forget()


def _forget() -> None:
    settings_module.settings.cache_clear()
    bearer._key_set.cache_clear()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a valid token, with changes; `...` removes a claim."""
    claims = {
        "org_id": HOME,
        "role": "user",
        "exp": int(time.time()) + 60,
        "iss": ISSUER,
        "aud": AUDIENCE,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def signed(key: Any = SECRET, algorithm: str = "HS256", kid: Any = None, **changes: Any) -> str:
    """A JWT; *kid* names its key."""
    headers = {"kid": kid} if kid is not None else {}
    return jwt.encode(claims(**changes), key, algorithm, headers)


def forged(header: Any, payload: Any, signature: bytes = b"") -> str:
    """A token of three arbitrary segments."""
    texts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in (*texts, signature))


def with_hmac(key: bytes) -> str:
    """The confusion of RFC 8725 2.1: a public key used as the shared secret."""
    unsigned = forged({"alg": "HS256", "kid": "rsa"}, claims()).rpartition(".")[0]
    mac = hmac.new(key, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def caller_of(token: str) -> Member | None:
    """The member that *token* identifies, or None."""
    found = bearer.member(token)
    return None if found is None else found["sub"]


class Issuer:
    """A server of public keys; tests may replace *answer*."""

    def __init__(self) -> None:
        self.fetched = 0
        self.keys = {"rsa": RSA_KEY, "ec": EC_KEY}
        self.behave: Callable[[BaseHTTPRequestHandler], None] = self.publish
        self.over = threading.Event()

    def publish(self, request: BaseHTTPRequestHandler) -> None:
        """Answer with the keys."""
        self.send(
            request, json.dumps({"keys": [as_jwk(key, kid) for kid, key in self.keys.items()]}).encode()
        )

    def send(self, request: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Location", f"{self.url}/elsewhere")
        request.end_headers()
        request.wfile.write(body)

    def __enter__(self) -> Self:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched += 1
                issuer.behave(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


def as_jwk(key: Any, kid: str) -> dict[str, Any]:
    """The public half of *key*."""
    kind = jwt.algorithms.RSAAlgorithm if hasattr(key, "decrypt") else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid}
