"""Migrations of the audit database: up and down with data, on both databases, once or many at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from audit.errors import AuditUnavailable
from audit.governance.database import GovernanceDatabase
from audit.governance.tables import metadata
from audit.migrations.engine import SCHEMA, sync_url
from audit.migrations.migrate import downgrade, upgrade
from audit.migrations.revision import FOLDER, current, head, is_current
from tests.support.postgres import fresh_database


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'governance.sqlite'}"
        return
    with fresh_database(_leave_empty) as fresh:
        yield fresh


def _leave_empty(_url: str) -> None:
    """No schema yet."""


def _revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def _run(url: str, sql: str) -> list[tuple[object, ...]]:
    engine = create_engine(sync_url(url))
    try:
        with engine.begin() as connection:
            if connection.dialect.name != "sqlite":
                connection.execute(text(f"set search_path = {SCHEMA}"))
            result = connection.execute(text(sql))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def test_revisions_are_one_line_numbered_by_their_files() -> None:
    revisions = _revisions()
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert head() == revisions[-1]


def test_each_revision_goes_up_and_down_and_up_again_with_data(url: str) -> None:
    assert current(url) == ""
    for revision in _revisions():
        assert upgrade(url, revision) == revision
        assert current(url) == revision
    blob = "x'00'" if url.startswith("sqlite") else "'\\x00'::bytea"
    numbers, blobs = "1, 1, 1, 0", ", ".join([blob] * 3)
    _run(
        url,
        f"insert into governance_case values ('id', 1, 'default', 'requested', {numbers}, {blobs}, null, null, {blob})",
    )
    for revision in [*_revisions()[:-1][::-1]]:
        assert downgrade(url, revision) == revision
        assert _run(url, "select id, state from governance_case") == [("id", "requested")]
    assert upgrade(url) == head()
    assert _run(url, "select id, state from governance_case") == [("id", "requested")]
    assert downgrade(url, "base") == ""
    assert upgrade(url) == head()
    assert _run(url, "select * from governance_case") == []


def test_migrations_make_what_the_code_expects(url: str) -> None:
    upgrade(url)
    engine = create_engine(sync_url(url))
    try:
        with engine.connect() as connection:
            schema = None if connection.dialect.name == "sqlite" else SCHEMA
            inspector = inspect(connection)
            for table in metadata.sorted_tables:
                found = {column["name"]: column for column in inspector.get_columns(table.name, schema=schema)}
                assert list(found) == [column.name for column in table.c]
                for column in table.c:
                    assert found[column.name]["nullable"] == column.nullable, (table.name, column.name)
                    ours, theirs = (
                        column.type.compile(engine.dialect),
                        found[column.name]["type"].compile(engine.dialect),
                    )
                    assert ours == theirs, (table.name, column.name)
                primary = inspector.get_pk_constraint(table.name, schema=schema)["constrained_columns"]
                assert primary == [column.name for column in table.primary_key]
                indexes = {index["name"] for index in inspector.get_indexes(table.name, schema=schema)}
                assert {index.name for index in table.indexes} <= indexes
            if schema is not None:
                context = MigrationContext.configure(
                    connection,
                    opts={
                        "include_schemas": True,
                        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
                    },
                )
                differences = [
                    one
                    for one in compare_metadata(context, metadata)
                    if "governance" in str(one) and "remove" not in one[0]
                ]
                assert differences == []
    finally:
        engine.dispose()


def test_many_that_migrate_at_once_end_with_one_schema(url: str) -> None:
    program = "import sys; from audit.migrations.migrate import upgrade; print(upgrade(sys.argv[1]))"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        threads = list(pool.map(upgrade, [url] * 3))
    outputs = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert threads == [head()] * 3
    assert outputs == [head()] * 3


def test_an_old_postgresql_schema_is_refused_with_what_to_run(url: str) -> None:
    database = GovernanceDatabase(url)
    if make_url(url).get_backend_name() == "sqlite":
        database.prepare()  # its own file: brought up to date by itself
        assert is_current(url)
        assert Path(make_url(url).database or "").stat().st_mode & 0o777 == 0o600
    else:
        with pytest.raises(AuditUnavailable, match="python -m audit migrate"):
            database.prepare()
        upgrade(url)
        database.prepare()
    database.close()


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="mysql"):
        sync_url("mysql://localhost/audit")
    assert sync_url("postgresql+asyncpg://h/d").drivername == "postgresql+psycopg"
