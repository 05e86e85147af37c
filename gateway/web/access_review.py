"""The page of the access review. Looking is on record."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.api.access import require
from gateway.api.access_review import reviewed
from gateway.identity.access_review import UNUSED_DAYS
from gateway.vocabulary import Permission
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)

SHOWN = 500


@router.get("/access-review")
async def access_review(request: Request) -> Response:
    """Remarks first, then who has what."""
    actor = await require(request, Permission.ACCESS_REVIEW)
    review = await reviewed(request, actor, "page")
    context = {
        "review": review,
        "holdings": review.holdings[:SHOWN],
        "more": max(0, len(review.holdings) - SHOWN),
        "unused_days": UNUSED_DAYS,
    }
    return page(request, actor, "access_review.html", context)
