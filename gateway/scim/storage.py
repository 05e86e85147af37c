"""The port of `scim2-server` over our tables. One of these serves one request, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, Final, Union

from scim2_models import (
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    ScimProvider,
    SearchRequest,
    TooManyException,
)
from scim2_server.storage import AsyncScimStorage, SearchPage
from scim2_server.utils import parametrize
from sqlalchemy import Row, Table, func, select

from gateway.exchange import ActorId
from gateway.identity.provisioned import Provisioned
from gateway.identity.tables import scim_groups, scim_users
from gateway.scim.clients import Client
from gateway.scim.filters import MAX_JUDGED, narrow, order_of
from gateway.scim.groups import Groups
from gateway.scim.members import Step
from gateway.scim.records import Records
from gateway.scim.rows import Work
from gateway.scim.users import Users
from gateway.storage.database import Database

TABLES: Final[dict[str, Table]] = {"User": scim_users, "Group": scim_groups}
_BREATH: Final = 50
"""After so many resources the others get a turn: judging one takes some 0.1 ms."""


class Storage(AsyncScimStorage):
    """What the library reads and writes. Every method is called inside of `operation`."""

    def __init__(
        self,
        *,
        client: Client,
        description: ScimProvider,
        database: Database,
        records: Records,
        provisioned: Provisioned,
        clock: Callable[[], datetime],
        is_reading: bool,
    ) -> None:
        self._client = client
        self._description = description
        self._database = database
        self._records = records
        self._provisioned = provisioned
        self._clock = clock
        self._is_reading = is_reading
        self._work: Work | None = None
        self.leaving: set[ActorId] = set()
        """People whom this request takes out. Filled before it is recorded."""

    def operation(self) -> AbstractAsyncContextManager[None]:
        """The request's transaction: committed and durable when the block ends well."""
        return self._operation()

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[None]:
        async with self._database.reading() if self._is_reading else self._database.transaction() as tx:
            self._work = Work(
                client=self._client,
                tx=tx,
                now=self._clock(),
                records=self._records,
                provisioned=self._provisioned,
                leaving=self.leaving,
            )
            yield

    async def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """See `AsyncScimStorage.get`."""
        room = self._room(resource_type)
        if isinstance(room, Groups):
            return await room.get(resource_id, with_members=_wants(response_parameters, "members"))
        return await room.get(resource_id)

    async def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """See `AsyncScimStorage.search`. Pages are by index."""
        if len(resource_types) == 1 and search_request.filter is None:
            page = await self._page(resource_types[0], search_request)
            if page is not None:
                return page
        found = [r for resource_type in resource_types for r in await self._judged(resource_type, search_request)]
        found.sort(key=lambda r: _sort_key(search_request, r), reverse=_is_descending(search_request))
        start = search_request.start_index_0 or 0
        stop = None if search_request.count is None else start + search_request.count
        return SearchPage(len(found), found[start:stop])

    async def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """See `AsyncScimStorage.create`."""
        return await self._room(resource_type).create(resource)

    async def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """See `AsyncScimStorage.update`."""
        return await self._room(resource_type).update(resource.id or "", resource, expected_version)

    async def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        """See `AsyncScimStorage.delete`."""
        await self._room(resource_type).delete(resource_id, expected_version)

    async def get_group(self, id: str) -> Resource[Any]:
        """A group without its members. Raises NotFoundException."""
        return await self._groups().get(id, with_members=False)

    async def count_members(self, id: str) -> int:
        """Of a group; 0 of one that is not there."""
        return await self._groups().count(id)

    async def change_group(self, group: Resource[Any], steps: Sequence[Step], version: str | None) -> None:
        """Keep a group whose attributes were changed, and these steps on its members."""
        await self._groups().change(group, steps, version)

    def _groups(self) -> Groups:
        return Groups(self._now, self._model("Group"))

    async def _page(self, resource_type: ResourceType, request: SearchRequest[Any]) -> SearchPage | None:
        """A page that the database can find alone; None when it can't sort so."""
        table = TABLES[resource_type.name or ""]
        order = order_of(request, table)
        if order is None:
            return None
        mine = table.c.provider == self._client.provider
        total = (await self._now.tx.execute(select(func.count()).select_from(table).where(mine))).scalar_one()
        query = select(table).where(mine).order_by(*order).offset(request.start_index_0 or 0).limit(request.count)
        rows = (await self._now.tx.execute(query)).all()
        return SearchPage(total, await self._load(resource_type, rows, request))

    async def _judged(self, resource_type: ResourceType, request: SearchRequest[Any]) -> list[Resource[Any]]:
        """All that match, looked at one by one. Raises TooManyException."""
        table, wanted = TABLES[resource_type.name or ""], request.filter
        query = select(table).where(table.c.provider == self._client.provider)
        condition = None if wanted is None else narrow(wanted.ast, table)
        if condition is not None:
            query = query.where(condition)
        rows = (await self._now.tx.execute(query.limit(MAX_JUDGED + 1))).all()
        if len(rows) > MAX_JUDGED:
            raise TooManyException(
                detail=f"This search would have to look at more than {MAX_JUDGED:,} resources. Ask by id, externalId, "
                "userName or displayName with eq, or read page by page without a filter."
            )
        if wanted is not None and not wanted.models:
            models = tuple(self._model(name) for name in TABLES)
            wanted = parametrize(ScimFilter, Union[models])(str(wanted))  # noqa: UP007
        found = []
        for start in range(0, len(rows), _BREATH):
            await asyncio.sleep(0)
            for resource in await self._load(resource_type, rows[start : start + _BREATH], None):
                if wanted is None or wanted.match(resource):
                    found.append(resource)
        return found

    async def _load(
        self, resource_type: ResourceType, rows: Sequence[Row[Any]], request: SearchRequest[Any] | None
    ) -> list[Resource[Any]]:
        room = self._room(resource_type)
        if isinstance(room, Groups):
            return await room.load(rows, with_members=_wants(request, "members"))
        return await room.load(rows, with_groups=_wants(request, "groups"))

    def _room(self, resource_type: ResourceType) -> Users | Groups:
        if resource_type.name == "User":
            return Users(self._now, self._model("User"))
        return self._groups()

    def _model(self, name: str) -> type[Resource[Any]]:
        model = self._description.model_for(name)
        if model is None or not issubclass(model, Resource):
            raise AssertionError(f"the description has no {name}: gateway/scim/schemas.py makes it")
        return model

    @property
    def _now(self) -> Work:
        if self._work is None:
            raise AssertionError("the library asks inside of operation() only")
        return self._work


def _wants(parameters: ResponseParameters[Any] | None, name: str) -> bool:
    """Whether the answer will hold this attribute: members of a large group are not read for nothing."""
    if parameters is None:
        return True
    if parameters.excluded_attributes:
        return name not in {str(path).casefold() for path in parameters.excluded_attributes}
    if parameters.attributes:
        return any(name in str(path).casefold() for path in parameters.attributes)
    return True


def _sort_key(request: SearchRequest[Any], resource: Resource[Any]) -> tuple[bool, Any, str]:
    value = request.sort_value(resource)
    return value is None, "" if value is None else value, resource.id or ""


def _is_descending(request: SearchRequest[Any]) -> bool:
    return request.sort_by is not None and request.sort_order == SearchRequest.SortOrder.descending
