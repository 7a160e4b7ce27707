"""ended tokens with their reasons; the mark of an exchange that we initiate

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "ocpi_ended_tokens",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_ocpi_ended_tokens_ended_at", "ocpi_ended_tokens", ["ended_at"])
    op.add_column("ocpi_connections", sa.Column("exchange_until", sa.BigInteger(), nullable=True))
