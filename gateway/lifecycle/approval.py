"""The proposal that puts rules in force: what it says, who may be the second person, what an approval does.

The second person agrees to one digest over the proposal, and the proposal names one digest over all files: nothing that
was not shown can come into force by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Denied, InvalidRequest, StepUpRequired
from gateway.exchange import Actor, Reason, StepUp
from gateway.identity.proposal_kinds import Wording
from gateway.identity.proposals import Proposal
from gateway.lifecycle import impact
from gateway.lifecycle.checking import Checker, Report
from gateway.lifecycle.content import Difference, difference
from gateway.lifecycle.drafts import Draft, Drafts
from gateway.lifecycle.refusals import Conflict, DraftRefused
from gateway.lifecycle.rollouts import EVERYBODY, OTHER_RUNS, RolloutStore, Stage, not_by_person, read_stage
from gateway.lifecycle.store import MOVED, Activation, Kind, RevisionStore
from gateway.policy.bundle import Problem
from gateway.vocabulary import Code, Event, Permission, Severity

READ_CHANGE: Final = "Read the change"
"""The line that names where the change is to be read."""
MFA_SECONDS: Final = 300
"""How old the second factor of whoever puts rules in force may be. The rules ask for it too; here it stands where a
change of the rules can't take it away."""
NAMED: Final = 30
NOT_STAGED: Final = (
    "is read before or after a decision, for everybody alike: it can't be otherwise for some people. Take it out of "
    "the draft, or propose it for everybody"
)


