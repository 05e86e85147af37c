"""A rollout that is under way, and who is decided by what."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from gateway.exchange import Actor, ActorId, Decision, Origin
from gateway.policy import build_admin_input
from gateway.vocabulary import Permission
from tests.support.policy import ALICE
from tests.support.rule_desk import LIMITS, RuleDesk

ACCESS = "gateway/access/access.rego"
PILOT = replace(ALICE, id=ActorId("idp|pilot"), groups=("pilots",))
PILOTS = {"groups": ["pilots"], "percent": 0, "steps": [25, 100]}
SECONDS = 20.0
"""A machine that runs other tests takes longer than a gateway's."""


BREATH_SECONDS = 0.02
"""Who asks meanwhile waits so long between two questions, as requests wait for other things. One that doesn't keeps the
interpreter's lock, and whatever works in threads then waits 5 ms for each step."""


def marked(desk: RuleDesk, days: int) -> dict[str, str | None]:
    """Rules whose mark every decision bears twice, out of two files: in `retention_days`, and in what it says."""
    lines = desk.text(ACCESS).split("\n")
    at = next(place for place, line in enumerate(lines) if line.startswith('\t"role.not-permitted"')) + 1
    lines[at] = lines[at].replace('",', f' (marked {days})",')
    return {
        LIMITS: desk.text(LIMITS).replace("retention_days: 30", f"retention_days: {days}"),
        ACCESS: "\n".join(lines),
    }


async def decided(desk: RuleDesk, actor: Actor = ALICE) -> Decision:
    document = build_admin_input(
        request_id="r",
        now=desk.services.clock(),
        actor=actor,
        action=Permission.AUDIT_SEARCH,
        origin=Origin(ip="10.1.2.3"),
    )
    decision: Decision = await desk.services.policy.decide_admin(document)
    return decision


def mark_of(decision: Decision) -> tuple[str, int | None, str]:
    """Revision, and the two marks. A mixture of two revisions shows."""
    told = next(reason.message for reason in decision.reasons if reason.code == "role.not-permitted")
    return decision.revision[-12:], decision.obligations.retention_days, told.partition("(marked ")[2].rstrip(")")


async def revision_for(desk: RuleDesk, actor: Actor) -> str:
    return (await decided(desk, actor)).revision[-12:]


async def until_decided_by(desk: RuleDesk, actor: Actor, revision: str) -> float:
    began = time.monotonic()
    while await revision_for(desk, actor) != revision[:12]:
        assert time.monotonic() - began < SECONDS, (await desk.get("rollout"))["here"]
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def in_force(desk: RuleDesk) -> str:
    revision: str = (await desk.get("status"))["in_force"]["revision"]
    return revision


async def start(desk: RuleDesk, days: int, stage: Any = None) -> tuple[str, Any]:
    """A rollout that runs here; its revision, and its line."""
    proposal = await desk.proposed(marked(desk, days), stage=stage or PILOTS)
    answer = await desk.decide(proposal)
    assert answer.status_code == 200, answer.text
    running = (await desk.get("rollout"))["running"]
    began = time.monotonic()
    while (await desk.get("rollout"))["here"]["step"] != running["number"]:
        assert time.monotonic() - began < SECONDS, (await desk.get("rollout"))["here"]
        await asyncio.sleep(0.02)
    return proposal["payload"]["revision"], running


async def act(desk: RuleDesk, what: str, **body: Any) -> Any:
    """Bea does something to the rollout that runs."""
    asked = {"reason": "because it went well", **body}
    return await desk.ask("POST", f"rollout/{what}", asked, by="bea", role="policy-approver")


async def withdraw(desk: RuleDesk) -> None:
    """Nothing is left behind for the next test."""
    running = (await desk.get("rollout"))["running"]
    if running is not None:
        assert (await act(desk, "withdraw", after=running["number"])).status_code == 200


async def go_back(desk: RuleDesk, revision: str) -> None:
    if await in_force(desk) != revision:
        body = {"revision": revision, "reason": "end of the test"}
        await desk.post("rollback", body, by="bea", role="policy-approver")
