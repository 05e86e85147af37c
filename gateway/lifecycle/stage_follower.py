"""This process follows the rollout that runs, as `follower` follows what is in force.

The candidate is tried out here as every revision is, and stands beside the rules in force until the list says
otherwise. When others come into force it goes before they come: nobody is decided by a candidate that was approved
beside rules which are no longer there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from gateway.lifecycle.lagging import Lagging
from gateway.lifecycle.refusals import Conflict
from gateway.lifecycle.rollouts import RolloutStore, Step, StepKind
from gateway.lifecycle.staged import Staged
from gateway.lifecycle.store import Activation, RevisionStore
from gateway.policy.bundle import REVISION_CHARS, Bundle, BundleRefused, Rules
from gateway.policy.engine import EngineFailed

log = logging.getLogger(__name__)

ACTOR: Final = "system:policy"

NoteEnd = Callable[[Step, str], Awaitable[None]]
"""Records that other rules ended a rollout: its last line, and why. Durable when it returns."""
TryOut = Callable[[Bundle], Awaitable[Rules]]


class StageFollower(Lagging):
    """Keeps this process on the rollout that runs."""

    def __init__(
        self,
        store: RevisionStore,
        rollouts: RolloutStore,
        staged: Staged,
        *,
        try_out: TryOut,
        note_end: NoteEnd,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(clock)
        self._store = store
        self._rollouts = rollouts
        self._staged = staged
        self._try_out = try_out
        self._note_end = note_end
        self._rules: Rules | None = None  # those of `step`: a wider audience needs no other trial
        self.step: Step | None = None
        """What this process carries out: the line of the rollout by which it decides for some; None when for nobody."""

    async def make_way(self, active: Activation) -> None:
        """Before others come into force. A candidate that comes into force for everybody stays until they are there:
        its people don't go back to the old rules for a moment."""
        if self.step is not None and self.step.activation != active.number and self.step.digest != active.digest:
            await self._withdraw()

    async def follow(self, active: Activation) -> None:
        """When this process runs what is in force. Raises what the database and the log raise."""
        last = await self._rollouts.last()
        if last is not None and last.activation > active.number:
            return  # `active` was read before that: the next look sees both
        if last is None or not last.is_beside(active):
            await self._withdraw()
            self._catch_up()
            if last is not None and last.goes_on:
                await self._end(last, active)
        elif self._is_new(last) and self._may_try(last.number):
            await self._offer(last)

    def _is_new(self, last: Step) -> bool:
        return self.step is None or self.step.number != last.number

    async def _offer(self, step: Step) -> None:
        self._fall_behind()
        try:
            if self.step is not None and self.step.digest != step.digest:
                await self._withdraw()
            rules = self._rules or await self._try_out(await self._store.bundle(step.digest))
            await self._staged.offer(rules, step.audience)
        except (BundleRefused, EngineFailed, ValueError) as error:
            self._stay(step.number, str(error))
            log.error(
                "policy.rollout.behind",
                extra={"fields": {"revision": step.digest[:REVISION_CHARS], "cause": self.error}},
            )
            return
        self.step, self._rules = step, rules
        self._catch_up()
        log.info(
            "policy.rollout.followed",
            extra={"fields": {"revision": step.digest[:REVISION_CHARS], "percent": step.stage.percent}},
        )

    async def _withdraw(self) -> None:
        self.step = self._rules = None
        await self._staged.withdraw()

    async def _end(self, last: Step, active: Activation) -> None:
        """Say in the list that it is over. Every process tries; the list takes one."""
        reason = (
            f"the same rules came into force for everybody ({active.kind})"
            if active.digest == last.digest
            else f"other rules came into force ({active.kind})"
        )
        await self._note_end(last, reason)
        with suppress(Conflict):
            async with self._rollouts.transaction() as tx:
                await self._rollouts.follow_with(
                    tx, last, StepKind.END, actor=ACTOR, reason=reason, activation=active.number
                )
