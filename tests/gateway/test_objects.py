"""Sessions, CDRs, tariffs and tokens with their owners. docs/gateway.md "Objects"."""

from typing import Any

import pytest
from examples import example
from nodes import Client, Gateway, Network, in_transaction, one_database, outcome, refusal

from storage import networks

IDS = {
    "sessions": ("Session", "id"),
    "tariffs": ("Tariff", "id"),
    "tokens": ("Token", "uid"),
    "cdrs": ("CDR", "id"),
}
TNM, OTH = ("NL", "TNM"), ("NL", "OTH")


@pytest.fixture
def emsp(gateway: Gateway) -> Network:
    """A new eMSP network NL/DEP of the organization."""
    row = in_transaction(networks.create, gateway.organization_id, "EMSP", ("NL", "DEP"), "Drivers")
    return Network(gateway.node, row)


def push(client: Client, module: str, object_id: str, **changes: Any) -> dict[str, Any]:
    """Let a peer, or the back office of NL/DEP, store an object; returns it."""
    schema, key = IDS[module]
    body = example(schema, **{key: object_id}, **changes)
    if module == "cdrs":
        response = client.post("cdrs", body)
    else:
        response = client.put(client.at(module, object_id), body)
    assert (201, 1000) == outcome(response)
    return body


def received(party: tuple[str, str], client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """The entry of an object that a peer pushed."""
    return {
        "owner": "received",
        "party": {"country_code": party[0], "party_id": party[1]},
        "connection_id": str(client.connection_id),
        "object": body,
    }


@pytest.mark.parametrize("module", ["sessions", "cdrs", "tariffs"])
def test_objects_are_listed_and_read_with_their_owners(gateway: Gateway, emsp: Network, module: str) -> None:
    url = f"/ocpi/cpos/{emsp.id}/{module}"
    first, second = emsp.peer(TNM), emsp.peer(OTH)
    entries = [
        received(TNM, first, push(first, module, "A1")),
        received(OTH, second, push(second, module, "A1")),
        received(OTH, second, push(second, module, "A2")),
    ]

    for entry in entries if module == "cdrs" else []:  # tests/gateway/test_cdr_explanation.py has checks
        entry["check"] = gateway.data(url)["data"][0]["check"]

    assert {"data": entries, "total": 3, "page": 1, "limit": 50} == gateway.data(url)
    assert {"data": entries[2:], "total": 3, "page": 2, "limit": 2} == gateway.data(url, page=2, limit=2)
    assert entries == gateway.data(url, owner="received")["data"]
    assert [] == gateway.data(url, owner="own")["data"]
    assert entries[1:] == gateway.data(url, connection_id=second.connection_id)["data"]
    assert [] == gateway.data(url, connection_id="999999999999")["data"]

    assert entries[2] == gateway.data(f"{url}/A2")
    assert entries[1] == gateway.data(f"{url}/A1", country_code="nl", party_id="oth")
    assert (
        409,
        f"NL/OTH, NL/TNM all have {module} with the id A1; name one with country_code and party_id.",
    ) == refusal(gateway.get(f"{url}/A1"))
    assert 404 == refusal(gateway.get(f"{url}/A1", country_code="NL", party_id="DEP"))[0]
    assert 404 == refusal(gateway.get(f"{url}/A3"))[0]


def test_tokens_are_listed_and_read_with_their_types(gateway: Gateway, emsp: Network) -> None:
    url = f"/ocpi/cpos/{emsp.id}/tokens"
    operator = emsp.operator()
    operator.party = ("NL", "DEP")
    own = {"owner": "own", "party": {"country_code": "NL", "party_id": "DEP"}}
    other, rfid = (own | {"object": push(operator, "tokens", "1", type=type_)} for type_ in ("OTHER", "RFID"))

    assert [other, rfid] == gateway.data(url)["data"] == gateway.data(url, owner="own")["data"]
    assert [rfid, other] == [gateway.data(f"{url}/1"), gateway.data(f"{url}/1", type="OTHER")]
    assert [] == gateway.data(url, owner="received")["data"]


@one_database
def test_a_list_leaves_out_very_long_objects(gateway: Gateway, emsp: Network) -> None:
    """PAGE_BYTES is 8 MiB, so an object of a page of 100 has at most 83 055 bytes."""
    url = f"/ocpi/cpos/{emsp.id}/tariffs"
    client = emsp.peer(TNM)
    short = received(TNM, client, push(client, "tariffs", "SHORT"))
    long = received(TNM, client, push(client, "tariffs", "LONG", extension="x" * 84_000))

    assert [short, long] == gateway.data(url, limit=50)["data"]
    without_object = {key: value for key, value in long.items() if key != "object"}
    assert [short, without_object] == gateway.data(url, limit=100)["data"]
    assert long == gateway.data(f"{url}/LONG")


@one_database
@pytest.mark.parametrize(("name", "value"), [("owner", "mine"), ("connection_id", "x"), ("limit", "101")])
def test_a_wrong_filter_is_422(gateway: Gateway, emsp: Network, name: str, value: str) -> None:
    for module in IDS:
        status, problems = refusal(gateway.get(f"/ocpi/cpos/{emsp.id}/{module}", **{name: value}))
        assert (422, ["query", name]) == (status, problems[0]["loc"])
