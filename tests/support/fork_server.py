"""Starts nodes faster: a process that has already imported the program forks them.

Two thirds of a start are imports. Each fork is the real program with its own process, session and
environment, and kill -9 ends it like any other process.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
IS_AVAILABLE = hasattr(os, "pidfd_open")
SERVER = ("handlers.dispatch.serve",)
_IMPORTED = ("handlers.dispatch.serve", "workflows.cli")
_READS_ENVIRONMENT = "storage.failpoints"
"""The only module that reads the environment at import; it is reloaded after the fork."""


class ForkedProcess:
    """A process that the fork server forked. It is not our child, so we wait for it with a pidfd."""

    def __init__(self, fork_server: "ForkServer", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._fork_server = fork_server
        # valid even if the process has ended, because the fork server has not reaped it
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return code

    def send_signal(self, sig: int, /) -> None:
        """Signal it."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, sig)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._descriptor], [], [], timeout)[0]:
            os.close(self._descriptor)
            self.returncode = self._fork_server.ask({"ended": self.pid})
        return self.returncode


class ForkServer:
    """The process that forks the others; it starts on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def fork(self, environment: dict[str, str], stdout: Path, stderr: Path, *command: str) -> ForkedProcess:
        """Start a *command* of the program (a module and its arguments; by default the server).

        Its output is appended to the files.
        """
        files = {"stdout": str(stdout), "stderr": str(stderr)}
        request = {"environment": environment, "command": command or SERVER, **files}
        return ForkedProcess(self, self.ask(request))

    def ask(self, request: dict[str, Any]) -> int:
        """Send a request to the process and return its response."""
        with self._lock:
            if self._process is None:
                self._process = self._start()
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    @staticmethod
    def _start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C goes to pytest alone, which ends its processes
        )
        atexit.register(ForkServer._end, process)
        return process

    @staticmethod
    def _end(process: "subprocess.Popen[str]") -> None:
        with process:  # closes its pipes and waits for it
            process.kill()


FORK_SERVER = ForkServer()


def _become(request: dict[str, Any]) -> None:
    """Become the program."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    out, log = (
        os.open(request[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT) for name in ("stdout", "stderr")
    )
    for mine, standard in ((nothing, 0), (out, 1), (log, 2)):
        os.dup2(mine, standard)
        os.close(mine)
    os.environ.clear()
    os.environ.update(request["environment"])
    importlib.reload(sys.modules[_READS_ENVIRONMENT])
    _follow_python_path()
    sys.argv = request["command"]
    sys.modules.pop(sys.argv[0], None)  # or runpy warns that it runs a module twice
    runpy.run_module(sys.argv[0], run_name="__main__")


def _follow_python_path() -> None:
    """Import what Python itself imports at its start if PYTHONPATH names a folder that has it."""
    if "PYTHONPATH" in os.environ:
        sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module("sitecustomize")


def main() -> None:
    """Fork the program for each request and write its process id; or reap a fork and write its exit code."""
    sys.path.insert(0, str(ROOT))
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # or each fork ends with passes over all that was imported, 0.6 s of CPU
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "ended" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["ended"], 0)[1])
        elif (answer := os.fork()) == 0:
            _become(request)  # runs until the program ends
            return
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
