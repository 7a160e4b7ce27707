"""Scripts take the URL and the settings from the server that runs on DATA_DIR."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Done, run_module
from nodes import Node, free_port
from peers import PeerServer

import settings as settings_module
from workflows import running_server

SECRETS = {"SECRET_KEY": "a secret key", "ADMIN_TOKEN": "administrator-key", "JWT_SECRET": "j" * 32}

Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts servers with one data directory."""
    running: list[Node] = []

    def start(**settings: str) -> Node:
        chosen = {"DATA_DIR": str(tmp_path), "PORT": str(free_port()), **settings}
        running.append(Node({f"OCPI_GATEWAY_{name}": value for name, value in chosen.items()}).start())
        return running[-1]

    yield start
    for each in running:
        each.stop()


def run(folder: Path, script: str, *arguments: str, **environment: str) -> Done:
    """Run *script* with only DATA_DIR and *environment* set."""
    settings = {"DATA_DIR": str(folder), **environment}
    named = {f"OCPI_GATEWAY_{name}": value for name, value in settings.items()}
    return run_module({"PATH": os.environ["PATH"], **named}, "workflows.cli", script, *arguments)


def file_of(node: Node) -> Path:
    """The file that describes *node* while it runs."""
    environment = node.environment
    return Path(environment["OCPI_GATEWAY_DATA_DIR"]) / f"server-{environment['OCPI_GATEWAY_PORT']}.json"


def test_register_without_the_servers_environment_sends_the_servers_url_to_the_peer(
    start: Start, tmp_path: Path, peer: PeerServer
) -> None:
    port = str(free_port())
    url = f"http://localhost:{port}"
    start(PORT=port, PUBLIC_URL=url)

    result = run(tmp_path, "register", peer.versions_url, "token-a", "--as", "NL/DEM")

    assert 0 == result.returncode, result.stderr
    [post] = peer.requests("POST", "/2.1.1/credentials")
    assert f"{url}/ocpi/cpo/versions" == post["body"]["url"]


def test_the_settings_of_the_server_override_those_of_the_script(start: Start, tmp_path: Path) -> None:
    node = start()

    result = run(tmp_path, "invite", "--as", "NL/DEM", PORT="9", PUBLIC_URL="http://elsewhere.example")

    assert f"{node.url}/ocpi/cpo/versions" in result.stdout, result.stderr


@pytest.mark.parametrize(
    "command", ["invite --as NL/DEM", "register http://a.example/ t --as NL/DEM", "keys list", "jobs 1"]
)
def test_a_script_without_a_server_names_the_script_that_starts_one(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, *command.split())

    assert 1 == result.returncode
    assert "scripts/serve" in result.stderr
    assert str(tmp_path) in result.stderr
    assert "Traceback" not in result.stderr
    assert [] == list(tmp_path.iterdir())


def test_the_file_of_a_server_that_was_killed_is_ignored(start: Start, tmp_path: Path) -> None:
    node = start()
    assert 0 == run(tmp_path, "keys", "list").returncode

    node.kill()

    assert file_of(node).exists()
    assert "scripts/serve" in run(tmp_path, "keys", "list").stderr
    node.start()
    assert 0 == run(tmp_path, "keys", "list").returncode


def test_one_of_several_servers_is_chosen_by_its_port(start: Start, tmp_path: Path) -> None:
    nodes = [start(), start()]
    ports = sorted(node.environment["OCPI_GATEWAY_PORT"] for node in nodes)

    ambiguous = run(tmp_path, "invite", "--as", "NL/DEM")

    assert 1 == ambiguous.returncode
    assert "--port" in ambiguous.stderr
    assert ports == sorted(re.findall(r"\d+", ambiguous.stderr))
    for node in nodes:
        port = node.environment["OCPI_GATEWAY_PORT"]
        assert f"{node.url}/ocpi" in run(tmp_path, "invite", "--as", "NL/DEM", "--port", port).stdout
        assert 0 == run(tmp_path, "keys", "list", "--port", port).returncode
    assert "on port 9 " in run(tmp_path, "invite", "--as", "NL/DEM", "--port", "9").stderr


def test_only_the_owner_can_read_the_file_and_it_holds_no_secret(start: Start) -> None:
    node = start(**SECRETS)

    content = json.loads(file_of(node).read_text())

    assert 0o600 == file_of(node).stat().st_mode & 0o777
    assert (node.pid, node.url, int(node.environment["OCPI_GATEWAY_PORT"])) == (
        content["pid"],
        content["url"],
        content["settings"]["port"],
    )
    assert [] == [name for name, secret in SECRETS.items() if secret in file_of(node).read_text()]


def test_a_secret_that_a_script_needs_must_be_in_its_environment(start: Start, tmp_path: Path) -> None:
    start(**SECRETS)

    missing = run(tmp_path, "invite", "--as", "NL/DEM")

    assert 1 == missing.returncode
    assert "Set OCPI_GATEWAY_SECRET_KEY as the server has it" in missing.stderr
    assert 0 == run(tmp_path, "invite", "--as", "NL/DEM", SECRET_KEY=SECRETS["SECRET_KEY"]).returncode
    assert not (tmp_path / "secret.key").exists()


def test_a_script_ignores_a_database_that_the_server_does_not_use(start: Start, tmp_path: Path) -> None:
    start()

    result = run(tmp_path, "invite", "--as", "NL/DEM", DATABASE_URL=f"sqlite:///{tmp_path / 'another'}")

    assert 0 == result.returncode, result.stderr
    assert not (tmp_path / "another").exists()


def test_a_second_server_with_the_same_port_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCPI_GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OCPI_GATEWAY_PORT", "9")
    settings_module.settings.cache_clear()
    running_server.announce()

    with pytest.raises(SystemExit, match="a server with port 9"):
        running_server.announce()

    settings_module.settings.cache_clear()


def test_every_setting_with_the_name_of_a_secret_is_excluded_from_dumps() -> None:
    fields = settings_module.Settings.model_fields
    secrets = {name for name in fields if re.search("token(_a)?$|secret|key$|database_url", name)}

    assert {"secret_key", "admin_token", "jwt_secret", "database_url"} <= secrets
    assert secrets == {name for name, field in fields.items() if field.exclude}
    assert secrets == {name for name, field in fields.items() if not field.repr}
