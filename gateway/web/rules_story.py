"""What became of a draft: its changes, its checks, its versions; proposing it, and breaking glass."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api import policies, policy_force
from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.content import Files, difference
from gateway.lifecycle.drafts import MAX_NOTE, Draft
from gateway.replay.jobs import Job, State
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.rules_diff import file_diffs
from gateway.web.rules_lines import spans
from gateway.web.rules_rebase import clashes
from gateway.web.rules_shared import Fields, Trouble, address, attempt, body, draft_of, draft_page, may, read_fields

router = APIRouter(include_in_schema=False)

MAX_IMPACTS: Final = 5
"""Replays of one version that its proposal offers."""


@router.get("/rules/drafts/{draft_id}/changes")
async def changes(request: Request, draft_id: str) -> Response:
    """File by file, against what it is upon, what is in force, or another version."""
    actor, desk, found = await draft_of(request, draft_id)
    against = request.query_params.get("against", "base")
    number = request.query_params.get("version", "")
    chosen = found.version if not number else await desk.drafts.version(found.id, _whole(number, "version"))
    if against == "base":
        old: Files = await desk.drafts.base_files(chosen)
    elif against == "in_force":
        old = (await desk.store.bundle((await desk.store.in_force()).digest)).files
    else:
        old = (await desk.drafts.bundle(await desk.drafts.version(found.id, _whole(against, "against")))).files
    new = (await desk.drafts.bundle(chosen)).files
    context = {
        "diffs": file_diffs(difference(old, new)),
        "against": against,
        "chosen": chosen,
        "versions": await desk.drafts.versions(found.id),
    }
    return await draft_page(request, actor, desk, found, "rules_changes.html", context)


@router.get("/rules/drafts/{draft_id}/check")
async def checked(request: Request, draft_id: str) -> Response:
    """What the checks found."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _report(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}/check")
async def check(request: Request, draft_id: str) -> Response:
    """Check the newest version. Takes seconds; answers when it is done."""
    await read_fields(request)
    done = await attempt(policies.check(request, draft_id))
    if not isinstance(done, Trouble):
        return RedirectResponse(address(draft_id, "check"), 303)
    actor, desk, found = await draft_of(request, draft_id)
    return await _report(request, actor, desk, found, done)


