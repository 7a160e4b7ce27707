"""Repeated kill -9 of bulk jobs, with one process and with two. bulk.py checks the results.

Only productive kills count: the job has settled an item since the previous kill and has not ended. Spec
of the harness: docs/architecture.md "Harnesses".
"""

import itertools
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bulk import ENDED, Job, executor, inspect, judge, kinds, ordered, settled
from crashable_node import PATIENCE_SECONDS, POLL_SECONDS, CrashableNode, environment, until, wait_until_idle

from workflows.networks.provisioning import STEP_LOCATIONS

STORED, STEP = "provision.stored", "provision.step"
"""After a location is stored, inside the transaction of its step; and between two steps."""

BETWEEN = "broken.between"
"""Of the broken variants only: between the two transactions."""

RANDOM, RECOVERY = "a random moment", "a random moment of the recovery"
_LONGEST_SECONDS = 0.3
_MOST_STEPS = 4
"""How many steps a kill at a named point waits for."""

LEFT = (_MOST_STEPS + 1) * STEP_LOCATIONS
"""A job with fewer open items may end before the next kill."""

_OF_A_NETWORK = {STORED: 1, STEP: 3, BETWEEN: 1}
"""How often the job of a new network of one location reaches a point."""


@dataclass(frozen=True)
class KillPlan:
    """How to kill: at a random moment some seconds after the first progress (or, of the recovery, after
    the program answers), or the n-th time from now on that a named point is reached.
    """

    where: str
    seconds: float = 0.0
    times: int = 0


