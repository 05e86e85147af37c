"""What is left of long purged days may go too: on record, and every proof of what stays holds as before."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit import StoreError, Subject
from audit.export import Header, Selection, export_evidence
from audit.pruning import prune
from audit.store.moment import open_moment
from audit.tiles import TileTree
from audit.verify import Attack, verify_evidence, verify_store

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


async def pruned_log(open_log: Any, clock: Any, intent: Any, outcome: Any) -> tuple[Any, int, int]:
    """A log whose first day was pruned: what it is, where it begins, and the number of the record that says so."""
    await three_days(open_log, clock, intent, outcome)
    async with open_log() as log:
        receipt = await prune(log, date(2026, 11, 23), CLERK)
        assert receipt.record is not None
        return target_of(log), receipt.minimum_index, receipt.record.seq


def exported(target: Any, path: Path, *selection: Selection) -> list[bytes]:
    with path.open("w", encoding="utf-8", newline="") as file:
        export_evidence(target, file, *selection)
    return path.read_bytes().splitlines(keepends=True)


async def test_all_of_a_pruned_log_verifies_as_all_that_is_left(
    open_log: Any, clock: Any, intent: Any, outcome: Any, tmp_path: Path
) -> None:
    target, minimum, pruned_at = await pruned_log(open_log, clock, intent, outcome)
    path = tmp_path / "all.jsonl"
    header, *records = exported(target, path)
    report = verify_evidence(path, None)
    assert report.ok, report.findings
    assert (report.complete, report.first_record, report.records) == (True, minimum, len(records))
    assert report.covered_size == minimum + len(records)
    said = (
        f"records {minimum} to {report.covered_size - 1}; records 0 to {minimum - 1} were pruned, as record {pruned_at}"
    )
    assert [note for note in report.notes if note.startswith(f"{said} of 2026-12-24 says, under the checkpoint of")]
    for at in range(len(header)):  # of the first line, which tells what was before
        for bit in (1, 0x20):
            path.write_bytes(b"".join([header[:at] + bytes([header[at] ^ bit]) + header[at + 1 :], *records]))
            assert not verify_evidence(path, None).ok, (at, bit)


async def test_a_selection_of_a_pruned_log_verifies(
    open_log: Any, clock: Any, intent: Any, outcome: Any, tmp_path: Path
) -> None:
    target, minimum, _ = await pruned_log(open_log, clock, intent, outcome)
    header, *records = exported(target, tmp_path / "some.jsonl", Selection(last_day=date(2026, 11, 23)))
    report = verify_evidence(tmp_path / "some.jsonl", None)
    assert report.ok, report.findings
    assert Header.parse(header).first_record == 0
    assert 0 < report.records == len(records) < report.covered_size - minimum


async def test_no_more_is_taken_for_pruned_than_the_log_says(
    open_log: Any, clock: Any, intent: Any, outcome: Any, tmp_path: Path
) -> None:
    """Whoever leaves out the first record that is left can compute what is before the second."""
    target, minimum, pruned_at = await pruned_log(open_log, clock, intent, outcome)
    path = tmp_path / "all.jsonl"
    header, *records = exported(target, path)
    with open_moment(target) as moment:
        tree = TileTree(moment.tree.read_tile, moment.tree.size)
        before = tuple(tree.subtrees(minimum + 1))
    cut = replace(Header.parse(header), first_record=minimum + 1, before=before)
    path.write_bytes(b"".join([cut.line(), *records[1:]]))
    report = verify_evidence(path, None)
    assert [finding.attack for finding in report.findings] == [Attack.PRUNED_UNSEEN]
    # Nor is it enough to say nothing of what was before.
    path.write_bytes(b"".join([replace(Header.parse(header), first_record=0, before=()).line(), *records]))
    first = verify_evidence(path, None).first_bad
    assert first is not None
    assert (first.attack, first.seq, first.through) == (Attack.ROW_MISSING, 0, minimum - 1)
    assert pruned_at > minimum


async def test_evidence_from_before_the_pruning_still_verifies(
    open_log: Any, clock: Any, intent: Any, outcome: Any, tmp_path: Path
) -> None:
    await three_days(open_log, clock, intent, outcome)
    async with open_log() as log:
        target = target_of(log)
        out = io.StringIO(newline="")
        export_evidence(target, out)
        await prune(log, date(2026, 11, 23), CLERK)
    (tmp_path / "kept.jsonl").write_bytes(out.getvalue().encode())
    report = verify_evidence(tmp_path / "kept.jsonl", None)
    assert report.ok, report.findings
    assert report.first_record == 0
