"""Invitations of a network. docs/gateway.md "Invitation"."""

from generated.gateway_models import (
    InvitationCreatedResponse,
    InvitationCreateRequest,
    InvitationListResponse,
)
from handlers.dispatch import presenters
from storage import database, invitations
from storage.keys import Member
from workflows.networks import orders


def list_invitations(user: Member, cpo_id: str, page: int, limit: int) -> InvitationListResponse:
    """The open invitations, oldest first."""
    network = orders.network_of(user, cpo_id)
    with database.connect() as connection:
        some, total = invitations.page(connection, network.id, (page - 1) * limit, limit)
    data = [presenters.invitation(each) for each in some]
    return InvitationListResponse(data=data, total=total, page=page, limit=limit)


def create_invitation(user: Member, cpo_id: str, body: InvitationCreateRequest) -> InvitationCreatedResponse:
    """Invite a peer. Only this response contains Token A."""
    network = orders.network_of(user, cpo_id)
    party = None if body.party is None else (body.party.country_code, body.party.party_id)
    with database.transaction() as transaction:
        created, token_a = invitations.create(transaction, network.id, party)
    return presenters.new_invitation(network, created, token_a)


def delete_invitation(user: Member, cpo_id: str, invitation_id: str) -> None:
    """Withdraw an invitation."""
    network = orders.network_of(user, cpo_id)
    with database.transaction() as transaction:
        invitations.withdraw(transaction, network.id, invitation_id)
