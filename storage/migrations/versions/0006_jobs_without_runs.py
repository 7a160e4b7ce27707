"""jobs without runs and beginnings; unfinished jobs end

A job that is unfinished at the upgrade becomes FAILED: the engine's records of it were written by
another workflow.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INTERRUPTED = '{"code":"unknown_error","message":"interrupted by an upgrade","retryable":true}'
OPEN, REFUSED = 0, 2


def upgrade() -> None:
    """Bring the schema forward."""
    jobs = sa.table("gw_jobs", *map(sa.column, ("id", "status", "error")))
    items = sa.table("gw_job_items", *map(sa.column, ("job_id", "state", "request", "error")))
    unfinished = jobs.c.status.in_(["PENDING", "PROVISIONING"])
    op.execute(
        items.update()
        .where(items.c.state == OPEN, items.c.job_id.in_(sa.select(jobs.c.id).where(unfinished)))
        .values(state=REFUSED, request=None, error=INTERRUPTED)
    )
    op.execute(jobs.update().where(unfinished).values(status="FAILED", error=INTERRUPTED))
    with op.batch_alter_table("gw_jobs") as batch:
        for column in ("run", "began", "step"):
            batch.drop_column(column)
    with op.batch_alter_table("gw_job_items") as batch:
        batch.drop_column("began")
