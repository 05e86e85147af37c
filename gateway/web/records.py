"""The auditor's pages: search, one record with its proof, and the files an outside auditor takes away.

Every search and every look is itself recorded, durably, before anything is shown (the log sees to it). Nothing here
opens content: that is `cases.py`.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from audit import AuditLog, Page, QueryInvalid, RecordNotFound, RecordView
from audit import AuditUnavailable as LogUnavailable
from audit.query import Field
from gateway.api.access import require
from gateway.errors import AuditUnavailable, NotFound
from gateway.keeping import STANDARD
from gateway.recording import subject_of
from gateway.services import services_of
from gateway.vocabulary import Event, Permission
from gateway.web.cases import LIFETIMES_HOURS
from gateway.web.pages import page, wants_json
from gateway.web.record_facets import asked, facets
from gateway.web.record_query import EXAMPLES, PICTURES, SearchForm
from gateway.web.record_views import by_day, page_json, prove, record_json, unreadable_from
from gateway.web.words import ACTIONS, EFFECTS

router = APIRouter(include_in_schema=False)

EFFECTS_OFFERED: Final = tuple(code for code in EFFECTS if code)
FIELDS: Final = tuple(field.value for field in Field)
FACETS_WANTED: Final = "facets"
ACTIONS_OFFERED: Final = tuple(dict.fromkeys([PICTURES, *(e.value for e in Event), *ACTIONS]))


@router.get("/audit")
async def search(request: Request) -> Response:
    """The search form and a page of what it finds. A search that can't be read is a 400 that keeps what was typed.

    Counts come with the page, and with its JSON twin when `facets` is asked for.
    """
    actor = await require(request, Permission.AUDIT_SEARCH)
    now = services_of(request).clock()
    form = SearchForm.read({name: value for name, value in request.query_params.items() if name != FACETS_WANTED})
    as_json = wants_json(request)
    found: Page | None = None
    trouble = next_page = ""
    try:
        query = form.query(now, with_facets=not as_json or FACETS_WANTED in request.query_params)
        found = await _log(request).search(query, searched_by=subject_of(actor))
        if found.next_cursor:
            # The question as it was understood now: "the last 7 days" are others by the next page.
            next_page = SearchForm(q=query.text).address(cursor=found.next_cursor)
    except QueryInvalid as error:
        trouble = f"{str(error)[:1].upper()}{str(error)[1:]}."
    except LogUnavailable as error:
        raise _no_record() from error
    status = 400 if trouble else 200
    if as_json:
        if found is None:
            return JSONResponse({"error": {"message": trouble, "code": "invalid_value"}}, status)
        return JSONResponse(page_json(found, next_page))
    terms = form.terms(now) if found else ()
    context = {
        "form": form,
        "text": form.text(now),
        "filters": form.filters(now, ACTIONS_OFFERED),
        "asked": asked(terms),
        "facets": facets(found.facets, terms) if found else (),
        "count": found.count if found else None,
        "narrowed": lambda field, value, *without: form.narrowed(now, field, value, without),
        "trouble": trouble,
        "days": by_day(found.rows) if found else (),
        "shown": len(found.rows) if found else 0,
        "next_page": next_page,
        "access_id": found.access.event_id if found else "",
        "effects": EFFECTS_OFFERED,
        "actions": ACTIONS_OFFERED,
        "examples": EXAMPLES,
        "fields": FIELDS,
        "mfa_age_seconds": actor.mfa.age_seconds(now),
    }
    return page(request, actor, "records.html", context, status)


@router.get("/audit/records")
async def shortened() -> Response:
    """What is left when somebody cuts the id off a record's address."""
    return RedirectResponse("/audit", 308)


@router.get("/audit/records/{event_id}")
async def record(request: Request, event_id: str) -> Response:
    """One record: both halves, who, and its proofs, checked while the page is made."""
    actor = await require(request, Permission.AUDIT_SEARCH)
    log = _log(request)
    try:
        view: RecordView = await log.get(event_id, looked_by=subject_of(actor))
        proofs = await log.proof(event_id)
    except (RecordNotFound, QueryInvalid) as error:
        raise _nowhere() from error
    except LogUnavailable as error:
        raise _no_record() from error
    halves = [prove(proof, log.verifier_key) for proof in proofs]
    services = services_of(request)
    retention_days = services.keeping.rules().classes[STANDARD]
    if wants_json(request):
        return JSONResponse(record_json(view, halves, retention_days))
    first, last = view.envelopes[0], view.envelopes[-1]
    unreadable = unreadable_from(first.day, retention_days)
    context = {
        "view": view,
        "first": first,
        "last": last,
        "has_outcome": len(view.envelopes) > 1,
        "is_request": first.phase == "intent",
        "halves": halves,
        "holds": all(half.holds for half in halves),
        "same_day": SearchForm(since=first.day.isoformat(), until=first.day.isoformat()).address(),
        "same_person": SearchForm(who=view.subject.actor).address() if view.subject else "",
        "log_key": str(log.verifier_key),
        "lifetimes": LIFETIMES_HOURS,
        "unreadable": unreadable,
        "days_left": (unreadable - services.clock().astimezone(UTC).date()).days,
        "checked_at": services.clock(),
    }
    return page(request, actor, "record.html", context)


@router.get("/audit/records/{event_id}/proof")
async def proof_file(request: Request, event_id: str) -> Response:
    """The proof of one half (`?phase=`, the last one unless asked otherwise) as a C2SP tlog-proof file."""
    await require(request, Permission.AUDIT_PROVE)
    try:
        proofs = await _log(request).proof(event_id)
    except (RecordNotFound, QueryInvalid) as error:
        raise _nowhere() from error
    phase = request.query_params.get("phase", proofs[-1].phase)
    chosen = next((proof for proof in proofs if proof.phase == phase), None)
    if chosen is None:
        raise _nowhere()
    return _download(chosen.text, f"{chosen.event_id}-{chosen.phase}.tlog-proof")


@router.get("/audit/checkpoint")
async def checkpoint_file(request: Request) -> Response:
    """The newest signed head of the log, as a C2SP checkpoint."""
    await require(request, Permission.AUDIT_PROVE)
    note = _log(request).checkpoint()
    if not note:
        raise NotFound("Nothing is recorded yet, so no head was signed.")
    return _download(note, "checkpoint.txt")


def _download(text: str, name: str) -> Response:
    # `name` is made of ids and closed words only: nothing a person typed reaches this header.
    return PlainTextResponse(text, headers={"content-disposition": f'attachment; filename="{name}"'})


def _log(request: Request) -> AuditLog:
    return services_of(request).audit


def _nowhere() -> NotFound:
    return NotFound("There is no such record. It may have been mistyped: a request id has 36 characters.")


def _no_record() -> AuditUnavailable:
    return AuditUnavailable(
        "Looking at records is itself recorded, and that record can't be written now. Nothing was shown.",
        retry_after_seconds=5,
    )
