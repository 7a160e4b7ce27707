"""Broken jobs: a step stores its locations and its results in two transactions, in either order.

Each attempt draws new ids, or the second one would be refused as a duplicate.
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
from workflows import engine
from workflows.networks import templates

step, plan_site = engine.step, templates.plan_site
Calls = list[tuple[Any, ...]]


@contextlib.contextmanager
def recorded_calls(module: ModuleType, name: str) -> Iterator[tuple[Callable[..., Any], Calls]]:
    """Record the calls of a function instead of executing them; yields the function and the calls."""
    calls: Calls = []
    real = getattr(module, name)

    def note(*arguments: Any) -> bool:
        calls.append(arguments)
        return True

    setattr(module, name, note)
    try:
        yield real, calls
    finally:
        setattr(module, name, real)


def effect_first(effect: Callable[..., bool], *arguments: Any) -> bool:
    def store_and_record(transaction: Transaction) -> bool:
        """The job already holds the turn of this process, so the first transaction must not take it."""
        with recorded_calls(jobs, "record") as (record, calls), database.dbos_engine().begin() as other:
            goes_on = effect(Transaction(other), *arguments)
        if calls:
            failpoints.reach("broken.between")
        for _, *each in calls:
            record(transaction, *each)
        return goes_on

    return step(store_and_record)


def record_first(effect: Callable[..., bool], *arguments: Any) -> bool:
    with recorded_calls(sites, "add") as (add, calls):
        goes_on = step(effect, *arguments)
    if calls:
        failpoints.reach("broken.between")
    with database.transaction() as transaction:
        for _, *each in calls:
            add(transaction, *each)
    return goes_on


def fresh_plan(item: Any, _job_id: str, *more: Any) -> SitePlan:
    attempt = str(uuid.uuid4())
    plan = plan_site(item, attempt, *more)
    renamed = tuple(renamed_charge_point(charge_point, attempt[:6]) for charge_point in plan.charge_points)
    return dataclasses.replace(plan, charge_points=renamed)


def renamed_charge_point(plan: ChargePointPlan, mark: str) -> ChargePointPlan:
    plugs = tuple(EvsePlan(e.uid + mark, e.evse_id + mark.upper(), e.connector_id) for e in plan.evses)
    return plan.model_copy(update={"identity": plan.identity + mark, "evses": plugs})


def break_jobs(broken_step: Callable[..., bool]) -> None:
    """Run every step of a job with *broken_step*."""
    engine.step = broken_step
    templates.plan_site = fresh_plan  # type: ignore[assignment]
