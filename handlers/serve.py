"""The program: prepares the database, says where it is, serves until it is told to stop."""

import argparse
import sys
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from pydantic import ValidationError

import errors
from handlers import logs
from settings import Settings, settings
from storage import database
from workflows import addresses, engine, running_server, startup
from workflows.caretaker import Caretaker


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(
        prog="scripts/serve",
        description="Run the OCPI 2.1.1 node. Settings come from the environment:",
        epilog=_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        given = settings()
        addresses.policy()
    except ValidationError as error:
        wrong = [f"OCPI_GATEWAY_{e['loc'][0]!s}".upper() + f": {e['msg']}" for e in error.errors()]
        sys.exit("\n".join(wrong))
    except ValueError as error:
        sys.exit(f"OCPI_GATEWAY_{error}")
    try:
        logs.configure()
        print(startup.banner(startup.prepare()), flush=True)  # noqa: T201  (the one-time banner)
    except errors.Refusal as refusal:
        sys.exit(f"{refusal.message} DATABASE_URL is {_without_password(given.database)}.")
    database.close()
    running_server.announce()
    Granian(
        "handlers.serve:worker",
        factory=True,
        address=given.host,
        port=given.port,
        interface=Interfaces.WSGI,
        workers=given.workers,
        blocking_threads=given.threads,
        backlog=1024,
        log_enabled=False,
        respawn_failed_workers=True,
    ).serve()


def worker() -> Any:
    """The application of one server process, which also works at jobs and looks after networks."""
    from handlers.app import create_app  # noqa: PLC0415  (the parent process does not need it: 1.5 s)

    app = create_app()
    engine.start()
    Caretaker().start()
    return app


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
