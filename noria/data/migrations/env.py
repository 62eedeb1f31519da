"""Entry point of Alembic: run the migrations on the connection, and in the transaction, of `schema.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="ops")
with context.begin_transaction():
    context.run_migrations()
