"""Rules change while many ask: each decision is of one revision, and detectors change with the rules they belong to."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.exchange import Origin
from gateway.obedience import find
from gateway.policy import build_admin_input
from gateway.vocabulary import Permission
from tests.contract.lifecycle.staging import BREATH_SECONDS
from tests.support.policy import ALICE, image
from tests.support.rule_desk import LIMITS, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

ACCESS, IBAN = "gateway/access/access.rego", "dlp/iban.yaml"
OLD, NEW = "may not do this", "may not do this (marked)"


async def test_no_decision_mixes_two_revisions_and_detectors_go_with_their_rules(desk: RuleDesk) -> None:
    services, began = desk.services, (await desk.get("status"))["in_force"]["revision"]
    message = next(line for line in desk.text(ACCESS).split("\n") if line.startswith('\t"role.not-permitted"'))
    said = desk.text(ACCESS).split("\n")[desk.text(ACCESS).split("\n").index(message) + 1]
    marked = {
        # Three files of one revision, read by two engines: a mixture of any two shows.
        LIMITS: desk.text(LIMITS).replace("retention_days: 30", "retention_days: 29"),
        ACCESS: desk.text(ACCESS).replace(said, said.replace('",', ' (marked)",')),
        IBAN: desk.text(IBAN).replace("severity: critical", "severity: high"),
    }
    detectors = {began: services.screening.revision}
    changed = await desk.change(marked)
    detectors[changed] = services.screening.revision
    assert detectors[began] != detectors[changed]

    document = build_admin_input(
        request_id="r", now=services.clock(), actor=ALICE, action=Permission.AUDIT_SEARCH, origin=Origin(ip="10.1.2.3")
    )
    seen: Counter[tuple[str, bool, int | None]] = Counter()
    pairs: set[tuple[str, str]] = set()
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            decision = await services.policy.decide_admin(document)
            told = [reason.message for reason in decision.reasons if reason.code == "role.not-permitted"]
            is_marked = any(text.endswith("(marked)") for text in told)
            seen[decision.revision[-12:], is_marked, decision.obligations.retention_days] += 1
            pairs.add((services.policy.revision[-12:], services.screening.revision))
            await asyncio.sleep(BREATH_SECONDS)

    askers = [asyncio.create_task(ask()) for _ in range(20)]
    seconds = []
    try:
        for revision in (began, changed, began, changed, began):
            body = {"revision": revision, "reason": "there and back again"}
            await desk.post("rollback", body, by="bea", role="policy-approver")
            seconds.append(await desk.until(revision))
    finally:
        is_over.set()
        await asyncio.gather(*askers)
    print(f"\nfollowed within {max(seconds):.2f} s after the answer; {sum(seen.values())} decisions meanwhile")
    assert set(seen) == {(began[:12], False, 30), (changed[:12], True, 29)}
    assert pairs == {(digest[:12], detectors[digest]) for digest in detectors}


async def test_findings_and_the_decision_upon_them_are_of_one_revision(desk: RuleDesk) -> None:
    """Requests under way while rules are exchanged: what found a value and what decides on it go together."""
    services, began = desk.services, (await desk.get("status"))["in_force"]["revision"]
    changed = await desk.change(
        {
            LIMITS: desk.text(LIMITS).replace("retention_days: 30", "retention_days: 29"),
            IBAN: desk.text(IBAN).replace("severity: critical", "severity: high"),
        }
    )
    texts = {"prompt": "a poster with DE89 3704 0044 0532 0130 00 on it", "negative_prompt": "rain " * 500}
    seen: Counter[tuple[str, str]] = Counter()
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            findings = await find(services.screening, texts)
            decision = await services.policy.decide(image(ALICE, *findings))
            (iban,) = [finding for finding in findings if finding.type == "dlp.iban"]
            seen[decision.revision[-12:], iban.severity.value] += 1

    askers = [asyncio.create_task(ask()) for _ in range(8)]
    try:
        for revision in (began, changed, began, changed, began):
            body = {"revision": revision, "reason": "there and back again"}
            if revision != await now(desk):
                await desk.post("rollback", body, by="bea", role="policy-approver")
            await desk.until(revision)
            await asyncio.sleep(0.2)
    finally:
        is_over.set()
        await asyncio.gather(*askers)
    print(f"\n{sum(seen.values())} requests meanwhile")
    assert set(seen) == {(began[:12], "critical"), (changed[:12], "high")}


async def now(desk: RuleDesk) -> str:
    revision: str = (await desk.get("status"))["in_force"]["revision"]
    return revision
