"""virtual charging: clocks, cars at EVSEs, reservations, and the delivery of results

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.add_column("gw_agenda", sa.Column("virtual_at", sa.BigInteger(), nullable=True))
    op.add_column("ocpi_commands", sa.Column("delivered_at", sa.BigInteger(), nullable=True))
    op.add_column("ocpi_commands", sa.Column("gave_up_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "gw_simulations",
        sa.Column("network_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("virtual_at", sa.BigInteger(), nullable=False),
        sa.Column("real_at", sa.BigInteger(), nullable=False),
        sa.Column("speed", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("sessions_per_hour", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("plug_in_after", sa.Integer(), nullable=True),
        sa.Column("all_evses", sa.Boolean(), nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("scenario", sa.String(20), nullable=True),
        sa.Column("advance_job", sa.String(36), nullable=True),
        sa.Column("advance_to", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "gw_cars",
        sa.Column("network_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("evse_uid", sa.String(39), primary_key=True),
        sa.Column("location_id", sa.String(39), nullable=False),
        sa.Column("connector_id", sa.String(36), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=True),
        sa.Column("command_uid", sa.String(43), nullable=True),
        sa.Column("auth_id", sa.String(36), nullable=False),
        sa.Column("auth_method", sa.String(12), nullable=False),
        sa.Column("scenario", sa.String(20), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("energy_wh", sa.Integer(), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("slices", sa.String(), nullable=False),
        sa.Column("tariff", sa.String(), nullable=True),
        sa.Column("zone", sa.String(255), nullable=False),
    )
    op.create_index("ix_gw_cars_session", "gw_cars", ["network_id", "session_id"], unique=True)
    op.create_table(
        "gw_reservations",
        sa.Column("network_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("evse_uid", sa.String(39), primary_key=True),
        sa.Column("location_id", sa.String(39), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("reservation_id", sa.BigInteger(), nullable=False),
        sa.Column("token_uid", sa.String(36), nullable=False),
        sa.Column("token_type", sa.String(5), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
