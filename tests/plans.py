"""What is planned for networks and locations, as JSON without the times that come when it is stored."""

from dataclasses import dataclass
from typing import Any

import orjson

from openapi.field_types import Model
from storage.sites import UNSTAMPED, ChargePointPlan, SitePlan

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
    """A plan of a token, likewise."""

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
    """What *plan* says."""
    tariffs = tuple(map(unstamped, plan.tariffs))
    return Planned(plan.id, plan.slug, plan.public, unstamped(plan.document), tariffs, plan.charge_points)
