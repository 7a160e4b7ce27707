"""A program that loses or halves what it stores: the controls of the crash tests.

Python reads this file by itself when its folder is on PYTHONPATH. The environment says how storage
is broken: `early` answers before it stores, `halves` stores a document in two transactions; or how the
jobs are: `effect first` and `record first` do a step in two transactions (apart.py). With `outbox late` a
push is put on the agenda after the change is committed. With `never crowded` slow clients keep their
connections.
"""

import os
import threading
import time
from typing import Any

import orjson

from generated.ocpi_models import Location
from storage import agenda, database, locations
from storage.objects import DocumentTable, Locked, OcpiObject, Stored

SECONDS = 0.03
LATE_SECONDS = 0.3
"""How long after its response a write is stored; a kill at any moment finds one."""
put, change_part, update = locations.put, locations.update, DocumentTable.update
put_on_agenda = agenda.put


def later(call: Any, *args: Any) -> None:
    def run() -> None:
        with database.transaction() as transaction:
            call(transaction, *args)

    threading.Timer(LATE_SECONDS, run).start()


def early_put(_connection: Any, *args: Any) -> Stored:
    later(put, *args)
    return Stored.CREATED


def early_update(_transaction: Any, *args: Any) -> Stored:
    later(change_part, *args)
    return Stored.UPDATED


def halved_put(connection: Any, network_id: int, party: Any, path: Any, part: Any) -> Stored:
    if not isinstance(part, Location):
        return put(connection, network_id, party, path, part)
    outcome = put(connection, network_id, party, path, part.model_copy(update={"address": "-"}))
    time.sleep(SECONDS)
    put(connection, network_id, party, path, part)
    return outcome


class Half:
    """*new* with the address of what is stored."""

    def __init__(self, new: OcpiObject, stored: str) -> None:
        body, old = orjson.loads(new.json_text()), orjson.loads(stored)
        self.last_updated = new.last_updated
        self.text = orjson.dumps({**body, "address": old["address"]}).decode()

    def json_text(self) -> str:
        return self.text


def halved_update(
    table: DocumentTable, transaction: Any, locked: Locked, new: OcpiObject, **columns: Any
) -> None:
    update(table, transaction, locked, Half(new, locked.document), **columns)
    transaction.exec_driver_sql("COMMIT")
    time.sleep(SECONDS)
    transaction.exec_driver_sql("BEGIN IMMEDIATE" if database.is_sqlite() else "BEGIN")
    update(table, transaction, locked, new, **columns)


def late_put(transaction: Any, entries: Any) -> None:
    def put_entries() -> None:
        time.sleep(SECONDS)
        with database.transaction() as another:
            put_on_agenda(another, entries)

    database.after_commit(transaction, put_entries)


match os.environ.get("BROKEN"):
    case "outbox late":
        agenda.put = late_put
    case "never crowded":
        from handlers.dispatch import server

        server.CROWDED = 2.0
    case "early":
        locations.put, locations.update = early_put, early_update  # type: ignore[assignment]
    case "halves":
        locations.put, DocumentTable.update = halved_put, halved_update  # type: ignore[assignment, method-assign]
    case "effect first" | "record first" as order:
        import apart  # only here: the other variants start without the engine

        apart.break_jobs(apart.effect_first if order == "effect first" else apart.record_first)
