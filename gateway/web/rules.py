"""`/rules`: what is in force, what was, and the drafts that want it otherwise; going back; one revision.

Where the rules come from a folder the page says what is in force and how rules could be managed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.api import policies, policy_force
from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.lifecycle.content import difference
from gateway.lifecycle.drafts import MAX_NOTE, MAX_TITLE, Draft
from gateway.lifecycle.store import Activation
from gateway.services import services_of
from gateway.vocabulary import Permission
from gateway.web.pages import page
from gateway.web.rules_diff import file_diffs
from gateway.web.rules_shared import Fields, Trouble, address, attempt, body, may, read_fields, reader

router = APIRouter(include_in_schema=False)

SHOWN_ACTIVATIONS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of what was in force."""

    activation: Activation
    message: str
    """Why the revision was made."""
    is_now: bool
    can_return: bool
    """Whether it is a place to go back to."""


@router.get("/rules")
async def rules(request: Request) -> Response:
    """What is in force, since when, by whom; what was; who wants it otherwise."""
    actor, desk = await reader(request)
    if desk is None:
        return _folder(request, actor)
    return await _overview(request, actor, desk)


@router.post("/rules/revisions/{revision}/rollback")
async def rollback(request: Request, revision: str) -> Response:
    """Go back to a revision that two people once agreed to. An address for each: what was written into the form of one
    comes back into that one after a step-up."""
    form = await read_fields(request)
    asked = body(policy_force.RollbackBody, revision=revision[:64], reason=form["reason"][:600])
    done = await attempt(policy_force.rollback(request, asked))
    if not isinstance(done, Trouble):
        return RedirectResponse("/rules?done=rollback", 303)
    actor, desk = await reader(request)
    if desk is None:
        return _folder(request, actor)
    return await _overview(request, actor, desk, trouble=done, wanted=revision, reason=form["reason"])


@router.get("/rules/revisions/{revision}/rollback")
async def to_roll_back(request: Request, revision: str) -> Response:
    """Back from a second factor, or a form that was sent twice."""
    return RedirectResponse("/rules", 303)


@router.post("/rules/rollout")
async def rollout(request: Request) -> Response:
    """Widen a rollout within what was approved, put it in force for everybody, or end it."""
    form = await read_fields(request)
    done = await attempt(_roll_out(request, form))
    if not isinstance(done, Trouble):
        return RedirectResponse("/rules?done=rollout", 303)
    actor, desk = await reader(request)
    if desk is None:
        return _folder(request, actor)
    return await _overview(request, actor, desk, trouble=done, wanted="rollout", reason=form["reason"])


@router.get("/rules/rollout")
async def rolled_out(request: Request) -> Response:
    """Back from a second factor."""
    return RedirectResponse("/rules", 303)


@router.get("/rules/revisions/{revision}")
async def revision(request: Request, revision: str) -> Response:
    """One revision: who answers for it, and what it changed."""
    actor, desk = await reader(request)
    if desk is None:
        return _folder(request, actor)
    found = await desk.store.find(revision)
    active = await desk.store.in_force()
    old = (await desk.store.bundle(found.parent)).files if found.parent else None
    new = (await desk.store.bundle(found.digest)).files
    context = {
        "revision": found,
        "is_now": found.digest == active.digest,
        "files": len(new),
        "diffs": None if old is None else file_diffs(difference(old, new)),
        "can_return": found.is_approved and found.digest != active.digest,
        "may_activate": await may(request, Permission.POLICY_ACTIVATE),
    }
    return page(request, actor, "rules_revision.html", context)


@router.get("/rules/drafts/new")
async def new_draft(request: Request) -> Response:
    """The form that opens one."""
    actor, desk = await reader(request)
    return _folder(request, actor) if desk is None else _new(request, actor)


@router.post("/rules/drafts/new")
async def open_draft(request: Request) -> Response:
    """Open one upon the rules in force."""
    form = await read_fields(request)
    title, note = form["title"], form["note"]
    made = await attempt(policies.open_draft(request, body(policies.DraftBody, title=title[:600], note=note[:600])))
    if not isinstance(made, Trouble):
        return RedirectResponse(address(made["id"]), 303)
    actor, _ = await reader(request)
    return _new(request, actor, title=title, note=note, trouble=made)


async def _roll_out(request: Request, form: Fields) -> None:
    values: dict[str, Any] = {"after": form.number("after", 1), "reason": form["reason"][:600]}
    act = form["act"]
    if act == "widen":
        await policy_force.widen(request, body(policy_force.WidenBody, percent=form["percent"], **values))
    elif act == "finish":
        await policy_force.finish(request, body(policy_force.RolloutBody, **values))
    elif act == "withdraw":
        await policy_force.withdraw(request, body(policy_force.RolloutBody, **values))
    else:
        raise InvalidRequest("A rollout is widened, finished or withdrawn.", param="act")


def _new(
    request: Request, actor: Actor, *, title: str = "", note: str = "", trouble: Trouble | None = None
) -> Response:
    context = {"title": title, "note": note, "trouble": trouble, "longest_title": MAX_TITLE, "longest_note": MAX_NOTE}
    return page(request, actor, "rules_new.html", context, 200 if trouble is None else trouble.status)


async def _overview(
    request: Request,
    actor: Actor,
    desk: PolicyDesk,
    *,
    trouble: Trouble | None = None,
    wanted: str = "",
    reason: str = "",
) -> Response:
    history = list(await desk.store.history(SHOWN_ACTIVATIONS))
    active = history[0]
    everything = request.query_params.get("drafts") == "all"
    found: Sequence[Draft] = await desk.drafts.list(only_open=not everything)
    services, follower = services_of(request), desk.follower
    context: Mapping[str, Any] = {
        "active": active,
        "lines": await _lines(desk, history, active),
        "drafts": found,
        "everything": everything,
        "standing": active.standing,
        "running": {
            "revision": follower.digest,
            "name": services.policy.revision,
            "detectors": services.screening.revision,
            "behind_since": follower.behind_since,
            "error": follower.error,
        },
        "may_write": await may(request, Permission.POLICY_WRITE),
        "may_activate": await may(request, Permission.POLICY_ACTIVATE),
        "rollout": await desk.rollout.running(),
        "stages": follower.stages,
        "done": request.query_params.get("done", ""),
        "trouble": trouble,
        "wanted": wanted,
        "reason": reason,
        "address": address,
    }
    return page(request, actor, "rules.html", context, 200 if trouble is None else trouble.status)


async def _lines(desk: PolicyDesk, history: Sequence[Activation], active: Activation) -> list[Line]:
    found: list[Line] = []
    offered: set[str] = set()
    for one in history:
        made = await desk.store.get(one.digest)
        can_return = made.is_approved and one.digest != active.digest and one.digest not in offered
        if can_return:
            offered.add(one.digest)  # the newest time that it was in force: one button a revision is enough
        found.append(Line(activation=one, message=made.message, is_now=one is active, can_return=can_return))
    return found


def _folder(request: Request, actor: Actor) -> Response:
    services = services_of(request)
    context = {
        "name": services.policy.revision,
        "detectors": services.screening.revision,
        "folder": services.settings.policy.directory.name,
    }
    return page(request, actor, "rules_folder.html", context)
