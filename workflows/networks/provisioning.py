"""The workflow of a job: it creates the locations of a network or of a bulk request.

docs/architecture.md "A job".

A job runs in steps. Each step is one transaction that stores a few locations, their results and the
engine's record of the step. A step takes the first items that have no result yet, so repeated or reordered
steps neither lose an item nor create it twice.
"""

import functools
import logging
from typing import Any

import orjson
from dbos import DBOS

from generated.gateway_models import ProvisioningErrorCode, ProvisioningErrorDetail
from storage import database, failpoints, jobs, networks, sites, timestamps, tokens
from storage.database import Transaction
from storage.jobs import Job, JobItem
from storage.networks import CPO, EMSP, Network
from storage.objects import Party
from storage.sites import SitePlan
from workflows import engine
from workflows.networks import templates
from workflows.networks.templates import ItemRefused, NetworkPlan

log = logging.getLogger("ocpi_gateway")

WORKFLOW = "provision"

TOKENS = "drivers"
"""The location id and name of the single item of an eMSP network's job, which stores all tokens."""

STEP_LOCATIONS = 50
STEP_CHARGE_POINTS = 200
"""The bounds of a step, because other writers wait while it holds the database or the network."""

_NAME_LENGTH = 255
_MESSAGE_LENGTH = 2000


@DBOS.workflow(name=WORKFLOW)
def provision(job_id: str) -> None:
    """Run the job until it has ended. After a crash the engine replays the recorded steps."""
    try:
        while engine.patient_step(advance, job_id):
            pass
    except Exception as error:
        log.exception("job_failed", extra={"job": job_id})
        with database.transaction() as transaction:
            jobs.end(transaction, job_id, jobs.FAILED, _failure(error))


def provision_now(transaction: Transaction, job_id: str) -> None:
    """Run the whole job in *transaction*, without the engine: for the networks of a first start."""
    while advance(transaction, job_id):
        pass


def advance(transaction: Transaction, job_id: str) -> bool:
    """Do one step of the job; False if the job or its network has ended."""
    failpoints.reach("provision.step")
    job = jobs.get(transaction, job_id)
    network = networks.get(transaction, job.network_id) if job else None
    if job is None or job.ended or network is None or not networks.lock(transaction, network.id):
        return False
    if job.status == jobs.PENDING:
        jobs.begin(transaction, job_id)
        return True
    items = jobs.open_items(transaction, job_id, STEP_LOCATIONS)
    if not items:
        _end(transaction, job, network)
        return False
    if network.role == EMSP:
        _store_tokens(transaction, network, items)
    else:
        items = _store_locations(transaction, job, network, items)
    jobs.record(transaction, items)
    return True


def _store_locations(
    transaction: Transaction, job: Job, network: Network, items: list[JobItem]
) -> list[JobItem]:
    """Store the locations of the first *items* and set each item's result; returns the handled items."""
    handled, plans, charge_points = [], [], 0
    for item in items:
        if charge_points >= STEP_CHARGE_POINTS:
            break
        handled.append(item)
        try:
            plan = _plan_location(job, network, item)
        except ItemRefused as refusal:
            item.refused(_requested_name(item), _detail(refusal))
        else:
            plans.append((item, plan))
            charge_points += len(plan.charge_points)
    names = set().union(*(sites.unique_names(plan) for _, plan in plans))
    taken = sites.taken(transaction, network.id, names)
    for item, plan in plans:
        duplicates = sites.unique_names(plan) & taken
        if duplicates:
            _refuse_duplicate(item, min(name for _, name in duplicates), "identity")
        elif sites.add(transaction, network.id, network.party, plan):
            failpoints.reach("provision.stored")
            taken |= sites.unique_names(plan)
            item.created(plan.id, plan.document.name or plan.id)
        else:
            _refuse_duplicate(item, plan.id, "id")
    return handled


