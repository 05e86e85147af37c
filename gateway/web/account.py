"""A person's own account: what happened to it, where they are signed in, what they may do and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from gateway.api.access import credentials_of, origin_of
from gateway.errors import Denied, NotFound
from gateway.exchange import Actor
from gateway.identity.notices import Notice, NoticeKind
from gateway.services import services_of
from gateway.vocabulary import Event
from gateway.web.governing import read_form
from gateway.web.pages import page, wants_json
from gateway.web.words import iso

router = APIRouter(include_in_schema=False)

NOTICE_WORDS: Final[Mapping[NoticeKind, str]] = {
    NoticeKind.NEW_BROWSER: "You signed in with a browser that we had not seen you in before.",
    NoticeKind.NEW_KEY: "An API key was made in your name.",
    NoticeKind.KEY_REVOKED: "One of your API keys was revoked.",
    NoticeKind.ROLES_CHANGED: "What you may do here was changed.",
    NoticeKind.REINSTATED: "Your access was given back to you.",
    NoticeKind.EMERGENCY: "Sealed codes were used: emergency access.",
    NoticeKind.SERVICE: "Something was decided about a service that you answer for.",
    NoticeKind.POLICY: "Rules came into force without a second person, or not where they should.",
}
FACT_WORDS: Final[Mapping[str, str]] = {
    "network": "from",
    "browser": "with",
    "key": "key",
    "name": "named",
    "by": "by",
    "roles": "roles now",
    "reason": "because",
    "ends": "until",
    "service": "service",
    "what": "what",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    words: str
    facts: tuple[tuple[str, str], ...]
    at: datetime
    is_new: bool


@router.get("/account")
async def account(request: Request) -> Response:
    """Everybody who is signed in may see their own, whatever their role."""
    actor = await _person(request)
    identity = services_of(request).identity
    notices = await identity.notices.of(actor.id)
    sessions = await identity.own_sessions.of(actor.id)
    if wants_json(request):
        return JSONResponse(
            {
                "notices": [
                    {"kind": n.kind.value, "facts": dict(n.facts), "at": iso(n.at), "seen": n.seen_at is not None}
                    for n in notices
                ],
                "sessions": [
                    {
                        "id": s.id,
                        "started_at": iso(s.started_at),
                        "last_used_at": iso(s.seen_at),
                        "network": s.network,
                        "device": s.device,
                        "is_this_one": s.id == actor.credential_id,
                    }
                    for s in sessions
                ],
            },
            headers={"cache-control": "no-store"},
        )
    context = {
        "notices": [_row(notice) for notice in notices],
        "unseen": any(notice.seen_at is None for notice in notices),
        "sessions": sessions,
        "this": actor.credential_id,
        "groups": actor.groups,
        "mfa_at": actor.mfa.at,
    }
    return page(request, actor, "account.html", context)


@router.post("/account/notices/seen")
async def seen(request: Request) -> Response:
    """The person knows."""
    await read_form(request)
    actor = await _person(request)
    await services_of(request).identity.notices.seen(actor.id)
    return RedirectResponse("/account", 303)


@router.post("/account/sessions/{session_id}/end")
async def end(request: Request, session_id: str) -> Response:
    """End one session elsewhere. Ended before it is recorded: a log that can't be written keeps no door open."""
    await read_form(request)
    actor = await _person(request)
    services = services_of(request)
    if not await services.identity.own_sessions.end(actor.id, session_id):
        raise NotFound("This session is over already.")
    await services.record(Event.SIGN_OUT, actor, origin_of(request), content={"credential": session_id})
    return RedirectResponse("/account", 303)


async def _person(request: Request) -> Actor:
    """Who is here, in a browser. A key or token has no account page. Raises Unauthenticated, Denied."""
    actor = await services_of(request).identity.authenticate(credentials_of(request), origin_of(request))
    request.state.actor = actor
    if actor.method != "session":
        raise Denied("Your account is seen by you, in a browser, and not by a program.")
    return actor


def _row(notice: Notice) -> NoticeRow:
    return NoticeRow(
        words=NOTICE_WORDS[notice.kind],
        facts=tuple((FACT_WORDS.get(name, name), text) for name, text in notice.facts.items() if text),
        at=notice.at,
        is_new=notice.seen_at is None,
    )
