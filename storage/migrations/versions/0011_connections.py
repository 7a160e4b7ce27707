"""invitations

Revision ID: 0011
Revises: 0008
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    _add_invitations()


def _add_invitations() -> None:
    """Give each Token A an id."""
    with op.batch_alter_table("ocpi_access") as batch:
        batch.add_column(sa.Column("invitation_id", sa.String(36), nullable=True))
        batch.add_column(sa.Column("country_code", sa.String(2), nullable=True))
        batch.add_column(sa.Column("party_id", sa.String(3), nullable=True))
        batch.create_unique_constraint("uq_ocpi_access_invitation", ["invitation_id"])
    access = sa.table("ocpi_access", *map(sa.column, ("digest", "kind", "invitation_id")))
    registrations = sa.select(access.c.digest).where(access.c.kind == "registration")
    for digest in op.get_bind().execute(registrations).scalars().all():
        op.execute(
            access.update().where(access.c.digest == digest).values(invitation_id=str(uuid.uuid4()))
        )
