"""Trying a draft before anybody agrees to it: one decision explained, or all of the last days replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api import replays
from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.drafts import Draft
from gateway.policy.input import INPUT_VERSION
from gateway.replay.desk import Replays
from gateway.replay.jobs import Job
from gateway.replay.report import KINDS
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.rules_shared import (
    LONG,
    Fields,
    Trouble,
    address,
    attempt,
    body,
    draft_of,
    draft_page,
    kept,
    may,
    read_fields,
)
from gateway.web.words import iso

router = APIRouter(include_in_schema=False)

STAGES: Final = ("request", "prompt", "upload", "output")
MAX_INPUT: Final = 64 << 10


@router.get("/rules/drafts/{draft_id}/preview")
async def to_preview(request: Request, draft_id: str) -> Response:
    """The form: a past request, or an input of one's own."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _preview(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}/preview")
async def preview(request: Request, draft_id: str) -> Response:
    """One decision by the draft and by the rules in force: which rules fired, which facts were missing."""
    form = await read_fields(request)
    done = await attempt(_told(request, draft_id, form), may_step_up=len(form["input"]) > LONG)
    if isinstance(done, Trouble) and done.step_up:
        return kept(request, form, done)
    actor, desk, found = await draft_of(request, draft_id)
    if isinstance(done, Trouble):
        return await _preview(request, actor, desk, found, form=form, trouble=done)
    return await _preview(request, actor, desk, found, form=form, told=done)


@router.get("/rules/drafts/{draft_id}/replay")
async def replay(request: Request, draft_id: str) -> Response:
    """The form, and the replay that is asked for: how far it is, or its report."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _replay(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}/replay")
async def start(request: Request, draft_id: str) -> Response:
    """Begin one, or end one."""
    form = await read_fields(request)
    done = await attempt(_act(request, draft_id, form))
    if not isinstance(done, Trouble):
        return RedirectResponse(address(draft_id, "replay", job=done), 303)
    actor, desk, found = await draft_of(request, draft_id)
    return await _replay(request, actor, desk, found, done)


async def _told(request: Request, draft_id: str, form: Fields) -> dict[str, Any]:
    values: dict[str, Any] = {"draft": draft_id}
    if form["by"] == "input":
        values["input"] = _document(form["input"])
    else:
        wanted = form["request_id"].strip()
        if not wanted:
            raise InvalidRequest("Give the id of a past request: every record and answer names it.", param="request_id")
        values |= {"request_id": wanted[:64], "stage": form["stage"]}
    return await replays.preview(request, body(replays.PreviewBody, **values))


def _document(text: str) -> dict[str, Any]:
    if len(text) > MAX_INPUT:
        raise InvalidRequest(f"An input has up to {MAX_INPUT:,} characters.", param="input")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The input is not JSON: {error.msg} at {where}.", param="input") from None
    except RecursionError:
        raise InvalidRequest("The input is nested too deep.", param="input") from None
    if not isinstance(found, dict):
        raise InvalidRequest("The input is a JSON object: {…}.", param="input")
    return found


async def _act(request: Request, draft_id: str, form: Fields) -> str:
    if form["act"] == "cancel":
        return str((await replays.cancel(request, form["job"][:64]))["id"])
    sent = body(replays.ReplayBody, draft=draft_id, days=form.number("days", 1))
    return str((await replays.start(request, sent))["id"])


async def _preview(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    found: Draft,
    *,
    form: Fields | None = None,
    told: Mapping[str, Any] | None = None,
    trouble: Trouble | None = None,
) -> Response:
    kept = form or Fields([("request_id", request.query_params.get("request", ""))])
    context = {
        "told": told,
        "by": kept["by"] or "request",
        "request_id": kept["request_id"],
        "stage": kept["stage"],
        "stages": STAGES,
        "input": kept["input"] or json.dumps(example(request), indent=2),
        "longest": MAX_INPUT,
    }
    return await draft_page(request, actor, desk, found, "rules_preview.html", context, trouble)


async def _replay(
    request: Request, actor: Actor, desk: PolicyDesk, found: Draft, trouble: Trouble | None = None
) -> Response:
    job: Job | None = None
    known: list[Job] = []
    if await may(request, Permission.POLICY_REPLAY):
        jobs = services_of(request).replaying.replays
        digests = {version.digest: version.number for version in await desk.drafts.versions(found.id)}
        known = [one for one in await jobs.list() if one.candidate_digest in digests]
        wanted = request.query_params.get("job", "")
        ids = [one.id for one in known if wanted in ("", one.id)]
        job = await _whole(jobs, ids[0]) if ids else None
        if wanted and job is None and trouble is None:
            trouble = Trouble(status=404, message="There is no such replay here any more: start it again.")
    context = {
        "job": job,
        "jobs": known,
        "is_over": job is not None and job.has_ended,
        "is_newest": job is not None and job.candidate_digest == found.version.digest,
        "kinds": KINDS,
        "most_days": replays.MAX_DAYS,
    }
    return await draft_page(request, actor, desk, found, "rules_replay.html", context, trouble)


async def _whole(jobs: Replays, job_id: str) -> Job | None:
    """With its report; None when it went in this moment."""
    try:
        return await jobs.get(job_id)
    except NotFound:
        return None


def example(request: Request) -> dict[str, Any]:
    """An input to begin with: somebody with fresh MFA asks the first model for one picture, and nothing was found."""
    now = services_of(request).clock()
    return {
        "version": INPUT_VERSION,
        "request_id": "preview",
        "time": iso(now),
        "mode": "preview",
        "action": "image:generate",
        "subject": {
            "id": "company|somebody",
            "status": "active",
            "roles": ["employee"],
            "groups": [],
            "department": "Design",
            "method": "session",
            "scopes": None,
            "amr": ["pwd", "otp"],
            "acr": "",
            "mfa_age_seconds": 60,
        },
        "context": {"ip": "192.0.2.1", "country": "", "client": "browser"},
        "stage": "request",
        "resource": {
            "task": "generate",
            "model": "imprimatur-embedded",
            "n": 1,
            "size": "auto",
            "quality": "auto",
            "cost_credits": 1,
            "uploads": {"count": 0, "bytes": 0, "pixels": 0, "has_mask": False},
        },
        "usage": {"user_day": 0, "user_month": 0, "in_flight": 0, "refused_last_hour": 0},
        "findings": [],
        "prompt": {"hmac": "", "chars": 40},
    }