def kill_plans(kills: int, seed: int, points: tuple[str, ...] = (STORED, STEP)) -> list[KillPlan]:
    """Half of the kills at random moments, half at the named points; the first at a random moment."""
    rng = random.Random(seed)
    named = list(itertools.islice(itertools.cycle(points), kills // 2))
    where = [RANDOM] * (kills - len(named) - 1) + named
    rng.shuffle(where)
    return [drawn(each, rng) for each in [RANDOM, *where]]


def drawn(where: str, rng: random.Random) -> KillPlan:
    """A kill at *where*: at a random time, or at a named point after at least one committed step."""
    if where in (RANDOM, RECOVERY):
        return KillPlan(where, seconds=rng.uniform(0, _LONGEST_SECONDS))
    if where == STORED:
        return KillPlan(where, times=rng.randint(STEP_LOCATIONS + 1, _MOST_STEPS * STEP_LOCATIONS))
    return KillPlan(where, times=rng.randint(2, _MOST_STEPS))


@dataclass(frozen=True)
class Kill:
    """One kill: the settled items at the previous kill, at this one, and the total."""

    number: int
    job: str
    blow: KillPlan
    before: int
    after: int
    of: int
    recovery: float | None
    complaints: tuple[str, ...]

    @property
    def productive(self) -> bool:
        """Whether the kill counts."""
        return self.before < self.after < self.of

    @property
    def line(self) -> str:
        """Its line in the journal."""
        when = f"{self.blow.where} + {self.blow.seconds:.3f} s"
        if self.blow.times:
            when = f"{self.blow.where}:{self.blow.times}"
        took = "" if self.recovery is None else f", back at work after {self.recovery:.1f} s"
        counts = "" if self.productive else ", does not count"
        wrong = "".join(f"\n    {each}" for each in self.complaints[:5])
        return (
            f"{self.number:4} job {self.job[:8]} {self.before:5} -> {self.after:5} of {self.of}"
            f" at {when}{took}{counts}{wrong}"
        )


@dataclass
class KillSeries:
    """Kills one instance repeatedly and keeps a journal. Between two calls the instance is down."""

    node: CrashableNode
    size: int
    """How many locations a job has."""

    say: Callable[[str], None] = lambda _line: None
    kills: list[Kill] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    finished: int = 0
    job: Job | None = None
    _settled: int = 0

    def strike(self, blow: KillPlan) -> Kill:
        """Start, let the job run, kill, and inspect the tables."""
        recovery = self._at_a_moment(blow) if blow.where in (RANDOM, RECOVERY) else self._at_a_point(blow)
        wait_until_idle(self.node.database)
        job = self.job
        assert job is not None
        after = settled(self.node, job)
        wrong = tuple(inspect(self.node, job))
        kill = Kill(len(self.kills) + 1, job.id, blow, self._settled, after, len(job.names), recovery, wrong)
        self._settled = after
        self.kills.append(kill)
        self.complaints += wrong
        self.say(kill.line)
        return kill

    def _at_a_moment(self, blow: KillPlan) -> float | None:
        """Kill at a random moment; returns the seconds from the restart to the first settled item."""
        began, fresh, recovery = time.monotonic(), self.job is None, None
        self.node.start()
        self._order()
        if blow.where == RANDOM:
            self._wait(lambda done: done > self._settled)
            recovery = None if fresh else time.monotonic() - began
        self._let_run(blow.seconds)
        self.node.kill()
        return recovery

    def _let_run(self, seconds: float) -> None:
        """Wait, but no longer than until an eighth of the open items is settled."""
        job, end = self.job, time.monotonic() + seconds
        assert job is not None
        enough = self._settled + (self.size - self._settled) // 8
        while time.monotonic() < end and settled(self.node, job) < enough:
            time.sleep(POLL_SECONDS / 10)

    def _at_a_point(self, blow: KillPlan) -> None:
        """Kill at a named point; the job of a new network reaches it before the bulk job does."""
        passed = _OF_A_NETWORK[blow.where] if self.job is None else 0
        self.node.start_with_failpoint(f"{blow.where}:{passed + blow.times}")
        self._order()
        self.node.wait_until_killed()

    def _order(self) -> None:
        """Order a job, unless one has not ended."""
        if self.job is None:
            self.job, self._settled = ordered(self.node, self.size), 0

    def finish(self) -> list[str]:
        """Start, let the job end, and check it."""
        job = self.job
        assert job is not None
        self.node.start()
        self._wait(lambda _done: False)
        wrong = judge(self.node, job)
        self.node.kill()
        wait_until_idle(self.node.database)
        self.say(f"     job {job.id[:8]} has ended: {len(wrong)} complaints")
        self.complaints += wrong
        self.finished += 1
        self.job = None
        return wrong

    def _wait(self, enough: Callable[[int], bool]) -> None:
        """Wait for enough progress, or the end of the job; complain of a step back."""
        assert self.job is not None
        done, since = 0, time.monotonic()
        while True:
            status = self.node.read(self.job.status_url)
            now = status["progress"]["locations_done"]
            if now < done:
                self.complaints.append(f"back: from {done} to {now}")
            if now != done:
                done, since = now, time.monotonic()
            if status["status"] in ENDED or enough(done):
                return
            assert time.monotonic() < since + PATIENCE_SECONDS, f"stuck at {done}: {self.node.log[-3000:]}"
            time.sleep(POLL_SECONDS)

    def run(self, plan: Iterable[KillPlan], found: str = "") -> None:
        """Strike until as many kills count as are planned, then let the job end and judge it.

        Ends early, with the job as it is, when a complaint of the kind *found* was made.
        """
        for blow in plan:
            while not self.strike(blow).productive:
                if blow.where == RECOVERY or found in kinds(self.complaints):
                    break
                if self.kills[-1].after >= self.size:
                    self.finish()
            if found in kinds(self.complaints):
                return
            if self._settled > self.size - LEFT:
                self.finish()
        if self.job is not None:
            self.finish()

    @property
    def counted(self) -> list[Kill]:
        """The kills that count."""
        return [kill for kill in self.kills if kill.productive]


# Two processes


class Pair:
    """Two instances on one database, each on a port of its own. Between two calls both live."""

    def __init__(self, database: str, place: Path) -> None:
        """Start them, one after the other: the first takes the first slot."""
        self.nodes = [CrashableNode(environment(database, str(place / f"node{n}"))) for n in range(2)]
        for node in self.nodes:
            node.start()
        self._slots = [f"slot{n}" for n in range(len(self.nodes))]
        self._last_killed = 0

    @property
    def first(self) -> CrashableNode:
        """The one that orders go to."""
        return self.nodes[0]

    def kill_executor(self, job: Job) -> tuple[CrashableNode, CrashableNode]:
        """Kill the one that works at the job; it, and the other.

        One that was started again has its old slot, or a new one if the other was looking at the old one.
        """
        slot, _ = executor(self.first, job)
        if slot not in self._slots:
            self._slots[self._last_killed] = slot
        number = self._last_killed = self._slots.index(slot)
        self.nodes[number].kill()
        return self.nodes[number], self.nodes[1 - number]

    def goes_on(self, job: Job) -> float:
        """Wait until the other settles an item; how many seconds that took."""
        done = settled(self.first, job)
        return until(lambda: settled(self.first, job) > done)

    def kill(self) -> None:
        """End both."""
        for node in self.nodes:
            node.kill()
