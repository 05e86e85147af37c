"""`GET /v1/pictures/{id}`: a picture that was asked for by address (`response_format: url`)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.api.access import require_any
from gateway.errors import NotFound
from gateway.services import services_of
from gateway.vocabulary import TASKS

router = APIRouter()


@router.get("/v1/pictures/{picture_id}")
async def picture(request: Request, picture_id: str) -> Response:
    """For the person who asked, within the hour. Sent as a file: whatever it holds, no browser runs it as a page."""
    actor = await require_any(request, TASKS)
    found = await services_of(request).shelf.get(picture_id, actor.id)
    if found is None:
        raise NotFound("There is no such picture, or its hour is over. Make it again.")
    extension = found.media_type.removeprefix("image/")
    headers = {
        "content-disposition": f'inline; filename="picture.{extension}"',
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, no-store",
    }
    return Response(found.data, media_type=found.media_type, headers=headers)
