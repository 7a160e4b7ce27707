"""The envelope, status codes and methods of every operation. Conformance B."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from examples import example
from nodes import Network, Node, one_database, outcome, switch_to
from peers import PeerServer, envelope
from surface import (
    KEYS,
    METHODS,
    OPERATIONS,
    PARTY,
    PEER,
    FilledNetwork,
    Operation,
    Push,
    damage,
    put_in,
    restrict,
)

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
PUTS = [o for o in OPERATIONS if o.method == "PUT" and o.module != "credentials"]
GETS = [o for o in OPERATIONS if o.method == "GET"]
PATCHES = [o for o in OPERATIONS if o.method == "PATCH"]
LISTS = [o for o in GETS if o.path.endswith(("locations", "sessions", "cdrs", "tariffs", "tokens"))]
RAW = [b'{"uid":', b"{", b"[1,", b"nonsense", b'{"a":1}x', b"\xff\xfe{}", b"{'a': 1}"]
WITH_BODY = [o for o in OPERATIONS if o.schema]
TABLES = {"Location": "locations", "EVSE": "locations", "Connector": "locations"}
UNKNOWN_IDS = dict.fromkeys(
    ("location_id", "session_id", "cdr_id", "tariff_id", "token_uid", "uid", "command"), "999"
)
TOO_LONG = dict.fromkeys((*UNKNOWN_IDS, "evse_uid", "connector_id"), "9" * 100)


def checked_outcome(response: requests.Response) -> tuple[int, int]:
    """`outcome`, after a check of every member of the envelope."""
    body = response.json()
    assert "application/json" == response.headers["Content-Type"]
    assert TIMESTAMP.fullmatch(body["timestamp"])
    assert len(body["timestamp"]) <= 25
    assert isinstance(body["status_code"], int)
    assert isinstance(body.get("status_message", ""), str)
    assert body.keys() <= {"data", "status_code", "status_message", "timestamp"}
    if body["status_code"] >= 2000:
        assert body.get("data") in (None, {"result": "REJECTED"})
    return outcome(response)


def success(operation: Operation) -> tuple[int, int]:
    """The outcome of *operation* when it succeeds on a stage."""
    created = operation.method == "POST" and operation.schema == "CDRIn"
    return (201 if created else 200), 1000


@one_database
@pytest.mark.ocpi(12, 14, 16)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_kind_of_answer_is_an_envelope(node: Node, peer: PeerServer, operation: Operation) -> None:
    stage = FilledNetwork(node, peer, operation.role)
    client = stage.client(operation)
    path = operation.url(uid=stage.uid)
    new = {**operation.body, "id": "another"} if operation.schema == "CDRIn" else None
    declared = [o.method for o in OPERATIONS if o.path == operation.path]
    other = next((m for m in METHODS if m not in declared), "TRACE")
    json_type = {"Content_Type": "application/json"}

    assert (401, 2000) == checked_outcome(node.client(None).request(operation.method, path))
    assert (405, 2000) == checked_outcome(client.request(other, path, json={}))
    if "404" in operation.statuses:
        assert (404, 2000) == checked_outcome(stage.send(operation, **_unknown(operation)))
    if operation.schema:
        assert (400, 2001) == checked_outcome(client.send(operation.method, path, b'{"uid":', **json_type))
        assert (415, 2000) == checked_outcome(
            client.send(operation.method, path, b"{}", Content_Type="text/plain")
        )
        assert (413, 2000) == checked_outcome(
            client.send(operation.method, path, b" " * 4_194_305, **json_type)
        )
    if "{" in operation.path:
        assert (400, 2001) == checked_outcome(stage.send(operation, **TOO_LONG))
    if operation in LISTS:
        assert (400, 2001) == checked_outcome(client.get(path, limit="x"))
    answer = stage.send(operation, body=new)
    assert success(operation) == checked_outcome(answer)
    if operation.method in ("PUT", "PATCH", "DELETE"):
        assert isinstance(answer.json().get("data"), dict | None)


def _unknown(operation: Operation) -> dict[str, Any]:
    """Ids of objects that do not exist; a PUT goes to a party that is not the caller's."""
    if operation.method != "PUT":
        return UNKNOWN_IDS
    name = "evse_or_party" if "evse_or_party" in operation.path else "party_id"
    return {name: "XXX"}


@one_database
@pytest.mark.ocpi(15)
@pytest.mark.parametrize("operation", GETS, ids=str)
def test_a_single_object_is_an_object_and_a_list_is_an_array(
    node: Node, peer: PeerServer, operation: Operation
) -> None:
    full = FilledNetwork(node, peer, operation.role).send(operation)
    expected = list if operation in LISTS or operation.path.endswith("versions") else dict

    assert expected is type(full.json()["data"])
    assert full.json()["data"]
    if operation in LISTS:
        empty = FilledNetwork(node, peer, operation.role, empty=True).send(operation)
        assert [] == empty.json()["data"]


