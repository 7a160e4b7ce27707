"""No URL from a peer makes the program call a forbidden address; the tests use the API.

docs/security-cases.md "Address policy".

The program refuses loopback except for the port of the peer. Every other URL leads to a trap to which
the program must never connect.
"""

import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from examples import example
from nodes import Client, Node, free_port, outcome, switch_to
from peers import PeerServer, envelope
from surface import PARTY, PEER

HOSTS = [
    "127.0.0.1:{trap}", "127.1:{trap}", "127.0.1:{trap}", "2130706433:{trap}", "0x7f.1:{trap}",
    "0x7f000001:{trap}", "017700000001:{trap}", "0177.0.0.1:{trap}", "127.0.0.01:{trap}", "0:{trap}",
    "0.0.0.0:{trap}", "127.255.255.254:{trap}", "[::1]:{trap}", "[::]:{trap}", "[::ffff:127.0.0.1]:{trap}",
    "[::ffff:7f00:1]:{trap}", "[::127.0.0.1]:{trap}", "[64:ff9b::7f00:1]:{trap}", "[2002:7f00:1::]:{trap}",
    "[64:ff9b:1::7f00:1]:{trap}", "[fe80::1]:{trap}", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]",
    "[2001:db8::1]", "localhost:{trap}", "localhost.:{trap}", "LOCALHOST:{trap}", "169.254.169.254",
    "[::ffff:169.254.169.254]", "100.100.100.200", "192.0.0.192", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "127.0.0.1", "127.0.0.1:22",
    "127.0.0.1:5432", "127.0.0.1:{own}", "127.1:{peer}", "[::ffff:127.0.0.1]:{peer}", "2130706433:{peer}",
    "0x7f.1:{peer}", "127.0.0.2:{peer}", "nothing.invalid", "8.8.8.8:22", "8.8.8.8:1023",
]  # fmt: skip
MALFORMED = [
    "http://①②⑦.⓪.⓪.①:{trap}/versions", "http://127。0。0。1:{trap}/versions",
    "http://x@127.0.0.1:{trap}/versions", "http://x:y@127.0.0.1:{peer}/versions",
    "http://a#@127.0.0.1:{trap}/versions", "http://127.0.0.1:{trap}\\@peer.example/versions",
    "http://peer.example\\@127.0.0.1:{trap}/versions", "http://127.0.0.1:{trap}/ver sions",
    "http://127.0.0.1:{peer}/versions\r\nX-Evil: 1", "http://127.0.0.1:{peer}/versions#part",
    "file:///etc/passwd", "gopher://127.0.0.1:{trap}/_GET", "gopher:", "ftp://127.0.0.1:{trap}/", "http:///",
    "http://", "http:127.0.0.1:{trap}", "//127.0.0.1:{trap}/versions", "/versions", "javascript:alert(1)",
    "data:application/json,{{}}", "http://[::1", "http://127.0.0.1:{peer}:{trap}/", "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/", "http://127.0.0.1:-1/", "http://127.0.0.1:/versions",
    " http://127.0.0.1:{peer}/versions", "http://127.0.0.1:{peer}/versions ", "\thttp://127.0.0.1:{peer}/",
    "http://[fe80::1%25eth0]:{trap}/", "http://%31%32%37.0.0.1:{trap}/", "unix:///var/run/docker.sock",
    "dict://127.0.0.1:{trap}/", "jar:http://127.0.0.1:{trap}!/", "http://127.0.0.1%00.example.com:{trap}/",
]  # fmt: skip
VECTORS = [f"http://{host}/versions" for host in HOSTS] + MALFORMED
PLACES = ["credentials.url", "versions[].url", "endpoints[].url", "response_url"]


