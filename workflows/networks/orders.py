"""Orders of the gateway: create and delete networks, create locations. docs/gateway.md "Networks"."""

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import errors
from generated.gateway_models import (
    CpoAcceptedResponse,
    CpoCreateRequest,
    CpoOverrides,
    CpoPartyScope,
    LocationBulkAcceptedResponse,
    LocationBulkCreateRequest,
    PartyRole,
    ProvisioningStatus,
)
from openapi.field_types import Model
from settings import settings
from storage import access, database, ended_tokens, idempotency, jobs, networks, timestamps
from storage.database import Transaction
from storage.idempotency import Use
from storage.jobs import Job
from storage.keys import Member
from storage.networks import CPO, Blueprint, Network
from storage.objects import Party
from workflows import engine
from workflows.networks import ends, provisioning, templates
from workflows.peers.credentials_exchange import versions_url
from workflows.peers.invitation import helper

_SEEDS = 2**31
_RETRY_SECONDS = 60
_PARTY_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CREATE_NETWORK, CREATE_SITES = "create_cpo", "create_sites"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a new network, which are shown once."""

    token_a: str
    operator_token: str


def create_network(user: Member, request: CpoCreateRequest, key: str | None) -> CpoAcceptedResponse:
    """Accept the order of a network; returns the response, with the tokens.

    Raises:
        errors.NotFound: the template does not exist for this role.
        errors.Conflict: every similar party id is taken, or the key was used with another request.
        errors.TooMany: the organization has as many networks or jobs as it may have.
    """
    role = request.role.upper()
    template = templates.network_template(request.template, role)
    if template is None:
        raise errors.NotFound(f"template: there is no {role} template {request.template[:64]}")
    use = use_of(user, CREATE_NETWORK, key, request)
    with database.transaction() as transaction:
        networks.lock_organization(transaction, user.organization_id)
        if use is not None and (earlier := replayed(transaction, use)):
            return _without_ended_tokens(transaction, CpoAcceptedResponse.model_validate_json(earlier))
        _check_quotas(transaction, user.organization_id)
        country = request.country_code.upper()
        party = country, free_party(transaction, user.organization_id, country, request.party_id.upper())
        blueprint = Blueprint(
            template.slug,
            template.version,
            secrets.randbelow(_SEEDS) if request.seed is None else request.seed,
            _sizes(request.overrides),
        )
        expiry = _expiry(request.ttl_seconds)
        network = establish(
            transaction, user.organization_id, role, party, request.name_prefix, blueprint, expiry
        )
        job_id = str(network.job_id)
        engine.enqueue(transaction, provisioning.WORKFLOW, job_id)
        response = accepted(network, mint(transaction, network))
        if use is not None:
            idempotency.store(transaction, use, network.id, response.json_text())
    return response


def _sizes(overrides: CpoOverrides | None) -> dict[str, int]:
    """The sizes that differ from those of the template."""
    sizes = {} if overrides is None else overrides.model_dump(exclude_none=True)
    return {name: size for name, size in sizes.items() if name in templates.OVERRIDES}


def establish(
    transaction: Transaction,
    organization_id: str,
    role: str,
    party: Party,
    name: str,
    blueprint: Blueprint,
    expires_at: int | None,
) -> Network:
    """Store a network and the job that will fill it. The job is not started."""
    job_id = str(uuid.uuid4())
    network = networks.create(
        transaction,
        organization_id,
        role,
        party,
        name,
        blueprint=blueprint,
        job_id=job_id,
        expires_at=expires_at,
    )
    count = provisioning.plan_of(network).locations if role == CPO else 1
    jobs.create(transaction, organization_id, network.id, jobs.NETWORK, [None] * count, jobs.PENDING, job_id)
    return network


def mint(transaction: Transaction, network: Network, chosen: Tokens = Tokens("", "")) -> Tokens:
    """Store a Token A and an operator token: those of *chosen*, or new ones where they are empty."""
    return Tokens(
        access.mint(transaction, access.REGISTRATION, network.id, chosen=chosen.token_a),
        access.mint(transaction, access.OPERATOR, network.id, chosen=chosen.operator_token),
    )


def create_sites(
    user: Member, network: Network, request: LocationBulkCreateRequest, key: str | None
) -> LocationBulkAcceptedResponse:
    """Accept the order of locations; returns the response.

    Raises:
        errors.NotFound: an item names a template that does not exist, or the network is gone.
        errors.Conflict: the key was used with another request.
        errors.TooMany: the organization has as many jobs as it may have.
    """
    unknown = templates.unknown_template(request.locations)
    if unknown is not None:
        index, slug = unknown
        raise errors.NotFound(f"locations.{index}.template: there is no location template {slug[:64]}")
    use = use_of(user, f"{CREATE_SITES}/{network.id}", key, request)
    with database.transaction() as transaction:
        networks.lock_organization(transaction, user.organization_id)
        if use is not None and (earlier := replayed(transaction, use)):
            return LocationBulkAcceptedResponse.model_validate_json(earlier)
        check_jobs(transaction, user.organization_id)
        if not networks.lock(transaction, network.id):
            raise errors.NotFound(errors.NOTHING_HERE)
        job_id = str(uuid.uuid4())
        jobs.create(
            transaction,
            user.organization_id,
            network.id,
            jobs.SITES,
            _item_requests(request),
            jobs.PROVISIONING,
            job_id,
        )
        engine.enqueue(transaction, provisioning.WORKFLOW, job_id)
        response = LocationBulkAcceptedResponse(
            job_id=job_id,
            status=ProvisioningStatus.PROVISIONING,
            status_url=f"/ocpi/cpos/{network.id}/locations/jobs/{job_id}",
            workflow_run_id=job_id,
        )
        if use is not None:
            idempotency.store(transaction, use, network.id, response.json_text())
    return response


def _item_requests(request: LocationBulkCreateRequest) -> list[Any]:
    """What the job stores of each item."""
    items = request.locations
    return [
        {"item": item.model_dump(mode="json", exclude_unset=True), "prefix": prefix}
        for item, prefix in zip(items, templates.automatic_prefixes(items), strict=True)
    ]


def delete_network(organization_id: str, network_id: int) -> None:
    """End a network at once; a network that is gone stays gone. docs/gateway.md "Ending a network".

    Raises:
        errors.NotFound: the organization never had it.
    """
    with database.connect() as connection:
        owner = networks.owner_of(connection, network_id)
    if owner != organization_id:
        raise errors.NotFound(errors.NOTHING_HERE)
    ends.end(network_id, ended_tokens.NETWORK_DELETED)


def free_party(transaction: Transaction, organization_id: str, country: str, preferred: str) -> str:
    """The *preferred* party id, or the first free one that differs in its last one or two characters.

    Raises:
        errors.Conflict: all are taken.
    """
    taken = networks.taken(transaction, organization_id, country)
    free = next((p for p in _alternatives(preferred) if p not in taken), None)
    if free is None:
        raise errors.Conflict(
            f"party_id: party_space_exhausted, every id like {preferred[0]}** is taken in {country}"
        )
    return free


def _alternatives(preferred: str) -> Iterator[str]:
    yield preferred
    yield from (preferred[:2] + last for last in _PARTY_CHARACTERS)
    yield from (preferred[0] + middle + last for middle in _PARTY_CHARACTERS for last in _PARTY_CHARACTERS)


def use_of(user: Member, operation: str, key: str | None, request: Model) -> Use | None:
    """The use of an Idempotency-Key; None without a key."""
    if key is None:
        return None
    body = request.model_dump(mode="json", exclude_unset=True)
    return Use(user.organization_id, operation, key, idempotency.fingerprint(body))


def replayed(transaction: Transaction, use: Use) -> str | None:
    """The response to the key's first request, as JSON text. docs/gateway.md "Idempotency".

    Raises:
        errors.Conflict: the first request was another one.
    """
    earlier = idempotency.earlier_use(transaction, use)
    if earlier is None:
        return None
    if not earlier.same:
        raise errors.Conflict("Idempotency-Key: was used with another body; nothing was done.")
    return earlier.response


def _without_ended_tokens(transaction: Transaction, response: CpoAcceptedResponse) -> CpoAcceptedResponse:
    """*response* without its tokens, once Token A has been used."""
    if not response.token_a or access.is_open(transaction, response.token_a):
        return response
    return response.model_copy(update={"token_a": "", "operator_token": None, "roam_helper": None})


def _check_quotas(transaction: Transaction, organization_id: str) -> None:
    limit = settings().networks_per_organization
    if networks.count(transaction, organization_id) >= limit:
        raise errors.TooMany(f"The organization has {limit} networks; delete one.", _RETRY_SECONDS)
    check_jobs(transaction, organization_id)


def check_jobs(transaction: Transaction, organization_id: str) -> None:
    """Raise if the organization may have no further job.

    Raises:
        errors.TooMany: it has as many unfinished jobs as it may have.
    """
    limit = settings().jobs_per_organization
    if jobs.count_unfinished(transaction, organization_id) >= limit:
        raise errors.TooMany(f"The organization has {limit} jobs that are not finished.", _RETRY_SECONDS)


def _expiry(ttl_seconds: int | None) -> int | None:
    """When the network ends, in milliseconds; None for never."""
    return None if ttl_seconds is None else timestamps.now_ms() + ttl_seconds * 1000


def accepted(network: Network, tokens: Tokens) -> CpoAcceptedResponse:
    """The response to an order of a network. docs/gateway.md "Networks"."""
    path = f"/ocpi/cpos/{network.id}"
    return CpoAcceptedResponse(
        cpo_id=str(network.id),
        party=scope(network),
        name_prefix=network.name,
        template=network.template,
        template_version=network.template_version,
        token_a=tokens.token_a,
        operator_token=tokens.operator_token,
        ocpi_peer_url=versions_url(network.role),
        roam_helper=helper(network, tokens.token_a),
        workflow_run_id=network.job_id,
        status=ProvisioningStatus.PENDING,
        status_url=f"{path}/status",
        destroy_url=path,
        expires_at=None if network.expires_at is None else timestamps.authored(network.expires_at),
    )


def scope(network: Network) -> CpoPartyScope:
    """The party that the network occupies."""
    role = PartyRole(network.role)
    return CpoPartyScope(country_code=network.country_code, party_id=network.party_id, role=role)


def network_of(user: Member, cpo_id: str) -> Network:
    """The organization's network with this id.

    Raises:
        errors.NotFound: it belongs to another organization, or has ended.
    """
    with database.connect() as connection:
        network = networks.owned(connection, user.organization_id, int(cpo_id))
    if network is None:
        raise errors.NotFound(errors.NOTHING_HERE)
    return network


def job_of(network: Network) -> Job | None:
    """The job that fills or filled the network."""
    with database.connect() as connection:
        return jobs.get(connection, network.job_id) if network.job_id else None
