"""The maximum sizes of objects and pages. docs/architecture.md "Storage"."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from examples import example
from nodes import Client, Network, Node, outcome, switch_to

from settings import settings
from storage import database, locations, objects
from storage.objects import Window


def evse(uid: str, **changes: Any) -> dict[str, Any]:
    """A small EVSE."""
    return {**example("EVSE"), "uid": uid, "evse_id": f"NL*TNM*E{uid}", "status_schedule": [], **changes}


def push_location(peer: Client, **changes: Any) -> str:
    """Push LOC1 and return its URL."""
    url = peer.at("locations", "LOC1")
    assert 1000 == peer.put(url, example("Location", **changes)).json()["status_code"]
    return url


@pytest.mark.parametrize("maximum", [250])
def test_an_evse_above_the_contracts_maximum_is_refused(emsp: Network, maximum: int) -> None:
    peer = emsp.peer()
    url = push_location(peer, evses=[evse(str(number)) for number in range(maximum)])
    before = peer.data(url)
    refused = peer.put(f"{url}/{maximum}", evse(str(maximum)))

    assert (200, 2001) == outcome(refused)
    assert f"at most {maximum}" in refused.json()["status_message"]
    assert before == peer.data(url)
    assert (200, 1000) == outcome(peer.put(f"{url}/0", evse("0", status="BLOCKED")))
    assert (200, 1000) == outcome(peer.put(url, peer.data(url)))


@pytest.mark.parametrize("maximum", [20])
def test_a_connector_above_the_contracts_maximum_is_refused(emsp: Network, maximum: int) -> None:
    peer = emsp.peer()
    connectors = [example("Connector", id=str(number)) for number in range(maximum)]
    url = push_location(peer, evses=[evse("1", connectors=connectors)])
    before = peer.data(url)
    refused = peer.put(f"{url}/1/{maximum}", example("Connector", id=str(maximum)))

    assert (200, 2001) == outcome(refused)
    assert f"at most {maximum}" in refused.json()["status_message"]
    assert before == peer.data(url)
    assert (200, 1000) == outcome(peer.put(f"{url}/1/0", example("Connector", id="0", amperage=16)))
    assert (200, 1000) == outcome(peer.put(url, peer.data(url)))


TEXT = {"language": "en", "text": "x" * 250}
TERMS = "https://peer.example/" + "y" * 200
TOO_LONG = [
    ("PUT", "/1", evse("1", directions=[TEXT])),
    ("PUT", "/1/1", example("Connector", terms_and_conditions=TERMS)),
    ("PUT", "/2", evse("2")),
    ("PATCH", "/1", {"directions": [TEXT]}),
    ("PATCH", "/1/1", {"terms_and_conditions": TERMS}),
    ("PATCH", "", {"related_locations": [example("Location")["related_locations"][0]] * 5}),
]


def test_a_part_that_makes_a_location_too_long_is_refused(another_node: Callable[..., Node]) -> None:
    """The location has 4000 bytes without the part, and is accepted."""
    node = another_node(body_limit="4096", demo="0")
    location = example("Location", evses=[evse("1", directions=[])], directions=[{**TEXT, "text": ""}] * 6)
    padding = 4000 - len(orjson.dumps(location))
    for number, text in enumerate(location["directions"]):
        location["directions"][number] = {**text, "text": "z" * ((padding + number) // 6)}
    with switch_to(node.environment):
        peer = node.network("EMSP", ("NL", "DEM")).peer()
        url = peer.at("locations", "LOC1")
        raw = orjson.dumps(location)
        assert 4000 == len(raw)
        assert (201, 1000) == outcome(peer.send("PUT", url, raw, Content_Type="application/json"))
        before = peer.data(url)

        for method, path, part in TOO_LONG:
            refused = peer.request(method, f"{url}{path}", json=part)

            assert (200, 2001) == outcome(refused), (method, path)
            assert "at most 4096 bytes" in refused.json()["status_message"]
            assert before == peer.data(url)


def page_ids(peer: Client, url: str) -> list[list[str]]:
    """The ids on each page, read by following the Link headers."""
    pages = []
    following: str | None = url
    while following is not None:
        response = peer.get(following)
        assert (200, 1000) == outcome(response)
        pages.append([location["id"] for location in response.json()["data"]])
        following = response.links.get("next", {}).get("url")
    return pages


def test_a_page_ends_before_the_byte_limit_of_the_setting(another_node: Callable[..., Node]) -> None:
    size = len(orjson.dumps(example("Location")))
    node = another_node(page_bytes=str(3 * size), demo="0")
    with switch_to(node.environment):
        peer = node.network("EMSP", ("NL", "DEM")).peer()
        longer = [{"language": "en", "text": "x" * 500}] * 20
        for name in ("LOC1", "LOC2", "LOC3", "LOC4"):
            peer.put(peer.at("locations", name), example("Location", id=name))
        peer.put(peer.at("locations", "LONG"), example("Location", id="LONG", directions=longer))
        peer.put(peer.at("locations", "LAST"), example("Location", id="LAST"))

        assert [["LOC1", "LOC2", "LOC3"], ["LOC4"], ["LONG"], ["LAST"]] == page_ids(peer, "locations")
        assert [["LOC1", "LOC2"], ["LOC3", "LOC4"], ["LONG"], ["LAST"]] == page_ids(peer, "locations?limit=2")
        assert [["LOC3", "LOC4"], ["LONG"], ["LAST"]] == page_ids(peer, "locations?offset=2")
        assert "6" == peer.get("locations?offset=3").headers["X-Total-Count"]


def test_a_page_ends_before_the_byte_limit_on_both_databases(
    emsp: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = emsp.peer()
    for name in ("LOC1", "LOC2", "LOC3"):
        peer.put(peer.at("locations", name), example("Location", id=name, name="\u00e9" * 200))
    with database.connect() as connection:
        whole = locations.page(connection, emsp.id, Window(), {})
        sizes = [len(document.encode()) for document in whole.documents]
        small = settings().model_copy(update={"page_bytes": sum(sizes[:2])})
        monkeypatch.setattr(objects, "settings", lambda: small)
        first = locations.page(connection, emsp.id, Window(), {})
        assert first.cursor is not None
        second = locations.page(connection, emsp.id, Window(cursor=int(first.cursor)), {})

    assert (whole.documents[:2], 3) == (first.documents, first.total)
    assert (whole.documents[2:], 3, None) == (second.documents, second.total, second.cursor)
