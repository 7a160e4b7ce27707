"""The power fails: in the middle of a registration, at every named place, and under load.

The program is killed with SIGKILL. That keeps what the operating
system has taken already, so it shows atomicity and what is acknowledged when, not survival of a disk.
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
from workflows.peers import client, registration

RECEIVING = ("received", "called_back", "written", "committed", "answered")
AFTERWARDS = {step: f"post.{after}" for step, after in itertools.pairwise(RECEIVING)} | {RECEIVING[-1]: ""}
"""Where the next test wants it to die: to start once for both is half the time."""
INITIATING = ("minted", "answered", "written", "committed")


def on(database: str) -> pytest.MarkDecorator:
    """One kind of database only."""
    return pytest.mark.parametrize("database_url", [database], indirect=True, scope="session")


@pytest.fixture(scope="module")
def own_database(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of one more empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path_factory.mktemp('crash') / 'node.sqlite'}"
    url, name = sqlalchemy.make_url(database_url), f"crash_{secrets.token_hex(4)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return str(url.set(database=name).render_as_string(hide_password=False))


class Victim(Node):
    """The instance that dies."""

    armed: str | None = None

    def arm(self, point: str) -> None:
        """Let it run, about to die at *point*; it starts again if it is dead or waits elsewhere."""
        if self.armed == point and not self.died(0):
            return
        self.kill()
        assert power_cut.is_sound(self)
        self.start(OCPI_GATEWAY_FAILPOINT=point)
        self.armed = point

    def died(self, seconds: float = 5) -> bool:
        """Has it been killed."""
        if self._process is None:
            return True
        with contextlib.suppress(Exception):
            self._process.wait(seconds)
        return self._process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def victim(own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A second instance, not started yet."""
    made = Victim({
        "OCPI_GATEWAY_DATABASE_URL": own_database,
        "OCPI_GATEWAY_DATA_DIR": str(tmp_path_factory.mktemp("victim")),
        "OCPI_GATEWAY_PORT": str(free_port()),
        "OCPI_GATEWAY_DEMO": "0",
        "OCPI_GATEWAY_VALIDATE_RESPONSES": "1",
        "OCPI_GATEWAY_PEER_TIMEOUT_SECONDS": "3",
    })  # fmt: skip
    yield made
    made.kill()


@dataclass
class Side:
    """One network of one instance, and how this process gets at its storage."""

    network: Network

    @classmethod
    def of(cls, node: Node, role: str, party: tuple[str, str]) -> "Side":
        """A fresh network of *node*."""
        with switch_to(node.environment):
            return cls(node.network(role, party))

    def inside(self) -> Any:
        """While open, storage in this process is this instance's."""
        return switch_to(self.network.node.environment)

    def token_a(self) -> str:
        with self.inside():
            return self.network.token_a()

    def link(self, other: "Side") -> PeerConnection | None:
        """What is stored here of *other*."""
        with self.inside():
            return in_transaction(connections.of_party, self.network.id, other.network.network.party)

    def join(self, other: "Side", token_a: str) -> None:
        with self.inside():
            registration.join(self.network.network, other.network.versions_url, token_a)

    def let_time_pass(self) -> None:
        """Until no exchange that was interrupted can still be running."""
        with self.inside(), database.transaction() as transaction:
            transaction.execute(
                sqlalchemy.update(ACCESS).where(ACCESS.c.kind == CALLBACK).values(expires_at=1)
            )
            running = CONNECTIONS.c.exchange_until.is_not(None)
            transaction.execute(sqlalchemy.update(CONNECTIONS).where(running).values(exchange_until=1))

    def rotate(self, other: "Side") -> None:
        link = self.link(other)
        assert link is not None
        deadline = time.monotonic() + 60
        with self.inside():
            while True:
                try:
                    registration.rotate(self.network.network, link)
                except errors.Conflict:  # the mark of a dead initiator ends by itself
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                else:
                    return

    def known(self, other: "Side") -> list[str]:
        """The tokens that this side may present to *other*, best first."""
        link = self.link(other)
        with self.inside():
            return [token for token in (link.token, link.former_token) if token] if link else []

    def calls(self, other: "Side") -> str:
        """Call a module of *other* as a workflow would; the token that was let in."""
        used: list[str] = []

        def get(token: str) -> None:
            client.call("GET", f"{other.client(token).base}/locations", token)
            used.append(token)

        link = self.link(other)
        assert link is not None
        with self.inside():
            registration.with_fallback(link, get)
        return used[0]

    def client(self, token: str) -> Client:
        """Somebody who presents *token* here."""
        return self.network.node.client(token, self.network.role)

    def lets_in(self, token: str) -> bool:
        """Does *token* open a module here."""
        status = self.client(token).get("locations").status_code
        assert status in (200, 401)
        return status == 200

    def rows(self) -> tuple[int, int, int]:
        """Connections, live Tokens C, and tokens that nothing will ever end: half of a registration."""
        c, now = ACCESS.c, timestamps.now_ms()
        mine = sqlalchemy.select(c.kind, c.connection_id, c.expires_at).where(c.network_id == self.network.id)
        with self.inside(), database.connect() as connection:
            links = connections.of_network(connection, self.network.id)
            tokens = connection.execute(mine).all()
        live = [t for t in tokens if t.kind == PEER and (t.expires_at is None or t.expires_at > now)]
        half = [
            t
            for t in tokens
            if (t.kind == CALLBACK and t.expires_at is None)
            or (t.kind == PEER and t.connection_id not in [link.id for link in links])
        ]
        return len(links), len(live), len(half)


