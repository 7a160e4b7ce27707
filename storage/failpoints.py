"""Failpoints: named places where a test kills the process.

The environment variable OCPI_GATEWAY_FAILPOINT names the place: `name` kills at the first visit, `name:n`
at the n-th. Without the variable, failpoints do nothing. docs/architecture.md "Harnesses".
"""

import itertools
import os
import signal

_armed, _, _times = os.environ.get("OCPI_GATEWAY_FAILPOINT", "").partition(":")
_visits = itertools.count(1)


def reach(name: str) -> None:
    """Kill the process if OCPI_GATEWAY_FAILPOINT names this visit."""
    if name == _armed and next(_visits) == int(_times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
