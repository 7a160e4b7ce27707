"""No token where it does not belong: database, log, console, answers. Security S7, S52. The last file."""

import re
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

TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[ao]_|ogk_)?(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_=-])"
)
"""What looks like a token of ours, none of which is without a capital; the uid of a command looks so, too."""
PEERS = ("peer-token-" + "x" * 20, "b" * 40)
"""The tokens that the tests' peers give."""
MINE = ("b1-secret-of-the-peer", "b2-secret-of-the-peer", "b3-secret-of-the-peer", "b4-secret-of-the-peer")
ABORT = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
RAISE = "'BEGIN RAISE integrity_constraint_violation; END'"
GIVERS = {("POST", "credentials"), ("PUT", "credentials"), ("GET", "credentials")}
"""What hands out a token: the new one, or the one that was presented."""


def files(node: Node) -> bytes:
    """The database's files, the log beside it; nothing where the database is no file."""
    url = node.environment["OCPI_GATEWAY_DATABASE_URL"]
    if not url.startswith("sqlite"):
        return b""
    path = Path(url.removeprefix("sqlite:///"))
    found = [each.read_bytes() for each in path.parent.glob(f"{path.name}*")]
    assert found
    return b"".join(found)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[requests.Response]:
    """Every answer that the test's clients get."""
    kept: list[requests.Response] = []
    mine = session()
    real = mine.request

    def request(*args: Any, **more: Any) -> requests.Response:
        kept.append(real(*args, **more))
        return kept[-1]

    monkeypatch.setattr(mine, "request", request)
    return kept


def live(node: Node, peer: PeerServer, role: str) -> set[str]:
    """A registration's life, with everything that goes wrong in one; the tokens that were in it."""
    network = node.network(role, PARTY)
    token_a, unused = network.token_a(), network.token_a()
    wrong = "w" * 43
    operator = network.operator()
    issued = {token_a, unused, wrong, str(operator.token), *MINE}

    registrant = node.client(token_a, network.role)
    peer.answers["/versions"] = lambda _: (500, envelope())
    assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials(token=MINE[0])))
    peer.answers.clear()
    peer.answers["/2.1.1"] = lambda request: (200, request["authorization"].encode())  # echoes it
    assert (200, 3001) == outcome(registrant.post("credentials", peer.credentials(token=MINE[0])))
    peer.answers.clear()
    assert (400, 2001) == outcome(registrant.post("credentials", peer.credentials(token=MINE[0], url=7)))
    assert (400, 2001) == outcome(registrant.post("credentials", peer.credentials(token=f"{MINE[0]}\n")))
    assert (400, 2001) == outcome(registrant.send("POST", "credentials", f'{{"token":"{MINE[0]}'.encode()))

    registered = registrant.post("credentials", peer.credentials(token=MINE[0]))
    client = node.client(registered.json()["data"]["token"], network.role)
    for path in ("credentials", "", "locations", "tokens", "nothing", f"x/{0}"):
        client.get(path)
        operator.get(path)
        node.client(wrong, network.role).get(path)
    assert (401, 2000) == outcome(registrant.get("credentials"))
    renewed = client.put("credentials", peer.credentials(token=MINE[1]))
    second = node.client(renewed.json()["data"]["token"], network.role)
    issued |= {str(client.token), str(second.token)}
    crash(network, second, peer)
    assert (200, 1000) == outcome(second.get("credentials"))
    issued |= rotate(network, peer)
    return issued


def crash(network: Network, client: Client, peer: PeerServer) -> None:
    """A handler fails in its middle, once in a statement that has parameters, once on what it reads."""
    schema, module, name = (
        ("Token", "tokens", "uid") if network.role == "cpo" else ("Tariff", "tariffs", "id")
    )
    body = example(schema)
    url = client.at(module, body[name], party=("NL", "TNM"))
    assert client.put(url, body).ok
    damage(network.id, module)
    assert (500, 3000) == outcome(client.patch(url, {"last_updated": "2027-01-01T00:00:00Z"}))
    with failing("ocpi_connections", "UPDATE", network.id), failing("ocpi_access", "INSERT", network.id):
        told = client.put("credentials", peer.credentials(token=MINE[3]))
        assert (500, 3000) == outcome(told), told.text


