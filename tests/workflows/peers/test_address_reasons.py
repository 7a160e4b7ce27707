"""The reason of a refusal by the address policy: the operator reads it, the peer does not.

docs/security-cases.md "Address policy".
"""

import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotInTime

import bad_peer
import pytest
from nodes import Node, outcome
from peers import PeerServer

from workflows.peers import addresses, client
from workflows.peers.addresses import AddressRefused

chosen, outside = bad_peer.chosen, bad_peer.outside
stay_on_loopback = bad_peer.stay_on_loopback

ALLOWABLE = [
    ("http://10.0.0.5/", "10.0.0.5 is refused for port 80: it leads into 10.0.0.0/8, which is not public"),
    ("https://private.example/", "private.example resolves to 10.0.0.1, which is refused for port 443"),
    ("http://127.0.0.1:9000/", "it is on this machine, and ALLOW_LOOPBACK_PEERS is off"),
    ("http://8.8.8.8:22/", "port 22 is not 80, 443, or 1024 and above"),
    ("http://[fd00::5]:8080/", "fd00::5 is refused for port 8080: it leads into 8000::/1"),
    ("http://[64:ff9b::7f00:1]/", "it leads into 127.0.0.0/8"),
]
FINAL = [
    ("http://169.254.169.254/", "169.254.169.254 is refused for port 80: it is link-local"),
    ("https://unknown.example/", "unknown.example does not resolve: [Errno -2] Name or service not known"),
    ("https://nothing.example/", "nothing.example does not resolve"),
    ("http://user@peer.example/", "user info"),
    ("http://peer.example:99999/", "there is no port 99999"),
    ("http://0x7f.1/", "0x7f.1 is neither a name nor a dotted decimal"),
]


def reason(url: str) -> str:
    """The reason for which *url* is refused."""
    with pytest.raises(AddressRefused) as error:
        client.check(url)
    assert addresses.REFUSED == error.value.message
    return error.value.reason


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(("url", "words"), ALLOWABLE + FINAL)
def test_the_reason_is_logged(url: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    logged = reason(url)

    assert words in logged
    assert [logged] == [vars(record)["reason"] for record in caplog.records]


@pytest.mark.parametrize("url", [url for url, _ in ALLOWABLE])
def test_the_entry_in_the_reason_allows_the_address(url: str, chosen: Callable[..., None]) -> None:
    chosen()
    [entry] = re.findall(r"the entry (\S+) in PEER_ALLOW allows it", reason(url))

    chosen(peer_allow=entry)

    client.check(url)


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("url", [url for url, _ in FINAL])
def test_a_reason_names_no_entry_if_none_can_help(url: str) -> None:
    assert "PEER_ALLOW" not in reason(url)


@pytest.mark.usefixtures("outside")
def test_the_reason_names_a_slow_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(_host: str, _port: int) -> None:
        raise NotInTime

    monkeypatch.setattr(addresses, "resolver", late)

    assert "peer.example was not resolved in time." == reason("https://peer.example/")


def test_the_running_program_logs_the_reason_and_hides_it_from_the_peer(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    node = another_node(allow_loopback_peers="false")
    token_a = re.findall(r"Token A +(\S+)", node.banner)[0]

    response = node.client(token_a).post("credentials", peer.credentials())

    assert (200, 3001) == outcome(response)
    assert addresses.REFUSED == response.json()["status_message"]
    [line] = [json.loads(line) for line in node.log.splitlines() if "peer address refused" in line]
    port = peer.url.rpartition(":")[2]
    assert f"127.0.0.1:{port}-{port} in PEER_ALLOW" in line["reason"]
