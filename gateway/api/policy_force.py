"""`/v1/policy/rollback`, `break_glass`, `rollout`: what one person with a fresh second factor does to rules in force.

The right is policy's (`policy:activate`); that the second factor is fresh, code asks for too. Each act is recorded
before it is stored.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.access import origin_of, require
from gateway.api.policy_desk import desk_of
from gateway.api.policy_words import activation_json, step_json
from gateway.exchange import Actor
from gateway.lifecycle import PolicyDesk
from gateway.services import services_of
from gateway.vocabulary import Event, Permission

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/policy")

Text = Annotated[str, Field(max_length=600)]
Number = Annotated[int, Field(ge=1, le=1_000_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RollbackBody(_Body):
    """Which revision shall be in force again."""

    revision: Annotated[str, Field(max_length=64)]
    reason: Text


class BreakGlassBody(_Body):
    """A draft that shall be in force now, without a second person, for a while."""

    draft: Annotated[str, Field(max_length=36)]
    version: Number
    minutes: Annotated[int, Field(ge=1, le=10_000)]
    reason: Text


class RolloutBody(_Body):
    """An act upon line `after` of the rollout."""

    after: Number
    reason: Text


class WidenBody(RolloutBody):
    """To which of the approved shares."""

    percent: Annotated[float, Field(ge=0, le=100)]


@router.post("/rollback")
async def rollback(request: Request, body: RollbackBody) -> dict[str, Any]:
    """An approved revision is in force again, at once, by one person with a fresh second factor."""
    actor, desk = await _activator(request)
    found, active, reason = await desk.to_roll_back(body.revision, body.reason, actor)
    await _loudly(request, Event.POLICY_ROLLBACK, actor, before=active.digest, after=found.digest, reason=reason)
    made = await desk.roll_back(found, active, reason, actor)
    await _tell(desk, f"earlier rules are in force again, {found.digest[:12]}", actor, reason)
    await desk.follower.look()
    return activation_json(made)


@router.post("/break_glass")
async def break_glass(request: Request, body: BreakGlassBody) -> dict[str, Any]:
    """A checked draft is in force at once, by one person, and ends by itself."""
    actor, desk = await _activator(request)
    found = await desk.drafts.get(body.draft)
    active, reason = await desk.to_break_glass(
        found, version=body.version, minutes=body.minutes, reason=body.reason, by=actor
    )
    await _loudly(
        request,
        Event.POLICY_BREAK_GLASS,
        actor,
        before=active.digest,
        after=found.version.digest,
        reason=reason,
        draft=found.id,
        minutes=body.minutes,
    )
    made = await desk.break_glass(found, active, minutes=body.minutes, reason=reason, by=actor)
    await _tell(desk, f"an edit is in force for {body.minutes} minutes, {found.version.digest[:12]}", actor, reason)
    await desk.follower.look()
    return activation_json(made)


@router.get("/rollout")
async def rollout(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
    """The rollout that runs, whether this process carries it out, and what was done to rollouts, the newest first."""
    await require(request, Permission.POLICY_READ)
    desk = desk_of(request)
    running, stages = await desk.rollout.running(), desk.follower.stages
    step = None if stages is None else stages.step
    return {
        "object": "policy.rollout",
        "running": None if running is None else step_json(running),
        "here": {
            "can_stage": stages is not None,
            "revision": None if step is None else step.digest,
            "step": None if step is None else step.number,
            "behind_since": None if stages is None or stages.behind_since is None else stages.behind_since.isoformat(),
            "error": "" if stages is None else stages.error,
        },
        "history": [step_json(one) for one in await desk.rollout.history(limit)],
    }


@router.post("/rollout/widen")
async def widen(request: Request, body: WidenBody) -> dict[str, Any]:
    """A greater share of people and programs, of those that were approved."""
    actor, desk = await _activator(request)
    seen, reason = await desk.rollout.to_widen(body.percent, after=body.after, reason=body.reason, by=actor)
    before, after = f"{seen.stage.percent:g} %", f"{body.percent:g} %"
    facts = {"rollout": seen.rollout, "revision": seen.digest, "before": before, "after": after, "reason": reason}
    await _record(request, Event.ROLLOUT_WIDEN, actor, **facts)
    made = await desk.rollout.widen(seen, body.percent, reason=reason, by=actor)
    await desk.follower.look()
    return step_json(made)


@router.post("/rollout/finish")
async def finish(request: Request, body: RolloutBody) -> dict[str, Any]:
    """In force for everybody, when that was approved."""
    actor, desk = await _activator(request)
    seen, active, reason = await desk.rollout.to_finish(after=body.after, reason=body.reason, by=actor)
    facts = {"rollout": seen.rollout, "before": active.digest, "after": seen.digest, "reason": reason}
    await _record(request, Event.ROLLOUT_FINISH, actor, **facts)
    made = await desk.rollout.finish(seen, active, reason=reason, by=actor)
    await desk.follower.look()
    return activation_json(made)


@router.post("/rollout/withdraw")
async def withdraw(request: Request, body: RolloutBody) -> dict[str, Any]:
    """Everybody is decided by the rules in force again, at once."""
    actor, desk = await _activator(request)
    seen, reason = await desk.rollout.to_withdraw(after=body.after, reason=body.reason, by=actor)
    await _record(request, Event.ROLLOUT_WITHDRAW, actor, rollout=seen.rollout, revision=seen.digest, reason=reason)
    made = await desk.rollout.withdraw(seen, reason=reason, by=actor)
    await desk.follower.look()
    return step_json(made)


async def _activator(request: Request) -> tuple[Actor, PolicyDesk]:
    return await require(request, Permission.POLICY_ACTIVATE), desk_of(request)


async def _tell(desk: PolicyDesk, what: str, actor: Actor, reason: str) -> None:
    if desk.follower.alarm is not None:
        await desk.follower.alarm.tell(what, by=actor.display_name, reason=reason)


async def _record(request: Request, event: Event, actor: Actor, **facts: str | int) -> None:
    """One person changes whom rules are in force for: on record first, then counted."""
    services = services_of(request)
    await services.record(event, actor, origin_of(request), content=facts)
    services.metrics.policy_single_acts.labels(event.value).inc()


async def _loudly(request: Request, event: Event, actor: Actor, **facts: str | int) -> None:
    """What no second person agreed to: where operators look, too."""
    await _record(request, event, actor, **facts)
    log.critical(event.value, extra={"fields": {"actor": actor.id, "before": facts["before"], "after": facts["after"]}})
