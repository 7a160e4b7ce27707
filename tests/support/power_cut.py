"""Load for power cuts, a journal of the attempted writes, and checks of the stored data.

The judge's rules, docs/architecture.md "Harnesses": acknowledged is a subset of stored, stored is a subset
of attempted, no document is half of one write and half of another, no `last_updated` goes back.
"""

import itertools
import random
import sqlite3
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import contracts
import orjson
import requests
import sqlalchemy
from examples import example
from nodes import Client, Node, switch_to

from storage import database, timestamps
from storage.locations import LocationRow

SHARED, THREADS = "SHARED", 4
BEGAN = timestamps.parse("2027-01-01T00:00:00Z")
TABLE = database.table(LocationRow)
ROWS = sqlalchemy.select(TABLE)


@dataclass
class Attempt:
    """One write. Several members of the stored object contain its mark."""

    place: str
    stamp: int
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    acknowledged: bool = False


class Journal:
    """Every write, noted before it is sent and again after its response; by place, in order."""

    def __init__(self) -> None:
        self.by_place: dict[str, list[Attempt]] = defaultdict(list)
        self.refused: list[str] = []
        self._clock = itertools.count(BEGAN, 1000)

    def attempt(self, place: str = "") -> Attempt:
        """Note a write before it is sent; without *place* it creates a location."""
        created = Attempt(place, next(self._clock))
        created.place = place or created.mark
        self.by_place[created.place].append(created)
        return created

    def answer(self, attempt: Attempt, response: requests.Response) -> None:
        """Note the response."""
        attempt.acknowledged = response.ok and response.json()["status_code"] == 1000
        if not attempt.acknowledged:
            self.refused.append(response.text)

    @property
    def acknowledged(self) -> int:
        """The number of acknowledged writes."""
        return sum(each.acknowledged for tries in list(self.by_place.values()) for each in list(tries))

    @property
    def attempted(self) -> int:
        """The number of sent writes."""
        return sum(map(len, list(self.by_place.values())))


def location(attempt: Attempt, evses: int = 1) -> dict[str, Any]:
    """A whole location with the mark of *attempt*."""
    stamp = timestamps.text(attempt.stamp)
    created = [
        example("EVSE", uid=f"E{n}", **short(attempt.mark), last_updated=stamp, status_schedule=None)
        for n in range(evses)
    ]
    return example("Location", id=attempt.place, **long(attempt.mark), evses=created, last_updated=stamp)


def long(mark: str) -> dict[str, str]:
    """The members of a location with *mark*."""
    return {"name": mark, "address": mark}


def short(mark: str) -> dict[str, str]:
    """The members of an EVSE with *mark*."""
    return {"physical_reference": mark[:16], "floor_level": mark[:4]}


