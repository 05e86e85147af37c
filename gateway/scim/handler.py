"""The library's handler, where it would keep everybody else waiting.

Large answers are put together in a thread. A PATCH of members goes to the database as what it is: so many come, so many
go (`members.py`).
"""

from __future__ import annotations

import asyncio

from scim2_models import TooManyException
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation
from scim2_server.service import ScimService

from gateway.scim.members import MAX_WRITTEN, split
from gateway.scim.storage import Storage


class Handler(AsyncScimHandler):
    """Serves one request over its storage."""

    def __init__(self, service: ScimService, storage: Storage) -> None:
        super().__init__(service, storage)
        self._own = storage

    async def query(self, request: ScimRequest) -> ScimResponse:
        """One resource."""
        with self.service.provider:
            target = self.service.route(request, Operation.query)
            resource_type = self.service.resource_type_at(target.endpoint or "")
            parameters = self.service.read_response_parameters(resource_type, request.query)
            async with self._own.operation():
                resource = await self._own.get(resource_type, target.resource_id or "", response_parameters=parameters)
            conditions = self.service.read_conditions(request)
            return await asyncio.to_thread(
                self.service.query_response, request.base_url, resource, parameters, conditions
            )

    async def search(self, request: ScimRequest) -> ScimResponse:
        """A page."""
        with self.service.provider:
            target = self.service.route(request, Operation.search)
            types = self.service.searched_types(target.endpoint)
            asked, position = self.service.read_search_query(types, request.query)
            async with self._own.operation():
                page = await self._own.search(types, asked, position=position)
            return await asyncio.to_thread(self.service.search_response, request.base_url, types, page, asked)

    async def patch(self, request: ScimRequest) -> ScimResponse:
        """A change. Members by id are changed where they are; any other operation on members needs a small group."""
        with self.service.provider:
            target = self.service.route(request, Operation.patch)
            resource_type = self.service.resource_type_at(target.endpoint or "")
            id = target.resource_id or ""
            if resource_type.name != "Group":
                return await super().patch(request)
            found = split(request.body)
            if found is None:
                async with self._own.operation():
                    number = await self._own.count_members(id)
                if number > MAX_WRITTEN:
                    raise TooManyException(
                        detail=f"This group has more than {MAX_WRITTEN:,} members: say by id who comes and who goes."
                    )
                return await super().patch(request)
            steps, rest = found
            parameters = self.service.read_response_parameters(resource_type, request.query)
            content_type = request.header("Content-Type")
            self.service.ensure_json(content_type)
            operations = None if rest is None else self.service.read_patch(resource_type, rest, content_type)
            conditions = self.service.read_conditions(request)
            async with self._own.operation():
                group = await self._own.get_group(id)
                version = group.meta.version if group.meta else None
                self.service.check_preconditions(group, "PATCH", conditions)
                is_changed = operations is not None and operations.patch(group)
                if steps or is_changed:
                    await self._own.change_group(group, steps, version)
                if parameters.attributes or parameters.excluded_attributes:
                    group = await self._own.get(resource_type, id, response_parameters=parameters)
                else:
                    group = await self._own.get_group(id)
            return await asyncio.to_thread(self.service.patch_response, request.base_url, group, parameters)
