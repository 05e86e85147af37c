"""Data subjects: what the log holds of one person, handed over or erased. Two officers, neither of them the person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from audit import SubjectRequest, SubjectRequestKind, SubjectRequests, SubjectRequestState
from gateway.api.access import require
from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import Actor
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.governing import LONGEST_TEXT, officer_of, read_form, reason_in, said_by_log, signature_json
from gateway.web.pages import page, wants_json
from gateway.web.words import iso

router = APIRouter(include_in_schema=False)

NEW: Final = "new"
ERASABLE: Final = (SubjectRequestState.APPROVED, SubjectRequestState.PARTLY_DONE)


@router.get("/subjects")
async def subjects(request: Request) -> Response:
    """All requests of both kinds, newest first. They name people, so a fresh second factor is needed to see them."""
    actor = await require(request, Permission.SUBJECT_MANAGE)
    found = [one for kind in SubjectRequestKind for one in await said_by_log(_book(request, kind).list())]
    found.sort(key=lambda one: one.created_at, reverse=True)
    if wants_json(request):
        return JSONResponse({"requests": [request_json(one) for one in found]})
    return page(request, actor, "subjects.html", {"requests": found, "me": actor.id})


@router.get("/subjects/new")
async def new(request: Request) -> Response:
    actor = await require(request, Permission.SUBJECT_MANAGE)
    person = request.query_params.get("actor", "")[:512]
    return page(request, actor, "subject_new.html", {"actor": person, "longest": LONGEST_TEXT})


@router.get("/subjects/{kind}/{request_id}")
async def subject(request: Request, kind: str, request_id: str) -> Response:
    """One request, and what can be done about it now."""
    actor = await require(request, Permission.SUBJECT_MANAGE)
    found = await said_by_log(_book(request, _kind(kind)).get(request_id))
    if wants_json(request):
        return JSONResponse(request_json(found))
    context = {
        "asked": found,
        "acts": acts_of(found, actor),
        "receipts": [receipt | {"at": datetime.fromisoformat(receipt["at"])} for receipt in found.receipts],
        "me": actor.id,
    }
    return page(request, actor, "subject.html", context)


@router.post("/subjects")
async def ask(request: Request) -> Response:
    """Ask for a person's data, or for its erasure. Nothing happens before a second person agreed."""
    form = await read_form(request)
    actor = await require(request, Permission.SUBJECT_MANAGE)
    if form.get("kind", "") not in list(SubjectRequestKind):
        raise InvalidRequest("Data is handed over or erased: choose one.", param="kind")
    kind = SubjectRequestKind(form["kind"])
    note = reason_in(form, "note")
    person = form.get("actor", "").strip()
    if not person:
        raise InvalidRequest("Whose data? Give the person's id as it stands in their records.", param="actor")
    made = await said_by_log(_book(request, kind).request(person, note, officer_of(actor)))
    return RedirectResponse(f"/subjects/{kind.value}/{made.id}", 303)


@router.post("/subjects/{kind}/{request_id}/decision")
async def decide(request: Request, kind: str, request_id: str) -> Response:
    """Approve, reject; erase what was approved."""
    form = await read_form(request)
    actor = await require(request, Permission.SUBJECT_MANAGE)
    chosen, act = _kind(kind), form.get("act", "")
    book = _book(request, chosen)
    if act == "approve":
        await said_by_log(book.approve(request_id, officer_of(actor)))
    elif act == "reject":
        await said_by_log(book.reject(request_id, officer_of(actor)))
    elif act == "erase" and chosen is SubjectRequestKind.ERASURE:
        erasures = services_of(request).audit.governance.erasures
        await said_by_log(erasures.execute(request_id, officer_of(actor)))
        services_of(request).screening.forget((await said_by_log(book.get(request_id))).actor)
    else:
        raise InvalidRequest("A request is approved or rejected; an approved erasure is carried out.", param="act")
    return RedirectResponse(f"/subjects/{chosen.value}/{request_id}", 303)


@router.post("/subjects/export/{request_id}/file")
async def export(request: Request, request_id: str) -> Response:
    """The person's data as a file, for whoever asked. On record before anything is opened; each taking again."""
    await read_form(request)
    actor = await require(request, Permission.SUBJECT_MANAGE)
    access = services_of(request).audit.governance.subject_access
    made = await said_by_log(access.export(request_id, officer_of(actor)))
    # The name holds the request's id and nobody's name: file names end up in histories and backups.
    name = f'attachment; filename="subject-access-{made.request_id}.json"'
    return JSONResponse(made.document, headers={"content-disposition": name, "cache-control": "no-store"})


def acts_of(asked: SubjectRequest, actor: Actor) -> tuple[str, ...]:
    """What this person can do about it now. Only what the page offers: the log decides."""
    is_own = asked.requested.actor == actor.id
    if asked.state is SubjectRequestState.REQUESTED:
        return ("reject",) if is_own or asked.actor == actor.id else ("approve", "reject")
    if asked.kind is SubjectRequestKind.ERASURE and asked.state in ERASABLE:
        return ("erase",)
    if asked.kind is SubjectRequestKind.EXPORT and asked.state is SubjectRequestState.APPROVED and is_own:
        return ("take",)
    return ()


def request_json(asked: SubjectRequest) -> dict[str, Any]:
    return {
        "id": asked.id,
        "kind": asked.kind.value,
        "state": asked.state.value,
        "actor": asked.actor,
        "note": asked.note,
        "created_at": iso(asked.created_at),
        "expires_at": iso(asked.expires_at) if asked.expires_at else None,
        "requested": signature_json(asked.requested),
        "decided": signature_json(asked.decided),
        "receipts": list(asked.receipts),
    }


def _kind(text: str) -> SubjectRequestKind:
    if text not in list(SubjectRequestKind):
        raise NotFound("There is nothing at this address.")
    return SubjectRequestKind(text)


def _book(request: Request, kind: SubjectRequestKind) -> SubjectRequests:
    governance = services_of(request).audit.governance
    erases = kind is SubjectRequestKind.ERASURE
    return governance.erasures.requests if erases else governance.subject_access.requests