class PolicyKind:
    """`policy-change`: payload names draft, version, the revision it makes, the one it is upon, what checks found."""

    name = "policy-change"
    to_propose = Permission.POLICY_READ
    """Who reads rules sees what is proposed. Proposing takes `policy:write`: the route asks for that."""
    to_approve = Permission.POLICY_APPROVE

    def __init__(
        self,
        store: RevisionStore,
        drafts: Drafts,
        checker: Checker,
        rollouts: RolloutStore,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._drafts = drafts
        self._checker = checker
        self._rollouts = rollouts
        self._clock = clock

    def event(self, payload: Mapping[str, Any]) -> Event | None:
        return Event.POLICY_APPROVE if _stage(payload) is None else Event.ROLLOUT_START

    def payload(
        self,
        draft: Draft,
        report: Report,
        active: Activation,
        impact: dict[str, Any] | None,
        stage: Stage | None = None,
    ) -> dict[str, Any]:
        """What is proposed; for some people first where there is a `stage`. Raises Conflict, DraftRefused,
        InvalidRequest when it can't be."""
        version = draft.version
        if version.base != active.standing:
            raise Conflict(f"The draft is upon {version.base[:12]}, in force is {active.standing[:12]}: rebase it.")
        if version.digest == active.standing:
            raise InvalidRequest("These are the rules in force: nothing would change.", param="draft")
        if not report.passed:
            raise DraftRefused(report.problems, param="draft")
        return {
            "draft": draft.id,
            "title": draft.title,
            "version": version.number,
            "revision": version.digest,
            "base": version.base,
            "files": len(version.changes),
            "check": {
                "tests": report.tests,
                "coverage": report.coverage,
                "floor": report.floor,
                "warnings": len(report.warnings),
                "detectors": report.detectors,
            },
            "impact": impact,
            "stage": None if stage is None else stage.as_json(),
        }

    async def describe(self, payload: Mapping[str, Any]) -> Wording:
        draft = await self._drafts.get(payload["draft"])
        version = await self._drafts.version(draft.id, payload["version"])
        changed = difference(await self._drafts.base_files(version), (await self._drafts.bundle(version)).files)
        check = payload["check"]
        savers = sorted(await self._drafts.savers(draft.id))
        stage = _stage(payload)
        lines = [
            ("Revision", payload["revision"]),
            ("Upon", payload["base"]),
            *_staged_lines(stage),
            *((f"{one.status.capitalize()} file", _line(one)) for one in changed[:NAMED]),
            *((("And", f"{len(changed) - NAMED} more files"),) if len(changed) > NAMED else ()),
            ("Written by", ", ".join(savers)),
            ("Tests", f"{check['tests']} pass"),
            ("Lines that tests run", f"{check['coverage']:.1%}, at least {check['floor']:.0%} are asked for"),
            ("Lint", f"{check['warnings']} warnings, nothing to mend"),
            ("Detectors", f"{check['detectors']} pass their own tests"),
            *impact.lines_of(_impact(payload), self._clock()),
            (READ_CHANGE, f"/v1/policy/drafts/{draft.id}/diff?version={version.number}"),
        ]
        warnings = [why for why in [await self._hindrance(draft, payload)] if why]
        warnings += impact.warnings_of(_impact(payload))
        if any("/config/roles/" in f"/{one.path}" or "/admin/" in f"/{one.path}" for one in changed):
            warnings.append("This changes who may do what here, or how that is decided.")
        running = await self._rollouts.running(await self._store.active())
        if running is not None and running.digest != payload["revision"] and stage is None:
            warnings.append(f"{running.digest[:12]} is being rolled out. That ends when these rules come into force.")
        gone = [one.path for one in changed if one.status == "removed"]
        if gone:
            warnings.append(f"Files go: {', '.join(gone[:NAMED])}.")
        return Wording(title=f"Change the rules: {payload['title']}", lines=tuple(lines), warnings=tuple(warnings))

    async def check(self, proposal: Proposal, by: Actor) -> None:
        fresh_second_factor(by, self._clock())
        draft = await self._drafts.get(proposal.payload["draft"])
        await self._not_their_own(draft, proposal, by)
        why = await self._hindrance(draft, proposal.payload)
        if why:
            raise Conflict(why)
        report = await self._checker.known(proposal.payload["revision"])
        if report is None or not report.passed:
            raise InvalidRequest("What is proposed has not passed the checks of this gateway. Check it again.")

    async def carry_out(self, tx: AsyncConnection, proposal: Proposal, by: Actor) -> None:
        payload = proposal.payload
        active = await self._store.active(tx)
        if active is None or active.standing != payload["base"]:
            raise Conflict(MOVED)
        stage = _stage(payload)
        if stage is not None:
            # Not approved for everybody: else a rollback, which takes one person, could put it in force for all. The
            # draft stays, so that a greater stage of it can be proposed.
            await self._rollouts.start(
                tx,
                active=active,
                digest=payload["revision"],
                stage=stage,
                proposal=proposal.id,
                approved_by=by.id,
                reason=proposal.note,
            )
            await self._drafts.set_state(tx, payload["draft"], "open")  # it waits for nobody any more
            return
        await self._store.approve(tx, payload["revision"], by=by.id)
        await self._store.activate(
            tx,
            payload["revision"],
            after=active.number,
            kind=Kind.APPROVAL,
            actor=by.id,
            reason=proposal.note,
            proposal=proposal.id,
        )
        await self._drafts.set_state(tx, payload["draft"], "closed")

    async def _not_their_own(self, draft: Draft, proposal: Proposal, by: Actor) -> None:
        """Whoever had a hand in the text is no second person for it, whoever proposed it."""
        revision = await self._store.get(proposal.payload["revision"])
        hands = {*await self._drafts.savers(draft.id), draft.opened_by, revision.author, proposal.proposed_by}
        if by.id in hands:
            message = "You had a hand in this change, so somebody else has to agree to it."
            raise Denied(
                message, reasons=[Reason(code=Code.SUBJECT_OWN_PROPOSAL, message=message, severity=Severity.LOW)]
            )

    async def _hindrance(self, draft: Draft, payload: Mapping[str, Any]) -> str:
        """Why it can't be carried out any more; empty when it can."""
        active = await self._store.active()
        if active is None or active.standing != payload["base"]:
            return "Other rules are in force than this change was made upon. It has to be rebased and proposed again."
        if draft.version.number != payload["version"] or draft.version.digest != payload["revision"]:
            return "The draft was changed after this was proposed. It has to be proposed again."
        if draft.state == "closed":
            return "The draft was closed after this was proposed."
        if _stage(payload) is not None:
            if active.expires_at is not None:
                return "A break-glass edit is in force. A rollout can begin when that is over."
            running = await self._rollouts.running(active)
            if running is not None and running.digest != payload["revision"]:
                return OTHER_RUNS
        return ""


def fresh_second_factor(by: Actor, now: datetime) -> None:
    """Raises StepUpRequired when the second factor is missing or too old to put rules in force."""
    age_seconds = by.mfa.age_seconds(now)
    if age_seconds is None or age_seconds > MFA_SECONDS:
        message = "Putting rules in force takes a second factor of the last five minutes. Sign in again with it."
        raise StepUpRequired(
            message,
            step_up=StepUp(max_age_seconds=MFA_SECONDS),
            reasons=[Reason(code=Code.MFA_STALE, message=message, severity=Severity.LOW)],
        )


async def check_stage(drafts: Drafts, draft: Draft) -> None:
    """Can the newest version be for some people only? Raises DraftRefused, which names the files that forbid it."""
    version = draft.version
    found = not_by_person(await drafts.base_files(version), (await drafts.bundle(version)).files)
    if found:
        raise DraftRefused([Problem(path, 0, 0, NOT_STAGED) for path in found], param="stage")


def _stage(payload: Mapping[str, Any]) -> Stage | None:
    asked = payload.get("stage")
    return None if asked is None else read_stage(asked)


def _impact(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    # Proposals of older versions hold a name that nobody looked up: that is no report.
    found = payload["impact"]
    return found if isinstance(found, Mapping) else None


def _staged_lines(stage: Stage | None) -> list[tuple[str, str]]:
    if stage is None:
        return [("For", "everybody, at once")]
    shares = ", ".join("everybody" if share == EVERYBODY else f"{share:g} %" for share in stage.steps)
    more = f"to {shares}" if shares else "not at all: that takes another proposal"
    return [("For", f"{stage.in_words()}, at first"), ("One person may widen it", more)]


def _line(one: Difference) -> str:
    return f"{one.path} (+{one.added} −{one.removed})"
