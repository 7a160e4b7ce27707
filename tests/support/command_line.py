"""The scripts, run as a person runs them."""

import subprocess
import tempfile
from pathlib import Path

import fork_server
from nodes import ROOT, Node

Done = subprocess.CompletedProcess[str]


def run_script(node: Node, script: str, *arguments: str, **more: str) -> Done:
    """Run *script* with the settings of *node*."""
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        cwd="/",
        env=node.surroundings(more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(node: Node, script: str, *arguments: str, **more: str) -> Done:
    """Run what is behind *script*, without the time that its imports take where that is possible."""
    if not fork_server.POSSIBLE:
        return run_script(node, script, *arguments, **more)
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        command = ("workflows.cli", script, *arguments)
        ended = fork_server.ONE.hatch(node.surroundings(more), out, err, *command).wait(60)
        return Done(command, ended, out.read_text(), err.read_text())
