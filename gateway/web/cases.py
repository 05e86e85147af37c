"""Cases: why somebody may open content, who agreed, and the opening itself.

HTML forms that work without scripts. Who may ask and who may agree is policy (`case:request`, `case:approve`,
`content:open`, each with its fresh second factor); that the two are two people, and that nothing is opened outside a
case, is the log's own rule and holds whatever policy says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from audit import Case, CaseState, EntryInvalid, QueryInvalid, Scope
from gateway.api.access import require
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.recording import subject_of
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.governing import officer_of, read_form, reason_in, said_by_log
from gateway.web.pages import page, wants_json
from gateway.web.words import iso

router = APIRouter(include_in_schema=False)

LIFETIMES_HOURS: Final = (1, 8, 24, 72, 168)


@router.get("/cases")
async def cases(request: Request) -> Response:
    """All cases, newest first."""
    actor = await require(request, Permission.CASE_REQUEST)
    found = await said_by_log(services_of(request).audit.cases.list())
    if wants_json(request):
        return JSONResponse({"cases": [case_json(case) for case in found]})
    return page(request, actor, "cases.html", {"cases": found, "me": actor.id})


@router.get("/cases/{case_id}")
async def case(request: Request, case_id: str) -> Response:
    """One case: what for, about what, who agreed, and what can be done with it now."""
    actor = await require(request, Permission.CASE_REQUEST)
    found = await said_by_log(services_of(request).audit.cases.get(case_id))
    if wants_json(request):
        return JSONResponse(case_json(found))
    return page(request, actor, "case.html", {"case": found, "me": actor.id, "may_open": _may_open(found, actor)})


@router.post("/cases")
async def ask(request: Request) -> Response:
    """Ask for a case about one record. It opens nothing before a second person agreed."""
    form = await read_form(request)
    actor = await require(request, Permission.CASE_REQUEST)
    services = services_of(request)
    hours = form.get("hours", "")
    if hours not in map(str, LIFETIMES_HOURS):
        raise InvalidRequest("Choose how long the case may be open.", param="hours")
    purpose = reason_in(form, "purpose")
    try:
        scope = Scope(event_ids=(form.get("event_id", ""),))
    except (EntryInvalid, QueryInvalid) as error:
        raise InvalidRequest("A case is about a record: give its request id.", param="event_id") from error
    until = services.clock() + timedelta(hours=int(hours))
    made = await said_by_log(services.audit.cases.request(purpose, scope, until, officer_of(actor)))
    return RedirectResponse(f"/cases/{made.id}", 303)


@router.post("/cases/{case_id}/decision")
async def decide(request: Request, case_id: str) -> Response:
    """Approve, reject or close."""
    form = await read_form(request)
    act = form.get("act", "")
    wanted = Permission.CASE_REQUEST if act == "close" else Permission.CASE_APPROVE
    actor = await require(request, wanted)
    book, officer = services_of(request).audit.cases, officer_of(actor)
    acts = {"approve": book.approve, "reject": book.reject, "close": book.close}
    if act not in acts:
        raise InvalidRequest("A case is approved, rejected or closed.", param="act")
    await said_by_log(acts[act](case_id, officer))
    return RedirectResponse(f"/cases/{case_id}", 303)


@router.post("/audit/records/{event_id}/content")
async def open_content(request: Request, event_id: str) -> Response:
    """Show what a record holds, once, inside a case. The opening is durable in the log before anything is decrypted;
    a POST, because it changes something: the case's count, and what is on record about whoever looked."""
    form = await read_form(request)
    actor = await require(request, Permission.CONTENT_OPEN)
    log = services_of(request).audit
    opened = await said_by_log(log.read_content(event_id, opened_by=officer_of(actor), case_id=form.get("case_id", "")))
    halves = list(zip(opened.envelopes, opened.contents, strict=True))
    if wants_json(request):
        body = {
            "event_id": event_id,
            "access_id": opened.access.event_id,
            "halves": [{"phase": envelope.phase.value, "content": content} for envelope, content in halves],
        }
        return JSONResponse(body, headers={"cache-control": "no-store"})
    context = {
        "event_id": event_id,
        "subject": opened.subject,
        "halves": [(envelope, *_sorted(flat(content))) for envelope, content in halves],
        "access_id": opened.access.event_id,
        "case_id": form.get("case_id", ""),
    }
    return page(request, actor, "content.html", context)


@router.get("/audit/records/{event_id}/accesses")
async def accesses(request: Request, event_id: str) -> Response:
    """Who looked at a record, opened it or decided about it."""
    actor = await require(request, Permission.AUDIT_SEARCH)
    found = await said_by_log(services_of(request).audit.accesses(event_id, looked_by=subject_of(actor)))
    if wants_json(request):
        rows = [
            {
                "event_id": row.event_id,
                "at": iso(row.opened_at),
                "action": row.action,
                "effect": row.effect,
                "actor": row.subject.actor if row.subject else None,
            }
            for row in found.rows
        ]
        return JSONResponse({"accesses": rows})
    return page(request, actor, "accesses.html", {"event_id": event_id, "rows": found.rows})


def case_json(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "state": case.state.value,
        "purpose": case.purpose,
        "scope": case.scope.as_json(),
        "created_at": iso(case.created_at),
        "expires_at": iso(case.expires_at),
        "openings": case.openings,
        "openings_left": case.openings_left,
        "requested_by": case.requested.actor,
        "decided_by": case.decided.actor if case.decided else None,
    }


def flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested content as lines of name and text, in its own order: everything is shown as text, nothing interpreted."""
    lines: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            lines += flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for place, item in enumerate(value):
                lines += flat(item if isinstance(item, Mapping) else {"": item}, f"{name}[{place}].")
        elif value not in (None, "", [], {}):
            lines.append((name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return lines


def _sorted(lines: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What was asked and found first; what policy was asked about it stands apart, because it is long."""
    judged = [line for line in lines if line[0].startswith(("policy_input.", "decisions["))]
    return [line for line in lines if line not in judged], judged


def _may_open(case: Case, actor: Actor) -> bool:
    return case.state is CaseState.ACTIVE and actor.id in (case.requested.actor, *case.scope.members)
