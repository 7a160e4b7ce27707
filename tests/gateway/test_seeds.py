"""A seed always generates the same network; also eMSP networks. docs/gateway.md "Templates"."""

import re
from collections import Counter
from typing import Any

import orjson
import pytest
from nodes import Client, Gateway, Network, in_transaction, one_database, outcome
from plans import planned

from storage import networks
from workflows.networks import templates

ORDER = {"template": "mixed-depot", "country_code": "BE", "party_id": "SED", "name_prefix": "Seed & Söhne"}
TIMESTAMPS = re.compile(rb',?"(last_updated|timestamp)":"[^"]*"')
CPO_TEMPLATES = ("small-urban-ac", "highway-dc", "mixed-depot")


def documents(client: Client, module: str) -> bytes:
    """The bytes of an OCPI list without its timestamps."""
    response = client.get(module, limit=100)
    assert (200, 1000) == outcome(response)
    return TIMESTAMPS.sub(b"", response.content)


def generated(gateway: Gateway, accepted: Any) -> list[Any]:
    """Everything that is generated from a seed: documents, slugs, charge points, topology."""
    operator = gateway.operator(accepted)
    modules = ("locations", "tariffs") if accepted["party"]["role"] == "CPO" else ("tokens",)
    sites = gateway.data(f"{accepted['destroy_url']}/locations", limit=100)["data"]
    locations = [
        {
            **{k: site[k] for k in ("id", "slug", "name", "coordinates", "public")},
            "chargers": [
                [c["identity"], c["connector_type"], c["ocpp_version"],
                 [(e["evse_uid"], e["ocpi_evse_id"], e["ocpi_connector_id"]) for e in c["evses"]]]
                for c in site["chargers"]
            ],
        }
        for site in sites
    ]  # fmt: skip
    topology = gateway.data(accepted["destroy_url"])["topology"]
    return [*(documents(operator, module) for module in modules), locations, topology]


@one_database
@pytest.mark.parametrize("template", [*CPO_TEMPLATES, "emsp-drivers"])
def test_the_same_seed_generates_the_same_bytes_for_two_organizations(
    gateway: Gateway, stranger: Gateway, template: str
) -> None:
    role = "emsp" if template == "emsp-drivers" else "cpo"
    order = {**ORDER, "template": template, "role": role, "seed": 4711}

    one, other = (generated(each, each.ready(**order)) for each in (gateway, stranger))

    assert one == other
    assert 500 < len(one[0])


@pytest.mark.parametrize("template", CPO_TEMPLATES)
def test_peers_read_the_bytes_of_the_plan(gateway: Gateway, template: str) -> None:
    """The plan is independent of the database, so both databases serve the same bytes."""
    overrides = {"locations": 4, "chargers_per_location": 5}
    accepted = gateway.ready(**{**ORDER, "template": template, "seed": 7, "overrides": overrides})
    found = templates.network_template(template, "cpo")
    assert found is not None
    plan = templates.plan_network(found, 7, overrides, ORDER["name_prefix"], "cpo", ("BE", "SED"))
    sites = [planned(plan.site(index)) for index in range(plan.locations)] + [planned(plan.magic_site())]
    operator = gateway.operator(accepted)

    expected = b",".join(orjson.dumps(site.document) for site in sites)
    assert b'"data":[' + expected + b"]" in documents(operator, "locations")
    for site in sites:
        for tariff in site.tariffs:
            assert orjson.dumps(tariff) in documents(operator, "tariffs")


@one_database
def test_any_other_change_generates_another_network(gateway: Gateway) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"name_prefix": "other"},
        {"party_id": "OTH"},
        {"country_code": "FR"},
        {"template": "highway-dc"},
        {"overrides": {"locations": 2}},
    ]
    owners = [gateway.node.gateway() for _ in changes]
    orders = [
        owner.create(**{**ORDER, "seed": 0, **change}) for owner, change in zip(owners, changes, strict=True)
    ]

    for owner, order in zip(owners, orders, strict=True):
        owner.finish(order)
    locations = [generated(owner, order)[0] for owner, order in zip(owners, orders, strict=True)]

    assert [change for change, found in zip(changes, locations, strict=True) if found == locations[0]] == [{}]


