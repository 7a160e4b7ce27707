"""commands: the session that followed, and what tells which session that is

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    for name, length in (("session_id", 36), ("auth_id", 36), ("location_id", 39), ("evse_uid", 39)):
        op.add_column("ocpi_commands", sa.Column(name, sa.String(length), nullable=True))
    op.create_index("ix_ocpi_commands_created", "ocpi_commands", ["network_id", "created_at"])
    op.create_index("ix_ocpi_commands_auth_id", "ocpi_commands", ["connection_id", "auth_id"])
