"""A seed makes the same world each time; what an eMSP network is. docs/gateway.md "Templates"."""

import re
from collections import Counter
from typing import Any

import orjson
import pytest
from nodes import Client, Gateway, Network, at_once, outcome
from plans import planned

from storage import networks
from workflows.networks import templates

ORDER = {"template": "mixed-depot", "country_code": "BE", "party_id": "SED", "name_prefix": "Seed & Söhne"}
STAMPS = re.compile(rb',?"(last_updated|timestamp)":"[^"]*"')
CPO_TEMPLATES = ("small-urban-ac", "highway-dc", "mixed-depot")


def documents(client: Client, module: str) -> bytes:
    """What a list of OCPI says, byte by byte, without its times."""
    response = client.get(module, limit=100)
    assert (200, 1000) == outcome(response)
    return STAMPS.sub(b"", response.content)


def world(gateway: Gateway, accepted: Any) -> list[Any]:
    """All that follows from a seed: documents, slugs, charge points, topology."""
    operator = gateway.operator(accepted)
    modules = ("locations", "tariffs") if accepted["party"]["role"] == "CPO" else ("tokens",)
    sites = gateway.data(f"{accepted['destroy_url']}/locations", limit=100)["data"]
    seen = [
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
    return [*(documents(operator, module) for module in modules), seen, topology]


@pytest.mark.parametrize("template", [*CPO_TEMPLATES, "emsp-drivers"])
def test_the_same_seed_makes_the_same_bytes_for_two_organizations(
    gateway: Gateway, stranger: Gateway, template: str
) -> None:
    role = "emsp" if template == "emsp-drivers" else "cpo"
    order = {**ORDER, "template": template, "role": role, "seed": 4711}

    one, other = (world(each, each.ready(**order)) for each in (gateway, stranger))

    assert one == other
    assert 500 < len(one[0])


@pytest.mark.parametrize("template", CPO_TEMPLATES)
def test_what_peers_read_is_the_plan_byte_by_byte(gateway: Gateway, template: str) -> None:
    """The plan knows no database, so both databases serve the same bytes."""
    overrides = {"locations": 4, "chargers_per_location": 5}
    accepted = gateway.ready(**{**ORDER, "template": template, "seed": 7, "overrides": overrides})
    found = templates.network_template(template, "cpo")
    assert found is not None
    plan = templates.plan_network(found, 7, overrides, ORDER["name_prefix"], "cpo", ("BE", "SED"))
    sites = [planned(plan.site(index)) for index in range(plan.locations)]
    operator = gateway.operator(accepted)

    expected = b",".join(orjson.dumps(site.document) for site in sites)
    assert b'"data":[' + expected + b"]" in documents(operator, "locations")
    for site in sites:
        for tariff in site.tariffs:
            assert orjson.dumps(tariff) in documents(operator, "tariffs")


def test_anything_else_makes_another_world(gateway: Gateway) -> None:
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
        owner.wait_until_ready(order["status_url"])
    locations = [world(owner, order)[0] for owner, order in zip(owners, orders, strict=True)]

    assert [change for change, found in zip(changes, locations, strict=True) if found == locations[0]] == [{}]


def test_the_party_that_is_really_taken_counts(gateway: Gateway, stranger: Gateway) -> None:
    gateway.create(**{**ORDER, "template": "small-urban-ac"})
    moved = gateway.ready(**{**ORDER, "seed": 9})
    assert "SE0" == moved["party"]["party_id"]

    assert world(gateway, moved) == world(stranger, stranger.ready(**{**ORDER, "seed": 9, "party_id": "SE0"}))


@pytest.mark.parametrize("seed", [{}, {"seed": None}], ids=["absent", "null"])
def test_a_seed_that_is_not_given_is_drawn_and_kept(gateway: Gateway, seed: dict[str, None]) -> None:
    def made() -> list[Any]:
        body = {**ORDER, **seed}
        accepted = gateway.post("/ocpi/cpos", body).json()
        gateway.wait_until_ready(accepted["status_url"])
        found = world(gateway, accepted)
        network = at_once(networks.get, int(accepted["cpo_id"]))
        assert network is not None
        gateway.delete(accepted["destroy_url"])
        again = world(gateway, gateway.ready(**{**ORDER, "seed": network.seed}))
        assert found == again
        gateway.delete(f"/ocpi/cpos/{gateway.data('/ocpi/cpos')['data'][-1]['cpo_id']}")
        return found

    assert made()[0] != made()[0]


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "1", True])
def test_a_seed_is_a_number_of_31_bits(gateway: Gateway, seed: Any) -> None:
    assert 422 == gateway.post("/ocpi/cpos", {**ORDER, "seed": seed}).status_code


def test_the_largest_seed_is_one(gateway: Gateway) -> None:
    gateway.ready(**{**ORDER, "seed": 2**31 - 1})


# eMSP


def test_an_emsp_network_has_drivers_whom_a_peer_lists_and_asks_for(gateway: Gateway) -> None:
    accepted = gateway.ready(template="emsp-drivers", role="emsp", country_code="NL", party_id="DEP")
    assert ("EMSP", True) == (accepted["party"]["role"], accepted["ocpi_peer_url"].endswith("/emsp/versions"))
    found = at_once(networks.get, int(accepted["cpo_id"]))
    assert found is not None
    peer = Network(gateway.node, found).peer(("NL", "TNM"))

    response = peer.get("tokens", limit=100)
    tokens = response.json()["data"]

    assert ("25", 25) == (response.headers["X-Total-Count"], len(tokens))
    first = tokens[0]
    assert ("RFID", True, "demo") == (first["type"], first["valid"], first["issuer"].split()[0])
    judged = peer.post(f"tokens/{first['uid']}/authorize")
    assert (200, 1000) == outcome(judged)
    assert "ALLOWED" == judged.json()["data"]["allowed"]
    verdicts = [peer.post(f"tokens/{t['uid']}/authorize", type=t["type"]).json() for t in tokens]
    told = Counter(v["data"]["allowed"] if "data" in v else v["status_code"] for v in verdicts)
    assert {"ALLOWED": 15, "BLOCKED": 3, "EXPIRED": 2, "NO_CREDIT": 2, 2002: 3} == told
    assert {(token["auth_id"][:6]) for token in tokens} == {"NL-DEP"}


def test_an_emsp_network_has_no_locations_and_ignores_overrides(gateway: Gateway) -> None:
    accepted = gateway.ready(
        template="emsp-drivers", role="emsp", overrides={"locations": 5, "chargers_per_location": 2}
    )

    assert {0} == set(gateway.data(accepted["destroy_url"])["topology"].values())
    assert 0 == gateway.data(f"{accepted['destroy_url']}/locations")["total"]
    report = gateway.data(f"{accepted['destroy_url']}/report")["markdown"]
    assert "FR / ABC / EMSP" in report


def test_a_token_opens_the_face_of_its_own_role_only(gateway: Gateway) -> None:
    cpo = gateway.create()
    emsp = gateway.create(template="emsp-drivers", role="emsp")

    for accepted, other in ((cpo, "emsp"), (emsp, "cpo")):
        for token in (accepted["token_a"], accepted["operator_token"]):
            assert 401 == gateway.node.client(token, other).get("credentials").status_code
