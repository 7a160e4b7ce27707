"""The file DATA_DIR/server-PORT.json of a running server, from which scripts take its settings.

The server holds a lock on the file until its process ends. An unlocked file belongs to a server that has
ended.
"""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from settings import PREFIX, settings

_NEEDED = ("database_url", "secret_key")
"""Settings that are never written to the file. A script needs those that the server has."""

_LOCK_TRIES = 20
_SECONDS_BETWEEN_TRIES = 0.05


class NoServerError(Exception):
    """No server has settings that a script can use; the message says what to do."""


def announce() -> None:
    """Write the file and hold its lock until this process ends; exit if another server holds it."""
    chosen = settings()
    chosen.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Nothing closes this descriptor: the lock ends with the process.
    descriptor = os.open(chosen.data_dir / f"server-{chosen.port}.json", os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(descriptor):
        sys.exit(f"{PREFIX}PORT: a server with port {chosen.port} and this DATA_DIR is running already.")
    description = {
        "pid": os.getpid(),
        "url": chosen.base_url,
        "settings": chosen.model_dump(mode="json") | {"data_dir": str(chosen.data_dir.resolve())},
        "needed": [name for name in _NEEDED if getattr(chosen, name)],
    }
    os.ftruncate(descriptor, 0)
    os.write(descriptor, orjson.dumps(description))


def adopt(port: int | None) -> None:
    """Use the settings of the server that runs on DATA_DIR; *port* chooses among several servers.

    Raises:
        NoServerError: no server runs, several run, or a setting that is not in the file is not set here.
    """
    server = _choose(settings().data_dir, port)
    values = server["settings"]
    for name in _NEEDED:
        values[name] = getattr(settings(), name) if name in server["needed"] else None
        if name in server["needed"] and not values[name]:
            raise NoServerError(
                f"Set {PREFIX}{name.upper()} as the server has it: it may hold a secret, so the server does "
                "not write it to a file."
            )
    for name, value in values.items():
        os.environ.pop(PREFIX + name.upper(), None)
        if value is not None:
            os.environ[PREFIX + name.upper()] = str(value)
    settings.cache_clear()


def _choose(data_dir: Path, port: int | None) -> dict[str, Any]:
    servers = {path: _read(path) for path in sorted(data_dir.glob("server-*.json"))}
    running = {server["settings"]["port"]: server for server in servers.values() if server is not None}
    chosen = running if port is None else {port: running[port]} if port in running else {}
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    if chosen:
        raise NoServerError(
            f"Servers run on the ports {', '.join(map(str, chosen))}; choose one with --port."
        )
    on_port = "" if port is None else f" on port {port}"
    raise NoServerError(
        f"No server runs{on_port} with the data directory {data_dir.resolve()}. Start it with scripts/serve, "
        f"or set {PREFIX}DATA_DIR to that of a running one."
    )


def _read(path: Path) -> dict[str, Any] | None:
    """The description of the server; None if the server has ended or has not written the file yet."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            content = file.read()
            return orjson.loads(content) if content else None
    return None


def _lock(descriptor: int) -> bool:
    """Take the lock. Retry, because a script holds it for a moment while it reads the file."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN_TRIES)
        else:
            return True
    return False