@dataclass
class Closed:
    """A node that refuses loopback, the peer and the trap beside it, and clients."""

    node: Node
    foreign: PeerServer
    ports: dict[str, int]
    trapped: list[bytes]
    registrant: Client
    peer: Client

    def stored(self) -> list[Any]:
        """The rows that a registration or a command would leave."""
        with closing(
            sqlite3.connect(Path(self.node.environment["OCPI_GATEWAY_DATA_DIR"]) / "node.sqlite")
        ) as db:
            queries = (
                "SELECT id, state, versions_url, endpoints, peer_token FROM ocpi_connections",
                "SELECT * FROM ocpi_commands",
                "SELECT digest, kind, expires_at FROM ocpi_access",
            )
            return [db.execute(query).fetchall() for query in queries]

    def send_url(self, place: str, url: str) -> Any:
        """Send *url* to the program in the member *place*, and return the response."""
        foreign = self.foreign
        foreign.seen.clear()
        foreign.answers.clear()
        if place == "response_url":
            body = example("StopSession", response_url=url)
            return self.peer.post("commands/STOP_SESSION", body)
        if place == "credentials.url":
            return self.registrant.post("credentials", foreign.credentials(url=url))
        if place == "versions[].url":
            foreign.answers["/versions"] = lambda _: (200, envelope([{"version": "2.1.1", "url": url}]))
        else:
            endpoint = {"identifier": "credentials", "url": f"{foreign.url}/2.1.1/credentials"}
            details = {"version": "2.1.1", "endpoints": [endpoint, {"identifier": "tokens", "url": url}]}
            foreign.answers["/2.1.1"] = lambda _: (200, envelope(details))
        return self.registrant.post("credentials", foreign.credentials())


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """The program, a peer, and the trap."""
    folder = tmp_path_factory.mktemp("closed")
    trapped: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as trap, PeerServer() as foreign:

        def spring() -> None:
            while True:
                try:
                    caught, _ = trap.accept()
                except OSError:
                    return
                trapped.append(caught.recv(1000))
                caught.close()

        threading.Thread(target=spring, daemon=True).start()
        ports = {"trap": trap.getsockname()[1], "peer": urlsplit(foreign.url).port or 0, "own": free_port()}
        environment = {
            "OCPI_GATEWAY_DATA_DIR": str(folder),
            "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{folder / 'node.sqlite'}",
            "OCPI_GATEWAY_PORT": str(ports["own"]),
            "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "3",
            "OCPI_GATEWAY_DEMO": "0",
            "OCPI_GATEWAY_ALLOW_LOOPBACK_PEERS": "false",
            "OCPI_GATEWAY_PEER_ALLOW": f"127.0.0.1:{ports['peer']}-{ports['peer']}",
        }
        with Node(environment) as node:
            with switch_to(environment):
                network = node.network("CPO", PARTY)
                registrant, peer = network.registrant(), network.peer(("NL", "OTH"))
            yield Closed(node, foreign, ports, trapped, registrant, peer)


def test_the_allowed_peer_is_called(closed: Closed) -> None:
    url = closed.foreign.versions_url
    with switch_to(closed.node.environment):
        network = closed.node.network("CPO", ("NL", "ALL"))
        response = network.registrant().post("credentials", closed.foreign.credentials())

    assert (200, 1000) == outcome(response)
    assert (200, 1000) == outcome(closed.send_url("response_url", url))


@pytest.mark.parametrize(
    ("place", "expected", "calls"),
    [
        ("response_url", {(400, 2001), (200, 2001)}, 0),
        ("credentials.url", {(400, 2001), (200, 3001)}, 0),
        # an entry without a valid `url` is ignored like any other entry that is not understood
        ("versions[].url", {(200, 3001)}, 1),
        ("endpoints[].url", {(200, 3001)}, 2),
    ],
)
def test_an_internal_url_is_refused_and_not_called(
    closed: Closed, place: str, expected: set[tuple[int, int]], calls: int
) -> None:
    before = closed.stored()

    for vector in VECTORS:
        response = closed.send_url(place, vector.format(**closed.ports))

        assert outcome(response) in expected, vector
        assert "data" not in response.json(), vector
        assert ([], calls) == (closed.trapped, len(closed.foreign.seen)), vector
    assert before == closed.stored()


@pytest.mark.parametrize("place", PLACES)
def test_every_refusal_is_the_same_for_every_address(closed: Closed, place: str) -> None:
    """The addresses have closed, open and filtered ports, known and unknown names; some do not exist."""
    texts = {
        closed.send_url(place, f"http://{h}/versions".format(**closed.ports)).text.partition('"timestamp"')[0]
        for h in HOSTS
    }

    assert 1 == len(texts), texts
    assert [] == [port for port in closed.ports.values() if str(port) in str(texts)]


@pytest.mark.parametrize(
    ("length", "place", "expected"),
    [
        (255, "credentials.url", {(200, 3001)}),
        (256, "credentials.url", {(400, 2001)}),
        (255, "response_url", {(200, 2001)}),
        (256, "response_url", {(400, 2001)}),
        (255, "versions[].url", {(200, 3001)}),
        (256, "versions[].url", {(200, 3001), (200, 3002)}),
    ],
)
def test_the_length_of_a_url_is_checked_before_its_address(
    closed: Closed, length: int, place: str, expected: set[tuple[int, int]]
) -> None:
    url = f"http://127.0.0.1:{closed.ports['trap']}/".ljust(length, "x")

    assert outcome(closed.send_url(place, url)) in expected
    assert [] == closed.trapped


def test_urls_in_objects_are_never_called(closed: Closed) -> None:
    """URLs of images, terms, websites and logos are data."""
    trap = f"http://127.0.0.1:{closed.ports['trap']}/x.png"
    with switch_to(closed.node.environment):
        emsp = closed.node.network("EMSP", PARTY).peer(PEER)
    text = json.dumps(example("Location")).replace("https://laadnet.example.com", trap)
    body = json.loads(text)

    assert (201, 1000) == outcome(emsp.put(emsp.at("locations", "LOC1"), body))
    tariff = example("Tariff", tariff_alt_url=trap)
    assert (201, 1000) == outcome(emsp.put(emsp.at("tariffs", tariff["id"]), tariff))
    assert 1 == len(emsp.data("locations"))
    assert [] == closed.trapped
