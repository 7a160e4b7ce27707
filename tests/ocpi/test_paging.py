"""Lists: pages, their headers, filters on time, and the objects that each peer sees."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
import sqlalchemy
from examples import example, model
from nodes import Client, Network, Node, Party, in_transaction, one_database, outcome, switch_to

from storage import cdrs, database, locations, sessions, tariffs, timestamps, tokens


def put_location(transaction: Any, network_id: int, party: Party, location: Any) -> object:
    path = locations.LocationPath(location.id)
    return locations.put(transaction, network_id, party, path, location)


STORE: dict[str, tuple[str, str, Callable[..., object]]] = {
    "locations": ("Location", "id", put_location),
    "sessions": ("Session", "id", sessions.put),
    "cdrs": ("CDR", "id", cdrs.post),
    "tariffs": ("Tariff", "id", tariffs.put),
    "tokens": ("Token", "uid", tokens.put),
}
OWN = [("cpo", "locations"), ("cpo", "sessions"), ("cpo", "cdrs"), ("cpo", "tariffs"), ("emsp", "tokens")]
PUSHED = [
    ("emsp", "locations"),
    ("emsp", "sessions"),
    ("emsp", "cdrs"),
    ("emsp", "tariffs"),
    ("cpo", "tokens"),
]
AUTH_ID = "NL-TNM-DRIVER"


@dataclass
class Listing:
    """One list operation with a peer that may read it, and a method that adds objects."""

    network: Network
    module: str
    reader: Client
    owner: Party

    @property
    def key(self) -> str:
        """The member that has the id of an object."""
        return STORE[self.module][1]

    def add(self, *keys: str, at: str | None = None, auth_id: str = AUTH_ID, **changes: Any) -> None:
        """Store objects that the reader may see."""
        schema, name, store = STORE[self.module]
        if "auth_id" in example(schema):
            changes["auth_id"] = auth_id
        with database.transaction() as transaction:
            for key in keys:
                body = example(schema, **{name: key}, **changes)
                body["last_updated"] = at or body["last_updated"]
                store(transaction, self.network.id, self.owner, model(schema, body))

    def get(self, **query: Any) -> requests.Response:
        """One page."""
        response = self.reader.get(self.module, **query)
        assert (200, 1000) == outcome(response)
        return response

    def keys(self, response: requests.Response) -> list[str]:
        """The ids of the objects on a page."""
        return [each[self.key] for each in response.json()["data"]]

    def crawl(self, **query: Any) -> Iterator[requests.Response]:
        """The pages, in the order of the Link headers."""
        page = self.get(**query)
        yield page
        for _ in range(100):
            if "Link" not in page.headers:
                return
            page = self.reader.get(next_url(page))
            assert (200, 1000) == outcome(page)
            yield page
        raise AssertionError("more than 100 pages")


def next_url(page: requests.Response) -> str:
    """The URL in the Link header."""
    found = re.fullmatch('<([^<>" ]+)>; rel="next"', page.headers["Link"])
    assert found, page.headers["Link"]
    return found[1]


def query_of(page: requests.Response) -> dict[str, str]:
    """The query of the URL in the Link header."""
    return {name: value for name, (value,) in parse_qs(urlsplit(next_url(page)).query).items()}


def listing_of(network: Network, module: str) -> Listing:
    """The list *module* of *network*; the peer NL/TNM reads it."""
    reader = network.peer()
    own = (network.role, module) in OWN
    if own and module in ("sessions", "cdrs"):  # the peer sees those of its own drivers
        in_transaction(
            tokens.put, network.id, reader.party, model("Token", example("Token", auth_id=AUTH_ID))
        )
    return Listing(network, module, reader, network.network.party if own else reader.party)


@pytest.fixture(params=OWN + PUSHED, ids=" ".join)
def listing(request: pytest.FixtureRequest, node: Node) -> Listing:
    """Each list operation."""
    role, module = request.param
    return listing_of(node.network(role.upper(), ("NL", "OWN")), module)


def numbered(count: int, prefix: str = "N") -> list[str]:
    """Numbered ids in order."""
    return [f"{prefix}{n:04d}" for n in range(count)]


@pytest.mark.ocpi(86, 87)
def test_an_empty_list_has_its_headers_and_no_link(listing: Listing) -> None:
    page = listing.get()

    assert [] == page.json()["data"]
    assert ("0", "100") == (page.headers["X-Total-Count"], page.headers["X-Limit"])
    assert "Link" not in page.headers


@pytest.mark.ocpi(86, 87, 88, 93)
def test_offset_and_limit_select_a_page_and_link_leads_to_the_next(listing: Listing) -> None:
    keys = numbered(5)
    listing.add(*keys)

    cases: list[tuple[dict[str, int], list[str], str, dict[str, str] | None]] = [
        ({}, keys, "100", None),
        ({"limit": 2}, keys[:2], "2", {"offset": "2", "limit": "2"}),
        ({"limit": 2, "offset": 1}, keys[1:3], "2", {"offset": "3", "limit": "2"}),
        ({"limit": 2, "offset": 3}, keys[3:], "2", None),
        ({"limit": 2, "offset": 4}, keys[4:], "2", None),
        ({"limit": 5}, keys, "5", None),
        ({"offset": 5}, [], "100", None),
        ({"offset": 2**53 - 1, "limit": 3}, [], "3", None),
    ]
    for query, expected, limit, next_query in cases:
        page = listing.get(**query)
        assert expected == listing.keys(page), query
        assert ("5", limit) == (page.headers["X-Total-Count"], page.headers["X-Limit"]), query
        assert (next_query is not None) == ("Link" in page.headers), query
        assert next_query is None or next_query.items() <= query_of(page).items(), query


@one_database
@pytest.mark.ocpi(89)
def test_link_is_absolute_in_the_right_role_and_keeps_the_filters(listing: Listing) -> None:
    listing.add(*numbered(4), at="2026-03-01T10:00:00Z")
    filters = {"date_from": "2026-03-01T12:00:00+02:00", "date_to": "2026-03-01T10:00:00.001Z"}

    page = listing.get(limit=1, **filters)

    url = f"{listing.network.node.url}/ocpi/{listing.network.role}/2.1.1/{listing.module}?"
    assert next_url(page).startswith(url)
    assert "+" not in next_url(page)
    for name, instant in filters.items():
        assert timestamps.parse(instant) == timestamps.parse(query_of(page)[name])
    assert "4" == page.headers["X-Total-Count"]
    pages = list(listing.crawl(limit=1, **filters))
    assert numbered(4) == [key for each in pages for key in listing.keys(each)]

    assert {"offset", "limit"} <= query_of(listing.get(limit=1)).keys()
    assert not {"date_from", "date_to"} & query_of(listing.get(limit=1)).keys()


@one_database
@pytest.mark.ocpi(90)
def test_a_limit_above_the_maximum_is_reduced_to_the_maximum(listing: Listing) -> None:
    listing.add(*numbered(103))

    page = listing.get(limit=2000)

    assert numbered(100) == listing.keys(page)
    assert ("103", "100") == (page.headers["X-Total-Count"], page.headers["X-Limit"])
    assert {"offset": "100", "limit": "100"}.items() <= query_of(page).items()
    assert numbered(103)[100:] == listing.keys(listing.reader.get(next_url(page)))


@pytest.mark.ocpi(93)
@pytest.mark.parametrize(("role", "module"), [("cpo", "locations"), ("emsp", "sessions")])
def test_link_and_offset_yield_each_of_a_thousand_objects_once(node: Node, role: str, module: str) -> None:
    listing = listing_of(node.network(role.upper(), ("NL", "OWN")), module)
    keys = numbered(1003)
    listing.add(*keys)

    pages = list(listing.crawl())

    assert 11 == len(pages)
    assert keys == [key for page in pages for key in listing.keys(page)]
    assert {("1003", "100")} == {(p.headers["X-Total-Count"], p.headers["X-Limit"]) for p in pages}
    for number, page in enumerate(pages):
        by_offset = listing.get(offset=100 * number)
        assert page.json()["data"] == by_offset.json()["data"]
        assert page.headers.get("Link") == by_offset.headers.get("Link")


@pytest.mark.ocpi(92)
@pytest.mark.parametrize("by_link", [True, False], ids=["by Link", "by offset"])
def test_a_crawl_misses_nothing_while_objects_are_created_and_changed(
    listing: Listing, *, by_link: bool
) -> None:
    before = numbered(15, "Z")
    listing.add(*before)  # in one transaction: created at the same instant

    seen: list[str] = []
    pages = listing.crawl(limit=3) if by_link else (listing.get(limit=3, offset=n) for n in range(0, 30, 3))
    for number, page in enumerate(pages):
        seen += listing.keys(page)
        if number < 5:
            listing.add(*numbered(3, f"A{number}"))  # these ids sort before the existing ones
            if listing.module != "cdrs":  # CDRs never change
                listing.add(*before[number::5], at=f"2026-12-0{number + 1}T00:00:00Z")

    assert before == seen[:15]
    assert 30 == len(set(seen)) == len(seen)


@pytest.mark.ocpi(94, 95)
def test_date_from_is_inclusive_and_date_to_is_exclusive_of_last_updated(listing: Listing) -> None:
    times = [f"2026-05-0{day}T00:00:00{fraction}Z" for day in (1, 2, 3) for fraction in ("", ".001", ".999")]
    keys = numbered(len(times))
    for key, instant in zip(keys, reversed(times), strict=True):  # created last, changed first
        listing.add(key, at=instant)
    by_time = dict(zip(reversed(times), keys, strict=True))

    for instant in times:
        later = {by_time[each] for each in times[times.index(instant) :]}
        assert later == set(listing.keys(listing.get(date_from=instant))), instant
        assert set(keys) - later == set(listing.keys(listing.get(date_to=instant))), instant

    edges = ["2026-01-01T00:00:00Z", *times[1::2], "2026-12-01T00:00:00Z"]
    windows = [
        listing.keys(listing.get(date_from=start, date_to=end)) for start, end in itertools.pairwise(edges)
    ]
    assert sorted(keys) == sorted(key for window in windows for key in window)
    assert [] == listing.keys(listing.get(date_from=times[3], date_to=times[3]))


@pytest.mark.ocpi(94)
def test_a_changed_object_moves_to_a_later_window_and_keeps_its_position(listing: Listing) -> None:
    if listing.module == "cdrs":
        listing.add("OLD", at="2026-05-01T00:00:00Z")
        assert [] == listing.keys(listing.get(date_from="2026-05-02T00:00:00Z"))
        return
    listing.add("FIRST", "SECOND", at="2026-05-01T00:00:00Z")
    listing.add("FIRST", at="2026-05-03T00:00:00Z")

    assert ["FIRST"] == listing.keys(listing.get(date_from="2026-05-02T00:00:00Z"))
    assert ["SECOND"] == listing.keys(listing.get(date_to="2026-05-02T00:00:00Z"))
    assert ["FIRST", "SECOND"] == listing.keys(listing.get())


@pytest.mark.ocpi(91)
def test_the_total_counts_the_objects_that_match_the_filters(listing: Listing) -> None:
    listing.add(*numbered(7, "OLD"), at="2026-05-01T00:00:00Z")
    listing.add(*numbered(4, "NEW"), at="2026-06-01T00:00:00Z")

    newer = {"date_from": "2026-05-15T00:00:00Z"}
    for query in ({}, {"limit": 1}, {"offset": 3}, {"offset": 4}, {"offset": 400}):
        assert "4" == listing.get(**newer, **query).headers["X-Total-Count"], query
    assert "7" == listing.get(date_to=newer["date_from"], limit=2).headers["X-Total-Count"]
    assert "0" == listing.get(date_from="2027-01-01T00:00:00Z").headers["X-Total-Count"]


@pytest.mark.ocpi(91, 99)
def test_a_list_contains_and_counts_only_objects_of_the_peer(listing: Listing) -> None:
    """Every peer may read locations and tariffs of a CPO and tokens of an eMSP, but no other list."""
    other = listing.network.peer(("BE", "TNM"))
    if listing.network.role == "cpo":  # so that the driver belongs to this peer
        in_transaction(
            tokens.put,
            listing.network.id,
            other.party,
            model("Token", example("Token", uid="X", auth_id="BE-TNM-DRIVER")),
        )
    shared = (listing.network.role, listing.module) in OWN and listing.module not in ("sessions", "cdrs")
    other_listing = listing
    if (listing.network.role, listing.module) in PUSHED:
        other_listing = Listing(listing.network, listing.module, other, other.party)
    listing.add(*numbered(3))
    other_listing.add(*numbered(2, "BE"), auth_id="BE-TNM-DRIVER")
    if other_listing is listing and not shared:
        listing.add("NOBODY", auth_id="NL-UNKNOWN")

    ours = listing.get(limit=1)
    foreign = Listing(listing.network, listing.module, other, other.party)

    if shared:
        assert ("5", "5") == (ours.headers["X-Total-Count"], foreign.get().headers["X-Total-Count"])
        return
    extra = ["X"] if listing.module == "tokens" else []
    assert "3" == ours.headers["X-Total-Count"]
    assert numbered(3) == listing.keys(listing.get())
    assert extra + numbered(2, "BE") == foreign.keys(foreign.get())
    assert str(len(extra) + 2) == foreign.get(limit=1).headers["X-Total-Count"]


@pytest.mark.ocpi(91, 99)
def test_a_hidden_location_is_neither_listed_nor_counted_for_peers(cpo: Network) -> None:
    listing = listing_of(cpo, "locations")
    listing.add("SHOWN", "HIDDEN", "ALSO")
    table = database.table(locations.LocationRow)
    hide = sqlalchemy.update(table).where(table.c.network_id == cpo.id, table.c.id == "HIDDEN")
    with database.transaction() as connection:
        connection.execute(hide.values(published=False))

    page = listing.get()

    assert ["SHOWN", "ALSO"] == listing.keys(page)
    assert "2" == page.headers["X-Total-Count"]
    assert (404, 2000) == outcome(listing.reader.get("locations/HIDDEN"))
    assert 3 == len(cpo.operator().data("locations"))


JUNK = [
    *(
        ("limit", value)
        for value in ("0", "-1", "abc", "1e3", "٣", "99999999999999999999", "", "1.5", "+1", " 1")
    ),
    *(("offset", value) for value in ("-1", "abc", "1e25", "10000000000000000000000000", "٣", "", "0x10")),
    *(
        ("date_from", value)
        for value in ("junk", "", "2026-13-01T00:00:00Z", "2026-01-01", "2026-02-29T00:00:00Z")
    ),
    *(("date_to", value) for value in ("junk", "1767225600", "2026-01-01T25:00:00Z", "0000-01-01T00:00:00Z")),
    *(("cursor", value) for value in ("abc", "-1", "", "9" * 30, "1 OR 1=1")),
]


@one_database
@pytest.mark.ocpi(98)
@pytest.mark.parametrize(("name", "value"), JUNK)
def test_an_invalid_parameter_is_2001(node: Node, name: str, value: str) -> None:
    for role, modules in (("cpo", OWN[:4] + PUSHED[4:]), ("emsp", OWN[4:] + PUSHED[:4])):
        reader = node.network(role.upper(), ("NL", "OWN")).peer()
        for _, module in modules:
            response = reader.get(module, **{name: value})
            status, code = outcome(response)
            assert 2001 == code, (role, module)
            assert status in (200, 400), (role, module)
            assert "data" not in response.json()


@pytest.mark.ocpi(98)
@pytest.mark.parametrize("name", ["limit", "offset", "date_from", "date_to", "cursor"])
def test_a_repeated_parameter_is_2001(cpo: Network, name: str) -> None:
    value = "2026-01-01T00:00:00Z" if name.startswith("date") else "1"

    response = cpo.peer().get(f"locations?{urlencode([(name, value), (name, value)])}")

    assert (400, 2001) == outcome(response)


@pytest.mark.ocpi(97)
def test_sessions_are_listed_without_date_from(cpo: Network) -> None:
    listing = listing_of(cpo, "sessions")
    listing.add(*numbered(3))

    assert numbered(3) == listing.keys(listing.get())


@pytest.mark.ocpi(97)
def test_a_setting_refuses_sessions_without_date_from(another_node: Callable[..., Node]) -> None:
    other = another_node(demo="0", sessions_require_date_from="1")
    with switch_to(other.environment):
        listing = listing_of(other.network("CPO", ("NL", "OWN")), "sessions")
        listing.add("S1")

        assert (400, 2001) == outcome(listing.reader.get("sessions"))
        assert (400, 2001) == outcome(listing.reader.get("sessions", date_to="2030-01-01T00:00:00Z"))
        assert ["S1"] == listing.keys(listing.get(date_from="2020-01-01T00:00:00Z"))
        assert (200, 1000) == outcome(listing.reader.get("cdrs"))


@pytest.mark.ocpi(96)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_changed_connector_updates_its_parents_and_lists_the_whole_location(
    emsp: Network, method: str
) -> None:
    peer = emsp.peer()
    location = example("Location")
    evse = location["evses"][0]
    location["evses"].append({**evse, "uid": "3257", "evse_id": "NL*TNM*E3257"})
    assert (201, 1000) == outcome(peer.put(peer.at("locations", "LOC1"), location))
    assert (201, 1000) == outcome(peer.put(peer.at("locations", "LOC2"), {**location, "id": "LOC2"}))
    later = "2026-12-01T00:00:00Z"
    assert [] == peer.data("locations", date_from=later)

    connector = {**evse["connectors"][0], "amperage": 16, "last_updated": later}
    body = connector if method == "PUT" else {"amperage": 16, "last_updated": later}
    changed = peer.request(method, peer.at("locations", "LOC1", "3256", "1"), json=body)

    assert (200, 1000) == outcome(changed)
    (listed,) = peer.data("locations", date_from=later)
    assert ("LOC1", later) == (listed["id"], listed["last_updated"])
    assert ["3256", "3257"] == [each["uid"] for each in listed["evses"]]
    assert [later, evse["last_updated"]] == [each["last_updated"] for each in listed["evses"]]
    assert connector == listed["evses"][0]["connectors"][0]
    assert evse["connectors"][1] == listed["evses"][0]["connectors"][1]


@pytest.mark.ocpi(96)
def test_a_connector_change_by_the_back_office_reaches_pulling_peers(cpo: Network) -> None:
    operator, peer = cpo.operator(), cpo.peer()
    location = example("Location")
    evse = location["evses"][0]
    location["evses"].append({**evse, "uid": "3257", "evse_id": "NL*TNM*E3257"})
    assert (201, 1000) == outcome(operator.put(operator.at("locations", "LOC1"), location))
    later = timestamps.text(timestamps.now_ms())
    assert [] == peer.data("locations", date_from=later)
    connectors = [{**evse["connectors"][0], "amperage": 16, "last_updated": later}]
    change = {"evses": [{"uid": "3256", "connectors": connectors, "last_updated": later}]}

    assert (200, 1000) == outcome(operator.patch(operator.at("locations", "LOC1"), change))

    (listed,) = peer.data("locations", date_from=later)
    assert later <= listed["evses"][0]["last_updated"] <= listed["last_updated"]
    assert ["3256", "3257"] == [each["uid"] for each in listed["evses"]]
    assert connectors == listed["evses"][0]["connectors"]


@pytest.mark.ocpi(101)
def test_removed_evses_stay_in_the_list_of_a_cpo(cpo: Network) -> None:
    listing = listing_of(cpo, "locations")
    evse = example("Location")["evses"][0]
    gone = {**evse, "uid": "GONE", "status": "REMOVED"}
    listing.add("SOME", evses=[evse, gone])
    listing.add("ALL", evses=[gone])

    page = listing.get()

    assert [["AVAILABLE", "REMOVED"], ["REMOVED"]] == [
        [each["status"] for each in location["evses"]] for location in page.json()["data"]
    ]
    assert "2" == page.headers["X-Total-Count"]
