"""the size of each document

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("ocpi_cdrs", "ocpi_locations", "ocpi_sessions", "ocpi_tariffs", "ocpi_tokens")
SIZES = {"sqlite": "length(CAST(document AS BLOB))", "postgresql": "octet_length(document)"}


def upgrade() -> None:
    """Bring the schema forward."""
    size = SIZES[op.get_bind().dialect.name]
    for table in TABLES:
        column = sa.Column("document_bytes", sa.Integer(), nullable=False, server_default="0")
        op.add_column(table, column)
        op.execute(f"UPDATE {table} SET document_bytes = {size}")  # noqa: S608  (the names above)
