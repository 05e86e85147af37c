"""Holds: what must stay readable although its days are over. One person asks, another agrees, to begin and to end."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from audit import EntryInvalid, Hold, HoldKind, HoldScope, HoldState
from audit import Holds as HoldBook
from gateway.api.access import require
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.governing import LONGEST_TEXT, officer_of, read_form, reason_in, said_by_log, signature_json
from gateway.web.pages import page, wants_json
from gateway.web.words import iso

router = APIRouter(include_in_schema=False)

NEW: Final = "new"
"""Where the form stands. No hold has this id: theirs are UUIDs."""
ACTS: Final = ("place", "reject", "ask-release", "keep", "release")


@router.get("/holds")
async def holds(request: Request) -> Response:
    """All holds, newest first."""
    actor = await require(request, Permission.AUDIT_SEARCH)
    found = await said_by_log(_book(request).list())
    if wants_json(request):
        return JSONResponse({"holds": [hold_json(hold) for hold in found]})
    return page(request, actor, "holds.html", {"holds": found, "me": actor.id})


@router.get("/holds/{hold_id}")
async def hold(request: Request, hold_id: str) -> Response:
    """One hold, and what can be done with it now; or the form that asks for one. A fresh second factor is asked for
    here, where the forms stand: a page comes back from the provider with its form, a form that was sent would not."""
    actor = await require(request, Permission.HOLD_MANAGE)
    if hold_id == NEW:
        return page(request, actor, "hold_new.html", _draft(request) | {"longest": LONGEST_TEXT})
    found = await said_by_log(_book(request).get(hold_id))
    if wants_json(request):
        return JSONResponse(hold_json(found))
    return page(request, actor, "hold.html", {"hold": found, "acts": acts_of(found, actor), "me": actor.id})


@router.post("/holds")
async def ask(request: Request) -> Response:
    """Ask for a hold. It keeps nothing before a second person agreed."""
    form = await read_form(request)
    actor = await require(request, Permission.HOLD_MANAGE)
    kind = form.get("kind", "")
    if kind not in list(HoldKind):
        raise InvalidRequest("A hold is for a court or because of abuse: choose one.", param="kind")
    reason = reason_in(form, "reason")
    try:
        scope = HoldScope(
            event_ids=tuple(dict.fromkeys(form.get("event_ids", "").split())),
            actor=form.get("actor", "").strip(),
            from_day=_day(form, "from_day"),
            to_day=_day(form, "to_day"),
        )
    except EntryInvalid as error:
        raise InvalidRequest(f"What to hold can't be read: {error}.", param="event_ids") from error
    made = await said_by_log(_book(request).request(HoldKind(kind), scope, reason, officer_of(actor)))
    return RedirectResponse(f"/holds/{made.id}", 303)


@router.post("/holds/{hold_id}/decision")
async def decide(request: Request, hold_id: str) -> Response:
    """Place, reject, ask for the end, keep on, release."""
    form = await read_form(request)
    actor = await require(request, Permission.HOLD_MANAGE)
    book = _book(request)
    does = {
        "place": book.place,
        "reject": book.reject,
        "ask-release": book.ask_release,
        "keep": book.keep,
        "release": book.release,
    }
    act = form.get("act", "")
    if act not in does:
        raise InvalidRequest(f"A hold knows these: {', '.join(ACTS)}.", param="act")
    await said_by_log(does[act](hold_id, officer_of(actor)))
    return RedirectResponse(f"/holds/{hold_id}", 303)


def acts_of(hold: Hold, actor: Actor) -> tuple[str, ...]:
    """What this person can do with it now. Only what the page offers: the log decides."""
    if hold.state is HoldState.REQUESTED:
        return ("reject",) if hold.requested.actor == actor.id else ("place", "reject")
    if hold.state is HoldState.ACTIVE:
        return ("ask-release",)
    if hold.state is HoldState.RELEASE_REQUESTED:
        asked = hold.release_requested
        return ("keep",) if asked is not None and asked.actor == actor.id else ("release", "keep")
    return ()


def hold_json(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "kind": hold.kind.value,
        "state": hold.state.value,
        "keeps": hold.is_keeping,
        "reason": hold.reason,
        "scope": hold.scope.as_json(),
        "created_at": iso(hold.created_at),
        "requested": signature_json(hold.requested),
        "decided": signature_json(hold.decided),
        "release_requested": signature_json(hold.release_requested),
        "released": signature_json(hold.released),
    }


def _book(request: Request) -> HoldBook:
    return services_of(request).audit.governance.holds


def _draft(request: Request) -> dict[str, str]:
    """What a link from a record or a person has filled in. Only text in fields: it is checked when it is sent."""
    asked = request.query_params
    return {name: asked.get(name, "")[:512] for name in ("event_ids", "actor")}


def _day(form: dict[str, str], name: str) -> date | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest("A day is written like 2026-11-22.", param=name) from None
