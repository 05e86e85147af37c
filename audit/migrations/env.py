"""Run by Alembic; the connection comes from ``audit.migrations.migrate``.

The same revisions serve two databases: ``governance.sqlite`` beside a SQLite store (cases, holds, subject requests;
its records are in day files that migrate by themselves), and PostgreSQL (schema ``audit``: these and the store).
A revision that concerns one of them only asks ``op.get_context().dialect.name``.

The rule is *expand, then contract*, because several versions of the gateway run at once while a new one is rolled out:

1. a release may add tables, nullable columns and indexes: the version before it goes on working;
2. a release may stop using what it does not need any more;
3. only a later release, when nobody runs the one before step 2, takes it away.

Columns are never renamed and never change their type. An added column starts as NULL: MACs leave NULLs out, so rows
from before it still hold. Each revision goes up and down with data, on both databases, in one transaction.
"""

from __future__ import annotations

from alembic import context

from audit.governance.tables import metadata
from audit.migrations.engine import SCHEMA

_connection = context.config.attributes["connection"]
_is_sqlite = _connection.dialect.name == "sqlite"

context.configure(
    connection=_connection,
    target_metadata=metadata,
    version_table="schema_version",
    version_table_schema=None if _is_sqlite else SCHEMA,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
