"""How Alembic runs: on the settings' database, on our tables alone, each migration in one transaction."""

import sqlalchemy
from alembic import context
from sqlalchemy import event

from storage.schema import METADATA, OURS


def include_name(name, type_, _parents):
    """Leave tables of others alone."""
    return type_ != "table" or name.startswith(OURS)


engine = sqlalchemy.create_engine(context.config.get_main_option("sqlalchemy.url"))
if engine.dialect.name == "sqlite":
    # Left to itself, sqlite3 runs DDL outside any transaction. SQLAlchemy documents these two listeners.

    @event.listens_for(engine, "connect")
    def leave_transactions_to_sqlalchemy(connection, _record):
        """Let the driver begin and commit nothing by itself."""
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin_with_the_write_lock(connection):
        """Begin a real transaction."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        include_name=include_name,
        transactional_ddl=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
