"""The fixtures of the journal's unit tests, with PostgreSQL where those have SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.storage.schema import metadata
from tests.support.scim import database as fresh
from tests.unit.replay.conftest import WithKeys, clock

__all__ = ["clock"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh("postgresql", tmp_path_factory.mktemp("replay")) as url:
        yield url


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[WithKeys]:
    """The module's database, empty."""
    database = WithKeys(url)
    database.keys = tmp_path / "keys"
    async with database.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(table.delete())
    yield database
    await database.aclose()
