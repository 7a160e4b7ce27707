"""invitations; connections with parties, settings and last contacts; steps of jobs

Revision ID: 0011
Revises: 0010
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CONNECTION_COLUMNS = {
    "initiator": sa.String(7),
    "peer_token_at": sa.BigInteger(),
    "last_received_at": sa.BigInteger(),
    "last_sent_at": sa.BigInteger(),
    "last_error": sa.String(),
    "last_error_at": sa.BigInteger(),
    "schema_refusal_status": sa.Integer(),
    "sessions_require_date_from": sa.Boolean(),
    "post_updates_registered": sa.Boolean(),
    "append_charging_periods": sa.Boolean(),
}


def upgrade() -> None:
    """Bring the schema forward."""
    _add_invitations()
    for name, kind in CONNECTION_COLUMNS.items():
        op.add_column("ocpi_connections", sa.Column(name, kind, nullable=True))
    _add_parties()
    op.add_column("gw_jobs", sa.Column("connection_id", sa.BigInteger(), nullable=True))
    op.add_column("gw_jobs", sa.Column("request", sa.String(), nullable=True))
    op.create_table(
        "gw_job_steps",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=True),
    )
    op.create_index("ix_gw_job_steps_job_id", "gw_job_steps", ["job_id"])


def _add_invitations() -> None:
    """Give each Token A an id."""
    for name, length in (("invitation_id", 36), ("country_code", 2), ("party_id", 3)):
        op.add_column("ocpi_access", sa.Column(name, sa.String(length), nullable=True))
    op.create_index("ix_ocpi_access_invitation_id", "ocpi_access", ["invitation_id"], unique=True)
    access = sa.table("ocpi_access", *map(sa.column, ("digest", "kind", "invitation_id")))
    registrations = sa.select(access.c.digest).where(access.c.kind == "registration")
    for digest in op.get_bind().execute(registrations).scalars().all():
        op.execute(
            access.update().where(access.c.digest == digest).values(invitation_id=str(uuid.uuid4()))
        )


def _add_parties() -> None:
    """Let each connection have its own party and those of the column `also`, which goes."""
    op.create_table(
        "ocpi_connection_parties",
        sa.Column("network_id", sa.BigInteger(), primary_key=True),
        sa.Column("country_code", sa.String(2), primary_key=True),
        sa.Column("party_id", sa.String(3), primary_key=True),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.String(7), nullable=False),
    )
    op.create_index(
        "ix_ocpi_connection_parties_connection_id", "ocpi_connection_parties", ["connection_id"]
    )
    op.add_column(
        "ocpi_connections", sa.Column("writes_for", sa.String(4), nullable=False, server_default="own")
    )
    names = ("id", "network_id", "country_code", "party_id", "also", "writes_for")
    connections = sa.table("ocpi_connections", *map(sa.column, names))
    rows = op.get_bind().execute(sa.select(connections)).all()
    owners = {(row.network_id, row.country_code, row.party_id): (row.id, "own") for row in rows}
    for row in rows:
        for owner in filter(None, (row.also or "").split(",")):
            owners.setdefault((row.network_id, *owner.split("/")), (row.id, "listed"))
    columns = ("network_id", "country_code", "party_id", "connection_id", "basis")
    parties = sa.table("ocpi_connection_parties", *map(sa.column, columns))
    values = [dict(zip(columns, (*owner, *of), strict=True)) for owner, of in owners.items()]
    if values:
        op.bulk_insert(parties, values)
    op.execute(connections.update().where(connections.c.also.is_not(None)).values(writes_for="list"))
    op.drop_column("ocpi_connections", "also")
