"""A program that loses or halves what it stores: the controls of the crash tests.

Python reads this file by itself when its folder is on PYTHONPATH. The environment says how storage
is broken: `early` answers before it stores, `halves` stores a document in two transactions; or how the
jobs are: `effect first` and `record first` do a step in two transactions (apart.py). With `never
crowded` slow clients keep their connections.
"""

import os
import threading
import time
from typing import Any

from storage import database, locations
from storage.objects import Body, DocumentTable, Locked, Stored

SECONDS = 0.03
put, revise, update = locations.put, locations.revise, DocumentTable.update


def later(call: Any, *args: Any) -> None:
    def run() -> None:
        with database.transaction() as transaction:
            call(transaction, *args)

    threading.Timer(SECONDS, run).start()


def early_put(_connection: Any, *args: Any) -> Stored:
    later(put, *args)
    return Stored.CREATED


def early_revise(_transaction: Any, *args: Any) -> None:
    later(revise, *args)


def halved_put(connection: Any, network_id: int, party: Any, body: Body) -> Stored:
    outcome = put(connection, network_id, party, {**body, "address": "-"})
    time.sleep(SECONDS)
    put(connection, network_id, party, body)
    return outcome


def halved_update(table: DocumentTable, transaction: Any, locked: Locked, body: Body, **columns: Any) -> None:
    update(table, transaction, locked, {**body, "address": locked.body["address"]}, **columns)
    transaction.exec_driver_sql("COMMIT")
    time.sleep(SECONDS)
    transaction.exec_driver_sql("BEGIN IMMEDIATE" if database.is_sqlite() else "BEGIN")
    update(table, transaction, locked, body, **columns)


match os.environ.get("BROKEN"):
    case "never crowded":
        from handlers import server

        server.CROWDED = 2.0
    case "early":
        locations.put, locations.revise = early_put, early_revise  # type: ignore[assignment]
    case "halves":
        locations.put, DocumentTable.update = halved_put, halved_update  # type: ignore[assignment, method-assign]
    case "effect first" | "record first" as order:
        import apart  # only here: the other variants start without the engine

        apart.break_jobs(apart.effect_first if order == "effect first" else apart.record_first)
