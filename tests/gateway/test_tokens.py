"""Own tokens that the gateway creates, changes and blocks. docs/gateway.md "Objects"."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Gateway, Network, in_transaction, one_database, outcome, refusal
from receivers import Receiver

from generated.ocpi_models import TokenType
from storage import networks, tokens

DEP = ("NL", "DEP")


@pytest.fixture
def emsp(gateway: Gateway) -> Network:
    """A new eMSP network NL/DEP of the organization."""
    row = in_transaction(networks.create, gateway.organization_id, "EMSP", DEP, "Drivers")
    return Network(gateway.node, row)


def put(gateway: Gateway, network: Network, uid: str, **body: Any) -> Any:
    """The token after a PUT."""
    response = gateway.request("PUT", f"/ocpi/cpos/{network.id}/tokens/{uid}", json=body)
    assert 200 == response.status_code, response.text
    return response.json()["object"]


def allowed(cpo: Client, uid: str) -> str:
    """The decision of real-time authorization."""
    response = cpo.post(f"tokens/{uid}/authorize", None)
    assert (200, 1000) == outcome(response)
    return str(response.json()["data"]["allowed"])


def test_a_token_is_created_changed_and_blocked_and_peers_are_sent_each_change(
    gateway: Gateway, emsp: Network
) -> None:
    with Receiver(emsp) as receiver:
        created = put(gateway, emsp, "CARD")
        assert {
            "uid": "CARD", "type": "RFID", "auth_id": "CARD", "issuer": "Drivers", "valid": True,
            "whitelist": "ALLOWED", "last_updated": created["last_updated"],
        } == created  # fmt: skip
        assert [("PUT", "tokens/NL/DEP/CARD", created)] == receiver.next()
        assert "ALLOWED" == allowed(receiver.client, "CARD")

        changed = put(gateway, emsp, "CARD", language="nl", whitelist="NEVER")
        blocked = put(gateway, emsp, "CARD", valid=False, language=None)
        assert {**created, "whitelist": "NEVER", "valid": False} == {
            **blocked, "last_updated": created["last_updated"]
        }  # fmt: skip
        assert "nl" == changed["language"]
        [*_, (method, path, body)] = receiver.next()
        assert ("PATCH", "tokens/NL/DEP/CARD", False) == (method, path, body["valid"])
        assert "BLOCKED" == allowed(receiver.client, "CARD")

        assert blocked == put(gateway, emsp, "CARD", valid=False)
        assert [] == receiver.behind
    assert blocked == emsp.operator().data("tokens/NL/DEP/CARD")


def test_a_uid_may_exist_with_two_types(gateway: Gateway, emsp: Network) -> None:
    app = put(gateway, emsp, "1", type="OTHER", auth_id="NL-DEP-C1")
    assert app | {"valid": False} == put(gateway, emsp, "1", valid=False) | {
        "last_updated": app["last_updated"]
    }
    card = put(gateway, emsp, "1", type="RFID")

    assert ("OTHER", "RFID") == (app["type"], card["type"])
    assert 2 == gateway.data(f"/ocpi/cpos/{emsp.id}/tokens")["total"]
    assert not gateway.data(f"/ocpi/cpos/{emsp.id}/tokens/1", type="OTHER")["object"]["valid"]
    assert gateway.data(f"/ocpi/cpos/{emsp.id}/tokens/1", type="RFID")["object"]["valid"]


def test_valid_decides_where_a_template_had_decided_otherwise(gateway: Gateway, emsp: Network) -> None:
    put(gateway, emsp, "CARD")
    cpo = emsp.peer()
    in_transaction(tokens.set_standing, emsp.id, DEP, "CARD", TokenType.RFID, "NO_CREDIT", None)
    put(gateway, emsp, "CARD", language="de")
    assert "NO_CREDIT" == allowed(cpo, "CARD")

    put(gateway, emsp, "CARD", valid=True)
    assert "ALLOWED" == allowed(cpo, "CARD")
    put(gateway, emsp, "CARD", valid=False)
    assert "BLOCKED" == allowed(cpo, "CARD")


@one_database
def test_members_that_the_back_office_added_are_kept(gateway: Gateway, emsp: Network) -> None:
    token = example("Token", group_id="FLEET")
    assert (201, 1000) == outcome(emsp.operator().put("tokens/NL/DEP/012345678", token))

    changed = put(gateway, emsp, "012345678", valid=False)
    assert {**token, "valid": False, "last_updated": changed["last_updated"]} == changed


@one_database
def test_only_an_emsp_has_tokens_of_its_own(gateway: Gateway) -> None:
    row = in_transaction(networks.create, gateway.organization_id, "CPO", ("NL", "DEM"), "Points")
    url = f"/ocpi/cpos/{row.id}/tokens/CARD"

    assert (404, "A CPO network has no tokens of its own.") == refusal(gateway.request("PUT", url, json={}))
    for body in ({"whitelist": "MAYBE"}, {"auth_id": "x" * 37}, {"valid": None}, {"language": "dutch"}):
        assert 422 == refusal(gateway.request("PUT", url, json=body))[0]
