"""The page on which everybody can ask where a picture comes from. It asks `/v1/content_provenance_checks` itself."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.api.access import credentials_of, origin_of
from gateway.errors import Denied
from gateway.provenance.check import MAX_BYTES
from gateway.services import services_of
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)


@router.get("/check")
async def check(request: Request) -> Response:
    """For people, whatever their role: no picture of ours is anybody's secret, and whose it is isn't told here."""
    services = services_of(request)
    actor = await services.identity.authenticate(credentials_of(request), origin_of(request))
    request.state.actor = actor
    if actor.method != "session":
        raise Denied("This page is for people. Programs ask POST /v1/content_provenance_checks.")
    most = min(MAX_BYTES, services.settings.server.max_upload_bytes)
    context = {"most_bytes": most, "remember_days": services.settings.provenance.remember_days}
    return page(request, actor, "check.html", context)
