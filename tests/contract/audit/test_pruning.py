"""What is left of long purged days may go too: on record, and every proof of what stays holds as before."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from audit import StoreError, Subject
from audit.pruning import prune
from audit.verify import Attack, verify_store

CLERK = Subject(actor="operator")


def target_of(log: Any) -> Any:
    settings = log._settings
    return settings.database_url.get_secret_value() if settings.database_url else settings.directory


async def three_days(open_log: Any, clock: Any, intent: Any, outcome: Any) -> list[str]:
    """Requests on three days, one of them concluded after midnight; the first two days are purged."""
    ids = []
    async with open_log() as log:
        for _day in range(3):
            for _ in range(3):
                ticket = await log.intend(intent())
                await log.conclude(ticket, outcome())
                ids.append(ticket.event_id)
            late = await log.intend(intent("late"))
            clock.forward(days=1)
            await log.conclude(late, outcome("late"))
            ids.append(late.event_id)
        clock.forward(days=29)
        await log.purge()
    return ids


async def test_a_pruned_log_verifies_and_proves_what_is_left(
    open_log: Any, clock: Any, intent: Any, outcome: Any
) -> None:
    ids = await three_days(open_log, clock, intent, outcome)
    async with open_log() as log:
        old = log.store.latest[0]
        receipt = await prune(log, date(2026, 11, 23), CLERK)
        assert receipt.record is not None
        assert receipt.days == (date(2026, 11, 22),)
        assert receipt.minimum_index > 5
        assert all(proof.verify(log.verifier_key) for proof in await log.proof(ids[-1]))
        # Consistency with a checkpoint from before the pruning still holds.
        new = log.store.latest[0]
        assert log.store.prove_consistency(old.size, new.size) is not None
        assert (await prune(log, date(2026, 11, 23), CLERK)).record is None
        target = target_of(log)
    async with open_log() as log:  # it goes on
        await log.intend(intent())
    report = verify_store(target, None, None)
    assert report.ok, report.findings
    assert report.first_record == receipt.minimum_index


async def test_a_day_that_still_holds_content_is_not_pruned(
    open_log: Any, clock: Any, intent: Any, outcome: Any
) -> None:
    await three_days(open_log, clock, intent, outcome)
    async with open_log() as log:
        with pytest.raises(StoreError, match="2026-11-24 still holds"):
            await prune(log, date(2026, 11, 25), CLERK)


async def test_pruning_without_its_record_is_found(open_log: Any, clock: Any, intent: Any, outcome: Any) -> None:
    await three_days(open_log, clock, intent, outcome)
    async with open_log() as log:
        target, minimum = target_of(log), log.store.first_seq(date(2026, 11, 23))
        log.store.prune(minimum)
    report = verify_store(target, None, None)
    assert report.first_bad is not None
    assert Attack.ROW_MISSING in {finding.attack for finding in report.findings}
