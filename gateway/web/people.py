"""The pages about people: who is known, what each holds and through what, and shutting somebody out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api.access import require
from gateway.api.people_admin import reinstate_person, sign_out_person, suspend_person
from gateway.errors import InvalidRequest
from gateway.identity.roster import MAX_REASON, SHOWN
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.governing import read_form
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)


@router.get("/people")
async def people(request: Request, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Those that have all the words, by name."""
    actor = await require(request, Permission.PERSON_SUSPEND)
    found = await services_of(request).identity.roster.search(q, limit=SHOWN + 1)
    context = {"entries": found[:SHOWN], "words": q, "has_more": len(found) > SHOWN, "shown": SHOWN}
    return page(request, actor, "people.html", context)


@router.get("/people/{actor_id:path}")
async def person(request: Request, actor_id: str) -> Response:
    """One of them."""
    actor = await require(request, Permission.PERSON_SUSPEND)
    entry = await services_of(request).identity.roster.get(actor_id)
    context = {"entry": entry, "is_me": entry.person.id == actor.id, "longest": MAX_REASON}
    return page(request, actor, "person.html", context)


@router.post("/people/{actor_id:path}/decision")
async def decide(request: Request, actor_id: str) -> Response:
    """Suspend, reinstate, or sign out everywhere."""
    form = await read_form(request)
    actor = await require(request, Permission.PERSON_SUSPEND)
    act = form.get("act", "")
    if act == "sign-out":
        await sign_out_person(request, actor, actor_id)
    elif act == "suspend":
        await suspend_person(request, actor, actor_id, form.get("reason", ""))
    elif act == "reinstate":
        await reinstate_person(request, actor, actor_id, form.get("reason", ""))
    else:
        raise InvalidRequest("A person is suspended, reinstated or signed out.", param="act")
    return RedirectResponse(f"/people/{quote(actor_id)}", 303)
