"""Runs scripts as a user does."""

import subprocess
import sys
import tempfile
from pathlib import Path

import fork_server
from nodes import ROOT, Node

Done = subprocess.CompletedProcess[str]


def run_script(node: Node, script: str, *arguments: str, **more: str) -> Done:
    """Run *script* with the settings of *node*."""
    return _run([str(ROOT / "scripts" / script), *arguments], Path("/"), node.surroundings(more))


def run(node: Node, script: str, *arguments: str, **more: str) -> Done:
    """Run the module of *script*, forked without import time if possible."""
    return run_module(node.surroundings(more), "workflows.cli", script, *arguments)


def run_module(environment: dict[str, str], *command: str) -> Done:
    """Run a module of the program with arguments, forked without import time if possible."""
    if not fork_server.IS_AVAILABLE:
        return _run([sys.executable, "-m", *command], ROOT, environment)
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        ended = fork_server.FORK_SERVER.fork(environment, out, err, *command).wait(60)
        return Done(command, ended, out.read_text(), err.read_text())


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> Done:
    """Run *command* in *folder* and capture its output."""
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