Pair = tuple[str, str]


def one_pair_works(one: Side, two: Side, *before: Pair) -> Pair:
    """Each side reaches the other, and of the tokens that anybody knows exactly one does it."""
    pair = one.calls(two), two.calls(one)
    for n, (here, there) in enumerate(((one, two), (two, one))):
        known = {*here.known(there), *(old[n] for old in before)}
        assert [pair[n]] == [token for token in known if there.lets_in(token)]
    return pair


def nothing_is_half(*sides: Side) -> None:
    """One connection and one live Token C on either side."""
    assert [(1, 1, 0)] * len(sides) == [side.rows() for side in sides]


def dying(point: str, act: Callable[[], None]) -> None:
    """Run *act* in a process that dies at *point*, as scripts/register would."""

    def run() -> None:
        os.setsid()
        failpoints._armed, failpoints._times = point, "1"
        act()

    database.dispose()  # a connection must not live in two processes
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert -signal.SIGKILL == process.exitcode


def receiver_dies(step: str, node: Node, victim: Victim) -> None:
    """Registered with and rotated with, dead at *step* each time."""
    dies = contextlib.nullcontext() if step == "answered" else pytest.raises(errors.PeerUnusable)
    victim.arm(f"post.{step}")
    one, two = Side.of(node, "EMSP", ("BE", "INI")), Side.of(victim, "CPO", ("NL", "REC"))
    token_a = two.token_a()

    with dies:
        one.join(two, token_a)

    assert step == "answered" or victim.died()
    victim.kill()
    victim.arm(f"put.{step}")
    spent = step in ("committed", "answered")
    assert spent == (two.client(token_a).get("").status_code == 401)
    assert spent == (two.link(one) is not None)
    if step != "answered":
        one.join(two, two.token_a() if spent else token_a)
    before = one_pair_works(one, two)
    nothing_is_half(one, two)

    with dies:
        one.rotate(two)

    assert step == "answered" or victim.died()
    victim.kill()
    victim.arm(AFTERWARDS[step])
    between = one_pair_works(one, two, before)
    assert (step == "answered", spent) == (between[0] != before[0], between[1] != before[1])
    one.rotate(two)
    after = one_pair_works(one, two, before, between)
    assert not {*before, *between} & {*after}
    nothing_is_half(one, two)


@pytest.mark.ocpi(83)
@on("sqlite")
@pytest.mark.parametrize("step", RECEIVING)
def test_a_receiver_that_dies_while_it_is_registered_with_locks_nobody_out(
    step: str, node: Node, victim: Victim
) -> None:
    receiver_dies(step, node, victim)


@pytest.mark.ocpi(83)
@on("postgresql")
@pytest.mark.parametrize("step", RECEIVING[-3:])
def test_a_receiver_that_dies_while_it_is_registered_with_on_postgresql_locks_nobody_out(
    step: str, node: Node, victim: Victim
) -> None:
    """Where something is asked of the database."""
    receiver_dies(step, node, victim)


