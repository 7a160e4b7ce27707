"""Tokens do not leak to the database, the log, the console, or answers. Security S7, S52. Runs last."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy
from examples import example
from inspection import rows, texts
from nodes import Client, Network, Node, outcome, session, switch_to
from peers import PeerServer, envelope
from surface import PARTY, damage

from errors import Refusal
from storage import database
from workflows.peers import registration
from workflows.peers.exchanges import RECORDER

TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[ao]_|ogk_)?(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_=-])"
)
"""The form of our tokens; each has a capital letter. The uid of a command has the same form."""
OTHER_PEER_TOKENS = ("peer-token-" + "x" * 20, "b" * 40)
"""The tokens of the peers in other tests."""
PEER_TOKENS = (
    "b1-secret-of-the-peer",
    "b2-secret-of-the-peer",
    "b3-secret-of-the-peer",
    "b4-secret-of-the-peer",
)
ABORT = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
RAISE = "'BEGIN RAISE integrity_constraint_violation; END'"
TOKEN_ANSWERS = {("POST", "credentials"), ("PUT", "credentials"), ("GET", "credentials")}
"""The operations whose answers contain a token: a new one, or that of the caller."""


def files(node: Node) -> bytes:
    """The content of the database files, or nothing if the database is not a file."""
    url = node.environment["OCPI_GATEWAY_DATABASE_URL"]
    if not url.startswith("sqlite"):
        return b""
    path = Path(url.removeprefix("sqlite:///"))
    found = [each.read_bytes() for each in path.parent.glob(f"{path.name}*")]
    assert found
    return b"".join(found)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[requests.Response]:
    """Every answer that the clients of the test get."""
    received: list[requests.Response] = []
    http = session()
    send = http.request

    def request(*args: Any, **more: Any) -> requests.Response:
        received.append(send(*args, **more))
        return received[-1]

    monkeypatch.setattr(http, "request", request)
    return received


def go_through_registration(network: Network, peer: PeerServer) -> set[str]:
    """Register, fail, renew, and crash in every way; return the tokens in use."""
    node = network.node
    token_a, unused = network.token_a(), network.token_a()
    wrong = "w" * 43
    operator = network.operator()
    issued = {token_a, unused, wrong, str(operator.token), *PEER_TOKENS}

    registrant = node.client(token_a, network.role)
    peer.answers["/versions"] = lambda _: (500, envelope())
    assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials(token=PEER_TOKENS[0])))
    peer.answers.clear()
    peer.answers["/2.1.1"] = lambda request: (200, request["authorization"].encode())  # echoes the token
    assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials(token=PEER_TOKENS[0])))
    peer.answers.clear()
    assert (400, 2001) == outcome(
        registrant.post("credentials", peer.credentials(token=PEER_TOKENS[0], url=7))
    )
    assert (400, 2001) == outcome(
        registrant.post("credentials", peer.credentials(token=f"{PEER_TOKENS[0]}\n"))
    )
    assert (400, 2001) == outcome(
        registrant.send("POST", "credentials", f'{{"token":"{PEER_TOKENS[0]}'.encode())
    )

    registered = registrant.post("credentials", peer.credentials(token=PEER_TOKENS[0]))
    client = node.client(registered.json()["data"]["token"], network.role)
    for path in ("credentials", "", "locations", "tokens", "nothing", f"x/{0}"):
        client.get(path)
        operator.get(path)
        node.client(wrong, network.role).get(path)
    assert (401, 2000) == outcome(registrant.get("credentials"))
    renewed = client.put("credentials", peer.credentials(token=PEER_TOKENS[1]))
    second = node.client(renewed.json()["data"]["token"], network.role)
    issued |= {str(client.token), str(second.token)}

    crash_handlers(network, second, peer)
    assert (200, 1000) == outcome(second.get("credentials"))
    issued |= initiate_registration(network, peer)
    return issued


def crash_handlers(network: Network, client: Client, peer: PeerServer) -> None:
    """Make handlers fail: on an unreadable document, and in a statement that has parameters."""
    schema, module, name = (
        ("Token", "tokens", "uid") if network.role == "cpo" else ("Tariff", "tariffs", "id")
    )
    body = example(schema)
    url = client.at(module, body[name], party=("NL", "TNM"))
    assert client.put(url, body).ok
    damage(network.id, module)
    assert (500, 3000) == outcome(client.patch(url, {"last_updated": "2027-01-01T00:00:00Z"}))
    with failing("ocpi_connections", "UPDATE", network.id), failing("ocpi_access", "INSERT", network.id):
        answer = client.put("credentials", peer.credentials(token=PEER_TOKENS[3]))
        assert (500, 3000) == outcome(answer), answer.text


class failing:  # noqa: N801  (used as a function)
    """A context in which the database refuses *statement* on the rows of one network in *table*."""

    def __init__(self, table: str, statement: str, network_id: int) -> None:
        self.name = f"refuse_{table}"
        condition = f"NEW.network_id = {int(network_id)}"
        trigger = f"CREATE TRIGGER {self.name} BEFORE {statement} ON {table}"
        self.create = [f"{trigger} WHEN {condition} {ABORT}"]
        self.drop = [f"DROP TRIGGER {self.name}"]
        if database.dialect() == "postgresql":
            self.create = [
                f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS {RAISE}",
                f"{trigger} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {self.name}()",
            ]
            self.drop = [f"DROP TRIGGER {self.name} ON {table}", f"DROP FUNCTION {self.name}()"]

    def _run(self, statements: list[str]) -> None:
        with database.transaction() as transaction:
            for statement in statements:
                transaction.execute(sqlalchemy.text(statement))

    def __enter__(self) -> None:
        self._run(self.create)

    def __exit__(self, *_: object) -> None:
        self._run(self.drop)


def initiate_registration(network: Network, peer: PeerServer) -> set[str]:
    """Join a peer, renew, fail to renew, and leave; return the tokens in use."""
    peer.party, peer.token = ("BE", "INI"), PEER_TOKENS[2]
    own_url = f"{peer.url}/versions"
    output: list[str] = []

    def report(text: str, *_: str | None) -> None:
        output.append(text)

    link = registration.join(network.network, own_url, "token-a-of-the-peer", report)
    peer.token = PEER_TOKENS[3]
    link = registration.rotate(network.network, link, report)
    peer.answers["/2.1.1/credentials"] = lambda _: (500, b"oops")
    with pytest.raises(Refusal) as refused:
        registration.rotate(network.network, link, report)
    peer.answers.clear()
    registration.leave(link, report)

    bodies = [request["body"] for request in peer.seen if request["body"]]
    callbacks = {body["token"] for body in bodies}
    assert 3 <= len(callbacks)
    messages = "\n".join(output) + refused.value.message
    assert set() == {
        token for token in (*callbacks, *PEER_TOKENS, "token-a-of-the-peer") if token in messages
    }
    return callbacks | {"token-a-of-the-peer"}


def exchanges_of(network: Network) -> str:
    """What the gateway API shows of every exchange of the network, once all are stored."""
    RECORDER.flush()  # what this process sent
    last = network.operator().get("nothing").headers["X-Request-ID"]
    admin = network.node.gateway("admin")
    headers = {"X-Organization-Id": network.network.organization_id}

    def read(path: str) -> Any:
        return admin.request("GET", f"/ocpi/cpos/{network.id}/exchanges{path}", headers=headers).json()

    deadline = time.monotonic() + 60
    while (page := read("?limit=100"))["data"][0]["request_id"] != last:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert 30 <= len(page["data"]) < 100
    assert {"in", "out"} == {each["direction"] for each in page["data"]}
    return str([page, *(read(f"/{each['exchange_id']}") for each in page["data"])])


@pytest.mark.parametrize("role", ["CPO", "EMSP"])
def test_tokens_appear_only_in_the_answers_that_issue_them(
    verbose_node: Node, peer: PeerServer, answers: list[requests.Response], role: str
) -> None:
    """Security S7, S52: with the log level DEBUG, failures and crashes, on both sides of a registration."""
    network = verbose_node.network(role, PARTY)
    issued = go_through_registration(network, peer)

    assert 14 <= len(issued)
    assert "crashed" in verbose_node.log
    places = {
        "log": verbose_node.log,
        "console": verbose_node.banner,
        "exchanges": exchanges_of(network),
        "rows": texts(),
        "files": files(verbose_node).decode("latin-1"),
    }
    for where, text in places.items():
        assert set() == {token for token in issued if token in text}, where
    assert 30 <= places["exchanges"].count("[redacted]")
    key = Path(verbose_node.environment["OCPI_GATEWAY_DATA_DIR"]) / "secret.key"
    assert key.read_text() not in verbose_node.log
    for word in ("authorization", "bearer ", "token a_", "token o_"):
        assert word not in verbose_node.log.lower()
    assert 30 <= len(answers)
    for answer in answers:
        has_token = (answer.request.method, (answer.request.path_url).rpartition("/")[2]) in TOKEN_ANSWERS
        found = {token for token in issued if token in answer.text + str(answer.headers)}
        expected = {answer.json()["data"]["token"]} if has_token and "data" in answer.json() else set()
        assert expected == found, (answer.request.method, answer.request.url, answer.text)
        if has_token and answer.request.method == "GET" and expected:
            assert answer.request.headers["Authorization"] == f"Token {expected.pop()}"


def test_the_tokens_of_the_banner_are_in_no_file_and_are_shown_once(
    another_node: Callable[..., Node], peer: PeerServer
) -> None:
    other = another_node(log_level="DEBUG")
    first = other.banner
    shown = set(TOKEN.findall(first))
    operators = [token for token in shown if token.startswith("o_")]
    registrants = [token for token in shown if token.startswith("a_")]
    assert (2, 2) == (len(operators), len(registrants))
    client = other.client(registrants[0], "cpo" if registrants[0] in first.partition("eMSP")[0] else "emsp")
    assert (200, 1000) == outcome(client.post("credentials", peer.credentials()))
    with switch_to(other.environment):
        stored = texts()

    other.stop()
    other.start()

    everything = stored + other.log + files(other).decode("latin-1")
    assert set() == {token for token in (*shown, peer.token) if token in everything}
    assert set() == set(TOKEN.findall(other.banner.removeprefix(first)))
    key = Path(other.environment["OCPI_GATEWAY_DATA_DIR"]) / "secret.key"
    assert 0o600 == key.stat().st_mode & 0o777
    assert key.read_text() not in everything + other.banner


def test_no_token_of_any_test_is_in_the_log_the_console_or_the_database(node: Node) -> None:
    """Security S52: tokens that the whole test run issued are found by their form."""
    commands = {row["uid"] for row in rows("ocpi_commands")}
    invalid = {"x" * 43, *(f"{number:043}" for number in range(2000))}

    for where, text in {"log": node.log, "console": node.banner, "rows": texts()}.items():
        suspicious = set(TOKEN.findall(text)) - commands - (invalid if where != "log" else set())
        assert set() == suspicious, where
        assert set() == {token for token in OTHER_PEER_TOKENS if token in text}, where
    assert set() == {token for token in OTHER_PEER_TOKENS if token.encode() in files(node)}
    for word in ("authorization", "bearer ", "token a_", "token o_"):
        assert word not in node.log.lower()
