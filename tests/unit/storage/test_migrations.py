"""The migrations make exactly the schema that the code expects, and can be taken back."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

import gateway.wiring  # noqa: F401  # once everything is imported, every table stands on the metadata
from gateway.storage.migrate import downgrade, upgrade
from gateway.storage.schema import metadata


def test_migrating_makes_the_schema_that_the_code_expects(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite"
    assert upgrade(url) == upgrade(url) == "0009"
    assert len(metadata.tables) >= 7
    with create_engine(f"sqlite:///{tmp_path}/gateway.sqlite").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_migration_can_be_taken_back_and_made_again(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite"
    upgrade(url)
    assert downgrade(url, "base") == ""
    with create_engine(f"sqlite:///{tmp_path}/gateway.sqlite").connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert upgrade(url) == "0009"
