"""A registered peer that is pushed to, and notes what it gets."""

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy
from nodes import Network, in_transaction
from peers import PeerServer, Reply, envelope

from storage import agenda, database
from storage.agenda import AgendaRow, LaneRow

MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens")


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true result of *condition*."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


class Receiver(PeerServer):
    """A registered peer that answers pushes as *reply* says, by default with success."""

    def __init__(self, network: Network, party: tuple[str, str] = ("NL", "TNM")) -> None:
        super().__init__(party)
        self.reply: Callable[[dict[str, Any]], Reply] = lambda _: (200, envelope())
        endpoints = {module: f"{self.url}/2.1.1/{module}" for module in MODULES}
        self.client = network.peer(party, self.versions_url, endpoints)
        self.connection_id = self.client.connection_id

    def answer(self, request: dict[str, Any]) -> Reply:
        return self.reply(request)

    @property
    def pushes(self) -> list[tuple[str, str, Any]]:
        """Method, path below the modules, and body of each request so far."""
        return [(each["method"], each["path"].removeprefix("/2.1.1/"), each["body"]) for each in self.seen]

    def next(self, count: int = 1) -> list[tuple[str, str, Any]]:
        """The first *count* pushes, once they are delivered; they are forgotten."""
        until(lambda: len(self.seen) >= count and not self.behind)
        pushes = self.pushes
        self.seen.clear()
        return pushes

    @property
    def lane(self) -> LaneRow:
        """The lane of its pushes."""
        name = agenda.connection_lane(self.connection_id)
        statement = sqlalchemy.select(agenda.LANES).where(agenda.LANES.c.name == name)
        [lane] = in_transaction(database.rows, LaneRow, statement, {})
        return lane

    @property
    def behind(self) -> list[AgendaRow]:
        """The entries that wait, or are parked."""
        return self.entries_of(self.connection_id)

    @staticmethod
    def entries_of(connection_id: int) -> list[AgendaRow]:
        """The entries of a connection."""
        in_lane = agenda.AGENDA.c.lane == agenda.connection_lane(connection_id)
        statement = sqlalchemy.select(agenda.AGENDA).where(in_lane)
        return in_transaction(database.rows, AgendaRow, statement, {})
