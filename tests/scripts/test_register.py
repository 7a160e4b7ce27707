"""scripts/register and scripts/invite on the command line."""

import random
import re
import string
from collections.abc import Callable

import pytest
from command_line import run, run_script
from nodes import Network, Node, in_transaction, one_database, outcome
from peers import PeerServer, envelope

from storage import connections

TOKEN_A = "token-a-of-the-peer"


@pytest.fixture(params=["CPO", "EMSP"])
def network(request: pytest.FixtureRequest, node: Node) -> Network:
    """A network of each role with a unique party id."""
    party = "".join(random.choices(string.ascii_uppercase + string.digits, k=3))
    return node.network(request.param, ("XX", party))


def name_of(network: Network) -> str:
    """The party as the scripts expect it."""
    return "/".join(network.network.party)


@one_database
@pytest.mark.ocpi(79)
def test_register_prints_its_steps_then_rotates_then_unregisters(network: Network, peer: PeerServer) -> None:
    party = name_of(network)

    joined = run(network.node, "register", peer.versions_url, TOKEN_A, "--as", party)

    assert 0 == joined.returncode, joined.stderr
    steps = [
        f"GET {peer.url}/versions",
        f"GET {peer.url}/2.1.1",
        f"POST {peer.url}/2.1.1/credentials",
        "registered with NL/TNM",
    ]
    assert steps == [line.strip() for line in joined.stdout.splitlines() if line.strip() in steps]
    assert "endpoints: cdrs, commands, credentials, locations, sessions, tariffs, tokens" in joined.stdout
    token_c = peer.requests("POST", "/2.1.1/credentials")[0]["body"]["token"]
    client = network.node.client(token_c, network.role)
    assert (200, 1000) == outcome(client.get("locations"))

    old, peer.token = peer.token, "c2"
    rotated = run(network.node, "register", "--as", party.lower(), "--rotate", "NL/TNM")
    assert 0 == rotated.returncode, rotated.stderr
    assert f"PUT {peer.url}/2.1.1/credentials" in rotated.stdout
    assert "renewed with NL/TNM" in rotated.stdout
    (put,) = peer.requests("PUT", "/2.1.1/credentials")
    assert f"Token {old}" == put["authorization"]
    renewed = network.node.client(put["body"]["token"], network.role)
    assert (200, 1000) == outcome(renewed.get("locations"))

    left = run(network.node, "register", "--as", party, "--unregister", "NL/TNM")
    assert 0 == left.returncode, left.stderr
    assert f"DELETE {peer.url}/2.1.1/credentials" in left.stdout
    assert "Token c2" == peer.requests("DELETE", "/2.1.1/credentials")[0]["authorization"]
    assert (401, 2000) == outcome(renewed.get("locations"))
    for token in (TOKEN_A, token_c, put["body"]["token"], old):
        assert token not in joined.stdout + joined.stderr + rotated.stdout + rotated.stderr + left.stdout


@pytest.mark.ocpi(79)
def test_register_names_the_missing_endpoints_and_does_not_post(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    node = another_node(required_endpoints="credentials,cdrs,tokens")
    endpoint = {"identifier": "credentials", "url": f"{peer.url}/2.1.1/credentials"}
    peer.answers["/2.1.1"] = lambda _: (200, envelope({"version": "2.1.1", "endpoints": [endpoint]}))

    failed = run(node, "register", peer.versions_url, TOKEN_A, "--as", "NL/DEM")

    assert 1 == failed.returncode
    assert "failed: The peer lacks the endpoints cdrs, tokens." in failed.stderr
    assert "Traceback" not in failed.stderr
    assert ["/versions", "/2.1.1"] == [call["path"] for call in peer.seen]
    left = run(node, "register", "--as", "NL/DEM", "--unregister", "NL/TNM")
    assert "no connection with NL/TNM" in left.stderr


@one_database
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "VERSIONS_URL"),
        (("http://127.0.0.1:9999/versions",), "VERSIONS_URL"),
        (("--rotate", "NL/TNM"), "no connection with NL/TNM"),
        (("--unregister", "NL/TNM"), "no connection with NL/TNM"),
        (("--rotate", "nonsense"), "write it as"),
        (("http://169.254.169.254/", TOKEN_A), "failed: "),
        (("http://10.1.2.3/", TOKEN_A), "the entry 10.1.2.3:80-80 in PEER_ALLOW allows it"),
        (("http://127.0.0.1:9999/versions", "a b"), "token"),
    ],
)
def test_register_explains_a_failure_in_a_sentence(
    node: Node, arguments: tuple[str, ...], message: str
) -> None:
    party = "".join(random.choices(string.ascii_uppercase, k=3))
    network = node.network("CPO", ("XY", party))

    failed = run(node, "register", *arguments, "--as", name_of(network))

    assert failed.returncode in (1, 2)
    assert message.lower() in failed.stderr.lower()
    assert "Traceback" not in failed.stderr


@one_database
def test_register_refuses_an_unknown_party(node: Node) -> None:
    failed = run(node, "register", "http://127.0.0.1:9999/", TOKEN_A, "--as", "ZZ/ZZZ")

    assert 1 == failed.returncode
    assert "ZZ/ZZZ" in failed.stderr


@one_database
def test_invite_prints_a_versions_url_and_a_token_a_that_registers(
    network: Network, peer: PeerServer
) -> None:
    script = run_script if network.role == "cpo" else run  # once with the imports of a real start
    first, second = (execute(network.node, "invite", "--as", name_of(network)) for execute in (run, script))

    assert [0, 0] == [first.returncode, second.returncode], first.stderr
    found = [
        re.fullmatch(r"versions URL +(\S+)\nToken A +(a_[\w-]{43})\n", each.stdout)
        for each in (first, second)
    ]
    assert all(found), first.stdout
    urls, tokens = zip(*(each.groups() for each in found if each), strict=True)
    assert {network.versions_url} == set(urls)
    assert 2 == len(set(tokens))
    for token in tokens:
        registrant = network.node.client(token, network.role)
        assert (200, 1000) == outcome(registrant.get(urls[0]))
        assert (200, 1000) == outcome(registrant.post("credentials", peer.credentials()))


@one_database
def test_register_connects_two_networks_of_the_program(cpo: Network, node: Node) -> None:
    party = "".join(random.choices(string.ascii_uppercase, k=3))
    network = node.network("EMSP", ("XZ", party))

    joined = run_script(node, "register", cpo.versions_url, cpo.token_a(), "--as", name_of(network))

    assert 0 == joined.returncode, joined.stderr
    assert "registered with NL/DEM" in joined.stdout
    connection = in_transaction(connections.of_party, cpo.id, ("XZ", party))
    assert connection is not None
    assert (200, 1000) == outcome(node.client(connection.token, "emsp").get("tokens"))
