"""the instant that each document states

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("ocpi_cdrs", "ocpi_locations", "ocpi_sessions", "ocpi_tariffs", "ocpi_tokens")


def upgrade() -> None:
    """Bring the schema forward. Older versions kept the instant of the document in `last_updated`."""
    for table in TABLES:
        column = sa.Column("document_updated", sa.BigInteger(), nullable=False, server_default="0")
        op.add_column(table, column)
        op.execute(f"UPDATE {table} SET document_updated = last_updated")  # noqa: S608  (the names above)
