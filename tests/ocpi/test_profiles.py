"""One server serves clients of the specification, and of the reference and the code of ocpi-python.

Conformance P. The tests call the URLs of each kind of client on the same node.
"""

from typing import Any

import pytest
from examples import example
from nodes import Client, Network, Node, one_database, outcome, switch_to
from peers import PeerServer

OK = (200, 1000)
MISSING = (404, 2000)
REFUSED = (405, 2000)


def peer_of_cpo(cpo: Network) -> Client:
    """A peer of a CPO with LOC1, tariff 12, and session 101 and CDR 12345 of the peer's driver."""
    peer, operator = cpo.peer(), cpo.operator()
    peer.put(peer.at("tokens", "012345678"), example("Token"))
    operator.put("locations/NL/DEM/LOC1", example("Location"))
    operator.put("sessions/NL/DEM/101", example("Session"))
    operator.put("tariffs/NL/DEM/12", example("Tariff"))
    operator.post("cdrs", example("CDR"))
    return peer


def peer_of_emsp(emsp: Network) -> Client:
    """A peer of an eMSP with token 012345678; the peer pushed the examples."""
    peer = emsp.peer()
    emsp.operator().put("tokens/NL/DEP/012345678", example("Token"))
    for module, schema in (("locations", "Location"), ("sessions", "Session"), ("tariffs", "Tariff")):
        body = example(schema)
        peer.put(peer.at(module, body["id"]), body)
    peer.post("cdrs", example("CDR"))
    return peer


def listed(client: Client, path: str) -> Any:
    """The ids of a list, or the id of an object, that GET returns."""
    data = client.data(path)
    return [key(each) for each in data] if isinstance(data, list) else key(data)


def key(each: dict[str, Any]) -> Any:
    return each.get("uid") or each.get("id")


@pytest.mark.ocpi(54, 55, 58)
@pytest.mark.parametrize("role", ["cpo", "emsp"])
@pytest.mark.parametrize("kind", ["registrant", "peer", "operator"])
def test_versions_and_details_are_the_same_under_every_url(node: Node, role: str, kind: str) -> None:
    network = node.network(role.upper(), ("NL", "DEM"))
    client = getattr(network, kind)()
    with_role, without_role = client.data(f"/ocpi/{role}/versions"), client.data("/ocpi/versions")
    details = client.data(f"/ocpi/{role}/2.1.1")
    identifiers = [endpoint["identifier"] for endpoint in details["endpoints"]]

    assert with_role == without_role
    assert details == client.data("/ocpi/2.1.1/details") == client.data(with_role[0]["url"])
    assert details == client.data(f"/ocpi/{role}/2.1.1/")
    assert len(identifiers) == len(set(identifiers))
    assert all(f"/ocpi/{role}/2.1.1/" in endpoint["url"] for endpoint in details["endpoints"])