class failing:  # noqa: N801  (used as a function)
    """While open, the database refuses that statement on that network's rows."""

    def __init__(self, table: str, what: str, network_id: int) -> None:
        self.name = f"refuse_{table}"
        condition = f"NEW.network_id = {int(network_id)}"
        trigger = f"CREATE TRIGGER {self.name} BEFORE {what} ON {table}"
        self.make = [f"{trigger} WHEN {condition} {ABORT}"]
        self.drop = [f"DROP TRIGGER {self.name}"]
        if database.dialect() == "postgresql":
            self.make = [
                f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS {RAISE}",
                f"{trigger} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {self.name}()",
            ]
            self.drop = [f"DROP TRIGGER {self.name} ON {table}", f"DROP FUNCTION {self.name}()"]

    def _run(self, statements: list[str]) -> None:
        with database.transaction() as transaction:
            for statement in statements:
                transaction.execute(sqlalchemy.text(statement))

    def __enter__(self) -> None:
        self._run(self.make)

    def __exit__(self, *_: object) -> None:
        self._run(self.drop)


def rotate(network: Network, peer: PeerServer) -> set[str]:
    """The same life from the initiating side: join, renew, a renewal that fails, leave; the tokens in it."""
    peer.party, peer.token = ("BE", "INI"), MINE[2]
    own_url = f"{peer.url}/versions"
    said: list[str] = []
    link = registration.join(network.network, own_url, "token-a-of-the-peer", said.append)
    peer.token = MINE[3]
    link = registration.rotate(network.network, link, said.append)
    peer.answers["/2.1.1/credentials"] = lambda _: (500, b"oops")
    with pytest.raises(Refusal) as refused:
        registration.rotate(network.network, link, said.append)
    peer.answers.clear()
    registration.leave(link, said.append)

    bodies = [request["body"] for request in peer.seen if request["body"]]
    callbacks = {body["token"] for body in bodies}
    assert 3 <= len(callbacks)
    told = "\n".join(said) + refused.value.message
    assert set() == {token for token in (*callbacks, *MINE, "token-a-of-the-peer") if token in told}
    return callbacks | {"token-a-of-the-peer"}


@pytest.mark.parametrize("role", ["CPO", "EMSP"])
def test_no_token_is_anywhere_but_where_it_is_handed_out(
    loud: Node, peer: PeerServer, answers: list[requests.Response], role: str
) -> None:
    """Security S7, S52: at DEBUG, through failures and crashes, on both sides of a registration."""
    issued = live(loud, peer, role)

    assert 14 <= len(issued)
    assert "crashed" in loud.log
    places = {
        "log": loud.log,
        "console": loud.banner,
        "rows": texts(),
        "files": files(loud).decode("latin-1"),
    }
    for where, text in places.items():
        assert set() == {token for token in issued if token in text}, where
    key = Path(loud.environment["OCPI_GATEWAY_DATA_DIR"]) / "secret.key"
    assert key.read_text() not in loud.log
    for word in ("authorization", "bearer ", "token a_", "token o_"):
        assert word not in loud.log.lower()
    assert 30 <= len(answers)
    for answer in answers:
        giver = (answer.request.method, (answer.request.path_url).rpartition("/")[2]) in GIVERS
        held = {token for token in issued if token in answer.text + str(answer.headers)}
        handed = {answer.json()["data"]["token"]} if giver and "data" in answer.json() else set()
        assert handed == held, (answer.request.method, answer.request.url, answer.text)
        if giver and answer.request.method == "GET" and handed:
            assert answer.request.headers["Authorization"] == f"Token {handed.pop()}"


def test_what_the_banner_shows_once_is_in_no_file_and_never_shown_again(
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
        held = texts()

    other.stop()
    other.start()

    everything = held + other.log + files(other).decode("latin-1")
    assert set() == {token for token in (*shown, peer.token) if token in everything}
    assert set() == set(TOKEN.findall(other.banner.removeprefix(first)))
    key = Path(other.environment["OCPI_GATEWAY_DATA_DIR"]) / "secret.key"
    assert 0o600 == key.stat().st_mode & 0o777
    assert key.read_text() not in everything + other.banner


def test_after_all_tests_no_token_is_in_the_log_the_console_or_the_database(node: Node) -> None:
    """Security S52: whatever this run has issued; a token that nobody noted is known by its form."""
    commands = {row["uid"] for row in rows("ocpi_commands")}
    known = {"x" * 43, *(f"{number:043}" for number in range(2000))}

    for where, text in {"log": node.log, "console": node.banner, "rows": texts()}.items():
        suspicious = set(TOKEN.findall(text)) - commands - (known if where != "log" else set())
        assert set() == suspicious, where
        assert set() == {token for token in PEERS if token in text}, where
    assert set() == {token for token in PEERS if token.encode() in files(node)}
    for word in ("authorization", "bearer ", "token a_", "token o_"):
        assert word not in node.log.lower()
