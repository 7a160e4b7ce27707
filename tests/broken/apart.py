"""Jobs that are broken: effect and record are two transactions, in one order or in the other.

Each attempt draws ids of its own, or the second effect of an item would be refused.
"""

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from storage import database, failpoints, jobs, sites
from storage.database import Transaction
from storage.sites import ChargePointPlan, EvsePlan, SitePlan
from workflows import engine, templates

step, plan_site = engine.step, templates.plan_site
Calls = list[tuple[Any, ...]]


@contextlib.contextmanager
def held_back(module: ModuleType, name: str) -> Iterator[tuple[Callable[..., Any], Calls]]:
    """Note the calls of a function instead of making them; the function, and its calls."""
    calls: Calls = []
    real = getattr(module, name)
    setattr(module, name, lambda *args: calls.append(args))
    try:
        yield real, calls
    finally:
        setattr(module, name, real)


def effect_first(effect: Callable[..., None], *arguments: Any) -> None:
    with held_back(jobs, "settle") as (settle, calls), database.transaction() as transaction:
        effect(transaction, *arguments)
    if calls:
        failpoints.reach("broken.between")

    def settle_all(transaction: Transaction) -> None:
        for _, *each in calls:
            settle(transaction, *each)

    step(settle_all)


def record_first(effect: Callable[..., None], *arguments: Any) -> None:
    with held_back(sites, "add") as (add, calls):
        step(effect, *arguments)
    if calls:
        failpoints.reach("broken.between")
    with database.transaction() as transaction:
        for _, *each in calls:
            add(transaction, *each)


def fresh_plan(item: Any, _job_id: str, *more: Any) -> SitePlan:
    attempt = str(uuid.uuid4())
    plan = plan_site(item, attempt, *more)
    renamed = tuple(renamed_post(charge_point, attempt[:6]) for charge_point in plan.charge_points)
    return dataclasses.replace(plan, charge_points=renamed)


def renamed_post(plan: ChargePointPlan, mark: str) -> ChargePointPlan:
    plugs = tuple(EvsePlan(e.uid + mark, e.evse_id + mark.upper(), e.connector_id) for e in plan.evses)
    return plan.model_copy(update={"identity": plan.identity + mark, "evses": plugs})


def break_jobs(by: Callable[..., None]) -> None:
    """Let every step of a job be done so."""
    engine.step = by  # type: ignore[assignment]
    templates.plan_site = fresh_plan  # type: ignore[assignment]
