"""The library's own contract of a storage, over our tables, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from scim2_models import ScimProvider
from scim2_server.storage import AsyncScimStorage
from scim2_server.testing import BlockingStorage, ScimStorageContract
from sqlalchemy import delete

from gateway.exchange import Origin
from gateway.identity.provisioned import Provisioned
from gateway.identity.roles import RoleMap
from gateway.identity.tables import scim_groups, scim_members, scim_users
from gateway.scim.clients import Client
from gateway.scim.records import Records
from gateway.scim.schemas import description
from gateway.scim.storage import Storage
from gateway.settings import Provider
from gateway.storage.database import Database
from tests.support.scim import TOKEN
from tests.support.scim import database as fresh


def clock() -> datetime:
    return datetime.now(UTC)


async def note(_: object) -> None:
    """A log that takes everything."""


class EachAlone(AsyncScimStorage):
    """Every call in a transaction of its own, as the handler would make it."""

    def __init__(self, provider: Provider, database: Database, own: Any) -> None:
        assert provider.scim is not None
        self._client = Client(provider=provider.name, settings=provider.scim, digests=())
        self._database = database
        self._description = own

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        storage = Storage(
            client=self._client,
            description=self._description,
            database=self._database,
            records=Records(note, self._client, Origin(ip="127.0.0.1")),
            provisioned=Provisioned((), self._database, RoleMap({}), clock),
            clock=clock,
            is_reading=name in ("get", "search"),
        )
        with self._description:
            async with storage.operation():
                return await getattr(storage, name)(*args, **kwargs)

    get = partialmethod(_call, "get")
    search = partialmethod(_call, "search")
    create = partialmethod(_call, "create")
    update = partialmethod(_call, "update")
    delete = partialmethod(_call, "delete")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_url(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One database for all of these tests; each finds it empty."""
    with fresh(request.param, tmp_path_factory.mktemp("storage")) as url:
        yield url


@pytest.mark.xdist_group("scim-storage")
class TestOurStorage(ScimStorageContract):
    for _name in [name for name in dir(ScimStorageContract) if name.startswith("test_cursor")]:
        locals()[_name] = None  # pages are by index: we announce no cursors (RFC 9865)

    @pytest.fixture
    def provider(self) -> Iterator[ScimProvider]:
        with description() as own:
            yield own

    @pytest.fixture
    def storage(self, provider: ScimProvider, shared_url: str, tmp_path: Path) -> Iterator[BlockingStorage]:
        (tmp_path / "scim.token").write_text(TOKEN)
        company = Provider(
            name="company", issuer="https://i.example", client_id="c", scim={"token_path": tmp_path / "scim.token"}
        )
        with asyncio.Runner() as runner:
            database = Database(shared_url)
            runner.run(_empty(database))
            yield BlockingStorage(EachAlone(company, database, provider), runner)
            runner.run(database.aclose())


async def _empty(database: Database) -> None:
    async with database.transaction() as tx:
        for table in (scim_members, scim_groups, scim_users):
            await tx.execute(delete(table))
