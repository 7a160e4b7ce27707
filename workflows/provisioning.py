"""The durable job: item by item, each with all its rows in one transaction. Design sections 7 and 10.

What is left to do is told by the job's own items, which are settled in the transaction that stores
their effect; the engine runs the job, takes it up again after a crash, and ends it when it is cancelled.
So whatever the engine replays, nothing is lost and nothing is done twice.
"""

import functools
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from dbos import DBOS

import errors
from generated.ocpi_models import Token, TokenType
from storage import database, failpoints, instants, jobs, networks, sites, tokens
from storage.database import Transaction
from storage.jobs import Item, Job
from storage.networks import EMSP, Network
from storage.objects import Party
from storage.sites import SitePlan
from workflows import engine, templates
from workflows.templates import ItemRefused, NetworkPlan

log = logging.getLogger("ocpi_gateway")

T = TypeVar("T")

WORKFLOW = "provision"
STEP = "locations"
"""What `progress.current_step` says while items are stored."""

DRIVERS = "drivers"
"""The one item of an eMSP network's job: all its tokens."""

_STARTS = 10_000
"""The engine counts starts, restarts of the program included; poison is detected here."""

_POISON = 3
_NAME_LENGTH = 255
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
_BUDGET_SECONDS = 300.0
_TRANSIENT = frozenset({"Unavailable", "OperationalError", "InterfaceError", "DBAPIError"})
"""Errors of the database, by name: a replayed error is not of its class."""

_GONE = "NetworkGone"
_TWIN = "Conflict"


class NetworkGone(Exception):
    """The network is being deleted; nothing more is stored for it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job and the network that it provisions."""

    job: Job
    network: Network


Effect = Callable[[Transaction, Assignment, int], None]
"""What a step stores for one item."""


@DBOS.workflow(name=WORKFLOW, max_recovery_attempts=_STARTS)
def provision(job_id: str) -> None:
    """Do what is left of the job."""
    try:
        assignment = _surely(_assigned, job_id, engine.run())
        if assignment is not None:
            _work(assignment)
    except Exception as error:
        if _name(error) != _GONE:
            log.error("job_failed", extra={"job": job_id}, exc_info=error)  # noqa: TRY400  (as above)
            with database.transaction() as transaction:
                jobs.end(transaction, job_id, jobs.FAILED, _failure(error))


def _assigned(job_id: str, run: str) -> Assignment | None:
    """The job with its network; None if this run has nothing to do with it, or nothing any more.

    A run that is begun for the second time passes the job on to a fresh one: the engine would replay
    what this one has done, step by step, 4 ms each, and the job's items tell it at once.
    """
    with database.transaction() as transaction:
        job = jobs.get(transaction, job_id)
        network = networks.get(transaction, job.network_id) if job is not None else None
        if job is None or network is None or job.ended:
            return None
        if jobs.begin(transaction, job_id, run, STEP):
            return Assignment(job, network)
    fresh = f"{job_id}.{uuid.uuid4().hex[:8]}"
    with database.transaction() as transaction:
        if jobs.pass_on(transaction, job_id, run, fresh):
            engine.enqueue(transaction, WORKFLOW, job_id, fresh)
    return None


def _work(assignment: Assignment) -> None:
    job = assignment.job
    first = next(iter(_surely(_left, job, 1)), None)
    effect = place if first is None else _surely(_come_back_to, job, first)
    for last in (False, False, True):  # more than once only after a failure that left an item open
        for position in _surely(_left, job):
            _settle(give_up if last else effect, assignment, position)
            failpoints.reach("provision.placed")
            effect = place
    _surely(_finish, job)


def _left(job: Job, most: int = 1_000_000) -> list[int]:
    with database.connect() as connection:
        return jobs.left(connection, job.id, most)


def _settle(effect: Effect, assignment: Assignment, position: int) -> None:
    try:
        _surely(engine.step, effect, assignment, position)
    except Exception as error:
        if _name(error) != _TWIN:
            raise
        _surely(engine.step, refuse_twin, assignment, position)


def _come_back_to(job: Job, position: int) -> Effect:
    """What to do with the item at which the job starts, or starts again: an item that was begun three
    times, each at the end of a process, and never ended is given up.
    """  # noqa: D205  (one sentence)
    with database.transaction() as transaction:
        item = jobs.item(transaction, job.id, position)
        if item is not None and item.began >= _POISON:
            return give_up
        jobs.suspect(transaction, job.id, position)
    return place


def _surely(call: Callable[..., T], *arguments: Any) -> T:
    """Call it again and again while the database fails. Design section 10, Failures of a step."""
    deadline, wait = time.monotonic() + _BUDGET_SECONDS, _FIRST_WAIT
    while True:
        try:
            return call(*arguments)
        except Exception as error:
            if _name(error) not in _TRANSIENT or time.monotonic() > deadline:
                raise
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)


def place(transaction: Transaction, assignment: Assignment, position: int) -> None:
    """Store one item with all its rows, and settle it.

    Raises:
        NetworkGone: the network is being deleted.
    """
    job, network = assignment.job, assignment.network
    item = _open_item(transaction, assignment, position)
    if item is None:
        return
    if network.role == EMSP:
        _enrol(transaction, network)
        jobs.settle(transaction, job.id, position, DRIVERS, DRIVERS)
        return
    try:
        plan = _planned(assignment, item)
    except ItemRefused as refusal:
        jobs.refuse(transaction, job.id, position, _asked_name(item), _told(refusal))
        return
    sites.add(transaction, network.id, network.party, plan)
    failpoints.reach("provision.stored")
    jobs.settle(transaction, job.id, position, plan.id, str(plan.document.get("name", plan.id)))