def initiator_dies(step: str, node: Node, victim: Victim) -> None:
    """Registers and rotates, dead at *step* each time."""
    victim.arm("")
    one, two = Side.of(victim, "CPO", ("BE", "INI")), Side.of(node, "EMSP", ("NL", "REC"))
    token_a = two.token_a()

    dying(f"join.{step}", lambda: one.join(two, token_a))

    assert (step == "minted") == (two.client(token_a).get("").status_code == 200)
    assert (step == "committed") == (one.link(two) is not None)
    if step != "committed":
        with pytest.raises(errors.Conflict, match="try again in"):
            one.join(two, two.token_a())
        one.let_time_pass()
        one.join(two, token_a if step == "minted" else two.token_a())
    before = one_pair_works(one, two)
    nothing_is_half(one, two)

    dying(f"rotate.{step}", lambda: one.rotate(two))

    victim.kill()
    victim.arm("")
    between = one_pair_works(one, two, before)
    assert (step == "committed") == (between != before)
    if step != "answered":  # after this one the program's own clock ends the exchange
        one.let_time_pass()
    one.rotate(two)
    after = one_pair_works(one, two, before, between)
    assert not {*before, *between} & {*after}
    nothing_is_half(one, two)


@pytest.mark.ocpi(83)
@on("sqlite")
@pytest.mark.parametrize("step", INITIATING)
def test_an_initiator_that_dies_while_it_registers_locks_nobody_out(
    step: str, node: Node, victim: Victim
) -> None:
    initiator_dies(step, node, victim)


@pytest.mark.ocpi(83)
@on("postgresql")
@pytest.mark.parametrize("step", INITIATING[-3:])
def test_an_initiator_that_dies_while_it_registers_on_postgresql_locks_nobody_out(
    step: str, node: Node, victim: Victim
) -> None:
    """Where something is asked of the database."""
    initiator_dies(step, node, victim)


@pytest.mark.ocpi(83)
@on("sqlite")
def test_after_the_overlap_the_side_that_can_still_call_mends_a_rotation_that_broke_off(
    node: Node, another_node: Callable[..., Node]
) -> None:
    """The answer was lost for longer than the old token lives: who initiated is out, the other is not."""
    other = another_node(demo="0", token_overlap_seconds="1")
    one, two = Side.of(node, "EMSP", ("BE", "INI")), Side.of(other, "CPO", ("NL", "REC"))
    one.join(two, two.token_a())
    before = one_pair_works(one, two)
    other.stop()
    other.start(OCPI_GATEWAY_FAILPOINT="put.committed")
    with pytest.raises(errors.PeerUnusable):
        one.rotate(two)
    other.kill()
    other.start()
    time.sleep(1)  # the overlap is over

    assert power_cut.is_sound(other)
    with pytest.raises(client.PeerUnauthorized):  # and so the check of the other tests would find it
        one_pair_works(one, two, before)
    assert two.calls(one) != before[1]
    two.rotate(one)
    one_pair_works(one, two, before)
    nothing_is_half(one, two)


def test_a_failpoint_that_is_not_named_does_nothing() -> None:
    assert "" == failpoints._armed
    failpoints.reach("post.received")


@pytest.fixture
def loaded(victim: Victim) -> Iterator[power_cut.Load]:
    """Load on a fresh network of the victim, which has no other."""
    victim.arm("")
    with switch_to(victim.environment):
        peer_of = victim.network("EMSP", ("NL", "DEP")).peer()
        with database.transaction() as connection:
            connection.execute(sqlalchemy.delete(power_cut.TABLE))
    yield power_cut.Load(peer_of)
    victim.kill()


def test_what_was_acknowledged_under_load_is_there_and_nothing_is_half(
    victim: Victim, loaded: power_cut.Load
) -> None:
    productive = 0
    for seconds in power_cut.moments(seed=7, cuts=5):
        productive += loaded.until_killed(victim, seconds) > 0
        victim.arm("")
        assert [] == power_cut.judge(loaded.journal, victim)

    assert 5 == productive
    assert loaded.journal.acknowledged < loaded.journal.attempted  # some were on their way


@pytest.mark.parametrize(
    ("broken", "found"),
    [("early", {"lost"}), ("halves", {"half"})],
    ids=["answers before it stores", "stores in two transactions"],
)
def test_the_judge_sees_a_program_that_is_broken(tmp_path: Path, broken: str, found: set[str]) -> None:
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
        for seconds in power_cut.moments(seed=7, cuts=5):
            load.until_killed(node, seconds)
            complaints = power_cut.judge(load.journal, node)
            if complaints:
                break
            node.start()
    finally:
        node.kill()

    assert found <= power_cut.kinds(complaints)
