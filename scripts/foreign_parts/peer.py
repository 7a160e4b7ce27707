"""A partner: `extrawest-ocpi` in one role, with a dictionary as storage.

It runs in an environment of its own (.venv-rival), under uvicorn as its documentation says. `/dictionary` is
its back office, `/partner` has the token and endpoints of the party that registered, and `/requests` the
OCPI requests since the last look.
"""

import os
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from py_ocpi import get_application
from py_ocpi.core.authentication.authenticator import Authenticator
from py_ocpi.core.config import settings
from py_ocpi.core.crud import Crud
from py_ocpi.core.enums import ModuleID, RoleEnum
from py_ocpi.modules.versions.enums import VersionNumber

_URL = f"{settings.PROTOCOL}://{settings.OCPI_HOST}"
_CREDENTIALS = ModuleID.credentials_and_registration
_STORE: dict[str, dict[str, Any]] = defaultdict(dict)
_PARTNER: dict[str, Any] = {}
_REQUESTS: list[str] = []


class Dictionary(Crud):
    """Objects by module and id, our credentials by the token that they give. Nothing is listed."""

    @classmethod
    async def get(cls, module: ModuleID, _role: RoleEnum, key: str, *_: Any, **__: Any) -> Any:
        """One object."""
        return _STORE[module.value].get(key)

    @classmethod
    async def create(
        cls, module: ModuleID, _role: RoleEnum, data: dict[str, Any], *_: Any, **__: Any
    ) -> dict[str, Any]:
        """Keep a new object. Credentials: register the partner, and give it a token."""
        if module is not _CREDENTIALS:
            _STORE[module.value][data.get("id") or data["uid"]] = data
            return data
        _PARTNER.update(token=data["credentials"]["token"], endpoints=data["endpoints"]["endpoints"])
        token = secrets.token_hex(32)
        _STORE[module.value] = {
            token: {
                "token": token,
                "url": f"{_URL}/ocpi/versions",
                "business_details": {"name": "Extrawest"},
                "country_code": settings.COUNTRY_CODE,
                "party_id": settings.PARTY_ID,
            }
        }
        return dict(_STORE[module.value][token])

    @classmethod
    async def update(
        cls, module: ModuleID, role: RoleEnum, data: dict[str, Any], key: str, *_: Any, **__: Any
    ) -> dict[str, Any]:
        """Replace an object. Credentials: replace both tokens."""
        if module is _CREDENTIALS:
            return await cls.create(module, role, data)
        _STORE[module.value][key] = data
        return data

    @classmethod
    async def delete(cls, module: ModuleID, _role: RoleEnum, key: str, *_: Any, **__: Any) -> None:
        """Drop an object."""
        del _STORE[module.value][key]


class Tokens(Authenticator):
    """Who may call."""

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        """The token of the registered partner."""
        return list(_STORE[_CREDENTIALS.value])

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        """The tokens for registration."""
        return os.environ["FOREIGN_TOKENS_A"].split()


app = get_application(
    version_numbers=[VersionNumber.v_2_1_1],
    roles=[RoleEnum(os.environ["FOREIGN_ROLE"])],
    modules=[
        _CREDENTIALS,
        ModuleID.locations,
        ModuleID.tariffs,
        ModuleID.sessions,
        ModuleID.cdrs,
        ModuleID.tokens,
    ],
    authenticator=Tokens,
    crud=Dictionary,
    http_push=True,
)


@app.middleware("http")
async def note(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Note each request to a module, and the status of the response."""
    response = await call_next(request)
    path = request.url.path.partition("/2.1.1/")[2]
    if path:
        _REQUESTS.append(f"{request.method} {path}: {response.status_code}")
    return response


@app.get("/requests")
async def requests() -> list[str]:
    """The requests to modules since the last look."""
    seen = list(_REQUESTS)
    _REQUESTS.clear()
    return seen


@app.get("/dictionary/{module}/{key}")
async def read(module: str, key: str) -> Any:
    """One stored object, or null."""
    return _STORE[module].get(key)


@app.put("/dictionary/{module}/{key}")
async def write(module: str, key: str, body: dict[str, Any]) -> None:
    """Store an object."""
    _STORE[module][key] = body


@app.get("/partner")
async def partner() -> dict[str, Any]:
    """The partner's token, and ours that opens the push feature."""
    return {"token": _PARTNER["token"], "own_token": next(iter(_STORE[_CREDENTIALS.value]))}


@app.get("/partner/endpoints")
async def endpoints() -> dict[str, Any]:
    """The partner's endpoints, each with a slash at the end, which the push feature expects."""
    slashed = [{**each, "url": f"{each['url']}/"} for each in _PARTNER["endpoints"]]
    return {"data": {"endpoints": slashed}}