@one_database
@pytest.mark.ocpi(118, 136, 158)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("locations", ["LOC1"]),
        ("locations/LOC1", "LOC1"),
        ("locations/LOC1/3256", "3256"),
        ("locations/LOC1/3256/1", "1"),
        ("sessions", ["101"]),
        ("cdrs", ["12345"]),
        ("tariffs", ["12"]),
        ("tokens/NL/TNM/012345678", "012345678"),
        # the reference of ocpi-python
        ("locations/NL/DEM/LOC1", "LOC1"),
        ("sessions/NL/DEM/101", "101"),
        ("cdrs/NL/DEM/12345", "12345"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"], ids=["", "slash"])
def test_a_peer_reads_the_objects_of_a_cpo(cpo: Network, path: str, expected: Any, slash: str) -> None:
    assert expected == listed(peer_of_cpo(cpo), path + slash)


@one_database
@pytest.mark.ocpi(119, 137, 159, 169)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("locations/NL/TNM/LOC1", "LOC1"),
        ("locations/NL/TNM/LOC1/3256", "3256"),
        ("locations/NL/TNM/LOC1/3256/1", "1"),
        ("sessions/NL/TNM/101", "101"),
        ("tariffs/NL/TNM/12", "12"),
        ("tokens", ["012345678"]),
        # the reference of ocpi-python
        ("locations", ["LOC1"]),
        ("sessions", ["101"]),
        ("cdrs", ["12345"]),
        ("cdrs/NL/TNM/12345", "12345"),
        ("tariffs", ["12"]),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"], ids=["", "slash"])
def test_a_peer_reads_the_objects_of_an_emsp(emsp: Network, path: str, expected: Any, slash: str) -> None:
    assert expected == listed(peer_of_emsp(emsp), path + slash)


WRITES = [
    ("PUT", "locations/NL/DEM/LOC1", "Location", "GET"),
    ("PATCH", "locations/NL/DEM/LOC1", "Location", "GET"),
    ("PUT", "sessions/NL/DEM/101", "Session", "GET"),
    ("PATCH", "sessions/NL/DEM/101", "Session", "GET"),
    ("POST", "cdrs", "CDR", "GET"),
]


@pytest.mark.ocpi(27)
@pytest.mark.parametrize(("method", "path", "schema", "allow"), WRITES)
def test_a_peer_may_not_write_to_the_owners_urls_of_ocpi_python(
    cpo: Network, method: str, path: str, schema: str, allow: str
) -> None:
    response = cpo.peer().request(method, path, json=example(schema))

    assert (REFUSED, allow) == (outcome(response), response.headers["Allow"])


@pytest.mark.ocpi(96)
def test_the_owner_writes_to_the_urls_of_ocpi_python_and_the_peer_reads_it(cpo: Network) -> None:
    peer, operator = peer_of_cpo(cpo), cpo.operator()
    new = "2027-01-01T00:00:00Z"

    assert OK == outcome(operator.patch("locations/NL/DEM/LOC1", {"city": "Utrecht", "last_updated": new}))
    assert OK == outcome(operator.put("sessions/nl/dem/101", example("Session", kwh=21)))
    assert OK == outcome(operator.patch("sessions/NL/DEM/101", {"kwh": 22, "last_updated": new}))
    assert "Utrecht" == peer.data("locations", date_from=new)[0]["city"]
    assert [22] == [session["kwh"] for session in peer.data("sessions", date_from=new)]
    assert MISSING == outcome(operator.put("locations/NL/TNM/LOC1", example("Location")))


@pytest.mark.ocpi(118)
def test_three_segments_name_a_connector_before_a_location(cpo: Network) -> None:
    """One location has our country code as its id; another has the id of a connector of the first."""
    operator, peer = cpo.operator(), cpo.peer()
    odd = example("Location", id="NL", evses=[example("EVSE", uid="TNM")])
    operator.put("locations/NL/DEM/NL", odd)
    operator.put("locations/NL/DEM/1", example("Location", id="1", city="Utrecht"))

    assert odd["evses"][0]["connectors"][0] == peer.data("locations/NL/TNM/1")  # a connector
    assert "Utrecht" == peer.data("locations/NL/DEM/1")["city"]  # a location
    assert "Utrecht" == peer.data("locations/nl/dem/1")["city"]
    assert MISSING == outcome(peer.get("locations/NL/TNM/9"))  # no such connector
    assert MISSING == outcome(peer.get("locations/NL/DEM/9"))  # no such location
    assert MISSING == outcome(peer.get("locations/1/3256/9"))
    assert MISSING == outcome(peer.get("locations/NL/XXX/1"))  # neither an EVSE nor our party


@one_database
@pytest.mark.ocpi(118)
@pytest.mark.parametrize("location_id", ["NL", "nl"])
@pytest.mark.parametrize("uid", ["DEM", "dem"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_location_that_would_hide_our_own_urls_is_refused(
    cpo: Network, location_id: str, uid: str, method: str
) -> None:
    operator = cpo.operator()
    url = f"locations/NL/DEM/{location_id}"
    body: dict[str, Any] = example("Location", id=location_id, evses=[example("EVSE", uid=uid)])
    if method == "PATCH":
        operator.put(url, example("Location", id=location_id))
        body = {"evses": body["evses"]}

    assert (200, 2001) == outcome(operator.request(method, url, json=body))
    assert uid not in [e["uid"] for each in operator.data("locations") for e in each["evses"]]


@pytest.mark.ocpi(170, 171)
@pytest.mark.parametrize(
    "path",
    [
        "tokens/012345678/authorize",
        "tokens/012345678/authorize?type=RFID",
        "tokens/012345678/authorize?token_type=RFID",
        "tokens/NL/DEP/012345678/authorize",
        "tokens/NL/DEP/012345678/authorize?token_type=RFID",
        "tokens/012345678/authorize/",
    ],
)
def test_every_client_can_authorize(emsp: Network, path: str) -> None:
    response = peer_of_emsp(emsp).post(path, {"location_id": "LOC1"})

    assert OK == outcome(response)
    assert "ALLOWED" == response.json()["data"]["allowed"]


@pytest.mark.ocpi(147, 159)
def test_the_emsp_interface_has_the_operations_that_ocpi_python_lacks(emsp: Network) -> None:
    peer = peer_of_emsp(emsp)
    paths = ("locations/NL/TNM/LOC1/3256", "locations/NL/TNM/LOC1/3256/1", "tariffs/NL/TNM/12")

    assert {OK} == {outcome(peer.patch(path, {})) for path in paths}
    assert (201, 1000) == outcome(peer.post("cdrs", example("CDR", id="new")))
    assert OK == outcome(peer.delete("tariffs/NL/TNM/12"))


@pytest.mark.ocpi(67)
def test_post_credentials_with_token_c_updates_only_with_the_setting(
    node: Node, another_node: Any, peer: PeerServer
) -> None:
    lenient: Node = another_node(post_updates_registered="1", demo="0")
    strict_client = node.network("CPO", ("NL", "DEM")).registrant()
    with switch_to(lenient.environment):
        lenient_client = lenient.network("CPO", ("NL", "DEM")).registrant()
    for client in (strict_client, lenient_client):
        response = client.post("credentials", peer.credentials())
        assert OK == outcome(response)
        client.token = response.json()["data"]["token"]
    old = lenient_client.token

    assert REFUSED == outcome(strict_client.post("credentials", peer.credentials()))
    updated = lenient_client.post("credentials", peer.credentials())
    assert OK == outcome(updated)
    lenient_client.token = updated.json()["data"]["token"]
    assert old != lenient_client.token
    assert OK == outcome(lenient_client.get("locations"))


@pytest.mark.ocpi(63, 71, 73)
def test_the_client_of_ocpi_python_puts_and_deletes_credentials(cpo: Network, peer: PeerServer) -> None:
    client = cpo.registrant()
    for method in ("POST", "PUT"):
        response = client.request(method, "credentials", json=peer.credentials())
        assert OK == outcome(response)
        client.token = response.json()["data"]["token"]

    assert OK == outcome(client.delete("credentials"))
    assert 401 == client.get("credentials").status_code
