"""Tokens of the demo networks that are set in the settings."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from nodes import Node, outcome
from peers import PeerServer

TOKENS = {
    "demo_cpo_token_a": "cpo-token-a-of-ci",
    "demo_cpo_operator_token": 'operator-"of"-the-cpo',
    "demo_emsp_token_a": "emsp-token-a-of-ci",
    "demo_emsp_operator_token": "operator-of-the-emsp",
}

Start = Callable[..., Node]


def tokens_in_files(node: Node) -> list[str]:
    """The tokens that occur in clear text in a file of *node*: its database, its logs, its output."""
    folder = Path(node.environment["OCPI_GATEWAY_DATA_DIR"])
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [
        token
        for token in TOKENS.values()
        if token.encode() in content or json.dumps(token)[1:-1].encode() in content
    ]


def test_the_tokens_of_the_settings_open_the_demo_networks(another_node: Start, peer: PeerServer) -> None:
    node = another_node(**TOKENS)

    for role, count in (("cpo", 3), ("emsp", 0)):
        operator = node.client(TOKENS[f"demo_{role}_operator_token"], role)
        assert count == len(operator.data("locations"))
        registered = node.client(TOKENS[f"demo_{role}_token_a"], role).post("credentials", peer.credentials())
        assert (200, 1000) == outcome(registered)


def test_the_banner_names_the_settings_instead_of_the_tokens(another_node: Start) -> None:
    node = another_node(**TOKENS)

    for name in TOKENS:
        assert f"$OCPI_GATEWAY_{name.upper()}" in node.banner
    [curl] = re.findall("^  (curl .*/ocpi/cpo/.*)$", node.banner, re.MULTILINE)
    process = subprocess.run(
        ["/bin/sh", "-c", f"{curl} --silent --fail"],
        env=node.surroundings({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"status_code":1000' in process.stdout, process.stderr


def test_a_token_without_a_setting_is_created_and_shown(another_node: Start) -> None:
    node = another_node(demo_cpo_token_a=TOKENS["demo_cpo_token_a"])

    assert "$OCPI_GATEWAY_DEMO_CPO_TOKEN_A" in node.banner
    [operator] = re.findall(r"CPO NL/DEM .*?operator token +(o_\S+)", node.banner, re.DOTALL)
    assert 3 == len(node.client(operator).data("locations"))


def test_no_file_and_no_log_line_holds_a_token(another_node: Start, peer: PeerServer) -> None:
    node = another_node(log_level="DEBUG", **TOKENS)
    stranger = node.client(None)

    for token in TOKENS.values():
        stranger.get(f"/ocpi/{token}")
        stranger.get("/ocpi/cpo/versions", token=token)
        node.client(token).get("locations")
    node.client(TOKENS["demo_cpo_token_a"]).post("credentials", peer.credentials())

    assert "(a demo token)" in node.log  # the control: the path with a token is logged
    assert [] == tokens_in_files(node)


def test_later_tokens_are_ignored_with_one_line(another_node: Start) -> None:
    node = another_node(**TOKENS)
    later = {f"OCPI_GATEWAY_{name.upper()}": f"another-{token}" for name, token in TOKENS.items()}

    node.stop()
    assert "DEMO tokens are ignored" not in node.log
    node.start(**later)

    assert 1 == node.log.count("DEMO tokens are ignored")
    assert (200, 1000) == outcome(node.client(TOKENS["demo_cpo_operator_token"]).get("locations"))
    another = node.client(later["OCPI_GATEWAY_DEMO_CPO_OPERATOR_TOKEN"])
    assert (401, 2000) == outcome(another.get("locations"))