def give_up(transaction: Transaction, assignment: Assignment, position: int) -> None:
    """Give an item up that ends the program, or fails, again and again.

    Raises:
        NetworkGone: the network is being deleted.
    """
    item = _open_item(transaction, assignment, position)
    if item is not None:
        told = ItemRefused("unknown_error", "It was begun again and again and never ended; it is skipped.")
        jobs.refuse(transaction, assignment.job.id, position, _asked_name(item), _told(told))


def refuse_twin(transaction: Transaction, assignment: Assignment, position: int) -> None:
    """Refuse an item of which the network has something already.

    It looks for itself: what stood in the way may be gone by now, and then the item stays open.

    Raises:
        NetworkGone: the network is being deleted.
    """
    item, network = _open_item(transaction, assignment, position), assignment.network
    if item is None:
        return
    try:
        plan = _planned(assignment, item)
    except ItemRefused:
        return  # not this item's failure
    twins = sites.taken(transaction, network.id, plan.charge_points)
    if twins or sites.exists(transaction, network.id, network.party, plan.id):
        what, param = (min(twins), "identity") if twins else (plan.id, "id")
        told = ItemRefused("duplicate_identity", f"The network has {what} already.", param)
        jobs.refuse(transaction, assignment.job.id, position, _asked_name(item), _told(told))


def _open_item(transaction: Transaction, assignment: Assignment, position: int) -> Item | None:
    """The item, held with its network; None if it is done already.

    Raises:
        NetworkGone: the network is being deleted.
    """
    if not networks.lock(transaction, assignment.network.id):
        raise NetworkGone
    item = jobs.item(transaction, assignment.job.id, position)
    return item if item is not None and item.state == jobs.OPEN else None


def _planned(assignment: Assignment, item: Item) -> SitePlan:
    job, network = assignment.job, assignment.network
    if job.kind == jobs.NETWORK:
        return plan_of(network).site(item.position)
    asked, prefix = item.request["item"], item.request["prefix"]
    return templates.plan_site(asked, job.id, item.position, network.name, network.party, prefix)


def plan_of(network: Network) -> NetworkPlan:
    """What the network is generated from."""
    return _plan(network.template, network.seed, network.overrides, network.name, network.role, network.party)


@functools.lru_cache(maxsize=16)
def _plan(slug: str, seed: int, overrides: str, name: str, role: str, party: Party) -> NetworkPlan:
    """*overrides*: JSON text, as the network stores it."""
    template = templates.network_template(slug, role)
    if template is None:
        raise ItemRefused("template_not_found", f"There is no template {slug}.", "template")
    return templates.plan_network(template, seed, orjson.loads(overrides), name, role, party)


def _enrol(transaction: Transaction, network: Network) -> None:
    """Store the tokens of an eMSP network."""
    now = instants.now()
    for token in plan_of(network).tokens():
        body = {**token.body, "last_updated": now}
        document = Token.model_validate_json(orjson.dumps(body))
        tokens.put(transaction, network.id, network.party, document, is_stamped=True)
        if token.standing or token.location_ids is not None:
            tokens.set_standing(
                transaction,
                network.id,
                network.party,
                body["uid"],
                TokenType(body["type"]),
                token.standing,
                token.location_ids,
            )


def _finish(job: Job) -> None:
    with database.transaction() as transaction:
        finish(transaction, job)


def finish(transaction: Transaction, job: Job) -> None:
    """READY when something was made, else FAILED. Design section 6, bulk results."""
    tally = jobs.tally(transaction, job.id)
    if tally[jobs.CREATED] or not job.total:
        jobs.end(transaction, job.id, jobs.READY)
        return
    first = jobs.item(transaction, job.id, 0)
    told = (first.error if first else None) or {}
    jobs.end(transaction, job.id, jobs.FAILED, {"code": "location_invalid", "retryable": False, **told})


def _asked_name(item: Item) -> str | None:
    if item.request is None:
        return None
    asked = item.request["item"]
    name = (asked.get("overrides") or {}).get("name") or asked.get("name") or asked.get("template")
    return None if name is None else str(name)[:_NAME_LENGTH]


def _told(refusal: ItemRefused) -> jobs.Detail:
    param = {} if refusal.param is None else {"param": refusal.param}
    return {"code": refusal.code, "message": refusal.message[:2000], **param, "retryable": False}


def _failure(error: Exception) -> jobs.Detail:
    if _name(error) in _TRANSIENT:
        message = "The database could not be reached for five minutes."
        return {"code": "storage_unavailable", "message": message, "retryable": True}
    return {"code": "unknown_error", "message": f"{_name(error)}; it has been logged.", "retryable": True}


def _name(error: Exception) -> str:
    return str(getattr(error, "name", None) or type(error).__name__)


def provision_now(transaction: Transaction, job_id: str) -> None:
    """Do the whole job at once, without the engine: for the networks of a first start."""
    job = jobs.get(transaction, job_id)
    network = networks.get(transaction, job.network_id) if job is not None else None
    if job is None or network is None:
        raise errors.ServerError("The job is gone.")
    for position in range(job.total):
        place(transaction, Assignment(job, network), position)
    finish(transaction, job)
