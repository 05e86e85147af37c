"""The studio's page. The pictures themselves come from the Images API, like everybody else's."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.api.access import require
from gateway.keeping import STANDARD
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)

EXAMPLES: Final = (
    "A fox on a blue background",
    "A red mushroom on green, flat style",
    "A panda under a yellow moon",
    "A butterfly over a slice of watermelon",
)
"""To begin with: things that a small model has seen, said the way it was taught."""


@router.get("/studio")
async def studio(request: Request) -> Response:
    actor = await require(request, Permission.IMAGE_GENERATE)
    retention_days = services_of(request).keeping.rules().classes[STANDARD]
    return page(request, actor, "studio.html", {"examples": EXAMPLES, "retention_days": retention_days})
