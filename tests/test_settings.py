"""Invalid settings stop the start with a message that names the setting and the remedy."""

import re
from pathlib import Path

import pytest
from command_line import Done, run_module
from nodes import ROOT, free_port
from pydantic import ValidationError

from settings import Settings

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  (the program refuses to start with them)


def start(place: Path, **environment: str) -> Done:
    """Start the program and wait until it exits because of its settings."""
    settings = {"DATA_DIR": str(place / "data"), "PORT": str(free_port()), **environment}
    named = {f"OCPI_GATEWAY_{name}": value for name, value in settings.items()}
    return run_module(named, "handlers.dispatch.serve")


@pytest.mark.parametrize("host", EVERY_ADDRESS)
def test_a_public_url_is_required_if_the_host_is_every_address(tmp_path: Path, host: str) -> None:
    refused = start(tmp_path, HOST=host)

    assert 1 == refused.returncode
    assert "OCPI_GATEWAY_PUBLIC_URL: must be set" in refused.stderr
    assert f"HOST is {host}" in refused.stderr
    assert "https://ocpi.example.com" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", EVERY_ADDRESS)
def test_the_public_url_is_advertised(host: str) -> None:
    assert "https://ocpi.example" == Settings(host=host, public_url="https://ocpi.example/").base_url


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:8080"), ("::1", "http://[::1]:8080")]
)
def test_a_single_address_is_advertised_unchanged(host: str, url: str) -> None:
    assert url == Settings(host=host, port=8080).base_url


DEMO_TOKENS = ("demo_cpo_token_a", "demo_cpo_operator_token", "demo_emsp_token_a", "demo_emsp_operator_token")


def test_the_refusal_of_a_short_demo_token_names_the_setting_and_not_the_token(tmp_path: Path) -> None:
    name = DEMO_TOKENS[0]

    refused = start(tmp_path, **{name.upper(): "short-token-123"})

    assert 1 == refused.returncode
    assert f"OCPI_GATEWAY_{name.upper()}: must have 16 to 64 characters" in refused.stderr
    assert "short-token-123" not in refused.stderr


@pytest.mark.parametrize("name", DEMO_TOKENS)
@pytest.mark.parametrize("token", ["x" * 15, "x" * 65, "with a space in it", "caf\xe9-0123456789abcdef"])
def test_a_malformed_demo_token_is_refused(name: str, token: str) -> None:
    with pytest.raises(ValidationError, match="16 to 64 characters"):
        Settings(**{name: token})


@pytest.mark.parametrize("token", ["x" * 16, "!" * 64])
def test_a_demo_token_may_have_any_printable_ascii_character(token: str) -> None:
    assert [token] == Settings(demo_cpo_token_a=token).demo_tokens


@pytest.mark.parametrize("name", DEMO_TOKENS)
@pytest.mark.parametrize("other", ["admin_token", *DEMO_TOKENS])
def test_two_settings_cannot_have_the_same_token(name: str, other: str) -> None:
    if name == other:
        return
    with pytest.raises(ValidationError, match="differ from every other token"):
        Settings(**{name: "x" * 20, other: "x" * 20})


def test_the_page_lists_every_setting_with_its_description() -> None:
    page = (ROOT / "docs/running.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \| .* \| (.*) \|$", page, re.MULTILINE)

    assert [(name.upper(), field.description) for name, field in Settings.model_fields.items()] == rows
