"""Run by Alembic; the connection comes from `gateway.storage.migrate`."""

from __future__ import annotations

from alembic import context

from gateway.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
