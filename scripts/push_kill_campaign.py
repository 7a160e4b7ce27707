"""Repeated kill -9 while changes are pushed to two peers. Do both end with the current state?"""

import contextlib
import sys
from collections.abc import Callable, Iterator

import kill_series
from crashable_node import CrashableNode
from kill_series import Campaign
from push_kills import PushKills, stores

TEXT = """\
A back office changes locations, EVSE status, tariffs, sessions and CDRs of a network with two registered
peers, as fast as the program answers, until SIGKILL: at a random moment, before a push (`push.read`), after
its answer (`push.answered`) or inside the transaction of a change (`outbox.written`). A kill counts when
something was delivered since the kill before and something was left. In the end each peer's objects are
compared with what it would read, and the CDRs with those that were acknowledged.
"""


@contextlib.contextmanager
def begin(node: CrashableNode, seed: int, log: Callable[[str], None]) -> Iterator[PushKills]:
    """The series, with its two peers."""
    with stores() as both:
        yield PushKills(node, both, seed, log)


CAMPAIGN = Campaign(
    program="killing_pushes",
    title="Kills while changes are pushed",
    text=TEXT,
    page="kills-pushes.md",
    measure="delivered",
    begin=begin,
    count=lambda series: sum(store.taken for store in series.stores),
)

if __name__ == "__main__":
    sys.exit(kill_series.main(CAMPAIGN))
