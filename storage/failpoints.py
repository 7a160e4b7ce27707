"""Failpoints: named places where a test lets the power fail.

The program dies at the place that the environment variable OCPI_GATEWAY_FAILPOINT names: `name` for
the first time that it is reached, `name:n` for the n-th. Without the variable nothing is counted and
nothing happens. docs/architecture.md "Harnesses".
"""

import itertools
import os
import signal

_armed, _, _times = os.environ.get("OCPI_GATEWAY_FAILPOINT", "").partition(":")
_visits = itertools.count(1)


def reach(name: str) -> None:
    """Die here, if this is the place, as in a power cut."""
    if name == _armed and next(_visits) == int(_times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
