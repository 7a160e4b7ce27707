"""exchanges; whose an ended token was

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema forward. Nobody knows whose the tokens were that ended before."""
    op.create_table(
        "ocpi_exchanges",
        sa.Column("id", ID, primary_key=True),
        sa.Column("network_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=True),
        sa.Column("peer", sa.String(6), nullable=True),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("caller", sa.String(12), nullable=True),
        sa.Column("module", sa.String(16), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("status_message", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("lost_before", sa.Integer(), nullable=False),
        sa.Column("request_headers", sa.String(), nullable=False),
        sa.Column("request_body", sa.String(), nullable=True),
        sa.Column("request_cut", sa.Boolean(), nullable=False),
        sa.Column("response_headers", sa.String(), nullable=False),
        sa.Column("response_body", sa.String(), nullable=True),
        sa.Column("response_cut", sa.Boolean(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ocpi_exchanges_network", "ocpi_exchanges", ["network_id", "id"])
    op.create_index("ix_ocpi_exchanges_request", "ocpi_exchanges", ["network_id", "request_id"])
    for column in ("former_network_id", "former_connection_id"):
        op.add_column("ocpi_ended_tokens", sa.Column(column, sa.BigInteger(), nullable=True))
