"""the agenda of due work, its lanes, and connections with push

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema forward. Each connection gets a lane, and each network that expires an entry."""
    op.create_table(
        "gw_agenda",
        sa.Column("id", ID, primary_key=True),
        sa.Column("network_id", sa.BigInteger(), nullable=True),
        sa.Column("lane", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("parked", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("lane", "kind", "key"),
    )
    op.create_index("ix_gw_agenda_network_id", "gw_agenda", ["network_id"])
    op.create_index("ix_gw_agenda_next", "gw_agenda", ["lane", "parked", "rank", "due_at"])
    op.create_table(
        "gw_lanes",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("network_id", sa.BigInteger(), nullable=True),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
    )
    op.create_index("ix_gw_lanes_network_id", "gw_lanes", ["network_id"])
    op.add_column("ocpi_connections", sa.Column("push", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("ocpi_cdrs", sa.Column("pushed_url", sa.String(255), nullable=True))
    op.execute(
        "INSERT INTO gw_lanes (name, network_id, not_before, failures)"
        " SELECT 'connection:' || id, network_id, 0, 0 FROM ocpi_connections"
    )
    op.execute("INSERT INTO gw_lanes (name, not_before, failures) VALUES ('networks', 0, 0)")
    op.execute(
        "INSERT INTO gw_agenda"
        " (network_id, lane, kind, key, rank, due_at, tries, revision, payload, parked, created_at)"
        " SELECT id, 'networks', 'expiry', CAST(id AS VARCHAR), 0,"
        " CASE WHEN deleting THEN 0 ELSE expires_at END, 0, 1, '', false, created_at"
        " FROM gw_networks WHERE deleting OR expires_at IS NOT NULL"
    )