@router.get("/rules/drafts/{draft_id}/history")
async def history(request: Request, draft_id: str) -> Response:
    """Every version, and what can be done with them."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _history(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}/history")
async def turn_back(request: Request, draft_id: str) -> Response:
    """Restore a version, put the draft upon the rules in force, or close it."""
    form = await read_fields(request)
    done = await attempt(_turn(request, draft_id, form))
    if not isinstance(done, Trouble):
        return RedirectResponse(address(draft_id, "history", done=form["act"]), 303)
    actor, desk, found = await draft_of(request, draft_id)
    return await _history(request, actor, desk, found, done)


@router.get("/rules/drafts/{draft_id}/propose")
async def to_propose(request: Request, draft_id: str) -> Response:
    """What a second person will see, and the form that asks one."""
    actor, desk, found = await draft_of(request, draft_id)
    return await _propose(request, actor, desk, found)


@router.post("/rules/drafts/{draft_id}/propose")
async def propose(request: Request, draft_id: str) -> Response:
    """Ask for a second person."""
    form = await read_fields(request)
    done = await attempt(_ask(request, draft_id, form))
    if not isinstance(done, Trouble):
        return RedirectResponse(f"/proposals/{done}", 303)
    actor, desk, found = await draft_of(request, draft_id)
    return await _propose(request, actor, desk, found, done, form)


@router.post("/rules/drafts/{draft_id}/break-glass")
async def break_glass(request: Request, draft_id: str) -> Response:
    """Put it in force at once, alone, for a while."""
    form = await read_fields(request)
    done = await attempt(_break(request, draft_id, form))
    if not isinstance(done, Trouble):
        return RedirectResponse("/rules?done=break-glass", 303)
    actor, desk, found = await draft_of(request, draft_id)
    return await _propose(request, actor, desk, found, done, form)


@router.get("/rules/drafts/{draft_id}/break-glass")
async def broke(request: Request, draft_id: str) -> Response:
    """Back from a second factor."""
    return RedirectResponse(address(draft_id, "propose"), 303)


async def _turn(request: Request, draft_id: str, form: Fields) -> None:
    act = form["act"]
    if act == "restore":
        sent = body(policies.RestoreBody, after=form.number("after", 1), version=form.number("version", 1))
        await policies.restore(request, draft_id, sent)
    elif act == "rebase":
        await policies.rebase(request, draft_id, body(policies.RebaseBody, after=form.number("after", 1)))
    elif act == "close":
        await policies.close(request, draft_id)
    else:
        raise InvalidRequest("A version is restored, a draft rebased or closed.", param="act")


async def _ask(request: Request, draft_id: str, form: Fields) -> str:
    values: dict[str, Any] = {"version": form.number("version", 1), "note": form["note"][:600]}
    if form["impact"]:
        values["impact"] = form["impact"]
    if form["for"] == "some":
        values["stage"] = {
            "groups": [line.strip() for line in form["groups"].splitlines() if line.strip()],
            "percent": form["percent"].strip() or 0,
            "steps": form["steps"].replace(",", " ").split(),
        }
    proposal = await policies.propose(request, draft_id, body(policies.ProposeBody, **values))
    return str(proposal["id"])


async def _break(request: Request, draft_id: str, form: Fields) -> None:
    sent = body(
        policy_force.BreakGlassBody,
        draft=draft_id,
        version=form.number("version", 1),
        minutes=form.number("minutes", 1),
        reason=form["reason"][:600],
    )
    await policy_force.break_glass(request, sent)


async def _report(
    request: Request, actor: Actor, desk: PolicyDesk, found: Draft, trouble: Trouble | None = None
) -> Response:
    context = {"run": request.query_params.get("run") == "1", "spans": spans}
    return await draft_page(request, actor, desk, found, "rules_check.html", context, trouble)


async def _history(
    request: Request, actor: Actor, desk: PolicyDesk, found: Draft, trouble: Trouble | None = None
) -> Response:
    active = await desk.store.in_force()
    both = [one.path for one in await clashes(desk, found, active.standing)]
    context = {
        "versions": await desk.drafts.versions(found.id),
        "both": both,
        "done": request.query_params.get("done", ""),
    }
    return await draft_page(request, actor, desk, found, "rules_history.html", context, trouble)


async def _propose(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    found: Draft,
    trouble: Trouble | None = None,
    form: Fields | None = None,
) -> Response:
    kept = form or Fields(())
    can_see = await may(request, Permission.POLICY_REPLAY)
    context: Mapping[str, Any] = {
        "savers": sorted(await desk.drafts.savers(found.id)),
        "jobs": await _impacts(request, found) if can_see else [],
        "note": kept["note"],
        "reason": kept["reason"],
        "minutes": kept["minutes"] or "30",
        "impact": kept["impact"],
        "for_whom": kept["for"] or "all",
        "groups": kept["groups"],
        "percent": kept["percent"],
        "steps": kept["steps"],
        "longest_note": MAX_NOTE,
        "most_minutes": desk.break_glass_minutes,
    }
    return await draft_page(request, actor, desk, found, "rules_propose.html", context, trouble)


async def _impacts(request: Request, found: Draft) -> list[Job]:
    """The newest replays of exactly this version against what it is upon: what can stand in the proposal."""
    replays = services_of(request).replaying.replays
    pair = (found.version.digest, found.version.base)
    fitting = [
        job
        for job in await replays.list()
        if job.state is State.DONE and (job.candidate_digest, job.baseline_digest) == pair
    ]
    shown: list[Job] = []
    for job in fitting[:MAX_IMPACTS]:
        with suppress(NotFound):  # it went in this moment
            shown.append(await replays.get(job.id))
    return shown


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 7 or not int(text):
        raise InvalidRequest(f"{name}: expected the number of a version.", param=name)
    return int(text)
