"""What people do with rules, in one place: drafts, checks, proposals, rollback, break-glass.

Whoever calls records each step in the audit log before it is stored (`gateway/api/policies.py`): what comes back from
the methods that make something is not stored yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.identity.proposals import Proposal, Proposals
from gateway.lifecycle.approval import PolicyKind, check_stage, fresh_second_factor
from gateway.lifecycle.checking import Checker, Report
from gateway.lifecycle.drafts import Draft, Drafts
from gateway.lifecycle.follower import Follower
from gateway.lifecycle.impact import FindReplay, frozen
from gateway.lifecycle.reasons import reason_of
from gateway.lifecycle.refusals import Conflict, DraftRefused
from gateway.lifecycle.rollout_desk import RolloutDesk
from gateway.lifecycle.rollouts import RolloutStore, Stage, read_stage
from gateway.lifecycle.store import Activation, Kind, Revision, RevisionStore
from gateway.storage.database import Database

NO_STAGES: Final = (
    "The rules here are decided by an OPA server, which has one set of rules for everybody: leave the stage out."
)


class PolicyDesk:
    """One for the process."""

    def __init__(
        self,
        *,
        database: Database,
        store: RevisionStore,
        checker: Checker,
        follower: Follower,
        proposals: Proposals,
        clock: Callable[[], datetime],
        break_glass_minutes: int,
        rollouts: RolloutStore,
        find_replay: FindReplay,
        require_replay: bool = False,
    ) -> None:
        self._clock = clock
        self._find_replay = find_replay
        self._require_replay = require_replay
        self._proposals = proposals
        self.store: Final = store
        self.drafts: Final = Drafts(database, store, clock)
        self.checker: Final = checker
        self.follower: Final = follower
        self.break_glass_minutes: Final = break_glass_minutes
        self.kind: Final = PolicyKind(store, self.drafts, checker, rollouts, clock)
        self.rollout: Final = RolloutDesk(store, rollouts, self.drafts, proposals, clock)

    async def check(self, draft: Draft) -> Report:
        """The newest version's report; made now when there is none."""
        version = draft.version
        return await self.checker.known(version.digest) or await self.checker.check(await self.drafts.bundle(version))

    async def proposal(
        self,
        draft: Draft,
        *,
        version: int,
        note: str,
        by: Actor,
        impact: str | None,
        stage: Mapping[str, Any] | None = None,
    ) -> Proposal:
        """A proposal of version `version`, which must be the newest; `impact` is the id of a replay of it, `stage` whom
        it is for at first. Not stored yet. Raises Conflict, DraftRefused, InvalidRequest, NotFound."""
        _must_be(draft, version)
        report, active = await self._report(draft), await self.store.in_force()
        staged = None if stage is None else await self._stage(draft, stage)
        payload = self.kind.payload(draft, report, active, await self._impact(draft, impact), staged)
        return self._proposals.draft(self.kind.name, payload, note=note, by=by.id)

    async def keep_proposed(self, draft: Draft, proposal: Proposal) -> None:
        """Store the revision that is proposed, so that exactly it can be agreed to. Durable when it returns."""
        bundle = await self.drafts.bundle(draft.version)
        async with self.store.transaction() as tx:
            await self.store.add(
                tx, bundle, parent=draft.version.base, author=proposal.proposed_by, message=proposal.note
            )
            await self.drafts.set_state(tx, draft.id, "proposed")

    async def to_roll_back(self, text: str, reason: str, by: Actor) -> tuple[Revision, Activation, str]:
        """The revision that can come into force again, what is in force, the reason. Raises InvalidRequest, NotFound,
        StepUpRequired."""
        fresh_second_factor(by, self._clock())
        reason = reason_of(reason)
        revision, active = await self.store.find(text), await self.store.in_force()
        if not revision.is_approved:
            raise InvalidRequest(
                "Nobody agreed to that revision: it was proposed or broken in, and is no place to go back to.",
                param="revision",
            )
        if revision.digest == active.digest:
            raise InvalidRequest("That revision is in force already.", param="revision")
        return revision, active, reason

    async def roll_back(self, revision: Revision, active: Activation, reason: str, by: Actor) -> Activation:
        """Put it in force. Durable when it returns. Raises Conflict."""
        async with self.store.transaction() as tx:
            return await self.store.activate(
                tx, revision.digest, after=active.number, kind=Kind.ROLLBACK, actor=by.id, reason=reason
            )

    async def to_break_glass(
        self, draft: Draft, *, version: int, minutes: int, reason: str, by: Actor
    ) -> tuple[Activation, str]:
        """What is in force, and the reason. Raises Conflict, DraftRefused, InvalidRequest, StepUpRequired."""
        fresh_second_factor(by, self._clock())
        reason = reason_of(reason)
        _must_be(draft, version)
        if not 1 <= minutes <= self.break_glass_minutes:
            raise InvalidRequest(f"Between 1 and {self.break_glass_minutes} minutes.", param="minutes")
        active = await self.store.in_force()
        if active.expires_at is not None:
            raise Conflict("A break-glass edit is in force already. It ends by itself, or by a rollback.")
        report = await self._report(draft)
        if not report.passed:
            raise DraftRefused(report.problems, param="draft")
        if draft.version.base != active.digest:
            raise Conflict("The draft is not upon the rules in force: rebase it first.")
        if draft.version.digest == active.digest:
            raise InvalidRequest("These are the rules in force: nothing would change.", param="draft")
        return active, reason

    async def break_glass(
        self, draft: Draft, active: Activation, *, minutes: int, reason: str, by: Actor
    ) -> Activation:
        """Put a draft in force for a while, by one person. Durable when it returns. Raises Conflict."""
        bundle = await self.drafts.bundle(draft.version)
        async with self.store.transaction() as tx:
            await self.store.add(tx, bundle, parent=draft.version.base, author=by.id, message=reason)
            return await self.store.activate(
                tx,
                bundle.digest,
                after=active.number,
                kind=Kind.BREAK_GLASS,
                actor=by.id,
                reason=reason,
                expires_at=self._clock() + timedelta(minutes=minutes),
                returns_to=active.digest,
            )

    async def _impact(self, draft: Draft, replay: str | None) -> dict[str, Any] | None:
        if replay is None:
            if self._require_replay:
                raise InvalidRequest(
                    "A proposal needs an impact report here (policy.require_replay). Replay the draft, then name the "
                    "replay.",
                    param="impact",
                )
            return None
        return frozen(await self._find_replay(replay), digest=draft.version.digest, base=draft.version.base)

    async def _stage(self, draft: Draft, asked: Mapping[str, Any]) -> Stage:
        if self.follower.stages is None:
            raise InvalidRequest(NO_STAGES, param="stage")
        stage = read_stage(asked)
        await check_stage(self.drafts, draft)
        return stage

    async def _report(self, draft: Draft) -> Report:
        report = await self.checker.known(draft.version.digest)
        if report is None:
            raise InvalidRequest("This version was not checked yet. Check it, then propose it.", param="draft")
        return report


def _must_be(draft: Draft, version: int) -> None:
    if draft.state == "closed":
        raise InvalidRequest("This draft is closed. Open another.", param="draft")
    if draft.version.number != version:
        raise Conflict(
            f"The draft is at version {draft.version.number}, not {version}. Load it again.", param="version"
        )
