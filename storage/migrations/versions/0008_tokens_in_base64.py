"""connections whose peer reads tokens in Base64

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    column = sa.Column("encodes_tokens", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("ocpi_connections", column)
