"""PUT and PATCH: replaced, merged, refused, and outdated changes."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from examples import example
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodes import Client, Network, Node, in_transaction, outcome, until_served

from storage import deviations, timestamps

OLD, STORED, NEW = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2027-01-01T00:00:00Z"
TARIFF_ELEMENTS = [{"price_components": [{"type": "FLAT", "price": 2, "step_size": 1}]}]

WRITABLE = [
    # role, module, schema, ids, a field and its new value, an optional field, a required one
    ("emsp", "locations", "Location", ("LOC1",), ("name", "New name"), "time_zone", "city"),
    ("emsp", "locations", "EVSE", ("LOC1", "3256"), ("status", "CHARGING"), "floor_level", "status"),
    ("emsp", "locations", "Connector", ("LOC1", "3256", "1"), ("voltage", 400), "tariff_id", "format"),
    ("emsp", "sessions", "Session", ("101",), ("kwh", 21.75), "total_cost", "currency"),
    ("emsp", "tariffs", "Tariff", ("12",), ("currency", "GBP"), "tariff_alt_url", "elements"),
    ("cpo", "tokens", "Token", ("012345678",), ("valid", False), "visual_number", "issuer"),
]
every_object = pytest.mark.parametrize("case", WRITABLE, ids=lambda case: case[2])

Case = tuple[str, str, str, tuple[str, ...], tuple[str, Any], str, str]


def peer_of(node: Node, case: Case) -> Client:
    return node.network(case[0].upper(), ("NL", "DEM")).peer()


def push(peer: Client, case: Case, stamp: str = STORED) -> str:
    """Push the example of *case* with *stamp* after its parents, and return its URL."""
    if case[1] == "locations":
        evse = example("EVSE", last_updated=stamp)
        evse["connectors"] = [{**each, "last_updated": stamp} for each in evse["connectors"]]
        site = example("Location", evses=[evse], last_updated=stamp)
        assert 201 == peer.put(peer.at("locations", "LOC1"), site).status_code
    url = peer.at(case[1], *case[3])
    assert 1000 == peer.put(url, example(case[2], last_updated=stamp)).json()["status_code"]
    return url


def exact(peer: Client, url: str, *without: str) -> str:
    """The stored members as text, in their order and with every digit of numbers."""
    body = json.loads(peer.get(url).text, parse_float=lambda text: f"number {text}")
    return json.dumps({name: value for name, value in body["data"].items() if name not in without})


def stale_count(peer: Client, network: Network) -> int:
    stored = in_transaction(deviations.of_peer, network.id, peer.connection_id)
    return sum(deviation.count for deviation in stored if deviation.kind == deviations.STALE)


@pytest.mark.ocpi(108)
@every_object
def test_put_replaces_the_whole_object(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    smaller = example(case[2], last_updated=NEW, **{case[5]: None})

    assert case[5] in peer.data(url)
    assert (200, 1000) == outcome(peer.put(url, smaller))
    assert smaller == peer.data(url)


@pytest.mark.ocpi(108)
@every_object
def test_put_without_a_required_field_is_refused_and_stores_nothing(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    before = peer.data(url)
    response = peer.put(url, example(case[2], last_updated=NEW, **{case[6]: None}))

    assert (400, 2001) == outcome(response)
    assert case[6] in response.json()["status_message"]
    assert before == peer.data(url)


@pytest.mark.ocpi(109)
@every_object
def test_fifty_equal_puts_at_once_store_one_object_and_get_one_201(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    if len(case[3]) > 1:  # the parents, without the part that is pushed
        child = example("EVSE", uid="other")
        evses = [child] if case[2] == "EVSE" else [example("EVSE")]
        if case[2] == "Connector":
            evses[0]["connectors"] = [example("Connector", id="other")]
        assert 201 == peer.put(peer.at("locations", "LOC1"), example("Location", evses=evses)).status_code
    url, body = peer.at(case[1], *case[3]), example(case[2])
    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(
            threads.map(lambda _: outcome(until_served(lambda: peer.put(url, body))), range(50))
        )

    assert [(200, 1000)] * 49 + [(201, 1000)] == outcomes
    assert body == peer.data(url)
    assert 1 == len(peer.data(case[1]))


@pytest.mark.ocpi(110)
@every_object
def test_an_empty_patch_changes_nothing(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    before = exact(peer, url)

    assert (200, 1000) == outcome(peer.patch(url, {}))
    assert before == exact(peer, url)


@pytest.mark.ocpi(110)
@every_object
def test_a_patch_of_one_field_keeps_every_other_byte(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    name, value = case[4]
    before = exact(peer, url, name, "last_updated")

    assert (200, 1000) == outcome(peer.patch(url, {name: value}))
    assert value == peer.data(url)[name]
    assert before == exact(peer, url, name, "last_updated")


@pytest.mark.ocpi(111)
@every_object
def test_a_patch_of_an_unknown_object_is_404_and_creates_nothing(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = peer.at(case[1], *case[3])

    assert (404, 2000) == outcome(peer.patch(url, example(case[2])))
    assert (404, 2000) == outcome(peer.get(url))
    assert [] == peer.data(case[1])


@pytest.mark.ocpi(112)
@every_object
def test_null_clears_an_optional_field(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)

    assert case[5] in peer.data(url)
    assert (200, 1000) == outcome(peer.patch(url, {case[5]: None, "last_updated": NEW}))
    assert example(case[2], last_updated=NEW, **{case[5]: None}) == peer.data(url)


@pytest.mark.ocpi(112)
@every_object
def test_null_in_a_required_field_is_refused(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    before = peer.data(url)
    response = peer.patch(url, {case[6]: None})

    assert (400, 2001) == outcome(response)
    assert case[6] in response.json()["status_message"]
    assert before == peer.data(url)


@pytest.mark.ocpi(112)
@pytest.mark.parametrize(
    ("schema", "field", "value"),
    [
        ("Location", "charging_when_closed", False),
        ("Location", "facilities", []),
        ("Location", "evses", []),
        ("EVSE", "capabilities", []),
        ("Session", "charging_periods", []),
        ("Session", "total_cost", 0),
        ("Session", "kwh", 0),
        ("Tariff", "tariff_alt_text", []),
        ("Token", "valid", False),
        ("Token", "visual_number", ""),
    ],
)
def test_a_value_that_looks_like_a_default_is_applied(
    node: Node, schema: str, field: str, value: Any
) -> None:
    case = next(case for case in WRITABLE if case[2] == schema)
    peer = peer_of(node, case)
    url = push(peer, case)
    kept = example(schema)["evses"] if field == "evses" else value  # 121: this deletes no EVSE

    assert (200, 1000) == outcome(peer.patch(url, {field: value}))
    assert kept == peer.data(url)[field]


@pytest.mark.ocpi(113)
@pytest.mark.parametrize(
    ("schema", "field", "value"),
    [
        ("Location", "facilities", ["HOTEL"]),
        ("Location", "directions", [{"language": "de", "text": "Links"}]),
        ("Location", "images", []),
        ("EVSE", "capabilities", ["RFID_READER"]),
        ("EVSE", "connectors", [example("Connector", id="9")]),
        ("Tariff", "elements", TARIFF_ELEMENTS),
        ("Session", "charging_periods", example("Session")["charging_periods"][1:]),
    ],
)
def test_a_patch_of_an_array_replaces_the_whole_array(
    node: Node, schema: str, field: str, value: Any
) -> None:
    case = next(case for case in WRITABLE if case[2] == schema)
    peer = peer_of(node, case)
    url = push(peer, case)

    assert (200, 1000) == outcome(peer.patch(url, {field: value}))
    assert value == peer.data(url)[field]


@pytest.mark.ocpi(113)
def test_a_patch_of_a_nested_object_replaces_the_whole_object(emsp: Network) -> None:
    peer = emsp.peer()
    url = push(peer, WRITABLE[0])

    assert (200, 1000) == outcome(peer.patch(url, {"operator": {"name": "Somebody"}}))
    assert {"name": "Somebody"} == peer.data(url)["operator"]


@pytest.mark.ocpi(114)
@pytest.mark.parametrize(
    ("schema", "patch", "refusal"),
    [
        ("Location", {"coordinates": {"latitude": "1.000000"}}, (400, 2001)),
        ("Location", {"opening_times": {"exceptional_openings": []}}, (200, 2001)),
        ("Location", {"evses": [{"uid": "3256", "status": "FLYING"}]}, (400, 2001)),
        ("EVSE", {"status": "FLYING"}, (400, 2001)),
        ("EVSE", {"connectors": []}, (400, 2001)),
        ("EVSE", {"connectors": [example("Connector"), example("Connector")]}, (200, 2001)),
        ("Connector", {"voltage": "230"}, (400, 2001)),
        ("Session", {"kwh": -1}, (400, 2001)),
        ("Session", {"last_updated": "yesterday"}, (400, 2001)),
        ("Tariff", {"elements": []}, (400, 2001)),
        ("Token", {"whitelist": "SOMETIMES"}, (400, 2001)),
    ],
)
def test_a_patch_that_would_make_the_object_invalid_is_refused(
    node: Node, schema: str, patch: dict[str, Any], refusal: tuple[int, int]
) -> None:
    case = next(case for case in WRITABLE if case[2] == schema)
    peer = peer_of(node, case)
    url = push(peer, case)
    before = peer.data(url)

    assert refusal == outcome(peer.patch(url, patch))
    assert before == peer.data(url)


@pytest.mark.ocpi(114, 124)
@every_object
def test_the_id_never_changes(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    key = "uid" if case[2] in ("EVSE", "Token") else "id"
    before = peer.data(url)
    response = peer.patch(url, {key: "other", case[4][0]: case[4][1]})

    assert (200, 2001) == outcome(response)
    assert key in response.json()["status_message"]
    assert before == peer.data(url)
    assert (404, 2000) == outcome(peer.get(peer.at(case[1], *case[3][:-1], "other")))
    assert (200, 1000) == outcome(peer.patch(url, {key: case[3][-1]}))


@pytest.mark.ocpi(115)
@every_object
def test_a_patch_without_last_updated_gets_the_current_time(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case, OLD)
    before = timestamps.now()
    peer.patch(url, {case[4][0]: case[4][1]})

    assert before <= peer.data(url)["last_updated"] <= timestamps.now()


@pytest.mark.ocpi(95, 115)
@every_object
def test_a_stamped_object_is_listed_by_its_exact_time(node: Node, case: Case) -> None:
    """The text has whole seconds; date_from and date_to are compared with the milliseconds."""
    peer = peer_of(node, case)
    url = push(peer, case, OLD)
    before = timestamps.text(timestamps.now_ms())
    peer.patch(url, {case[4][0]: case[4][1]})

    assert 1 == len(peer.data(case[1], date_from=before))
    assert 0 == len(peer.data(case[1], date_to=before))


@pytest.mark.ocpi(116)
@every_object
def test_an_update_in_the_second_of_a_stamp_is_not_older(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case, OLD)
    if case[2] == "Session":  # a completed session no longer changes (142)
        url = peer.at("sessions", "102")
        peer.put(url, example("Session", id="102", status="ACTIVE", last_updated=OLD))
    name, value = case[5], example(case[2])[case[5]]
    peer.patch(url, {case[4][0]: case[4][1]})
    stamped = peer.data(url)

    assert (200, 1000) == outcome(peer.put(url, {k: v for k, v in stamped.items() if k != name}))
    assert name not in peer.data(url)
    assert (200, 1000) == outcome(peer.patch(url, {name: value, "last_updated": stamped["last_updated"]}))
    assert stamped == peer.data(url)


@pytest.mark.ocpi(115)
@every_object
def test_a_patch_with_last_updated_is_stored_as_sent(node: Node, case: Case) -> None:
    peer = peer_of(node, case)
    url = push(peer, case)
    peer.patch(url, {case[4][0]: case[4][1], "last_updated": NEW})

    assert NEW == peer.data(url)["last_updated"]


@pytest.mark.ocpi(116)
@every_object
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_older_change_is_accepted_counted_and_ignored(node: Node, case: Case, method: str) -> None:
    network = node.network(case[0].upper(), ("NL", "DEM"))
    peer = network.peer()
    url = push(peer, case)
    before, (name, value) = peer.data(url), case[4]
    counted = stale_count(peer, network)
    changes = {name: value, "last_updated": OLD}
    body = {**example(case[2]), **changes} if method == "PUT" else changes

    assert (200, 1000) == outcome(peer.request(method, url, json=body))
    assert before == peer.data(url)
    assert counted + 1 == stale_count(peer, network)


@pytest.mark.ocpi(116)
@every_object
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_with_equal_timestamps_the_last_write_wins(node: Node, case: Case, method: str) -> None:
    peer = peer_of(node, case)
    stored = {"status": "ACTIVE"} if case[2] == "Session" else {}
    url = push(peer, case)
    if stored:  # a completed session no longer changes (142)
        url = peer.at("sessions", "102")
        assert 201 == peer.put(url, example("Session", id="102", last_updated=STORED, **stored)).status_code
    name, value = case[4]
    changes = {name: value, "last_updated": STORED}
    body = {**peer.data(url), **changes} if method == "PUT" else changes

    assert (200, 1000) == outcome(peer.request(method, url, json=body))
    assert value == peer.data(url)[name]


@pytest.mark.ocpi(117)
def test_two_hundred_parallel_patches_are_all_applied(emsp: Network) -> None:
    peer = emsp.peer()
    url = peer.at("locations", "LOC1")
    connectors = [example("Connector")]
    evses = [
        {"uid": str(n), "status": "AVAILABLE", "connectors": connectors, "last_updated": STORED}
        for n in range(180)
    ]
    assert 201 == peer.put(url, example("Location", evses=evses, last_updated=STORED)).status_code
    fields = [
        "name", "time_zone", "related_locations", "directions", "operator", "suboperator", "owner",
        "facilities", "opening_times", "charging_when_closed", "images", "energy_mix",
    ]  # fmt: skip
    patches_to_send = [(f"{url}/{n}", {"status": "CHARGING"}) for n in range(90)]
    patches_to_send += [(url, {"evses": [{"uid": str(n), "status": "CHARGING"}]}) for n in range(90, 180)]
    patches_to_send += [(url, {name: None}) for name in fields]
    patches_to_send += [(url, {name: "changed"}) for name in ("address", "city", "postal_code")]
    patches_to_send += [(f"{url}/{n}/1", {"voltage": 400}) for n in range(5)]
    with ThreadPoolExecutor(8) as threads:
        outcomes = set(
            threads.map(lambda each: outcome(until_served(lambda: peer.patch(*each))), patches_to_send)
        )
    after = peer.data(url)

    assert {(200, 1000)} == outcomes
    assert {"CHARGING"} == {evse["status"] for evse in after["evses"]}
    assert 5 == sum(evse["connectors"][0]["voltage"] == 400 for evse in after["evses"])
    assert set() == after.keys() & set(fields)
    assert {"changed"} == {after[name] for name in ("address", "city", "postal_code")}


patches = st.fixed_dictionaries(
    {},
    optional={
        "name": st.none() | st.text("aé ☃'\"\\%{}", max_size=20),
        "address": st.text("ab 1", max_size=45),
        "time_zone": st.none() | st.just("Europe/Berlin"),
        "charging_when_closed": st.none() | st.booleans(),
        "facilities": st.none() | st.lists(st.sampled_from(["HOTEL", "CAFE", "WIFI"]), max_size=3),
        "owner": st.none() | st.just({"name": "Owner"}),
        "evses": st.lists(
            st.fixed_dictionaries(
                {"uid": st.just("3256"), "last_updated": st.just(NEW)},
                optional={
                    "status": st.sampled_from(["AVAILABLE", "CHARGING", "REMOVED"]),
                    "floor_level": st.none() | st.sampled_from(["-1", "2"]),
                    "capabilities": st.none() | st.just([]),
                },
            ),
            max_size=1,
        ),
    },
)


def merged(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The expected result: a merge by RFC 7396 on the first level, and of EVSEs by uid."""
    result = {**stored, **patch}
    result["evses"] = [
        next((merged_evse(evse, p) for p in patch.get("evses", ()) if p["uid"] == evse["uid"]), evse)
        for evse in stored["evses"]
    ]
    return {name: value for name, value in result.items() if value is not None}


def merged_evse(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**stored, **patch}.items() if value is not None}


@pytest.mark.ocpi(110, 112, 113, 121)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(patches, min_size=1, max_size=4))
def test_a_patch_is_a_merge(emsp: Network, steps: list[dict[str, Any]]) -> None:
    peer = emsp.peer()
    url, model = peer.at("locations", "LOC1"), example("Location", last_updated=NEW)
    peer.put(url, model)
    for patch in steps:
        assert (200, 1000) == outcome(peer.patch(url, {**patch, "last_updated": NEW}))
        model = merged(model, patch)

    assert model == peer.data(url)
