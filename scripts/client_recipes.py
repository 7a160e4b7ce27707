"""Run the recipes of docs/clients.md against a running node.

A recipe is a chapter. Its `sh` blocks are run, its other blocks are written to the file that their first
line names; a `console` block is for people only.
"""

import argparse
import contextlib
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "clients.md"
START_SECONDS = 60
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"(?:#|//) (\S+)\n")


def blocks(language: str) -> list[tuple[str, str]]:
    """The blocks of the chapter *language*: the word after the fence, and the text."""
    chapter = GUIDE.read_text().split(f"\n## {language}\n")[1].split("\n## ")[0]
    return _BLOCK.findall(chapter)


def run(language: str, url: str, key: str, folder: Path) -> str:
    """Run the recipe of *language* in *folder* against the node at *url*; returns its output.

    Raises:
        subprocess.CalledProcessError: a command failed.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NODE": url, "KEY": key}
    printed = ""
    for kind, text in blocks(language):
        if kind == "sh":
            done = subprocess.run(
                ["/bin/sh", "-ec", text], cwd=folder, env=environment, check=True, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            printed += done.stdout
        elif named := _FILE_NAME.match(text):
            (folder / named[1]).write_text(text)
    return printed


@contextlib.contextmanager
def node(folder: Path) -> Iterator[tuple[str, str]]:
    """A node with its data in *folder*: its URL and the administrator's key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"OCPI_GATEWAY_PORT": str(port), "OCPI_GATEWAY_DATA_DIR": str(folder)}
    environment = {**os.environ, **settings}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([ROOT / "scripts" / "serve"], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url)
            yield url, (folder / "admin.token").read_text().strip()
        finally:
            process.terminate()


def wait_until_ready(url: str) -> None:
    """Wait until the node at *url* answers.

    Raises:
        TimeoutError: it has not for a minute.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urlopen(f"{url}/ready", timeout=5):  # noqa: S310  (our own node)
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url} is not ready after {START_SECONDS} s")


def page(runs: dict[str, tuple[float, str]]) -> str:
    """The page of docs/measurements: by language, the seconds and the output of the recipe."""
    versions = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    chapters = "".join(
        f"\n## {language}, {seconds:.0f} s\n\n```\n{printed}```\n"
        for language, (seconds, printed) in runs.items()
    )
    return f"""\
# Generated clients

Command: `scripts/clients`. Each recipe of [clients.md](../clients.md) from that page, against a new
node: the clients are generated, type-checked and driven. No file of theirs is edited.
{chapters}
{versions}; load average {load}.
"""


def main() -> None:
    """Run the recipes; exit 1 with the output of a command that fails."""
    parser = argparse.ArgumentParser(prog="scripts/clients", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs/measurements/clients.md")
    out = parser.parse_args().out
    runs = {}
    for language in ("Python", "TypeScript"):
        with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            try:
                with node(Path(data)) as (url, key):
                    printed = run(language, url, key, Path(folder))
            except subprocess.CalledProcessError as error:
                sys.exit(f"{language}: {error.cmd[-1].strip()}\n{error.stdout}")
            runs[language] = time.monotonic() - began, printed.replace(url, "$NODE")
            print(f"{language}, {runs[language][0]:.0f} s\n{printed}")
    out.write_text(page(runs))


if __name__ == "__main__":
    main()
