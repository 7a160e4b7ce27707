"""The first start creates the demo networks, and everything that its banner prints works."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy
from nodes import Client, Node, free_port, outcome
from peers import PeerServer


@dataclass
class BannerNetwork:
    """The values that the banner prints for one network."""

    node: Node
    role: str
    party: tuple[str, str]
    versions_url: str
    token_a: str
    operator_token: str
    curl: list[str]

    def client(self, token: str) -> Client:
        """A client for the network's URLs."""
        return self.node.client(token, self.role)


@pytest.fixture(scope="module")
def first(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The program with its default settings on an empty database."""
    folder = tmp_path_factory.mktemp("first")
    url = f"sqlite:///{folder / 'ocpi-gateway.sqlite'}"
    if not database_url.startswith("sqlite"):
        engine = sqlalchemy.create_engine(database_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {folder.name}_first")
        engine.dispose()
        first_url = sqlalchemy.make_url(database_url).set(database=f"{folder.name}_first")
        url = first_url.render_as_string(hide_password=False)
    with Node(
        {
            "OCPI_GATEWAY_DATA_DIR": str(folder),
            "OCPI_GATEWAY_DATABASE_URL": url,
            "OCPI_GATEWAY_PORT": str(free_port()),
            "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
        }
    ) as node:
        yield node


def banner_networks(node: Node) -> list[BannerNetwork]:
    """The networks of the banner."""
    found = re.findall(
        r"^(CPO|eMSP) (..)/(...) \(.+\)\n +versions URL +(\S+)\n +Token A +(\S+) .*\n"
        r" +operator token +(\S+) .*\n +(curl .*)$",
        node.banner,
        re.MULTILINE,
    )
    return [
        BannerNetwork(node, role.lower(), (country, party), versions, token_a, operator, shlex.split(curl))
        for role, country, party, versions, token_a, operator, curl in found
    ]


def network(node: Node, role: str) -> BannerNetwork:
    """The network of *role* in the banner."""
    (one,) = [each for each in banner_networks(node) if each.role == role]
    return one


def test_the_banner_shows_two_networks_and_the_urls_of_pages(first: Node) -> None:
    assert [("cpo", ("NL", "DEM")), ("emsp", ("NL", "DEP"))] == [
        (p.role, p.party) for p in banner_networks(first)
    ]
    for each in banner_networks(first):
        assert f"{first.url}/ocpi/{each.role}/versions" == each.versions_url
        assert re.fullmatch(r"a_[\w-]{43}", each.token_a)
        assert re.fullmatch(r"o_[\w-]{43}", each.operator_token)
    for path in ("/docs", "/ready"):
        assert f"{first.url}{path}" in first.banner
        assert first.client(None).get(path).status_code in (200, 302)


@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_the_printed_curl_command_returns_objects(first: Node, role: str) -> None:
    process = subprocess.run(
        [*network(first, role).curl, "--silent", "--fail"], capture_output=True, text=True, check=False
    )

    assert 0 == process.returncode, process.stderr
    assert '"status_code":1000' in process.stdout
    assert {"cpo": "NL*DEM*E", "emsp": "NL-DEP-"}[role] in process.stdout


def test_the_printed_request_creates_a_network_in_which_locations_appear(first: Node) -> None:
    (command,) = re.findall(
        "^  (curl -X POST .*)$", first.banner.partition("OCPI 2.1.1 node")[2], re.MULTILINE
    )[:1]
    process = subprocess.run(
        ["/bin/sh", "-c", f"{command} --silent --fail"], capture_output=True, text=True, check=False
    )

    assert 0 == process.returncode, process.stderr
    accepted = json.loads(process.stdout)
    operator = first.client(accepted["operator_token"])
    deadline = time.monotonic() + 60
    while len(operator.data("locations")) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert 3 == len(operator.data("locations"))
    assert 200 == first.client(accepted["token_a"]).get(accepted["ocpi_peer_url"]).status_code


@pytest.mark.parametrize("role", ["cpo", "emsp"])
def test_the_operator_token_reads_the_objects_of_the_demo_network(first: Node, role: str) -> None:
    demo = network(first, role)
    operator = demo.client(demo.operator_token)

    counts = {m: len(operator.data(m)) for m in ("locations", "sessions", "cdrs", "tariffs", "tokens")}

    none = dict.fromkeys(counts, 0)
    assert none | ({"locations": 3, "tariffs": 1} if role == "cpo" else {"tokens": 29}) == counts
    assert demo.versions_url == operator.data("credentials")["url"]


def test_an_emsp_registers_with_the_printed_token_and_reads_three_levels(
    first: Node, peer: PeerServer
) -> None:
    demo = network(first, "cpo")
    registrant = demo.client(demo.token_a)
    details = registrant.data(registrant.data(demo.versions_url)[0]["url"])
    endpoints = {each["identifier"]: each["url"] for each in details["endpoints"]}

    response = registrant.post(endpoints["credentials"], peer.credentials())

    assert (200, 1000) == outcome(response)
    assert ("NL", "DEM") == (response.json()["data"]["country_code"], response.json()["data"]["party_id"])
    client = demo.client(response.json()["data"]["token"])
    tariffs = {each["id"] for each in client.data(endpoints["tariffs"])}
    locations = client.data(endpoints["locations"])
    assert [3, 3, 3] == [len(location["evses"]) for location in locations]
    for location in locations:
        assert location == client.data(f"{endpoints['locations']}/{location['id']}")
        for evse in location["evses"]:
            url = f"{endpoints['locations']}/{location['id']}/{evse['uid']}"
            assert evse == client.data(url)
            for connector in evse["connectors"]:
                assert connector == client.data(f"{url}/{connector['id']}")
                assert connector["tariff_id"] in tariffs
    assert (401, 2000) == outcome(registrant.get(demo.versions_url))


def test_a_cpo_registers_with_the_printed_token_and_authorizes_a_driver(
    first: Node, peer: PeerServer
) -> None:
    demo = network(first, "emsp")

    response = demo.client(demo.token_a).post("credentials", peer.credentials())

    assert (200, 1000) == outcome(response)
    client = demo.client(response.json()["data"]["token"])
    drivers = client.data("tokens")
    assert 29 == len(drivers)
    authorized = client.post(f"tokens/{drivers[0]['uid']}/authorize")
    assert (200, 1000) == outcome(authorized)
    assert "ALLOWED" == authorized.json()["data"]["allowed"]


def test_a_second_start_creates_nothing_and_shows_no_token(first: Node) -> None:
    before = banner_networks(first)
    counts = [len(each.client(each.operator_token).data("tariffs")) for each in before]

    first.stop()
    first.start()

    assert before == banner_networks(first)  # the second banner has no networks
    assert 2 == first.banner.count(f"OCPI 2.1.1 node on {first.url}")
    assert counts == [len(each.client(each.operator_token).data("tariffs")) for each in before]
    for each in before:
        for token in (each.token_a, each.operator_token):
            # the operator token also occurs in the curl command
            assert 2 - (token == each.token_a) == first.banner.count(token)
            assert token not in first.log


def test_the_data_folder_holds_no_token_and_the_secret_key_is_private(first: Node) -> None:
    folder = Path(first.environment["OCPI_GATEWAY_DATA_DIR"])

    assert 0o600 == (folder / "secret.key").stat().st_mode & 0o777
    for file in folder.iterdir():
        if file.name != "stdout.log":  # this test redirects the banner into it
            content = file.read_bytes()
            for each in banner_networks(first):
                assert each.token_a.encode() not in content, file
                assert each.operator_token.encode() not in content, file