@one_database
@pytest.mark.ocpi(17)
def test_the_timestamp_is_the_current_time_in_utc(cpo: Network) -> None:
    client = cpo.peer()

    for path in ("locations", "locations/NOTHING", "locations?limit=x"):
        before = datetime.now(UTC).replace(microsecond=0)
        body = client.get(path).json()
        timestamp = datetime.fromisoformat(body["timestamp"])

        assert TIMESTAMP.fullmatch(body["timestamp"])
        assert before <= timestamp <= datetime.now(UTC)


@one_database
@pytest.mark.ocpi(18)
@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize("operation", [o for o in WITH_BODY if o.path.count("/") == 7], ids=str)
def test_a_body_that_is_not_json_is_400(
    node: Node, peer: PeerServer, operation: Operation, raw: bytes
) -> None:
    client = FilledNetwork(node, peer, operation.role, empty=True).client(operation)

    response = client.send(operation.method, operation.url(), raw, Content_Type="application/json")

    assert (400, 2001) == outcome(response)


@pytest.mark.ocpi(19, 23)
def test_schema_violations_are_400_and_broken_rules_are_200(node: Node) -> None:
    push = Push(node)
    location = example("Location")
    assert 201 == push("Location", location).status_code

    by_schema = push("Location", example("Location", type="CASTLE"))
    by_rule = push.peer("Location").put(push.path("Location", location), example("Location", id="LOC2"))
    by_query = push.peer("Location").get("locations", date_from="yesterday")

    assert (400, 2001) == outcome(by_schema)
    assert (200, 2001) == outcome(by_rule)
    assert (400, 2001) == outcome(by_query)


@pytest.mark.ocpi(19)
def test_a_setting_makes_schema_violations_200_and_keeps_malformed_json_at_400(
    another_node: Callable[..., Node],
) -> None:
    other = another_node(schema_refusal_status="200", demo="0")
    with switch_to(other.environment):
        peer = other.network("CPO", PARTY).peer(PEER)
        token = example("Token", type="UNKNOWN")

        assert (200, 2001) == outcome(peer.put(peer.at("tokens", token["uid"]), token))
        assert (200, 2001) == outcome(peer.get("tokens", limit="x"))
        assert (400, 2001) == outcome(peer.send("PUT", "tokens/NL/TNM/1", b'{"uid":'))
        assert (404, 2000) == outcome(peer.get("tokens/NL/TNM/1"))


@one_database
@pytest.mark.ocpi(20)
@pytest.mark.parametrize(
    "operation",
    [o for o in OPERATIONS if o.method in ("GET", "PATCH", "DELETE") and "404" in o.statuses],
    ids=str,
)
def test_an_unknown_object_is_404_without_data(node: Node, peer: PeerServer, operation: Operation) -> None:
    stage = FilledNetwork(node, peer, operation.role, empty=True)

    response = stage.send(operation)

    assert (404, 2000) == outcome(response)
    assert None is response.json().get("data")


@pytest.mark.ocpi(21)
@pytest.mark.parametrize("operation", PUTS, ids=str)
def test_the_first_put_is_201_and_the_same_again_200(
    node: Node, peer: PeerServer, operation: Operation
) -> None:
    stage = FilledNetwork(node, peer, operation.role)
    body, ids = _renamed(operation, "another")

    assert (201, 1000) == outcome(stage.send(operation, body=body, **ids))
    assert (200, 1000) == outcome(stage.send(operation, body=body, **ids))


@one_database
@pytest.mark.ocpi(22)
@pytest.mark.parametrize("operation", PUTS, ids=str)
def test_a_put_whose_id_differs_from_the_url_is_refused_and_stores_nothing(
    node: Node, peer: PeerServer, operation: Operation
) -> None:
    stage = FilledNetwork(node, peer, operation.role)
    client = stage.client(operation)
    body, _ = _renamed(operation, "inbody")
    _, in_body = _renamed(operation, "inbody")
    _, in_url = _renamed(operation, "inurl")

    response = stage.send(operation, body=body, **in_url)

    assert (200, 2001) == outcome(response)
    assert 404 == client.get(operation.url(**in_url)).status_code
    assert 404 == client.get(operation.url(**in_body)).status_code


