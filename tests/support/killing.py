"""Repeated kill -9 of bulk jobs, with one process and with two. bulk.py checks the results.

Only productive kills count: the job has settled an item since the previous kill and has not ended.
The specification of the harness: docs/architecture.md "Harnesses".
"""

import contextlib
import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bulk import ENDED, Job, check_results, count_settled, executor, inspect, kinds, order_job
from crashable_node import PATIENCE_SECONDS, POLL_SECONDS, CrashableNode, environment, until, wait_until_idle

from workflows.networks.provisioning import STEP_LOCATIONS

STORED, STEP = "provision.stored", "provision.step"
"""After a location is stored, inside the transaction of its step; and between two steps."""

BETWEEN = "broken.between"
"""In the broken variants only: between the two transactions."""

RANDOM, RECOVERY = "a random moment", "a random moment of the recovery"
_LONGEST_SECONDS = 0.3
_MOST_STEPS = 4
"""The most steps before a kill at a named point."""

LEFT = (_MOST_STEPS + 1) * STEP_LOCATIONS
"""A job with fewer open items may end before the next kill."""

_OF_A_NETWORK = {STORED: 1, STEP: 3, BETWEEN: 1}
"""How often the job of a new network of one location reaches a point."""


@dataclass(frozen=True)
class KillPlan:
    """When to kill: some seconds after the first progress (for RECOVERY: after the program answers),
    or the n-th time that a named point is reached.
    """

    where: str
    seconds: float = 0.0
    times: int = 0


def kill_plans(kills: int, seed: int, points: tuple[str, ...] = (STORED, STEP)) -> list[KillPlan]:
    """Half of the kills are at random moments, half at the named points; the first is at a random moment."""
    rng = random.Random(seed)
    named = list(itertools.islice(itertools.cycle(points), kills // 2))
    where = [RANDOM] * (kills - len(named) - 1) + named
    rng.shuffle(where)
    return [draw_plan(each, rng) for each in [RANDOM, *where]]


def draw_plan(where: str, rng: random.Random) -> KillPlan:
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
    plan: KillPlan
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
        when = f"{self.plan.where} + {self.plan.seconds:.3f} s"
        if self.plan.times:
            when = f"{self.plan.where}:{self.plan.times}"
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
    """The number of locations of a job."""

    log: Callable[[str], None] = lambda _line: None
    kills: list[Kill] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    finished: int = 0
    job: Job | None = None
    _settled: int = 0

    def kill_once(self, plan: KillPlan) -> Kill:
        """Start, let the job run, kill, and inspect the tables."""
        recovery = self._at_a_moment(plan) if plan.where in (RANDOM, RECOVERY) else self._at_a_point(plan)
        wait_until_idle(self.node.database)
        job = self.job
        assert job is not None
        after = count_settled(self.node, job)
        wrong = tuple(inspect(self.node, job))
        kill = Kill(len(self.kills) + 1, job.id, plan, self._settled, after, len(job.names), recovery, wrong)
        self._settled = after
        self.kills.append(kill)
        self.complaints += wrong
        self.log(kill.line)
        return kill

    def _at_a_moment(self, plan: KillPlan) -> float | None:
        """Kill at a random moment; returns the seconds from the restart to the first settled item."""
        began, fresh, recovery = time.monotonic(), self.job is None, None
        self.node.start()
        self._order()
        if plan.where == RANDOM:
            self._wait(lambda done: done > self._settled)
            recovery = None if fresh else time.monotonic() - began
        self._let_run(plan.seconds)
        self.node.kill()
        return recovery

    def _let_run(self, seconds: float) -> None:
        """Wait, but no longer than until an eighth of the open items is settled."""
        job, end = self.job, time.monotonic() + seconds
        assert job is not None
        enough = self._settled + (self.size - self._settled) // 8
        while time.monotonic() < end and count_settled(self.node, job) < enough:
            time.sleep(POLL_SECONDS / 10)

    def _at_a_point(self, plan: KillPlan) -> None:
        """Kill at a named point; the job of a new network reaches it before the bulk job does."""
        passed = _OF_A_NETWORK[plan.where] if self.job is None else 0
        self.node.start_with_failpoint(f"{plan.where}:{passed + plan.times}")
        self._order()
        self.node.wait_until_killed()

    def _order(self) -> None:
        """Order a job, unless one is unfinished."""
        if self.job is None:
            self.job, self._settled = order_job(self.node, self.size), 0

    def finish(self) -> list[str]:
        """Start, let the job end, and check it."""
        job = self.job
        assert job is not None
        self.node.start()
        self._wait(lambda _done: False)
        wrong = check_results(self.node, job)
        self.node.kill()
        wait_until_idle(self.node.database)
        self.log(f"     job {job.id[:8]} has ended: {len(wrong)} complaints")
        self.complaints += wrong
        self.finished += 1
        self.job = None
        return wrong

    def _wait(self, enough: Callable[[int], bool]) -> None:
        """Wait for enough progress, or the end of the job; a decrease is an error."""
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

    def run(self, plans: Iterable[KillPlan], found: str = "") -> None:
        """Kill until as many kills count as are planned, then let the job end and check it.

        Stops early and leaves the job as it is when there is a complaint of the kind *found*.
        """
        for plan in plans:
            while not self.kill_once(plan).productive:
                if plan.where == RECOVERY or found in kinds(self.complaints):
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
    """Two instances on one database, each on its own port. Between two calls both run."""

    def __init__(self, database: str, folder: Path) -> None:
        """Start them, one after the other: the first takes the first slot."""
        self.nodes = [CrashableNode(environment(database, str(folder / f"node{n}"))) for n in range(2)]
        for node in self.nodes:
            node.start()
        self._slots = [f"slot{n}" for n in range(len(self.nodes))]
        self._last_killed = 0

    @property
    def first(self) -> CrashableNode:
        """The instance that receives the orders."""
        return self.nodes[0]

    def kill_executor(self, job: Job) -> tuple[CrashableNode, CrashableNode]:
        """Kill the instance that runs the job; returns it and the other.

        A restarted instance has its old slot, or a new one if the other was inspecting the old one.
        """
        slot, _ = executor(self.first, job)
        if slot not in self._slots:
            self._slots[self._last_killed] = slot
        number = self._last_killed = self._slots.index(slot)
        self.nodes[number].kill()
        return self.nodes[number], self.nodes[1 - number]

    @contextlib.contextmanager
    def freeze_executor(self, job: Job) -> Iterator[str]:
        """Stop the instance that runs the job, without ending it; yields its slot."""
        slot, _ = executor(self.first, job)
        pid = self.nodes[self._slots.index(slot)].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield slot
        finally:
            os.kill(pid, signal.SIGCONT)

    def wait_for_progress(self, job: Job) -> float:
        """Wait until the other settles an item; returns the seconds that it took."""
        done = count_settled(self.first, job)
        return until(lambda: count_settled(self.first, job) > done)

    def kill(self) -> None:
        """End both."""
        for node in self.nodes:
            node.kill()
