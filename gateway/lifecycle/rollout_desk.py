"""What one person does with a rollout that two agreed to: widen it within what was approved, finish it, take it back.

As in `desk`: whoever calls records each act before it is stored. `to_…` says whether it can be done, and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.errors import InvalidRequest, NotFound
from gateway.exchange import Actor
from gateway.identity.proposals import Proposals
from gateway.lifecycle.approval import fresh_second_factor
from gateway.lifecycle.drafts import Drafts
from gateway.lifecycle.reasons import reason_of
from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.rollouts import MOVED, RolloutStore, Step, StepKind
from gateway.lifecycle.store import Activation, Kind, RevisionStore


class RolloutDesk:
    """One for the process."""

    def __init__(
        self,
        store: RevisionStore,
        rollouts: RolloutStore,
        drafts: Drafts,
        proposals: Proposals,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._rollouts = rollouts
        self._drafts = drafts
        self._proposals = proposals
        self._clock = clock

    async def running(self) -> Step | None:
        """The rollout that runs, if one does."""
        return await self._rollouts.running(await self._store.active())

    async def history(self, limit: int = 100) -> list[Step]:
        """What was done to rollouts, the newest first."""
        return list(await self._rollouts.history(limit))

    async def to_widen(self, percent: float, *, after: int, reason: str, by: Actor) -> tuple[Step, str]:
        """The line it follows, and the reason. Raises Conflict, InvalidRequest, NotFound, StepUpRequired."""
        seen, _, reason = await self._seen(after, reason, by)
        if percent <= seen.stage.percent:
            raise InvalidRequest(
                f"The rollout is at {seen.stage.percent:g} %: give a greater share, or withdraw it.", param="percent"
            )
        if percent not in seen.stage.steps:
            approved = ", ".join(f"{share:g}" for share in seen.stage.steps if share > seen.stage.percent) or "none"
            raise InvalidRequest(
                f"{percent:g} % was not approved. Approved shares are: {approved}. For another, propose it again.",
                param="percent",
            )
        if percent == 100:
            raise InvalidRequest("100 % is everybody: finish the rollout.", param="percent")
        return seen, reason

    async def widen(self, seen: Step, percent: float, *, reason: str, by: Actor) -> Step:
        """Durable when it returns. Raises Conflict."""
        return await self._write(seen, StepKind.WIDEN, reason, by, percent=percent)

    async def to_finish(self, *, after: int, reason: str, by: Actor) -> tuple[Step, Activation, str]:
        """The line it follows, what is in force, the reason. Raises as `to_widen`."""
        seen, active, reason = await self._seen(after, reason, by)
        if not seen.stage.may_finish:
            raise InvalidRequest(
                "It was not approved that one person puts this in force for everybody. Propose the draft again, "
                "without a stage."
            )
        return seen, active, reason

    async def finish(self, seen: Step, active: Activation, *, reason: str, by: Actor) -> Activation:
        """In force for everybody, in one transaction with the end of the rollout. Durable when it returns. Raises
        Conflict."""
        draft = (await self._proposals.find(seen.proposal)).payload["draft"]
        async with self._rollouts.transaction() as tx:
            await self._store.approve(tx, seen.digest, by=seen.approved_by)
            made = await self._store.activate(
                tx,
                seen.digest,
                after=active.number,
                kind=Kind.ROLLOUT,
                actor=by.id,
                reason=reason,
                proposal=seen.proposal,
            )
            await self._rollouts.follow_with(
                tx, seen, StepKind.FINISH, actor=by.id, reason=reason, activation=made.number
            )
            await self._drafts.set_state(tx, draft, "closed")
        return made

    async def to_withdraw(self, *, after: int, reason: str, by: Actor) -> tuple[Step, str]:
        """The line it follows, and the reason. Raises as `to_widen`."""
        seen, _, reason = await self._seen(after, reason, by)
        return seen, reason

    async def withdraw(self, seen: Step, *, reason: str, by: Actor) -> Step:
        """Everybody is decided by the rules in force again. Durable when it returns. Raises Conflict."""
        return await self._write(seen, StepKind.WITHDRAW, reason, by)

    async def _seen(self, after: int, reason: str, by: Actor) -> tuple[Step, Activation, str]:
        fresh_second_factor(by, self._clock())
        reason = reason_of(reason)
        active = await self._store.in_force()
        running = await self._rollouts.running(active)
        if running is None:
            raise NotFound("No rules are being rolled out.")
        if running.number != after:
            raise Conflict(MOVED, param="after")
        return running, active, reason

    async def _write(self, seen: Step, kind: StepKind, reason: str, by: Actor, *, percent: float | None = None) -> Step:
        async with self._rollouts.transaction() as tx:
            active = await self._store.active(tx)
            if active is None or not seen.is_beside(active):
                raise Conflict(MOVED)
            return await self._rollouts.follow_with(tx, seen, kind, actor=by.id, reason=reason, percent=percent)
