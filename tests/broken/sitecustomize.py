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

from storage.objects import Body, Shelf, Stored

SECONDS = 0.03
put, revise = Shelf.put, Shelf.revise


def later(call: Any, *args: Any, **more: Any) -> None:
    threading.Timer(SECONDS, call, args, more).start()


def early_put(*args: Any) -> Stored:
    later(put, *args)
    return Stored.CREATED


def early_revise(*args: Any, **more: Any) -> bool:
    later(revise, *args, **more)
    return True


def halved_put(shelf: Shelf, network_id: int, party: Any, body: Body, columns: Any) -> Stored:
    outcome = put(shelf, network_id, party, {**body, "address": "-"}, columns)
    time.sleep(SECONDS)
    put(shelf, network_id, party, body, columns)
    return outcome


def halved_revise(*args: Any, change: Any, **more: Any) -> bool:
    def half(old: Body) -> Body | None:
        new = change(old)
        return None if new is None else {**new, "address": old["address"]}

    revise(*args, change=half, **more)
    time.sleep(SECONDS)
    return revise(*args, change=change, **more)


match os.environ.get("BROKEN"):
    case "never crowded":
        from handlers import server

        server.CROWDED = 2.0
    case "early":
        Shelf.put, Shelf.revise = early_put, early_revise  # type: ignore[method-assign, assignment]
    case "halves":
        Shelf.put, Shelf.revise = halved_put, halved_revise  # type: ignore[method-assign, assignment]
    case "effect first" | "record first" as order:
        import apart  # only here: the other variants start without the engine

        apart.break_jobs(apart.effect_first if order == "effect first" else apart.record_first)
