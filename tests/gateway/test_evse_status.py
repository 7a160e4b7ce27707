"""The status of an EVSE, set through the gateway."""

import json
from typing import Any

import pytest
import requests
from examples import example
from nodes import Gateway, Network, in_transaction, one_database, refusal
from peers import envelope
from receivers import Receiver

from storage import networks


class Site:
    """A location with one EVSE, in a CPO network."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        accepted = gateway.ready(overrides={"locations": 1, "chargers_per_location": 1})
        self.network = Network(gateway.node, in_transaction(networks.get, int(accepted["cpo_id"])))
        self.url = f"/ocpi/cpos/{self.network.id}/locations"
        site, _ = gateway.data(self.url)["data"]
        self.location_id = site["id"]
        self.uid = site["chargers"][0]["evses"][0]["evse_uid"]

    def put(self, status: str, uid: str = "", location_id: str = "") -> requests.Response:
        """Set the status of the EVSE, or of another one."""
        path = f"{location_id or self.location_id}/evses/{uid or self.uid}/status"
        return self.gateway.request("PUT", f"{self.url}/{path}", json={"status": status})

    def evse(self) -> Any:
        """The EVSE as peers read it."""
        return self.network.operator().data(f"locations/{self.location_id}/{self.uid}")


@pytest.fixture
def site(gateway: Gateway) -> Site:
    return Site(gateway)


def test_the_status_of_an_evse_is_set_and_pushed(site: Site) -> None:
    with Receiver(site.network) as receiver:
        response = site.put("OUTOFORDER")

        evse = site.evse()
        assert (200, "OUTOFORDER") == (response.status_code, evse["status"])
        assert response.json() == {
            "location_id": site.location_id, "evse_uid": site.uid,
            "status": "OUTOFORDER", "last_updated": evse["last_updated"],
        }  # fmt: skip
        path = f"locations/{'/'.join(site.network.network.party)}/{site.location_id}/{site.uid}"
        change = {"status": "OUTOFORDER", "last_updated": evse["last_updated"]}
        assert [("PATCH", path, change)] == receiver.next()

        assert response.json() == site.put("OUTOFORDER").json()
        assert [] == receiver.behind


@one_database
def test_a_status_is_pushed_before_other_changes_that_wait_longer(site: Site) -> None:
    """The peer is out of reach, so that changes wait."""
    operator, party = site.network.operator(), "/".join(site.network.network.party)
    with Receiver(site.network) as receiver:
        receiver.reply = lambda _: (503, envelope(status_code=3000))
        assert operator.put(f"tariffs/{party}/T1", example("Tariff", id="T1")).ok
        assert 200 == site.put("BLOCKED").status_code

        waiting = sorted(receiver.behind, key=lambda entry: entry.rank)
        assert ["locations", "tariffs"] == [json.loads(entry.key)[0] for entry in waiting]
        assert waiting[0].rank < waiting[1].rank


@one_database
def test_a_status_of_nothing_is_refused(site: Site) -> None:
    assert 422 == refusal(site.put("BROKEN"))[0]
    nowhere = (404, "There is no such object, or it is not yours.")
    assert nowhere == refusal(site.put("BLOCKED", uid="X"))
    assert nowhere == refusal(site.put("BLOCKED", location_id="X"))
    assert 204 == site.gateway.delete(f"{site.url}/{site.location_id}").status_code
    assert nowhere == refusal(site.put("AVAILABLE"))
    assert "REMOVED" == site.evse()["status"]
