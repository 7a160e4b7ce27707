"""What every page of measurements says of its run: the commit and the load of the machine."""

import os
import subprocess
from pathlib import Path

_GIT = ["git", "-C", str(Path(__file__).parent)]


def commit() -> str:
    """The commit of the measured program, and whether its files have changed since."""
    revision = subprocess.run(
        [*_GIT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        [*_GIT, "status", "--porcelain", "-uno"], capture_output=True, check=False
    ).stdout
    return revision.stdout.strip() + (" with changes" if changed else "")


def load() -> str:
    """The load average of the last 1, 5 and 15 minutes."""
    return " ".join(f"{each:.2f}" for each in os.getloadavg())
