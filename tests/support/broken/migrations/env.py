"""Migrations without transactions: each statement commits by itself."""

import sqlalchemy
from alembic import context

from storage.schema import METADATA

engine = sqlalchemy.create_engine(
    context.config.get_main_option("sqlalchemy.url") or "", isolation_level="AUTOCOMMIT"
)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=False)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
