"""Crashes of the program: during a registration, at every failpoint, and under load.

The program is killed with SIGKILL. The operating system keeps what it has accepted, so the tests show
atomicity and when a write is acknowledged, not that a write survives a power cut.
"""

import contextlib
import itertools
import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import power_cut
import pytest
import sqlalchemy
from nodes import ROOT, Client, Network, Node, free_port, in_transaction, switch_to

import errors
from storage import connections, database, failpoints, timestamps
from storage.access import ACCESS, CALLBACK, PEER
from storage.connections import CONNECTIONS, PeerConnection
from workflows.peers import client, credentials_exchange, registration

RECEIVING = ("received", "called_back", "written", "committed", "answered")
AFTERWARDS = {step: f"post.{after}" for step, after in itertools.pairwise(RECEIVING)} | {RECEIVING[-1]: ""}
"""The failpoint of the next test by step: one start for both tests halves the time."""
INITIATING = ("minted", "answered", "written", "committed")
STORING = ("written", "committed")
"""The steps at which the program uses the database."""


def on(database: str) -> pytest.MarkDecorator:
    """Run a test on one kind of database only."""
    return pytest.mark.parametrize("database_url", [database], indirect=True, scope="session")


@pytest.fixture(scope="module")
def own_database(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of another empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path_factory.mktemp('crash') / 'node.sqlite'}"
    url, name = sqlalchemy.make_url(database_url), f"crash_{secrets.token_hex(4)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return str(url.set(database=name).render_as_string(hide_password=False))


