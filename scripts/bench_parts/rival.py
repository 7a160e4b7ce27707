"""The rival: `extrawest-ocpi` as its quickstart sets it up, a dictionary behind it as storage.

It runs in an environment of its own (.venv-rival), under uvicorn as its documentation says.
"""

import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

from py_ocpi import get_application
from py_ocpi.core.authentication.authenticator import Authenticator
from py_ocpi.core.crud import Crud
from py_ocpi.core.enums import ModuleID, RoleEnum
from py_ocpi.modules.versions.enums import VersionNumber

_SEED: dict[str, list[dict[str, Any]]] = json.loads(Path(os.environ["BENCH_SEED"]).read_bytes())
_STORE = {role: {location["id"]: location for location in locations} for role, locations in _SEED.items()}


class Dictionary(Crud):
    """Locations by role and id."""

    @classmethod
    async def get(cls, _module: ModuleID, role: RoleEnum, key: str, **_: Any) -> dict[str, Any] | None:
        """One location."""
        return _STORE[role.value].get(key)

    @classmethod
    async def list(
        cls, _module: ModuleID, role: RoleEnum, filters: dict[str, Any], **_: Any
    ) -> tuple[list[dict[str, Any]], int, bool]:
        """A page, how many there are in all, and whether it is the last."""
        kept = _STORE[role.value]
        end = filters["offset"] + filters["limit"]
        return list(islice(kept.values(), filters["offset"], end)), len(kept), end >= len(kept)

    @classmethod
    async def create(
        cls, _module: ModuleID, role: RoleEnum, data: dict[str, Any], *_: Any, **__: Any
    ) -> dict[str, Any]:
        """Keep a new location."""
        _STORE[role.value][data["id"]] = data
        return data

    @classmethod
    async def update(
        cls, _module: ModuleID, role: RoleEnum, data: dict[str, Any], key: str, **_: Any
    ) -> dict[str, Any]:
        """Replace a location."""
        _STORE[role.value][key] = data
        return data

    @classmethod
    async def delete(cls, _module: ModuleID, role: RoleEnum, key: str, **_: Any) -> None:
        """Drop a location."""
        _STORE[role.value].pop(key, None)

    @classmethod
    async def do(cls, *_: Any, **__: Any) -> None:
        """No commands here."""


class OneToken(Authenticator):
    """The one peer."""

    @classmethod
    async def get_valid_token_c(cls) -> list[str]:
        """Its Token C."""
        return [os.environ["BENCH_TOKEN"]]

    @classmethod
    async def get_valid_token_a(cls) -> list[str]:
        """Nobody may register."""
        return []


app = get_application(
    version_numbers=[VersionNumber.v_2_1_1],
    roles=[RoleEnum.cpo, RoleEnum.emsp],
    modules=[ModuleID.locations],
    authenticator=OneToken,
    crud=Dictionary,
)
