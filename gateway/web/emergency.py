"""The emergency page: what a browser sees that holds no ticket, waits for the second person, is the second, or may come
in. Nothing of an emergency is shown to a browser that showed no seal."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.identity.seals import NAME
from gateway.services import services_of
from gateway.web.pages import page

router = APIRouter(include_in_schema=False)


@router.get("/auth/emergency")
async def emergency(request: Request) -> Response:
    """One page in five states."""
    identity = services_of(request).identity
    desk, now = identity.emergency, services_of(request).clock()
    ticket = desk.ticket(request.headers.get("cookie"))
    found = None if ticket is None else await desk.find(ticket.emergency)
    state = "closed"
    if ticket is not None and found is not None:
        if found.is_open(now):
            state = "enter" if ticket.seal == found.asked_by else "closed"
        elif found.opened_at is None and now < desk.until(found):
            state = "waiting" if ticket.seal == found.asked_by else "agree"
    drilled = request.query_params.get("drilled", "")
    context: dict[str, Any] = {
        "state": state,
        "emergency": found if state != "closed" else None,
        "until": desk.until(found) if found is not None and state in ("waiting", "agree") else None,
        "drilled": drilled if NAME.fullmatch(drilled) else "",
        "csrf_token": desk.csrf_token(ticket),
    }
    return page(request, None, "emergency.html", context)
