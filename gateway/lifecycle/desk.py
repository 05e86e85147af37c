"""What people do with rules, in one place: drafts, checks, proposals, rollback, break-glass.

Whoever calls records each step in the audit log before it is stored (`gateway/api/policies.py`): what comes back from
the methods that make something is not stored yet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from gateway.errors import InvalidRequest
from gateway.exchange import Actor
from gateway.identity.proposals import Proposal, Proposals
from gateway.lifecycle.approval import PolicyKind, fresh_second_factor
from gateway.lifecycle.checking import Checker, Report
from gateway.lifecycle.drafts import Draft, Drafts
from gateway.lifecycle.follower import Follower
from gateway.lifecycle.refusals import Conflict, DraftRefused
from gateway.lifecycle.store import Activation, Kind, Revision, RevisionStore
from gateway.storage.database import Database

MAX_REASON: Final = 500


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
    ) -> None:
        self._clock = clock
        self._proposals = proposals
        self.store: Final = store
        self.drafts: Final = Drafts(database, store, clock)
        self.checker: Final = checker
        self.follower: Final = follower
        self.break_glass_minutes: Final = break_glass_minutes
        self.kind: Final = PolicyKind(store, self.drafts, checker, clock)

    async def check(self, draft: Draft) -> Report:
        """The newest version's report; made now when there is none."""
        version = draft.version
        return await self.checker.known(version.digest) or await self.checker.check(await self.drafts.bundle(version))

    async def proposal(self, draft: Draft, *, version: int, note: str, by: Actor, impact: str | None) -> Proposal:
        """A proposal of version `version`, which must be the newest. Not stored yet. Raises Conflict, DraftRefused,
        InvalidRequest."""
        _must_be(draft, version)
        payload = self.kind.payload(draft, await self._report(draft), await self.store.in_force(), impact)
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
        reason = _reason(reason)
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
        reason = _reason(reason)
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


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not 10 <= len(text) <= MAX_REASON or not text.isprintable():
        raise InvalidRequest(f"Say why, in 10 to {MAX_REASON} characters: everybody will read it.", param="reason")
    return text
