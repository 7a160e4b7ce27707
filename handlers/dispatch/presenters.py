"""The gateway's responses for networks, jobs, locations, invitations and connections.

docs/gateway.md "Conventions".
"""

import orjson

from generated.gateway_models import (
    AnyParty,
    BehindObject,
    ChargerSummary,
    ConnectionFailure,
    ConnectionInitiator,
    ConnectionResponse,
    ConnectionState,
    ConnectorType,
    Coordinates,
    CpoResponse,
    CpoStatusResponse,
    CpoTopologySummary,
    EvseStatus,
    EvseStatusResponse,
    EvseSummary,
    InvitationCreatedResponse,
    InvitationResponse,
    JobKind,
    JobResponse,
    JobStep,
    LocationBulkStatusResponse,
    OcpiLocationResponse,
    OcppVersion,
    Party,
    PartyRole,
    PeerEndpoint,
    ProvisioningProgress,
    ProvisioningStatus,
    PushedModule,
    PushedTokenType,
    SchemaRefusalStatus,
)
from generated.ocpi_models import EVSE
from storage import access, agenda, database, exchanges, jobs, objects, parties, sites
from storage.agenda import AgendaRow, Backlog
from storage.connections import ANY_PARTY, ConnectionRow
from storage.invitations import Invitation
from storage.jobs import Job
from storage.networks import CPO, EMSP, Network
from storage.sites import ChargePoint, Site, Topology
from storage.timestamps import authored
from workflows.networks import orders, templates
from workflows.peers.credentials_exchange import versions_url
from workflows.peers.invitation import helper

_TEXT_LENGTH = 500


def networks(found: list[Network]) -> list[CpoResponse]:
    """Networks with their topology."""
    with database.connect() as connection:
        topologies = sites.topologies(connection, [each.id for each in found])
    return [_network(each, topologies[each.id]) for each in found]


def _network(network: Network, topology: Topology) -> CpoResponse:
    path = f"/ocpi/cpos/{network.id}"
    return CpoResponse(
        cpo_id=str(network.id),
        party=orders.scope(network),
        name_prefix=network.name,
        template=network.template,
        template_version=network.template_version,
        ocpi_peer_url=versions_url(network.role),
        topology=CpoTopologySummary(
            locations=topology.locations,
            chargers=topology.chargers,
            evses=topology.evses,
            connectors=topology.connectors,
        ),
        report_url=f"{path}/report",
        destroy_url=path,
        expires_at=_time(network.expires_at),
        created_at=authored(network.created_at),
        updated_at=authored(network.updated_at),
    )


def status(network: Network, job: Job | None) -> CpoStatusResponse:
    """The provisioning status of a network. A network without a job was created before jobs existed."""
    response = CpoStatusResponse(
        cpo_id=str(network.id),
        status=ProvisioningStatus.READY if job is None else ProvisioningStatus(job.status),
        status_url=f"/ocpi/cpos/{network.id}/status",
        created_at=authored(network.created_at),
        updated_at=authored(network.updated_at),
    )
    if job is not None:
        response.workflow_run_id = job.id
        response.error = job.failure
        response.provisioned_at = _time(job.provisioned_at)
        if job.status != jobs.PENDING:
            response.progress = _progress(job, job.total if network.role == CPO else 0)
    return response


def job(network: Network, job: Job) -> JobResponse:
    """Any job, with its steps. A job that creates locations has no steps, but progress."""
    with database.connect() as connection:
        steps = jobs.steps(connection, job.id)
        calls = [step.request_id for step in steps if step.request_id is not None]
        exchange_ids = exchanges.ids_of(connection, network.id, calls)
    has_items = job.kind in (jobs.NETWORK, jobs.SITES) and network.role == CPO
    return JobResponse(
        job_id=job.id,
        kind=JobKind(job.kind),
        status=ProvisioningStatus(job.status),
        steps=[_step(each, exchange_ids.get(each.request_id or "")) for each in steps],
        progress=_progress(job, job.total) if has_items else None,
        connection_id=None if job.connection_id is None else str(job.connection_id),
        error=job.job_error,
        created_at=authored(job.created_at),
        updated_at=authored(job.updated_at),
    )


def _step(step: jobs.JobStep, exchange_id: int | None) -> JobStep:
    shown = None if exchange_id is None else str(exchange_id)
    return JobStep(text=step.text[:_TEXT_LENGTH], at=authored(step.at), exchange_id=shown)


def bulk_job(job: Job) -> LocationBulkStatusResponse:
    """The status of a bulk creation, with the result of each item once it has ended."""
    response = LocationBulkStatusResponse(
        job_id=job.id,
        job_type=job.kind,
        status=ProvisioningStatus(job.status),
        workflow_run_id=job.id,
        error=job.failure,
        progress=_progress(job, job.total),
        provisioned_at=_time(job.provisioned_at),
    )
    if job.ended:
        with database.connect() as connection:
            response.results = jobs.results(connection, job.id)
    return response


def _progress(job: Job, total: int) -> ProvisioningProgress:
    """The progress of a job with *total* items. docs/gateway.md "Jobs"."""
    with database.connect() as connection:
        tally = jobs.tally(connection, job.id) if total else {}
    done = tally.get(jobs.CREATED, 0) + tally.get(jobs.REFUSED, 0)
    return ProvisioningProgress(current_step=job.step, locations_done=done, locations_total=total)