def _plan_location(job: Job, network: Network, item: JobItem) -> SitePlan:
    """The plan of the location that the item requests.

    Raises:
        ItemRefused: the location cannot be created.
    """
    if job.kind == jobs.NETWORK:
        return plan_of(network).site(item.position)
    request = _request(item)
    parsed = templates.item_from(orjson.dumps(request["item"]))
    return templates.plan_site(parsed, job.id, item.position, network.name, network.party, request["prefix"])


def plan_of(network: Network) -> NetworkPlan:
    """The plan of the network.

    Raises:
        ItemRefused: its template no longer exists.
    """
    return _plan(network.template, network.seed, network.overrides, network.name, network.role, network.party)


@functools.lru_cache(maxsize=16)
def _plan(slug: str, seed: int, overrides: str, name: str, role: str, party: Party) -> NetworkPlan:
    """*overrides* is JSON text, as the network stores it."""
    template = templates.network_template(slug, role)
    if template is None:
        raise ItemRefused("template_not_found", f"There is no template {slug}.", "template")
    return templates.plan_network(template, seed, orjson.loads(overrides), name, role, party)


def _store_tokens(transaction: Transaction, network: Network, items: list[JobItem]) -> None:
    """Store the tokens of an eMSP network, which are the single item of its job."""
    now = timestamps.now()
    for plan in plan_of(network).tokens():
        stamped = plan.token.model_copy(update={"last_updated": now})
        tokens.put(transaction, network.id, network.party, stamped, is_stamped=True)
        if plan.standing or plan.location_ids is not None:
            tokens.set_standing(
                transaction,
                network.id,
                network.party,
                stamped.uid,
                stamped.type,
                plan.standing,
                plan.location_ids,
            )
    for item in items:
        item.created(TOKENS, TOKENS)


def _end(transaction: Transaction, job: Job, network: Network) -> None:
    """End the job: READY if it created anything or had no items, else FAILED with its first item's error."""
    is_filled = jobs.tally(transaction, job.id)[jobs.CREATED] > 0
    if is_filled and job.kind == jobs.NETWORK and network.role == CPO:
        _store_magic_site(transaction, network)
    if is_filled or not job.total:
        jobs.end(transaction, job.id, jobs.READY)
        return
    first = jobs.item(transaction, job.id, 0)
    jobs.end(transaction, job.id, jobs.FAILED, first.failure if first else None)


def _store_magic_site(transaction: Transaction, network: Network) -> None:
    """Store the location MAGIC, unless the back office or a bulk request has used one of its names."""
    plan = plan_of(network).magic_site()
    if not sites.taken(transaction, network.id, sites.unique_names(plan)):
        sites.add(transaction, network.id, network.party, plan)


def _refuse_duplicate(item: JobItem, name: str, param: str) -> None:
    refusal = ItemRefused("duplicate_identity", f"The network has {name} already.", param)
    item.refused(_requested_name(item), _detail(refusal))


def _request(item: JobItem) -> Any:
    return orjson.loads(item.request or "null")


def _requested_name(item: JobItem) -> str | None:
    request = _request(item)
    if request is None:
        return None
    location = request["item"]
    name = (location.get("overrides") or {}).get("name") or location.get("name") or location.get("template")
    return None if name is None else str(name)[:_NAME_LENGTH]


def _detail(refusal: ItemRefused) -> ProvisioningErrorDetail:
    return ProvisioningErrorDetail(
        code=ProvisioningErrorCode(refusal.code),
        message=refusal.message[:_MESSAGE_LENGTH],
        param=refusal.param,
        retryable=False,
    )


def _failure(error: Exception) -> ProvisioningErrorDetail:
    code, message = ProvisioningErrorCode.unknown_error, f"{engine.error_name(error)}; it has been logged."
    if engine.error_name(error) in engine.TRANSIENT:
        code = ProvisioningErrorCode.storage_unavailable
        message = "The database could not be reached for five minutes."
    return ProvisioningErrorDetail(code=code, message=message, retryable=True)
