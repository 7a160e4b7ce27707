"""scripts/keys and scripts/jobs, as a person runs them."""

import re
import uuid

import pytest
from command_line import run, run_script
from gateway_orders import example
from nodes import Gateway, Node, one_database


def minted(node: Node, *arguments: str) -> dict[str, str]:
    """What `keys mint` prints, by name."""
    done = run(node, "keys", "mint", *arguments)
    assert 0 == done.returncode, done.stderr
    return dict(re.findall(r"^(\w+) +(\S+)", done.stdout, re.MULTILINE))


@one_database
@pytest.mark.ocpi(218)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_a_key_opens_the_gateway_from_when_it_is_minted_until_it_is_revoked(node: Node, role: str) -> None:
    organization = f"acme {uuid.uuid4()}"
    told = minted(node, "--organization", organization, "--role", role)
    gateway = Gateway(node, told["key"])

    assert re.fullmatch(r"ogk_[\w-]{43}", told["key"])
    assert 200 == gateway.get("/ocpi/cpos").status_code
    listed = run_script(node, "keys", "list").stdout
    assert re.search(rf"^{told['id']} +{role} .*{re.escape(organization)}$", listed, re.MULTILINE)
    assert told["key"] not in listed
    assert 0 == run(node, "keys", "revoke", told["id"]).returncode
    assert 401 == gateway.get("/ocpi/cpos").status_code


@one_database
def test_keys_of_one_organization_see_the_same_networks(node: Node) -> None:
    name = f"acme {uuid.uuid4()}"
    first, second = (minted(node, "--organization", name) for _ in range(2))
    made = Gateway(node, first["key"]).post("/ocpi/cpos", example("CpoCreateRequest")).json()

    assert first["organization"] == second["organization"]
    assert 200 == Gateway(node, second["key"]).get(f"/ocpi/cpos/{made['cpo_id']}").status_code


@one_database
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("keys", "revoke", "nothing"), "there is no key nothing"),
        (("keys", "mint", "--organization", " "), "1 to 255 characters"),
        (("keys", "mint", "--organization", "x", "--role", "king"), "invalid choice"),
        (("keys",), "required"),
        (("jobs", "nothing"), "there is no such job"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(node: Node, arguments: tuple[str, ...], says: str) -> None:
    done = run(node, *arguments)

    assert 0 != done.returncode
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@one_database
def test_a_job_is_shown(node: Node, gateway: Gateway) -> None:
    made = gateway.post("/ocpi/cpos", example("CpoCreateRequest")).json()
    gateway.wait_until_ready(made["status_url"])

    shown = run_script(node, "jobs", made["workflow_run_id"]).stdout

    assert f"network {made['cpo_id']}" in shown
    assert re.search(r"^status +READY$", shown, re.MULTILINE)
    assert re.search(r"^created +2 of 2$", shown, re.MULTILINE)