class Load:
    """Threads that write new locations, each one location repeatedly, and an EVSE of a shared location."""

    def __init__(self, peer: Client) -> None:
        self.peer = peer
        self.journal = Journal()
        for place in (SHARED, *(f"OWN{n}" for n in range(THREADS))):
            attempt = self.journal.attempt(place)
            body = location(attempt, THREADS if place == SHARED else 1)
            self.journal.answer(attempt, peer.put(peer.at("locations", place), body))
        time.sleep(0.2)  # the program that answers before it stores must have begun with these

    def until_killed(self, node: Node, seconds: float) -> int:
        """Write from all threads, kill the node after *seconds*; returns the acknowledged writes."""
        before = self.journal.acknowledged
        threads = [threading.Thread(target=self._write, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        node.kill()
        for thread in threads:
            thread.join()
        return self.journal.acknowledged - before

    def _write(self, number: int) -> None:
        """Write until nobody answers."""
        try:
            while not self.journal.refused:
                self._put()
                self._patch(f"OWN{number}")
                self._patch(SHARED, f"E{number}")
        except requests.RequestException:
            return

    def _put(self) -> None:
        attempt = self.journal.attempt()
        answer = self.peer.put(self.peer.at("locations", attempt.place), location(attempt))
        self.journal.answer(attempt, answer)

    def _patch(self, *place: str) -> None:
        attempt = self.journal.attempt("/".join(place))
        marked = long(attempt.mark) if len(place) == 1 else short(attempt.mark)
        body = {**marked, "last_updated": timestamps.text(attempt.stamp)}
        self.journal.answer(attempt, self.peer.patch(self.peer.at("locations", *place), body))


def judge(journal: Journal, node: Node) -> list[str]:
    """What is wrong with what *node* kept: each complaint begins with its kind."""
    with switch_to(node.environment), database.connect() as connection:
        rows = connection.execute(ROWS).all()
    complaints = [f"refused: {text}" for text in journal.refused]
    kept = {}
    for row in rows:
        complaints += half_row(row)
        kept[row.id] = orjson.loads(row.document)
    complaints += [f"phantom: {key} was never sent" for key in kept if key not in journal.by_place]
    complaints += [f"double: {len(rows) - len(kept)} rows"] if len(rows) != len(kept) else []
    for place, attempts in journal.by_place.items():
        complaints += misplaced(place, attempts, kept)
    return complaints


def half_row(row: Any) -> list[str]:
    """Complaints about a row that is not one whole, valid location."""
    body = orjson.loads(row.document)
    wrong = []
    if not contracts.ocpi().strict("Location").is_valid(body):
        wrong.append("is not a Location")
    if (row.id, row.last_updated) != (body["id"], timestamps.parse(body["last_updated"])):
        wrong.append("has columns of another document")
    if body["name"] != body["address"] or any(
        evse["physical_reference"][:4] != evse["floor_level"] for evse in body["evses"]
    ):
        wrong.append("bears two marks")
    if not row.id.startswith(("OWN", SHARED)) and location_mark(body) != row.id[:16]:
        wrong.append("bears the mark of another location")
    return [f"half: {row.id} {what}" for what in wrong]


def location_mark(body: dict[str, Any]) -> str:
    """The short mark of a location's first EVSE."""
    return str(body["evses"][0]["physical_reference"])


def misplaced(place: str, attempts: list[Attempt], kept: dict[str, Any]) -> list[str]:
    """Complaints about one place, which one thread wrote in order: nothing before the last acknowledged."""
    floor = max((n for n, each in enumerate(attempts) if each.acknowledged), default=-1)
    location_id, _, uid = place.partition("/")
    body = kept.get(location_id)
    if body is None:
        return [f"lost: {place}"] if floor >= 0 else []
    if uid:
        if floor >= 0 and timestamps.parse(body["last_updated"]) < attempts[floor].stamp:
            return [f"back: {place}, its location is older than what was acknowledged"]
        body = next(evse for evse in body["evses"] if evse["uid"] == uid)
        marks = [each.mark[:16] for each in attempts]
        mark = body["physical_reference"]
    elif location_id == SHARED:  # its own members were written once, its EVSEs have places of their own
        return []
    else:
        marks, mark = [each.mark for each in attempts], body["name"]
    if mark not in marks:
        return [] if uid and floor < 0 else [f"lost or phantom: {place} bears {mark}"]
    found = marks.index(mark)
    complaints = [f"lost: {place} bears write {found}, {floor} was acknowledged"] if found < floor else []
    if timestamps.parse(body["last_updated"]) != attempts[found].stamp:
        complaints.append(f"half: {place} bears the mark of one write and the time of another")
    return complaints


def kinds(complaints: list[str]) -> set[str]:
    """The kinds of complaint."""
    return {each.partition(":")[0] for each in complaints}


def is_sound(node: Node) -> bool:
    """Does SQLite find its file in order; PostgreSQL is not killed and needs no such question."""
    url = node.environment["OCPI_GATEWAY_DATABASE_URL"]
    if not url.startswith("sqlite"):
        return True
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        answer = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return [("ok",)] == answer


def moments(seed: int, cuts: int) -> list[float]:
    """Random times, in seconds, from the first write to the cut."""
    chance = random.Random(seed)
    return [chance.uniform(0.15, 0.7) for _ in range(cuts)]
