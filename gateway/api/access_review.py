"""`/v1/organization/access_review`: who has what. Looking is itself on record, before anything is shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from gateway.api.access import origin_of, require
from gateway.exchange import Actor
from gateway.identity.access_review import UNUSED_DAYS, Review
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

router = APIRouter()


@router.get("/v1/organization/access_review", response_model=None)
async def access_review(
    request: Request,
    format: Annotated[Literal["json", "csv"], Query()] = "json",
    unused_days: Annotated[int, Query(ge=1, le=3650)] = UNUSED_DAYS,
) -> Response:
    """All of it, as JSON or CSV."""
    actor = await require(request, Permission.ACCESS_REVIEW)
    review = await reviewed(request, actor, format, unused_days)
    if format == "csv":
        return csv_response(review)
    return JSONResponse(review.as_json(), headers={"cache-control": "no-store"})


async def reviewed(request: Request, actor: Actor, format: str, unused_days: int = UNUSED_DAYS) -> Review:
    """The review, recorded before it is handed out."""
    services = services_of(request)
    review = await services.identity.access_review.collect(unused_days=unused_days)
    content: dict[str, Any] = {
        "format": format,
        "unused_days": unused_days,
        "holdings": len(review.holdings),
        "remarks": len(review.remarks),
    }
    await services.record(Event.ACCESS_REVIEW, actor, origin_of(request), content=content)
    return review


def csv_response(review: Review) -> Response:
    """A file to save."""
    name = f"access-review-{review.at:%Y-%m-%d}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(review.as_csv(), media_type="text/csv; charset=utf-8", headers=headers)
