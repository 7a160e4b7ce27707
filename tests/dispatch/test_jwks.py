"""JWTs that are signed with the published keys of an issuer; slow and failing issuers. RFC 7517, 8725."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
import pytest
from jwts import (
    AUDIENCE,
    EC_KEY,
    HOME,
    ISSUER,
    KEYS,
    OTHER,
    OTHER_RSA_KEY,
    PEM,
    RSA_KEY,
    SECRET,
    WEAK_RSA_KEY,
    Configure,
    Issuer,
    as_jwk,
    caller_of,
    claims,
    configurable,
    forged,
    signed,
    with_hmac,
)
from nodes import free_port

import errors
from handlers.dispatch import jwks
from storage.keys import Member


@pytest.fixture
def configure() -> Iterator[Configure]:
    """A function that changes settings for one test."""
    with configurable() as change:
        yield change


@pytest.fixture
def issuer(configure: Configure) -> Iterator[Issuer]:
    """A running issuer that the settings name."""
    with Issuer() as running:
        configure(jwt_jwks_url=f"{running.url}/jwks.json", jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
        yield running


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec")])
def test_a_jwt_signed_with_a_published_key_is_accepted(
    issuer: Issuer, key: Any, algorithm: str, kid: str
) -> None:
    assert Member("admin", OTHER) == caller_of(signed(key, algorithm, kid, role="admin", org_id=OTHER))
    assert 1 == issuer.fetched


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: with_hmac(PEM), id="public key as secret"),
        pytest.param(lambda: with_hmac(PEM.strip()), id="public key as secret, stripped"),
        pytest.param(lambda: with_hmac(b""), id="empty secret"),
        pytest.param(lambda: signed(OTHER_RSA_KEY, "RS256", "rsa"), id="another key of the same name"),
        pytest.param(lambda: signed(RSA_KEY, "RS256", "ec"), id="key of another kind"),
        pytest.param(lambda: signed(RSA_KEY, "RS512", "rsa"), id="RS512"),
        pytest.param(lambda: signed(RSA_KEY, "PS256", "rsa"), id="PS256"),
        pytest.param(lambda: signed(RSA_KEY, "RS256", "nobody's"), id="unknown key"),
        pytest.param(lambda: signed(RSA_KEY, "RS256"), id="two keys and no key id"),
        pytest.param(lambda: signed(WEAK_RSA_KEY, "RS256", "weak"), id="1024 bits"),
        pytest.param(lambda: signed(OTHER_RSA_KEY, "RS256", "enc"), id="key for encryption"),
        pytest.param(lambda: signed(SECRET, "HS256", "oct"), id="published secret"),
        pytest.param(lambda: forged({"alg": "none", "kid": "rsa"}, claims()), id="none"),
        pytest.param(lambda: forged({"alg": "RS256", "kid": "rsa"}, claims()), id="no signature"),
        pytest.param(
            lambda: jwt.encode(
                claims(), OTHER_RSA_KEY, "RS256", {"jwk": as_jwk(OTHER_RSA_KEY, "rsa"), "kid": "mine"}
            ),
            id="brings its own key",
        ),
    ],
)
@pytest.mark.parametrize("secret", ["", "x" * 32], ids=["without secret", "with secret"])
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_any_other_signature_is_refused(
    issuer: Issuer, configure: Configure, token: Callable[[], str], secret: str
) -> None:
    configure(jwt_secret=secret)
    octets = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "oct"}
    unusable = [octets, as_jwk(WEAK_RSA_KEY, "weak"), {**as_jwk(OTHER_RSA_KEY, "enc"), "use": "enc"}, 1, {}]
    published = [*(as_jwk(key, kid) for kid, key in issuer.keys.items()), *unusable]
    issuer.behave = lambda request: issuer.send(request, json.dumps({"keys": published}).encode())

    assert None is caller_of(token())
    assert Member("user", HOME) == caller_of(signed(RSA_KEY, "RS256", "rsa"))


def test_a_jwt_needs_no_key_id_if_the_issuer_has_one_key(issuer: Issuer) -> None:
    del issuer.keys["ec"]

    assert Member("user", HOME) == caller_of(signed(RSA_KEY, "RS256"))


def test_keys_are_fetched_once_and_rarely_again_for_an_unknown_key_id(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        assert caller_of(signed(RSA_KEY, "RS256", "rsa"))
    for number in range(5):
        assert None is caller_of(signed(RSA_KEY, "RS256", f"made up {number}"))
    assert 1 == issuer.fetched

    issuer.keys["new"] = OTHER_RSA_KEY
    assert None is caller_of(signed(OTHER_RSA_KEY, "RS256", "new"))
    monkeypatch.setattr(jwks, "COOLING_SECONDS", 0)
    assert Member("user", HOME) == caller_of(signed(OTHER_RSA_KEY, "RS256", "new"))
    assert 2 == issuer.fetched


def test_a_withdrawn_key_is_refused_soon(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0)
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0)
    assert caller_of(signed(RSA_KEY, "RS256", "rsa"))
    del issuer.keys["rsa"]

    assert None is caller_of(signed(RSA_KEY, "RS256", "rsa"))


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(lambda issuer, request: issuer.send(request, b"{}", 500), id="500"),
        pytest.param(lambda issuer, request: issuer.send(request, b"", 302), id="redirect"),
        pytest.param(lambda issuer, request: issuer.send(request, b"<html>"), id="not JSON"),
        pytest.param(lambda issuer, request: issuer.send(request, b"[]"), id="a list"),
        pytest.param(lambda issuer, request: issuer.send(request, b'{"keys":[]}'), id="no keys"),
        pytest.param(lambda issuer, request: issuer.send(request, b"[" * 100_000), id="deep"),
        pytest.param(lambda _, request: request.wfile.write(b"nonsense\r\n\r\n"), id="not HTTP"),
    ],
)
def test_a_jwt_is_503_until_the_issuer_returns_its_keys(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, behave: Callable[..., None]
) -> None:
    token = signed(RSA_KEY, "RS256", "rsa")
    issuer.behave = lambda request: behave(issuer, request)
    for _ in range(3):
        with pytest.raises(errors.Unavailable):
            caller_of(token)
    assert 1 == issuer.fetched

    issuer.behave = issuer.publish
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0)
    assert Member("user", HOME) == caller_of(token)


def test_a_jwt_is_503_if_nobody_listens_at_the_issuer(configure: Configure) -> None:
    configure(jwt_jwks_url=f"http://127.0.0.1:{free_port()}/jwks.json", jwt_secret=SECRET)

    with pytest.raises(errors.Unavailable):
        caller_of(signed(RSA_KEY, "RS256", "rsa"))
    assert Member("user", HOME) == caller_of(signed())
    assert KEYS["ogk_user"] == caller_of("ogk_user")


def test_fetched_keys_stay_usable_while_the_issuer_fails(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed(RSA_KEY, "RS256", "rsa")
    assert caller_of(token)
    issuer.behave = lambda request: issuer.send(request, b"", 503)
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0)
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0)

    assert Member("user", HOME) == caller_of(token)
    with pytest.raises(errors.Unavailable):
        caller_of(signed(RSA_KEY, "RS256", "new"))
    monkeypatch.setattr(jwks, "STALE_SECONDS", 0)
    with pytest.raises(errors.Unavailable):
        caller_of(token)


def _hang(issuer: Issuer, request: BaseHTTPRequestHandler) -> None:
    del request
    issuer.over.wait(20)


def _drip(issuer: Issuer, request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drops: ")
    while not issuer.over.wait(0.05):
        request.wfile.write(b"x")


@pytest.mark.parametrize("behave", [_hang, _drip])
def test_no_request_waits_long_for_an_issuer(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, behave: Callable[..., None]
) -> None:
    """Eight concurrent requests share one fetch; a later request does not wait."""
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 2.0)
    issuer.behave = lambda request: behave(issuer, request)
    token = signed(RSA_KEY, "RS256", "rsa")

    def seconds(_number: int) -> float:
        start = time.monotonic()
        with pytest.raises(errors.Unavailable):
            caller_of(token)
        return time.monotonic() - start

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(seconds, range(8))) < 2 * 8  # eight fetches in sequence would take longer
    assert seconds(9) < 2
    assert 1 == issuer.fetched
