"""`/scim/v2`: the address of the companies' directories. Thin: `gateway/scim` answers, in SCIM's own form whatever
happens. Nothing here reads a cookie, a key or a token of ours."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.access import origin_of
from gateway.errors import PayloadTooLarge
from gateway.scim import ScimCall
from gateway.services import services_of

router = APIRouter()

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
"""All that the edge lets through: what SCIM does not know gets SCIM's own 405."""
HEADERS: Final = ("authorization", "content-type", "if-match", "if-none-match")
"""What is read of a request, and nothing else."""


@router.api_route("/scim/v2", methods=METHODS, include_in_schema=False)
@router.api_route("/scim/v2/{path:path}", methods=METHODS, include_in_schema=False)
async def scim(request: Request, path: str = "") -> Response:
    """A request of a directory."""

    async def read(limit: int) -> bytes:
        """The body, no more than a byte beyond what makes sense. Raises PayloadTooLarge."""
        if int(request.headers.get("content-length", "0")) > limit:
            raise PayloadTooLarge(f"The request is larger than {limit:,} bytes. Send less.")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                break
        return bytes(body)

    call = ScimCall(
        method=request.method,
        path=path,
        query=dict(request.query_params),
        headers={name: request.headers[name] for name in HEADERS if name in request.headers},
        read=read,
        origin=origin_of(request),
    )
    answer = await services_of(request).scim.answer(call)
    return Response(answer.body, answer.status, headers=dict(answer.headers))
