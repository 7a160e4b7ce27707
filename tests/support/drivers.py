"""A CPO network with virtual charge points, and an eMSP whose driver charges there."""

from typing import Any

import sqlalchemy
from examples import example
from nodes import Gateway, Network, in_transaction, outcome, until_served
from receivers import Receiver

from storage import agenda, networks
from workflows.charging import advancing


class Site:
    """A network of one location, in the Netherlands, whose clock is paused."""

    def __init__(self, gateway: Gateway, **simulation: Any) -> None:
        self.gateway = gateway
        accepted = gateway.ready(
            country_code="NL", seed=1, overrides={"locations": 1, "chargers_per_location": 3}
        )
        self.url = f"/ocpi/cpos/{accepted['cpo_id']}"
        self.network = Network(gateway.node, in_transaction(networks.get, int(accepted["cpo_id"])))
        self.office = self.network.operator()
        self.change(**{"virtual_now": "2026-06-02T08:00:00Z", "paused": True, "seed": 1, **simulation})
        self.location = self.office.data("locations")[0]
        self.evse_uid = self.location["evses"][0]["uid"]

    def at(self, module: str, name: str) -> str:
        """The path of one of our objects on the eMSP's side."""
        return "/".join((module, *self.network.network.party, name))

    def change(self, **changes: Any) -> Any:
        """Change the simulation."""
        path = f"{self.url}/simulation"
        response = until_served(lambda: self.gateway.request("PUT", path, json=changes))
        assert 200 == response.status_code, response.text
        return response.json()

    def advance(self, seconds: int) -> None:
        """Move the clock. The job is run here."""
        accepted = self.gateway.create(f"{self.url}/clock/advance", seconds=seconds)
        assert "READY" == self.gateway.finish(accepted, advancing._advance)["status"]

    def advance_by_job(self, seconds: int) -> None:
        """Move the clock. The node runs the job."""
        accepted = self.gateway.create(f"{self.url}/clock/advance", seconds=seconds)
        assert "READY" == self.gateway.wait_until_ready(accepted["status_url"])["status"]

    def scenario(self, name: str | None) -> None:
        """Set the scenario of the next session."""
        response = self.gateway.request("PUT", f"{self.url}/scenario", json={"next": name})
        assert (200, {"next": name}) == (response.status_code, {"next": None} | response.json())

    def status(self, evse_uid: str = "") -> str:
        """The status of an EVSE."""
        place = self.office.data(f"locations/{self.location['id']}/{evse_uid or self.evse_uid}")
        return str(place["status"])

    def session(self, session_id: str) -> Any:
        """One of our sessions."""
        return next(each for each in self.office.data("sessions") if each["id"] == session_id)


class Driver(Receiver):
    """An eMSP whose driver has the token T1; it notes pushes and results."""

    def __init__(self, site: Site, party: tuple[str, str] = ("NL", "TNM"), **token: Any) -> None:
        super().__init__(site.network, party)
        self.site = site
        self.token = example("Token", **{"uid": "T1", "auth_id": "A1", "valid": True, **token})
        put = self.client.put(self.client.at("tokens", self.token["uid"]), self.token)
        assert (201, 1000) == outcome(put)

    def send(self, name: str, **changes: Any) -> str:
        """Send a command; returns the direct response."""
        fields: dict[str, Any] = {"response_url": f"{self.url}/results/{name}"}
        if name != "STOP_SESSION":
            fields["location_id"] = self.site.location["id"]
        if name in {"START_SESSION", "RESERVE_NOW"}:
            fields["token"] = self.token
        response = self.client.post(f"commands/{name}", fields | changes)
        assert (200, 1000) == outcome(response), response.text
        return str(response.json()["data"]["result"])

    def pushed(self, module: str) -> list[dict[str, Any]]:
        """The requests that have arrived for a module."""
        return [each for each in self.seen if each["path"].startswith(f"/2.1.1/{module}")]

    def results(self) -> list[Any]:
        """The results that have arrived."""
        return [each["body"] for each in self.seen if each["path"].startswith("/results/")]


def shorten_deadlines(transaction: Any) -> None:
    """Let everything be due that waits for a real instant in the lanes of networks."""
    in_lane = agenda.AGENDA.c.lane.like("network:%"), agenda.AGENDA.c.virtual_at.is_(None)
    transaction.execute(sqlalchemy.update(agenda.AGENDA).where(*in_lane).values(due_at=0))
