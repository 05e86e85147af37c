"""The front door: where people come in, and where each of them is sent on to."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api.access import current
from gateway.exchange import Actor
from gateway.keeping import STANDARD
from gateway.services import services_of
from gateway.web.pages import page
from gateway.web.visitors import visitor_of

router = APIRouter(include_in_schema=False)


@router.get("/")
async def front(request: Request) -> Response:
    """To the first place that is drawn for this person; to the welcome page for everybody else."""
    actor = await current(request)
    if actor is None:
        return RedirectResponse("/welcome", 303)
    places = visitor_of(request, actor).places
    return RedirectResponse(places[0].href, 303) if places else _welcome(request, actor)


@router.get("/welcome")
async def welcome(request: Request) -> Response:
    """What this is, and the doors in. `return_to` is checked by the door (`/auth/sign-in`), not here."""
    actor = await current(request)
    if actor is not None and visitor_of(request, actor).places:
        return RedirectResponse("/", 303)
    return _welcome(request, actor)


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    """Where signing out ends. Says so only to somebody who really is out."""
    actor = await current(request)
    return RedirectResponse("/", 303) if actor is not None else _welcome(request, None, notice="You are signed out")


def _welcome(request: Request, actor: Actor | None, notice: str = "") -> Response:
    services = services_of(request)
    return_to = request.query_params.get("return_to", "")
    back = {"return_to": return_to} if return_to else {}
    doors = [
        {"label": label, "href": "/auth/sign-in?" + urlencode({"provider": name, **back})}
        for name, label in services.identity.providers.items()
    ]
    context = {"doors": doors, "notice": notice, "retention_days": services.keeping.rules().classes[STANDARD]}
    return page(request, actor, "welcome.html", context)
