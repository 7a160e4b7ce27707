"""A change that breaks clients fails the gate unless version and changelog announce it."""

import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
RELEASED = json.loads((ROOT / "generated" / "ocpi.json").read_text())
TOKENS = "/cpo/2.1.1/tokens"
CHANGELOG = """# Changelog

## Unreleased

### Breaking

- `Token.valid` is gone.

## 0.2.0

### Breaking

- `Token.uid` is gone.
"""

Change = Callable[[Any, Any], object]
"""A function that changes the paths and the schemas of a document."""


@pytest.fixture
def compatibility(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module scripts/compatibility.py."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("compatibility")


def breaks(compatibility: Any, change: Change) -> list[tuple[str, str]]:
    """The breaks that *change* causes in the published document."""
    current = copy.deepcopy(RELEASED)
    change(current["paths"], current["components"]["schemas"])
    return list(compatibility.breaks(compatibility.Interface(RELEASED), compatibility.Interface(current)))


def rename(paths: Any, _: Any) -> None:
    """Rename an operation."""
    paths[TOKENS]["get"]["operationId"] = "list_tokens_of_peers"


def require_a_new_member(_: Any, schemas: Any) -> None:
    """Require a new member in requests."""
    schemas["TokenIn"]["properties"]["app"] = {"type": "string"}
    schemas["TokenIn"]["required"].append("app")


BREAKS: list[tuple[str, str, Change]] = [
    ("list_received_tokens", "it is gone", lambda paths, _: paths.pop(TOKENS)),
    ("list_received_tokens", "it is gone", rename),
    ("list_received_tokens.cursor", "it is gone", lambda paths, _: paths[TOKENS]["get"]["parameters"].pop()),
    ("answer of list_received_tokens.200", "it is gone",
     lambda paths, _: paths[TOKENS]["get"]["responses"].pop("200")),
    ("PriceComponent", "it is gone", lambda _, schemas: schemas.pop("PriceComponent")),
    ("Token.valid", "it is gone", lambda _, schemas: schemas["Token"]["properties"].pop("valid")),
    ("Token.valid", "type is string now, it was boolean",
     lambda _, schemas: schemas["Token"]["properties"]["valid"].update(type="string")),
    ("Token", "answers now allow the absence of valid",
     lambda _, schemas: schemas["Token"]["required"].remove("valid")),
    ("Token.issuer", "answers now allow null",
     lambda _, schemas: schemas["Token"]["properties"]["issuer"].update(nullable=True)),
    ("TokenType", "answers now allow the value APP_USER",
     lambda _, schemas: schemas["TokenType"]["enum"].append("APP_USER")),
    ("TokenType", "requests no longer allow the value OTHER",
     lambda _, schemas: schemas["TokenType"]["enum"].remove("OTHER")),
    ("TokenIn.app", "it is new and required", require_a_new_member),
    ("TokenIn", "requests no longer allow the absence of visual_number",
     lambda _, schemas: schemas["TokenIn"]["required"].append("visual_number")),
    ("TokenIn.issuer", "maxLength is 8 now, it was 64",
     lambda _, schemas: schemas["TokenIn"]["properties"]["issuer"].update(maxLength=8)),
    ("LocationIn.evses", "requests no longer allow null",
     lambda _, schemas: schemas["LocationIn"]["properties"]["evses"].pop("nullable")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "change"), BREAKS, ids=[f"{name}: {text}" for name, text, _ in BREAKS]
)
def test_a_break_is_found(compatibility: Any, name: str, text: str, change: Change) -> None:
    assert (name, text) in breaks(compatibility, change)


def test_a_compatible_change_is_no_break(compatibility: Any) -> None:
    def change(paths: Any, schemas: Any) -> None:
        paths["/cpo/2.1.1/coupons"] = {"get": {"operationId": "list_coupons", "responses": {}}}
        schemas["Coupon"] = {"type": "object"}
        schemas["Token"]["properties"]["app"] = {"type": "string"}
        schemas["TokenIn"]["properties"]["app"] = {"type": "string"}
        schemas["TokenIn"]["required"].remove("issuer")
        schemas["TokenIn"]["properties"]["issuer"]["maxLength"] = 100
        schemas["Token"]["properties"]["issuer"]["description"] = "Another text."

    assert breaks(compatibility, change) == []


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "1.0.0"])
def test_a_higher_minor_version_and_a_changelog_line_announce_a_break(
    compatibility: Any, version: str
) -> None:
    assert compatibility.announced("Token.valid", "0.2.0", version, CHANGELOG)


@pytest.mark.parametrize(
    ("name", "version"), [("Token.valid", "0.2.1"), ("Token.type", "0.3.0"), ("Token.uid", "0.3.0")]
)
def test_a_break_without_either_is_not_announced(compatibility: Any, name: str, version: str) -> None:
    assert not compatibility.announced(name, "0.2.0", version, CHANGELOG)
