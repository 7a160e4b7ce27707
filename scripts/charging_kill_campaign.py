"""Repeated kill -9 while cars charge. Is every command, reservation and session brought to its end?"""

import contextlib
import sys
from collections.abc import Callable, Iterator

import kill_series
from charging_kills import ChargingKills, Driver
from crashable_node import CrashableNode
from kill_series import Campaign

TEXT = """\
An eMSP starts and stops sessions, reserves EVSEs and lets drivers plug in at a network whose clock runs at
600 times the real time, until SIGKILL: at a random moment, after the answer to a result (`result.answered`)
or a push (`push.answered`), or inside the transaction of a command (`command.decided`) or of what is due on
the clock (`charging.worked`). A kill counts when a command was accepted since the kill before and something
was left to do. In the end every accepted command must have one result, delivered or given up; every session
must be COMPLETED, here and at the peer, which has exactly its CDR; and every EVSE must be AVAILABLE.
"""


@contextlib.contextmanager
def begin(node: CrashableNode, seed: int, log: Callable[[str], None]) -> Iterator[ChargingKills]:
    """The series, with its eMSP."""
    with Driver() as driver:
        yield ChargingKills(node, driver, seed, log)


CAMPAIGN = Campaign(
    program="killing_charging",
    title="Kills while cars charge",
    text=TEXT,
    page="kills-charging.md",
    measure="accepted commands",
    begin=begin,
    count=lambda series: len(series.accepted),
)

if __name__ == "__main__":
    sys.exit(kill_series.main(CAMPAIGN))
