"""The fixtures of identity's unit tests, with PostgreSQL where those have SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.storage.database import Database
from gateway.storage.schema import metadata
from tests.support.scim import database as fresh
from tests.unit.identity.conftest import identity, issuer, listening_issuer, moment, settings

__all__ = ["identity", "issuer", "listening_issuer", "moment", "settings"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh("postgresql", tmp_path_factory.mktemp("identity")) as url:
        yield url


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The module's database, empty."""
    database = Database(url)
    async with database.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(table.delete())
    yield database
    await database.aclose()
