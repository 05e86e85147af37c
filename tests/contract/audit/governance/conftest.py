"""The same tests over both stores, each with its governance: SQLite, and a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.migrations.migrate import upgrade
from tests.support.governed import Governed
from tests.support.postgres import fresh_database


@pytest.fixture(params=["sqlite", "postgres"])
def governed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Governed]:
    if request.param == "sqlite":
        yield Governed(tmp_path)
        return
    with fresh_database(upgrade) as url:
        yield Governed(tmp_path, url)


@pytest.fixture
def governed_files(tmp_path: Path) -> Governed:
    """For what only files can show."""
    return Governed(tmp_path)