def behind(entry: AgendaRow) -> BehindObject:
    """An object that is not delivered."""
    module, object_id, *type_ = orjson.loads(entry.key)
    return BehindObject(
        module=PushedModule(module),
        id=object_id,
        type=PushedTokenType(type_[0]) if type_ else None,
        since=authored(entry.created_at),
        tries=entry.tries,
        last_answer=entry.answer,
        parked=entry.parked,
    )


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else authored(milliseconds)


def location(network: Network, site: Site) -> OcpiLocationResponse:
    """A location with its charge points."""
    document = site.document
    place = document.coordinates
    return OcpiLocationResponse(
        id=site.id,
        ocpp_location_id=f"ocpp-{site.id}",
        organization_id=network.organization_id,
        slug=site.slug,
        name=document.name,
        address=document.address,
        city=document.city,
        postal_code=templates.postal_code(document),
        country=templates.alpha2(document.country),
        # Not validated: by OCPI a back office may have stored 99.9 degrees north.
        coordinates=Coordinates.model_construct(
            latitude=float(place.latitude), longitude=float(place.longitude)
        ),
        timezone=templates.time_zone(document),
        owner_name=None if document.operator is None else document.operator.name,
        public=site.public,
        chargers=[_charger(each, first=index == 0) for index, each in enumerate(site.charge_points)],
        created_at=_time(site.created_at),
        updated_at=authored(site.updated_at),
    )


def evse_status(location_id: str, evse: EVSE) -> EvseStatusResponse:
    """An EVSE with its status."""
    return EvseStatusResponse(
        location_id=location_id,
        evse_uid=evse.uid,
        status=EvseStatus(evse.status),
        last_updated=evse.last_updated,
    )


def _charger(charge_point: ChargePoint, *, first: bool) -> ChargerSummary:
    evses = [
        EvseSummary(
            evse_uid=plug.uid,
            ocpi_evse_id=plug.evse_id,
            ocpi_connector_id=plug.connector_id,
            topology_id=f"top-{plug.id}",
        )
        for plug in charge_point.routing
    ]
    return ChargerSummary(
        id=f"dep-{charge_point.id}",
        identity=charge_point.identity,
        connector_type=ConnectorType(charge_point.connector_type),
        ocpp_version=OcppVersion(charge_point.ocpp_version),
        charge_point_id=charge_point.identity,
        evses=evses,
        topology_default_id=evses[0].topology_id if first and evses else None,
    )


def invitation(invitation: Invitation) -> InvitationResponse:
    """An open invitation, without its Token A."""
    return InvitationResponse(
        invitation_id=invitation.id,
        party=None if invitation.party is None else party(invitation.party),
        token_a_last4=invitation.last4,
        created_at=authored(invitation.created_at),
    )


def new_invitation(network: Network, created: Invitation, token_a: str) -> InvitationCreatedResponse:
    """A new invitation, with its Token A."""
    return InvitationCreatedResponse(
        **dict(invitation(created)),
        token_a=token_a,
        ocpi_peer_url=versions_url(network.role),
        roam_helper=helper(network, token_a),
    )


def party(names: objects.Party) -> Party:
    """A party in the form of the contract."""
    return Party(country_code=names[0], party_id=names[1])


def connections(network: Network, found: list[ConnectionRow]) -> list[ConnectionResponse]:
    """Connections with their parties, the age of our tokens, and what is to be pushed."""
    with database.connect() as connection:
        issued = access.issued(connection, network.id)
        named = parties.named(connection, network.id)
        backlogs = agenda.backlogs(connection, [agenda.connection_lane(each.id or 0) for each in found])
    return [
        _connection(
            network,
            each,
            backlogs[agenda.connection_lane(each.id or 0)],
            named.get(each.id or 0, []),
            issued.get(each.id or 0),
        )
        for each in found
    ]


def _connection(
    network: Network,
    row: ConnectionRow,
    backlog: Backlog,
    owners: list[objects.Party],
    our_token_at: int | None,
) -> ConnectionResponse:
    status, initiator = row.schema_refusal_status, row.initiator
    failure = None
    if row.last_error_at is not None:
        failure = ConnectionFailure(message=row.last_error or "", at=authored(row.last_error_at))
    return ConnectionResponse(
        connection_id=str(row.id),
        party=party((row.country_code, row.party_id)),
        role=PartyRole(EMSP if network.role == CPO else CPO),
        name=row.business_name,
        state=ConnectionState(row.state),
        initiated_by=None if initiator is None else ConnectionInitiator(initiator),
        parties=AnyParty.any if row.writes_for == ANY_PARTY else [party(each) for each in owners],
        versions_url=row.versions_url,
        version=row.version,
        endpoints=[PeerEndpoint(identifier=name, url=url) for name, url in row.endpoint_urls.items()],
        our_token_created_at=_time(our_token_at),
        peer_token_created_at=_time(row.peer_token_at),
        last_received_at=_time(row.last_received_at),
        last_sent_at=_time(row.last_sent_at),
        last_error=failure,
        push=row.push,
        behind=backlog.entries,
        behind_since=_time(backlog.since),
        next_try_at=_time(backlog.next_try_at),
        schema_refusal_status=None if status is None else SchemaRefusalStatus(status),
        sessions_require_date_from=row.sessions_require_date_from,
        post_updates_registered=row.post_updates_registered,
        append_charging_periods=row.append_charging_periods,
        created_at=authored(row.created_at),
        updated_at=authored(row.updated_at),
    )
