"""The commands in the response to POST /ocpi/cpos work when pasted. docs/gateway.md "Invitation"."""

import subprocess
from typing import Any

import pytest
from gateway_orders import CONTRACT
from nodes import Gateway, in_transaction, one_database, outcome
from peers import PeerServer

from storage import access, connections

SNIPPETS = ("curl_snippet", "register_snippet")
SHELLS = ("dash", "bash")


def variables(peer: PeerServer) -> dict[str, str]:
    """The variables that *peer* sets before it pastes a snippet."""
    return {
        "MY_TOKEN": peer.token,
        "MY_VERSIONS_URL": peer.versions_url,
        "MY_COUNTRY_CODE": peer.party[0],
        "MY_PARTY_ID": peer.party[1],
    }


def paste(snippet: str, environment: dict[str, str], shell: str = "dash") -> subprocess.CompletedProcess[str]:
    """Run *snippet* unchanged in a shell."""
    return subprocess.run(
        [shell],
        input=f"{snippet}\n",
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_a_pasted_snippet_registers_the_partner(
    gateway: Gateway, peer: PeerServer, role: str, name: str, shell: str
) -> None:
    template = {"cpo": "small-urban-ac", "emsp": "emsp-drivers"}[role]
    accepted = gateway.create(role=role, template=template)

    process = paste(accepted["roam_helper"][name], variables(peer), shell)

    assert 0 == process.returncode, process.stderr
    assert '"status_code":1000' in process.stdout
    assert ["/versions", "/2.1.1"] == [call["path"] for call in peer.seen]
    assert {f"Token {peer.token}"} == {call["authorization"] for call in peer.seen}
    [connection] = in_transaction(connections.of_network, int(accepted["cpo_id"]))
    assert (peer.party, peer.versions_url) == (connection.party, connection.versions_url)


@one_database
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.parametrize("missing", ["MY_TOKEN", "MY_VERSIONS_URL", "MY_COUNTRY_CODE", "MY_PARTY_ID"])
def test_a_snippet_names_its_missing_variable_and_calls_nobody(
    gateway: Gateway, peer: PeerServer, missing: str, name: str, shell: str
) -> None:
    accepted = gateway.create()
    environment = {key: value for key, value in variables(peer).items() if key != missing}

    process = paste(accepted["roam_helper"][name], environment, shell)

    assert 0 != process.returncode
    assert f"set {missing} to" in process.stderr
    assert "" == process.stdout
    assert [] == peer.seen
    assert (200, 1000) == outcome(gateway.node.client(accepted["token_a"]).get(accepted["ocpi_peer_url"]))


def test_a_second_partner_does_not_replace_the_first(gateway: Gateway, peer: PeerServer) -> None:
    accepted = gateway.create()
    network_id = int(accepted["cpo_id"])
    snippet = accepted["roam_helper"]["register_snippet"]
    # The second partner gets the same command, with its own Token A, like one from `scripts/invite`.
    another = snippet.replace(
        accepted["token_a"], in_transaction(access.mint, access.REGISTRATION, network_id)
    )
    with PeerServer(("DE", "OTH")) as second:
        for pasted, partner in ((snippet, peer), (another, second)):
            assert '"status_code":1000' in paste(pasted, variables(partner)).stdout

    assert {("NL", "TNM"), ("DE", "OTH")} == {
        each.party for each in in_transaction(connections.of_network, network_id)
    }


def test_the_payload_is_the_credentials_object_of_the_network(gateway: Gateway) -> None:
    accepted = gateway.create(country_code="FR", party_id="ABC", name_prefix="alice")
    operator = gateway.operator(accepted)

    payload = accepted["roam_helper"]["credentials_payload"]

    assert {**operator.data("credentials"), "token": accepted["token_a"]} == payload


def test_sending_the_payload_back_is_refused_and_leaves_token_a_usable(gateway: Gateway) -> None:
    accepted = gateway.create()
    registrant = gateway.node.client(accepted["token_a"])

    response = registrant.post("credentials", accepted["roam_helper"]["credentials_payload"])

    assert (200, 2001) == outcome(response)
    assert "send your own credentials" in response.json()["status_message"]
    assert (200, 1000) == outcome(registrant.get(accepted["ocpi_peer_url"]))


def test_the_example_of_the_contract_has_the_command_of_the_response(gateway: Gateway) -> None:
    documented = CONTRACT.document["components"]["examples"]["CpoAccepted"]["value"]
    accepted = gateway.create()

    def comparable(response: Any) -> dict[str, str]:
        url = response["ocpi_peer_url"].removesuffix("/ocpi/cpo/versions")
        helper = response["roam_helper"]
        return {name: helper[name].replace(url, "").replace(response["token_a"], "") for name in SNIPPETS}

    assert comparable(documented) == comparable(accepted)
