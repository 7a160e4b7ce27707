"""sessions: the start time, to find the session of a CDR

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward. Sessions that are stored already have no start until they change."""
    op.add_column("ocpi_sessions", sa.Column("started_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_ocpi_sessions_network_started", "ocpi_sessions", ["network_id", "started_at"])
