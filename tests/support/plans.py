"""Plans of networks and locations as JSON without timestamps, which are set when they are stored."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import contracts
import orjson

from openapi.field_types import Model
from storage.sites import UNSTAMPED, ChargePointPlan, SitePlan
from workflows.networks import templates
from workflows.networks.templates import NetworkPlan

Body = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """A plan of a site, its objects as JSON without `last_updated`."""

    id: str
    slug: str
    public: bool
    document: Body
    tariffs: tuple[Body, ...]
    charge_points: tuple[ChargePointPlan, ...]


@dataclass(frozen=True)
class PlannedToken:
    """A plan of a token, its object as JSON without `last_updated`."""

    body: Body
    standing: str | None
    location_ids: list[str] | None


def unstamped(model: Model) -> Body:
    """*model* as JSON without `last_updated`, at every level."""

    def without(value: Any) -> Any:
        if isinstance(value, list):
            return [without(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {key: without(item) for key, item in value.items() if item != UNSTAMPED}

    found: Body = without(orjson.loads(model.json_text()))
    return found


def planned(plan: SitePlan) -> Planned:
    """*plan* as JSON without `last_updated`."""
    tariffs = tuple(map(unstamped, plan.tariffs))
    return Planned(plan.id, plan.slug, plan.public, unstamped(plan.document), tariffs, plan.charge_points)


NOW = "2026-11-20T12:00:00Z"
PARTY = ("FR", "ABC")
CPO_TEMPLATES = ("small-urban-ac", "highway-dc", "mixed-depot", "city-network")
LOCATION_TEMPLATES = [entry.slug for entry in templates.location_templates()]

PLACE = {"name": "A", "address": "B 1", "city": "C", "country": "FR"}


def network(
    slug: str, seed: int = 42, name: str = "alice", party: Any = PARTY, **overrides: Any
) -> NetworkPlan:
    """The plan of a network of role cpo."""
    template = templates.network_template(slug, "cpo")
    assert template is not None
    return templates.plan_network(template, seed, overrides, name, "cpo", party)


def drivers(
    seed: int = 42, party: tuple[str, str] = ("NL", "DEP"), name: str = "Demo Drivers"
) -> list[PlannedToken]:
    """The tokens of an eMSP network."""
    template = templates.network_template("emsp-drivers", "emsp")
    assert template is not None
    plan = templates.plan_network(template, seed, {"locations": 7}, name, "emsp", party)
    return [PlannedToken(unstamped(t.token), t.standing, t.location_ids) for t in plan.tokens()]


def item_of(item: Body) -> Any:
    """*item* of a bulk request as a model."""
    return templates.item_from(orjson.dumps(item))


def site(item: Body, prefix: str | None = None, index: int = 0, job: str = "job") -> Planned:
    """The plan of one item of a bulk request."""
    return planned(templates.plan_site(item_of(item), job, index, "alice", PARTY, prefix))


def sites(plan: NetworkPlan) -> Iterator[Planned]:
    """Every site of a network."""
    return (planned(plan.site(index)) for index in range(plan.locations))


def stamped(document: Body) -> Body:
    """The document with a last_updated in each of its objects."""
    plans = {**document, "last_updated": NOW}
    if "evses" in plans:
        plans["evses"] = [
            {**e, "connectors": [{**c, "last_updated": NOW} for c in e["connectors"]], "last_updated": NOW}
            for e in plans["evses"]
        ]
    return plans


def check(plan: Planned) -> None:
    """Check that the plan obeys the contract and is consistent."""
    strict = contracts.ocpi()
    location = stamped(plan.document)
    strict.check_strict("Location", location)
    assert orjson.dumps(location) == orjson.dumps(
        strict.normalize("Location", location)
    )  # canonical, order too
    for tariff in plan.tariffs:
        document = {**tariff, "last_updated": NOW}
        assert orjson.dumps(document) == orjson.dumps(strict.normalize("Tariff", document))
    evses = plan.document.get("evses", [])
    assert {e["connectors"][0]["tariff_id"] for e in evses} == {t["id"] for t in plan.tariffs}
    mapped = [(e.uid, e.evse_id, e.connector_id) for point in plan.charge_points for e in point.evses]
    assert mapped == [(e["uid"], e["evse_id"], e["connectors"][0]["id"]) for e in evses]
    assert all(len(evse_id) <= 48 and len(uid) <= 39 for uid, evse_id, _ in mapped)
    assert len(plan.document["evses"] if evses else []) == len({uid for uid, _, _ in mapped})
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,34}", point.identity) for point in plan.charge_points)


def everything() -> str:
    """A digest of all plans of seed 42 and two jobs."""
    plans = [plan for slug in CPO_TEMPLATES for plan in sites(network(slug))]
    plans += [site({"template": slug}, "L01_", 3) for slug in LOCATION_TEMPLATES]
    tokens = [orjson.dumps([t.body, t.standing, t.location_ids]) for t in drivers()]
    parts = [orjson.dumps([p.id, p.slug, p.document, p.tariffs, str(p.charge_points)]) for p in plans]
    return hashlib.sha256(b"\n".join(parts + tokens)).hexdigest()