def _renamed(operation: Operation, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The body with the id *name*, and the parameter of the URL that matches it."""
    schema = str(operation.schema).removesuffix("In")
    parameter = {"EVSE": "evse_uid", "Token": "token_uid"}.get(schema, f"{schema.lower()}_id")
    return {**operation.body, KEYS[schema]: name}, {parameter: name}


@one_database
@pytest.mark.ocpi(23)
@pytest.mark.parametrize(
    ("schema", "path", "value"),
    [
        ("Location", "address", ...),
        ("Location", "coordinates.latitude", ...),
        ("Location", "evses.0.status", ...),
        ("Location", "evses.0.connectors.1.voltage", "high"),
        ("Location", "evses.0.status", "BROKEN"),
        ("Location", "charging_when_closed", "yes"),
        ("Location", "directions", {}),
        ("Session", "kwh", "many"),
        ("Session", "status", "DONE"),
        ("Session", "location", "LOC1"),
        ("CDR", "total_cost", ...),
        ("CDR", "total_energy", -1),
        ("CDR", "charging_periods.0.dimensions.0.type", "watt"),
        ("Tariff", "elements.0.price_components.0.step_size", 1.5),
        ("Tariff", "currency", "euro"),
        ("Token", "valid", 1),
        ("Token", "whitelist", "SOMETIMES"),
        ("Token", "auth_id", ...),
    ],
)
def test_a_refusal_names_the_field_and_does_not_echo_the_body(
    node: Node, schema: str, path: str, value: object
) -> None:
    push = Push(node)
    body = put_in(example(schema), path, value)
    secret = "S3CR3T" * 6
    marked = {**body, "auth_id": secret} if "auth_id" in body else {**body, "unknown": secret}

    response = push(schema, marked)
    message = response.json()["status_message"]

    assert (400, 2001) == outcome(response)
    assert path.rsplit(".", maxsplit=1)[-1] in message
    assert secret not in message
    assert len(message) < 300


@one_database
@pytest.mark.ocpi(23)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "-1"), ("limit", "ten"), ("limit", ""), ("limit", "1.5"),
        ("limit", "9" * 30),
        ("offset", "-1"), ("offset", "x"), ("date_from", "2015-06-29"), ("date_to", "now"), ("date_to", ""),
        ("cursor", "x"),
    ],
)  # fmt: skip
def test_a_bad_query_value_is_2001_and_the_message_names_it(cpo: Network, name: str, value: str) -> None:
    response = cpo.peer().get("locations", **{name: value})

    assert (400, 2001) == outcome(response)
    assert name in response.json()["status_message"]


@pytest.mark.ocpi(24)
def test_authorize_for_a_restricted_token_without_a_location_is_2002(node: Node, peer: PeerServer) -> None:
    stage = FilledNetwork(node, peer, "emsp")
    assert (200, 1000) == outcome(stage.peer.post("tokens/012345678/authorize"))
    restrict(stage.network.id, ["LOC1"])

    response = stage.peer.post("tokens/012345678/authorize")

    assert (200, 2002) == outcome(response)
    assert "location" in response.json()["status_message"]


@one_database
@pytest.mark.ocpi(25)
@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("RESERVE_NOW", "ReserveNow"),
        ("START_SESSION", "StartSession"),
        ("UNLOCK_CONNECTOR", "UnlockConnector"),
    ],
)
def test_a_command_for_an_unknown_location_is_2003(
    cpo: Network, peer: PeerServer, name: str, schema: str
) -> None:
    body = example(schema, response_url=f"{peer.url}/result", location_id="NOWHERE")

    response = cpo.peer().post(f"commands/{name}", body)

    assert (200, 2003) == outcome(response)
    assert response.json()["data"] == {"result": "REJECTED"}


@one_database
@pytest.mark.ocpi(26)
@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("/versions", (500, b"oops"), 3001),
        ("/versions", (200, b"<html>"), 3001),
        ("/versions", (200, envelope(status_code=2000)), 3001),
        ("/versions", (404, envelope(status_code=2000)), 3001),
        ("/versions", (401, envelope(status_code=2000)), 3001),
        ("/versions", (200, envelope([{"version": "2.0", "url": "{url}/2.0"}])), 3002),
        ("/versions", (200, envelope([])), 3002),
        ("/2.1.1", (500, b"oops"), 3001),
        ("/2.1.1", (200, envelope({"version": "2.1.1", "endpoints": []})), 3003),
    ],
)
def test_each_kind_of_failed_callback_has_its_own_code(
    cpo: Network, peer: PeerServer, path: str, answer: tuple[int, Any], code: int
) -> None:
    peer.answers[path] = lambda _: answer

    response = cpo.registrant().post("credentials", peer.credentials())

    assert (200, code) == outcome(response)


@one_database
@pytest.mark.ocpi(26)
def test_a_peer_that_cannot_be_reached_is_3001(cpo: Network, peer: PeerServer) -> None:
    body = peer.credentials(url="http://127.0.0.1:9999/versions")

    assert (200, 3001) == outcome(cpo.registrant().post("credentials", body))


NOT_APPLICABLE = [
    ("cpo", "credentials", "PATCH"),
    ("cpo", "locations", "POST PUT PATCH DELETE"),
    ("cpo", "locations/LOC1", "POST PUT PATCH DELETE"),
    ("cpo", "locations/LOC1/3256", "POST PUT PATCH DELETE"),
    ("cpo", "locations/LOC1/3256/1", "POST PUT PATCH DELETE"),
    ("cpo", "sessions", "POST PUT PATCH DELETE"),
    ("cpo", "cdrs", "POST PUT PATCH DELETE"),
    ("cpo", "tariffs", "POST PUT PATCH DELETE"),
    ("cpo", "tokens/NL/TNM/012345678", "POST DELETE"),
    ("cpo", "commands/START_SESSION", "GET PUT PATCH DELETE"),
    ("cpo", "commands/STOP_SESSION", "GET PUT PATCH DELETE"),
    ("cpo", "commands/RESERVE_NOW", "GET PUT PATCH DELETE"),
    ("cpo", "commands/UNLOCK_CONNECTOR", "GET PUT PATCH DELETE"),
    ("emsp", "credentials", "PATCH"),
    ("emsp", "locations/NL/TNM/LOC1", "POST DELETE"),
    ("emsp", "locations/NL/TNM/LOC1/3256", "POST DELETE"),
    ("emsp", "locations/NL/TNM/LOC1/3256/1", "POST DELETE"),
    ("emsp", "sessions/NL/TNM/101", "POST DELETE"),
    ("emsp", "cdrs", "PUT PATCH DELETE"),
    ("emsp", "cdrs/NL/TNM/12345", "PUT PATCH DELETE"),
    ("emsp", "tariffs/NL/TNM/12", "POST"),
    ("emsp", "tokens", "POST PUT PATCH DELETE"),
    ("emsp", "tokens/012345678/authorize", "GET PUT PATCH DELETE"),
    ("emsp", "commands/START_SESSION/1", "GET PUT PATCH DELETE"),
]


@one_database
@pytest.mark.ocpi(27)
@pytest.mark.parametrize(("role", "path", "methods"), NOT_APPLICABLE)
def test_methods_that_do_not_apply_are_405_with_allow(node: Node, role: str, path: str, methods: str) -> None:
    """The specification's tables mark these methods n/a."""
    peer = node.network(role.upper(), PARTY).peer(PEER)

    for method in methods.split():
        response = peer.request(method, path, json=example("Location"))

        assert (405, 2000) == outcome(response), method
        assert response.headers["Allow"]
        assert method not in response.headers["Allow"]


@one_database
@pytest.mark.ocpi(27)
@pytest.mark.parametrize("path", sorted({o.path for o in OPERATIONS}))
def test_a_method_that_the_token_may_not_use_is_405_and_allow_lists_the_others(node: Node, path: str) -> None:
    operations = [o for o in OPERATIONS if o.path == path]
    network = node.network(operations[0].role.upper(), PARTY)
    for kind, client in (("peer", network.peer(PEER)), ("operator", network.operator())):
        allowed = {o.method for o in operations if kind in o.callers}
        for method in (*METHODS, "TRACE", "PROPFIND"):
            if method in allowed:
                continue
            response = client.request(method, operations[0].url(), json={})

            assert (405, 2000) == outcome(response), (kind, method)
            assert allowed == set(filter(None, response.headers["Allow"].split(", "))), (kind, method)


@pytest.mark.ocpi(28, 14)
@pytest.mark.parametrize("operation", PATCHES, ids=str)
def test_a_crash_is_500_and_3000_without_details_and_later_requests_succeed(
    node: Node, peer: PeerServer, operation: Operation
) -> None:
    """A stored document is unreadable, so the handler fails inside its open transaction."""
    stage = FilledNetwork(node, peer, operation.role)
    schema = str(operation.schema).removesuffix("Patch")
    damage(stage.network.id, TABLES.get(schema, f"{schema.lower()}s"))

    with ThreadPoolExecutor(8) as pool:  # more requests than the worker has threads: each thread crashes
        crashed = list(pool.map(lambda _: stage.send(operation), range(12)))

    for response in crashed:
        assert (500, 3000) == checked_outcome(response)
        for word in ("Traceback", "File ", "SELECT", "JSONDecode", "storage", "sqlite", "psycopg"):
            assert word not in response.text
    for name in "abcdefgh":
        put = next(o for o in PUTS if o.role == operation.role and o.schema in ("TokenIn", "LocationIn"))
        body, ids = _renamed(put, name)
        assert (201, 1000) == outcome(stage.send(put, body=body, **ids))
