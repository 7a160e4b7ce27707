"""Bearer tokens of the gateway: keys, JWTs, forged JWTs, and the choice of an organization.

docs/gateway.md "Keys and organizations".
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jwts import (
    AUDIENCE,
    HOME,
    ISSUER,
    KEYS,
    OTHER,
    RSA_KEY,
    SECRET,
    UNKNOWN,
    Configure,
    caller_of,
    claims,
    configurable,
    forged,
    signed,
    with_hmac,
)
from pydantic import ValidationError

import errors
import settings as settings_module
from handlers.dispatch import bearer
from storage.keys import Member


@pytest.fixture
def configure() -> Iterator[Configure]:
    """A function that changes settings for one test."""
    with configurable() as change:
        yield change


# Keys


@pytest.mark.parametrize("key", KEYS)
def test_a_key_identifies_its_role_and_organization(configure: Configure, key: str) -> None:
    configure(jwt_secret=SECRET)

    assert KEYS[key] == caller_of(key)


@pytest.mark.parametrize("key", ["ogk_", "OGK_USER", "", "eyJ.eyJ.x", "a.b.c", "ogk_user ", "\x80"])
def test_an_unknown_key_identifies_nobody(configure: Configure, key: str) -> None:
    configure(jwt_secret=SECRET)

    assert None is caller_of(key)


# Shared secret


@pytest.mark.parametrize("role", ["user", "admin"])
def test_a_jwt_names_its_role_and_organization(configure: Configure, role: str) -> None:
    configure(jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)

    assert Member(role, OTHER) == caller_of(signed(role=role, org_id=OTHER))
    assert Member(role, HOME) == caller_of(signed(role=role, aud=["else", AUDIENCE]))


def test_issuer_and_audience_are_checked_only_if_they_are_set(configure: Configure) -> None:
    configure(jwt_secret=SECRET)

    assert Member("user", HOME) == caller_of(signed(iss=..., aud=...))
    assert Member("user", HOME) == caller_of(signed(iss="anybody", aud="anything"))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: signed(exp=int(time.time()) - 1), id="expired"),
        pytest.param(lambda: signed(exp=...), id="no expiry"),
        pytest.param(lambda: signed(exp="never"), id="expiry is not a number"),
        pytest.param(lambda: forged({"alg": "HS256"}, b'{"exp":1e999}'), id="infinite expiry"),
        pytest.param(lambda: signed(nbf=int(time.time()) + 60), id="not valid yet"),
        pytest.param(lambda: signed("t" * 32), id="another secret"),
        pytest.param(lambda: signed()[:-2], id="truncated signature"),
        pytest.param(lambda: signed().rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda: signed("s" * 64, "HS512"), id="HS512"),
        pytest.param(lambda: signed(SECRET * 2, "HS384"), id="HS384"),
        pytest.param(lambda: forged({"alg": "none"}, claims()), id="none"),
        pytest.param(lambda: forged({"alg": "None"}, claims(), b"x"), id="None"),
        pytest.param(lambda: forged({"alg": ["HS256"]}, claims()), id="algorithm is a list"),
        pytest.param(lambda: forged({}, claims()), id="no algorithm"),
        pytest.param(lambda: forged({"alg": "HS256", "kid": {}}, claims()), id="key id is an object"),
        pytest.param(lambda: forged({"alg": "HS256", "crit": ["x"]}, claims()), id="critical extension"),
        pytest.param(lambda: forged(b"{", claims()), id="header is not JSON"),
        pytest.param(lambda: forged(b'{"alg":"HS256"' * 9000, claims()), id="header is long"),
        pytest.param(lambda: forged(b'{"a":' * 5000, claims()), id="header is deep"),
        pytest.param(lambda: signed(iss="https://evil.example"), id="another issuer"),
        pytest.param(lambda: signed(iss=...), id="no issuer"),
        pytest.param(lambda: signed(aud="another"), id="another audience"),
        pytest.param(lambda: signed(aud=...), id="no audience"),
        pytest.param(lambda: signed(aud=[]), id="empty audience"),
    ],
)
def test_an_invalid_jwt_identifies_nobody(configure: Configure, token: Callable[[], str]) -> None:
    configure(jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)

    assert None is caller_of(token())


def test_a_jwt_with_a_changed_payload_identifies_nobody(configure: Configure) -> None:
    configure(jwt_secret=SECRET)
    header, _, signature = signed().split(".")
    payload = forged({}, claims(role="admin")).split(".")[1]

    assert None is caller_of(f"{header}.{payload}.{signature}")


def test_a_jwt_identifies_nobody_if_no_issuer_is_configured(configure: Configure) -> None:
    configure()

    assert None is caller_of(signed())
    assert None is caller_of(with_hmac(b""))
    assert None is caller_of(signed(RSA_KEY, "RS256", "rsa"))


@pytest.mark.parametrize(
    "defect",
    [
        {"org_id": ...},
        {"role": ...},
        {"role": "root"},
        {"role": ["admin"]},
        {"role": "Admin"},
        {"org_id": UNKNOWN},
        {"org_id": 1},
        {"org_id": [HOME]},
        {"org_id": ""},
        {"org_id": f"{HOME}\n"},
        {"org_id": "\x00"},
        {"org_id": "x" * 5000},
    ],
    ids=str,
)
def test_a_valid_jwt_without_a_known_role_and_organization_is_forbidden(
    configure: Configure, defect: dict[str, Any]
) -> None:
    configure(jwt_secret=SECRET)

    with pytest.raises(errors.Forbidden):
        caller_of(signed(**defect))


# The choice of an organization


@pytest.mark.parametrize(
    ("kind", "header", "organization"),
    [
        ("user", None, HOME),
        ("user", HOME, HOME),
        ("admin", None, HOME),
        ("admin", HOME, HOME),
        ("admin", OTHER, OTHER),
    ],
)
def test_an_admin_may_choose_any_organization_and_a_user_only_its_own(
    configure: Configure, kind: str, header: str | None, organization: str
) -> None:
    configure()

    assert Member(kind, organization) == bearer.within(Member(kind, HOME), header)


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("user", OTHER),
        ("user", UNKNOWN),
        ("user", ""),
        *(("admin", header) for header in (UNKNOWN, "", f"{OTHER},{OTHER}", f" {OTHER}", "\x80", "x" * 9000)),
    ],
)
def test_any_other_organization_is_forbidden(configure: Configure, kind: str, header: str) -> None:
    configure()

    with pytest.raises(errors.Forbidden):
        bearer.within(Member(kind, HOME), header)


# Settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jwt_secret", "s" * 31, "32 bytes"),
        ("admin_token", "a" * 15, "16 characters"),
        ("admin_token", "a secret with blanks", "without spaces"),
        ("jwt_jwks_url", "file:///etc/passwd", "https://"),
        ("networks_per_organization", "0", "greater than or equal to 1"),
        ("jobs_per_organization", "many", "valid integer"),
    ],
)
def test_an_invalid_setting_is_refused_and_its_value_is_not_repeated(
    configure: Configure, name: str, value: str, message: str
) -> None:
    configure(**{name: value})

    with pytest.raises(ValidationError) as error:
        settings_module.settings()

    assert message in str(error.value)
    assert value not in str(error.value)
    assert (name,) == error.value.errors()[0]["loc"]


def test_the_smallest_valid_settings_are_accepted(configure: Configure) -> None:
    configure(jwt_secret="é" * 16, admin_token="a" * 16, jwt_jwks_url="HTTPS://id.example/keys")

    assert (2000, 1000) == (
        settings_module.settings().networks_per_organization,
        settings_module.settings().jobs_per_organization,
    )
