"""scripts/keys and scripts/jobs on the command line."""

import re
import uuid

import pytest
from command_line import run, run_script
from gateway_orders import example
from nodes import Gateway, Node, one_database


def mint(node: Node, *arguments: str) -> dict[str, str]:
    """The values that `keys mint` prints, by name."""
    process = run(node, "keys", "mint", *arguments)
    assert 0 == process.returncode, process.stderr
    return dict(re.findall(r"^(\w+) +(\S+)", process.stdout, re.MULTILINE))


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_a_key_works_until_it_is_revoked(node: Node, role: str) -> None:
    organization = f"acme {uuid.uuid4()}"
    minted = mint(node, "--organization", organization, "--role", role)
    gateway = Gateway(node, minted["key"])

    assert re.fullmatch(r"ogk_[\w-]{43}", minted["key"])
    assert 200 == gateway.get("/ocpi/cpos").status_code
    script = run_script if role == "admin" else run  # once with the imports of a real start
    listed = script(node, "keys", "list").stdout
    assert re.search(rf"^{minted['id']} +{role} .*{re.escape(organization)}$", listed, re.MULTILINE)
    assert minted["key"] not in listed
    assert 0 == run(node, "keys", "revoke", minted["id"]).returncode
    assert 401 == gateway.get("/ocpi/cpos").status_code


@one_database
def test_keys_of_one_organization_see_the_same_networks(node: Node) -> None:
    name = f"acme {uuid.uuid4()}"
    first, second = (mint(node, "--organization", name) for _ in range(2))
    accepted = Gateway(node, first["key"]).post("/ocpi/cpos", example("CpoCreateRequest")).json()

    assert first["organization"] == second["organization"]
    assert 200 == Gateway(node, second["key"]).get(f"/ocpi/cpos/{accepted['cpo_id']}").status_code


@one_database
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("keys", "revoke", "nothing"), "there is no key nothing"),
        (("keys", "mint", "--organization", " "), "1 to 255 characters"),
        (("keys", "mint", "--organization", "x", "--role", "king"), "invalid choice"),
        (("keys",), "required"),
        (("jobs", "nothing"), "there is no such job"),
    ],
)
def test_a_failure_is_explained_in_a_sentence(node: Node, arguments: tuple[str, ...], message: str) -> None:
    process = run(node, *arguments)

    assert 0 != process.returncode
    assert message in process.stderr
    assert "Traceback" not in process.stderr


@one_database
def test_a_job_is_shown(node: Node, gateway: Gateway) -> None:
    accepted = gateway.post("/ocpi/cpos", example("CpoCreateRequest")).json()
    gateway.finish(accepted)

    shown = run_script(node, "jobs", accepted["workflow_run_id"]).stdout

    assert f"network {accepted['cpo_id']}" in shown
    assert re.search(r"^status +READY$", shown, re.MULTILINE)
    assert re.search(r"^created +2 of 2$", shown, re.MULTILINE)
