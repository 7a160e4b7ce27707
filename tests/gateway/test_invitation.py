"""What the answer to POST /ocpi/cpos offers to paste, pasted. docs/gateway.md "Invitation"."""

import subprocess
from typing import Any

import pytest
from gateway_orders import BOOK
from nodes import Gateway, at_once, one_database, outcome
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
    """Run *snippet* in a shell, as it was answered."""
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

    done = paste(accepted["roam_helper"][name], variables(peer), shell)

    assert 0 == done.returncode, done.stderr
    assert '"status_code":1000' in done.stdout
    assert ["/versions", "/2.1.1"] == [call["path"] for call in peer.seen]
    assert {f"Token {peer.token}"} == {call["authorization"] for call in peer.seen}
    [connection] = at_once(connections.of_network, int(accepted["cpo_id"]))
    assert (peer.party, peer.versions_url) == (connection.party, connection.versions_url)


@one_database
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", SNIPPETS)
@pytest.mark.parametrize("missing", ["MY_TOKEN", "MY_VERSIONS_URL", "MY_COUNTRY_CODE", "MY_PARTY_ID"])
def test_a_snippet_without_a_variable_says_which_one_and_calls_nobody(
    gateway: Gateway, peer: PeerServer, missing: str, name: str, shell: str
) -> None:
    accepted = gateway.create()
    environment = {key: value for key, value in variables(peer).items() if key != missing}

    done = paste(accepted["roam_helper"][name], environment, shell)

    assert 0 != done.returncode
    assert f"set {missing} to" in done.stderr
    assert "" == done.stdout
    assert [] == peer.seen
    assert (200, 1000) == outcome(gateway.node.client(accepted["token_a"]).get(accepted["ocpi_peer_url"]))


def test_a_second_partner_that_pastes_does_not_replace_the_first(gateway: Gateway, peer: PeerServer) -> None:
    accepted = gateway.create()
    network_id = int(accepted["cpo_id"])
    snippet = accepted["roam_helper"]["register_snippet"]
    # The second partner gets the same command, with a Token A of its own as `scripts/invite` makes one.
    another = snippet.replace(accepted["token_a"], at_once(access.mint, access.REGISTRATION, network_id))
    with PeerServer(("DE", "OTH")) as second:
        for pasted, partner in ((snippet, peer), (another, second)):
            assert '"status_code":1000' in paste(pasted, variables(partner)).stdout

    assert {("NL", "TNM"), ("DE", "OTH")} == {
        each.party for each in at_once(connections.of_network, network_id)
    }


def test_the_payload_is_the_credentials_object_of_the_network(gateway: Gateway) -> None:
    accepted = gateway.create(country_code="FR", party_id="ABC", name_prefix="alice")
    operator = gateway.operator(accepted)

    payload = accepted["roam_helper"]["credentials_payload"]

    assert {**operator.data("credentials"), "token": accepted["token_a"]} == payload


def test_the_payload_sent_back_is_refused_and_leaves_token_a_usable(gateway: Gateway) -> None:
    accepted = gateway.create()
    registrant = gateway.node.client(accepted["token_a"])

    response = registrant.post("credentials", accepted["roam_helper"]["credentials_payload"])

    assert (200, 2001) == outcome(response)
    assert "send your own credentials" in response.json()["status_message"]
    assert (200, 1000) == outcome(registrant.get(accepted["ocpi_peer_url"]))


def test_the_contract_shows_the_command_that_is_answered(gateway: Gateway) -> None:
    shown = BOOK.document["components"]["examples"]["CpoAccepted"]["value"]
    accepted = gateway.create()

    def comparable(answer: Any) -> dict[str, str]:
        url = answer["ocpi_peer_url"].removesuffix("/ocpi/cpo/versions")
        helper = answer["roam_helper"]
        return {n: helper[n].replace(url, "").replace(answer["token_a"], "") for n in SNIPPETS}

    assert comparable(shown) == comparable(accepted)
