"""The protocol, as `scim2-server` knows it, with our limits and two of our own answers."""

from __future__ import annotations

from typing import Any, Final

from scim2_models import Context, InvalidFilterException, Resource, ResourceType, ResponseParameters, SearchRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

MAX_FILTER: Final = 1_000
"""Longest filter, in characters. Entra ID and Okta send less than 200."""


class Service(ScimService):
    """Steps of the library that we take differently."""

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """A search. The length of its filter is checked before it is parsed: the parser goes as deep as it nests."""
        if isinstance(payload, dict):
            for key, value in payload.items():
                if key.casefold() == "filter" and isinstance(value, str) and len(value) > MAX_FILTER:
                    raise InvalidFilterException(
                        detail=f"A filter may have {MAX_FILTER:,} characters, this one has {len(value):,}."
                    )
        try:
            return super().read_search(resource_types, payload)
        except RecursionError as error:
            raise InvalidFilterException(detail="The filter is nested too deeply.") from error

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """Okta wants the person back after a PATCH (RFC 7644, section 3.5.2, leaves it to us); a group with thousands
        of members goes back only to who asks for attributes of it."""
        if self.get_resource_type_of(resource).name != "User":
            return super().patch_response(base_url, resource, response_parameters)
        published = self.publish(base_url, resource)
        return self.resource_response(published, Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters)
