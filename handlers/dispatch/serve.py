"""The program: opens its port, prepares the database, prints the banner and serves until it is stopped."""

import argparse
import errno
import logging
import os
import resource
import signal
import socket
import sys
import threading

from pydantic import ValidationError

import errors
from handlers.dispatch import app, logs
from handlers.dispatch.server import Server, listen
from settings import Settings, settings
from workflows import engine, running_server, startup
from workflows.dispatcher import Dispatcher
from workflows.maintenance import Maintenance
from workflows.peers import addresses
from workflows.peers.exchanges import Writer

log = logging.getLogger("ocpi_gateway")

_OTHER_FILES = 200
"""Open files besides connections: databases, calls to peers, the program itself."""
_FINISH_SECONDS = 10
_END_SECONDS = 14
"""The process exits after this time even if a step of a job still waits; the next start repeats the step."""


def main() -> None:
    """Serve."""
    os.umask(0o077)  # the SQLite files and locks are private from the moment they exist
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during startup exits without a traceback
    parser = argparse.ArgumentParser(
        prog="scripts/serve",
        description="Run the OCPI 2.1.1 node. Settings come from the environment:",
        epilog=_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    config = _read_settings()
    logs.configure()
    listening = _listen(config)
    try:
        print(startup.banner(startup.prepare()), flush=True)  # noqa: T201  (the one-time banner)
        _serve(listening, config)
    except errors.CannotStart as refusal:
        sys.exit(f"{refusal.message} DATABASE_URL is {_without_password(config.database)}.")


def _read_settings() -> Settings:
    """Read the settings; exit with their errors if they are invalid."""
    if "OCPI_GATEWAY_WORKERS" in os.environ:
        sys.exit(
            "OCPI_GATEWAY_WORKERS: there is no such setting. Run several instances on one PostgreSQL"
            " behind a proxy instead; see docs/proxy.md."
        )
    try:
        config = settings()
        addresses.policy()
    except ValidationError as error:
        messages = [f"OCPI_GATEWAY_{e['loc'][0]!s}".upper() + f": {e['msg']}" for e in error.errors()]
        sys.exit("\n".join(messages))
    except ValueError as error:
        sys.exit(f"OCPI_GATEWAY_{error}")
    return config


def _listen(config: Settings) -> socket.socket:
    """Open the socket; exit with the setting to change if that fails."""
    try:
        return listen(config.host, config.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(
                f"Port {config.port} is taken: another program listens on it."
                " Stop that program, or set OCPI_GATEWAY_PORT to a free port."
            )
        sys.exit(
            f"Cannot listen on {config.host} port {config.port}: {error.strerror}."
            " Change OCPI_GATEWAY_HOST or OCPI_GATEWAY_PORT."
        )


def _serve(listening: socket.socket, config: Settings) -> None:
    """Serve, run jobs and maintenance until SIGTERM or Ctrl-C."""
    limit = _connection_limit(config.connection_limit)
    server = Server(app.create_app(), listening, config.threads, limit)
    engine.start()
    Maintenance().start()
    writer = Writer()
    writer.start()
    dispatcher = Dispatcher(engine.slot_number())
    dispatcher.start()
    running_server.announce()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.run()
    last_resort = threading.Timer(_END_SECONDS, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()
    engine.stop()
    dispatcher.stop()
    server.drain(_FINISH_SECONDS)
    writer.stop()


def _connection_limit(wanted: int) -> int:
    """The connection limit: *wanted*, or less if the process may not open as many files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or wanted <= hard - _OTHER_FILES:
        return wanted
    possible = max(hard - _OTHER_FILES, 1)
    log.warning("connection_limit_lowered", extra={"connection_limit": possible, "open_files": hard})
    return possible


def _table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default if field.default not in ("", None) else "-"
        rows.append(f"  OCPI_GATEWAY_{name.upper():28} {default!s:12} {field.description}")
    return "\n".join(rows)


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url


if __name__ == "__main__":
    main()