class Victim(Node):
    """The instance that is killed."""

    armed: str | None = None

    def arm(self, point: str) -> None:
        """Run it with the failpoint *point*; restart it if it is dead or has another failpoint."""
        if self.armed == point and not self.died(0):
            return
        self.kill()
        assert power_cut.is_sound(self)
        self.start(OCPI_GATEWAY_FAILPOINT=point)
        self.armed = point

    def died(self, seconds: float = 5) -> bool:
        """Whether it has been killed."""
        if self._process is None:
            return True
        with contextlib.suppress(Exception):
            self._process.wait(seconds)
        return self._process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def victim(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A second instance, not started yet."""
    instance = Victim({
        "OCPI_GATEWAY_DATABASE_URL": own_database,
        "OCPI_GATEWAY_DATA_DIR": str(tmp_path_factory.mktemp("victim")),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
        "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "3",
    })  # fmt: skip
    yield instance
    instance.kill()


@dataclass
class Side:
    """One network of one instance, with access to its storage from this process."""

    network: Network

    @classmethod
    def of(cls, node: Node, role: str, party: tuple[str, str]) -> "Side":
        """A fresh network of *node*."""
        with switch_to(node.environment):
            return cls(node.network(role, party))

    def own_storage(self) -> Any:
        """A context in which this process uses the storage of this instance."""
        return switch_to(self.network.node.environment)

    def token_a(self) -> str:
        with self.own_storage():
            return self.network.token_a()

    def link(self, other: "Side") -> PeerConnection | None:
        """The stored connection to *other*."""
        with self.own_storage():
            return in_transaction(connections.of_party, self.network.id, other.network.network.party)

    def join(self, other: "Side", token_a: str) -> None:
        with self.own_storage():
            registration.join(self.network.network, other.network.versions_url, token_a)

    def expire_exchanges(self) -> None:
        """Let every interrupted exchange and its callback tokens expire."""
        with self.own_storage(), database.transaction() as transaction:
            transaction.execute(
                sqlalchemy.update(ACCESS).where(ACCESS.c.kind == CALLBACK).values(expires_at=1)
            )
            running = CONNECTIONS.c.exchange_until.is_not(None)
            transaction.execute(sqlalchemy.update(CONNECTIONS).where(running).values(exchange_until=1))

    def rotate(self, other: "Side") -> None:
        link = self.link(other)
        assert link is not None
        deadline = time.monotonic() + 60
        with self.own_storage():
            while True:
                try:
                    registration.rotate(self.network.network, link)
                except errors.Conflict:  # the mark of a dead initiator expires
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                else:
                    return

    def tokens_for(self, other: "Side") -> list[str]:
        """The tokens that this side may present to *other*, the preferred one first."""
        link = self.link(other)
        with self.own_storage():
            return [token for token in (link.token, link.former_token) if token] if link else []

    def call(self, other: "Side") -> str:
        """Call a module of *other* as a workflow does; returns the accepted token."""
        used: list[str] = []

        def get(token: str) -> None:
            client.call("GET", f"{other.client(token).base}/locations", token)
            used.append(token)

        link = self.link(other)
        assert link is not None
        with self.own_storage():
            credentials_exchange.with_fallback(link, get)
        return used[0]

    def client(self, token: str) -> Client:
        """A client that presents *token* to this side."""
        return self.network.node.client(token, self.network.role)

    def accepts(self, token: str) -> bool:
        """Whether a module of this side accepts *token*."""
        status = self.client(token).get("locations").status_code
        assert status in (200, 401)
        return status == 200

    def rows(self) -> tuple[int, int, int]:
        """The numbers of connections, live Tokens C, and tokens of half a registration that never expire."""
        c, now = ACCESS.c, timestamps.now_ms()
        tokens_of_network = sqlalchemy.select(c.kind, c.connection_id, c.expires_at).where(
            c.network_id == self.network.id
        )
        with self.own_storage(), database.connect() as connection:
            links = connections.of_network(connection, self.network.id)
            tokens = connection.execute(tokens_of_network).all()
        live = [t for t in tokens if t.kind == PEER and (t.expires_at is None or t.expires_at > now)]
        half = [
            t
            for t in tokens
            if (t.kind == CALLBACK and t.expires_at is None)
            or (t.kind == PEER and t.connection_id not in [link.id for link in links])
        ]
        return len(links), len(live), len(half)


Pair = tuple[str, str]


def check_pair(one: Side, two: Side, *former: Pair) -> Pair:
    """Check that each side reaches the other with exactly one token; returns the two tokens."""
    pair = one.call(two), two.call(one)
    for n, (here, there) in enumerate(((one, two), (two, one))):
        tokens = {*here.tokens_for(there), *(old[n] for old in former)}
        assert [pair[n]] == [token for token in tokens if there.accepts(token)]
    return pair


def check_nothing_is_half(*sides: Side) -> None:
    """Check that each side has one connection, one live Token C and no half registration."""
    assert [(1, 1, 0)] * len(sides) == [side.rows() for side in sides]


def check_rotation(one: Side, two: Side, *former: Pair) -> None:
    """Check that a rotation replaces both tokens of every *former* pair and leaves nothing half."""
    one.rotate(two)
    after = check_pair(one, two, *former)
    assert not {token for pair in former for token in pair} & {*after}
    check_nothing_is_half(one, two)


def run_until_killed(point: str, act: Callable[[], None]) -> None:
    """Run *act* in another process, as scripts/register does; the failpoint *point* kills it."""

    def run() -> None:
        os.setsid()
        failpoints._armed, failpoints._times = point, "1"
        act()

    database.dispose()  # a connection must not live in two processes
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert -signal.SIGKILL == process.exitcode


def kill_receiver(step: str, node: Node, victim: Victim) -> None:
    """Kill the receiver at *step* of a registration and of a rotation, and check both sides after each."""
    expected_failure = contextlib.nullcontext() if step == "answered" else pytest.raises(errors.PeerUnusable)
    victim.arm(f"post.{step}")
    one, two = Side.of(node, "EMSP", ("BE", "INI")), Side.of(victim, "CPO", ("NL", "REC"))
    token_a = two.token_a()

    with expected_failure:
        one.join(two, token_a)

    assert step == "answered" or victim.died()
    victim.kill()
    victim.arm(f"put.{step}")
    spent = step in ("committed", "answered")
    assert spent == (two.client(token_a).get("").status_code == 401)
    assert spent == (two.link(one) is not None)
    if step != "answered":
        one.join(two, two.token_a() if spent else token_a)
    before = check_pair(one, two)
    check_nothing_is_half(one, two)

    with expected_failure:
        one.rotate(two)

    assert step == "answered" or victim.died()
    victim.kill()
    victim.arm(AFTERWARDS[step])
    between = check_pair(one, two, before)
    assert (step == "answered", spent) == (between[0] != before[0], between[1] != before[1])
    check_rotation(one, two, before, between)


@pytest.mark.ocpi(83)
@on("sqlite")
@pytest.mark.parametrize("step", RECEIVING)
def test_a_receiver_that_crashes_locks_nobody_out(step: str, node: Node, victim: Victim) -> None:
    kill_receiver(step, node, victim)


@pytest.mark.ocpi(83)
@on("postgresql")
@pytest.mark.parametrize("step", STORING)
def test_a_receiver_that_crashes_on_postgresql_locks_nobody_out(
    step: str, node: Node, victim: Victim
) -> None:
    kill_receiver(step, node, victim)


def kill_initiator(step: str, node: Node, victim: Victim) -> None:
    """Kill the initiator at *step* of a registration and of a rotation, and check both sides after each."""
    victim.arm("")
    one, two = Side.of(victim, "CPO", ("BE", "INI")), Side.of(node, "EMSP", ("NL", "REC"))
    token_a = two.token_a()

    run_until_killed(f"join.{step}", lambda: one.join(two, token_a))

    assert (step == "minted") == (two.client(token_a).get("").status_code == 200)
    assert (step == "committed") == (one.link(two) is not None)
    if step != "committed":
        with pytest.raises(errors.Conflict, match="try again in"):
            one.join(two, two.token_a())
        one.expire_exchanges()
        one.join(two, token_a if step == "minted" else two.token_a())
    before = check_pair(one, two)
    check_nothing_is_half(one, two)

    run_until_killed(f"rotate.{step}", lambda: one.rotate(two))

    victim.kill()
    victim.arm("")
    between = check_pair(one, two, before)
    assert (step == "committed") == (between != before)
    if step != "answered":  # after this step the exchange really times out
        one.expire_exchanges()
    check_rotation(one, two, before, between)


@pytest.mark.ocpi(83)
@on("sqlite")
@pytest.mark.parametrize("step", INITIATING)
def test_an_initiator_that_crashes_locks_nobody_out(step: str, node: Node, victim: Victim) -> None:
    kill_initiator(step, node, victim)


@pytest.mark.ocpi(83)
@on("postgresql")
@pytest.mark.parametrize("step", STORING)
def test_an_initiator_that_crashes_on_postgresql_locks_nobody_out(
    step: str, node: Node, victim: Victim
) -> None:
    kill_initiator(step, node, victim)


@pytest.mark.ocpi(83)
@on("sqlite")
def test_after_the_overlap_the_side_that_can_still_call_repairs_an_interrupted_rotation(
    node: Node, another_node: Callable[..., Node]
) -> None:
    """The response is lost and the old token expires: the initiator is locked out, the other side is not."""
    other = another_node(demo="0", token_overlap_seconds="1")
    one, two = Side.of(node, "EMSP", ("BE", "INI")), Side.of(other, "CPO", ("NL", "REC"))
    one.join(two, two.token_a())
    before = check_pair(one, two)
    other.stop()
    other.start(OCPI_GATEWAY_FAILPOINT="put.committed")
    with pytest.raises(errors.PeerUnusable):
        one.rotate(two)
    other.kill()
    other.start()
    time.sleep(1)  # the overlap is over

    assert power_cut.is_sound(other)
    with pytest.raises(client.PeerUnauthorized):  # so the check of the other tests detects it
        check_pair(one, two, before)
    assert two.call(one) != before[1]
    two.rotate(one)
    check_pair(one, two, before)
    check_nothing_is_half(one, two)


def test_a_failpoint_that_is_not_armed_does_nothing() -> None:
    assert "" == failpoints._armed
    failpoints.reach("post.received")


@pytest.fixture
def loaded(victim: Victim) -> Iterator[power_cut.Load]:
    """Load on the only network of the victim."""
    victim.arm("")
    with switch_to(victim.environment):
        peer_of = victim.network("EMSP", ("NL", "DEP")).peer()
        with database.transaction() as connection:
            connection.execute(sqlalchemy.delete(power_cut.TABLE))
    yield power_cut.Load(peer_of)
    victim.kill()


def test_acknowledged_writes_under_load_survive_a_kill_and_nothing_is_half(
    victim: Victim, loaded: power_cut.Load
) -> None:
    productive = 0
    for seconds in power_cut.moments(seed=7, cuts=5):
        productive += loaded.until_killed(victim, seconds) > 0
        victim.arm("")
        assert [] == power_cut.judge(loaded.journal, victim)

    assert 5 == productive
    assert loaded.journal.acknowledged < loaded.journal.attempted  # some were in flight


@pytest.mark.parametrize(
    ("broken", "found"),
    [("early", {"lost"}), ("halves", {"half"})],
    ids=["answers before it stores", "stores in two transactions"],
)
def test_the_checks_detect_a_broken_program(tmp_path: Path, broken: str, found: set[str]) -> None:
    """Negative controls: a crash harness that does not fail on these proves nothing."""
    environment = {
        "OCPI_GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path / 'node.sqlite'}",
        "OCPI_GATEWAY_DATA_DIR": str(tmp_path),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "PYTHONPATH": f"{ROOT / 'tests' / 'support' / 'broken'}:{ROOT}",
        "BROKEN": broken,
    }
    node = Node(environment).start()
    try:
        with switch_to(environment):
            load = power_cut.Load(node.network("EMSP", ("NL", "DEP")).peer())
        complaints: list[str] = []
        for seconds in power_cut.moments(seed=7, cuts=20):
            load.until_killed(node, seconds)
            complaints = power_cut.judge(load.journal, node)
            if found <= power_cut.kinds(complaints):
                break
            node.start()
    finally:
        node.kill()

    assert found <= power_cut.kinds(complaints)