@one_database
def test_the_generated_network_depends_on_the_party_id_that_was_assigned(
    gateway: Gateway, stranger: Gateway
) -> None:
    gateway.create(**{**ORDER, "template": "small-urban-ac"})
    moved = gateway.ready(**{**ORDER, "seed": 9})
    assert "SE0" == moved["party"]["party_id"]

    assert generated(gateway, moved) == generated(
        stranger, stranger.ready(**{**ORDER, "seed": 9, "party_id": "SE0"})
    )


@one_database
@pytest.mark.parametrize("seed", [{}, {"seed": None}], ids=["absent", "null"])
def test_an_absent_seed_is_drawn_at_random_and_stored(gateway: Gateway, seed: dict[str, None]) -> None:
    def generate() -> list[Any]:
        body = {**ORDER, **seed}
        accepted = gateway.post("/ocpi/cpos", body).json()
        gateway.finish(accepted)
        found = generated(gateway, accepted)
        network = in_transaction(networks.get, int(accepted["cpo_id"]))
        assert network is not None
        gateway.delete(accepted["destroy_url"])
        again = generated(gateway, gateway.ready(**{**ORDER, "seed": network.seed}))
        assert found == again
        gateway.delete(f"/ocpi/cpos/{gateway.data('/ocpi/cpos')['data'][-1]['cpo_id']}")
        return found

    assert generate()[0] != generate()[0]


@one_database
@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "1", True])
def test_a_seed_that_is_not_a_31_bit_integer_is_422(gateway: Gateway, seed: Any) -> None:
    assert 422 == gateway.post("/ocpi/cpos", {**ORDER, "seed": seed}).status_code


@one_database
def test_the_largest_seed_is_accepted(gateway: Gateway) -> None:
    gateway.ready(**{**ORDER, "seed": 2**31 - 1})


# eMSP


def test_a_peer_lists_and_authorizes_the_drivers_of_an_emsp_network(gateway: Gateway) -> None:
    accepted = gateway.ready(template="emsp-drivers", role="emsp", country_code="NL", party_id="DEP")
    assert ("EMSP", True) == (accepted["party"]["role"], accepted["ocpi_peer_url"].endswith("/emsp/versions"))
    found = in_transaction(networks.get, int(accepted["cpo_id"]))
    assert found is not None
    peer = Network(gateway.node, found).peer(("NL", "TNM"))

    response = peer.get("tokens", limit=100)
    tokens = response.json()["data"]

    assert ("29", 29) == (response.headers["X-Total-Count"], len(tokens))
    first = tokens[0]
    assert ("RFID", True, "demo") == (first["type"], first["valid"], first["issuer"].split()[0])
    authorized = peer.post(f"tokens/{first['uid']}/authorize")
    assert (200, 1000) == outcome(authorized)
    assert "ALLOWED" == authorized.json()["data"]["allowed"]
    results = [peer.post(f"tokens/{t['uid']}/authorize", type=t["type"]).json() for t in tokens]
    counts = Counter(r["data"]["allowed"] if "data" in r else r["status_code"] for r in results)
    assert {"ALLOWED": 16, "BLOCKED": 4, "EXPIRED": 3, "NO_CREDIT": 3, 2002: 3} == counts
    assert {(token["auth_id"][:6]) for token in tokens} == {"NL-DEP"}


def test_an_emsp_network_has_no_locations_and_ignores_overrides(gateway: Gateway) -> None:
    accepted = gateway.ready(
        template="emsp-drivers", role="emsp", overrides={"locations": 5, "chargers_per_location": 2}
    )

    assert {0} == set(gateway.data(accepted["destroy_url"])["topology"].values())
    assert 0 == gateway.data(f"{accepted['destroy_url']}/locations")["total"]
    report = gateway.data(f"{accepted['destroy_url']}/report")["markdown"]
    assert "FR / ABC / EMSP" in report


def test_a_token_works_only_in_the_api_of_its_own_role(gateway: Gateway) -> None:
    cpo = gateway.create()
    emsp = gateway.create(template="emsp-drivers", role="emsp")

    for accepted, other in ((cpo, "emsp"), (emsp, "cpo")):
        for token in (accepted["token_a"], accepted["operator_token"]):
            assert 401 == gateway.node.client(token, other).get("credentials").status_code
