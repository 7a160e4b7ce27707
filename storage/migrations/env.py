"""How Alembic runs: on the settings' database, on our tables alone."""

import sqlalchemy
from alembic import context

from storage.schema import METADATA

OURS = ("gw_", "ocpi_")


def include_name(name, type_, _parents):
    """Leave tables of others alone."""
    return type_ != "table" or name.startswith(OURS)


engine = sqlalchemy.create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        include_name=include_name,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
