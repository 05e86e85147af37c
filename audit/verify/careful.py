"""The careful pass: every record in turn, in one piece, to say what was done to which."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from audit.record import Phase
from audit.row import Row
from audit.store.moment import MomentPort
from audit.verify.gone import Gone
from audit.verify.heads import HeadChecker
from audit.verify.index import IndexChecker
from audit.verify.records import EventChecker, LeafIndex, RecordChecker, event_id_of, is_stripped
from audit.verify.report import Attack, Report
from audit.verify.trust import Progress


def careful_pass(moment: MomentPort, report: Report, heads: HeadChecker, leaves: LeafIndex, progress: Progress) -> Gone:
    """Report whatever is wrong with the records; returns what is missing and what the log says of it.

    Raises ``sqlite3.DatabaseError`` or ``StoreDamaged`` for a day that cannot be read to its end.
    """
    days = [reader.day.isoformat() for reader in moment.days]
    indexes = {day: IndexChecker(report, reader) for day, reader in zip(days, moment.days, strict=True)}
    for index in indexes.values():
        index.check_structure()
    events = {day: EventChecker(report) for day in days}
    records = RecordChecker(report, leaves)
    gone = Gone()
    total = moment.count()
    expected = 0
    missing: list[tuple[int, int]] = []  # before the first record that is there
    for file_day, row, following in _with_following(moment):
        if row.seq > expected:
            if expected >= moment.tree.size and moment.is_live:
                break  # written while we looked
            if report.records:
                report.add(
                    Attack.ROW_MISSING,
                    f"records {expected} to {row.seq - 1} are gone",
                    seq=expected,
                    through=row.seq - 1,
                )
            else:
                missing.append((expected, row.seq))
        if row.seq < expected:
            report.add(
                Attack.REPLAYED, f"record number {row.seq} is used twice", seq=row.seq, event_id=event_id_of(row)
            )
            continue
        expected = row.seq + 1
        report.records += 1
        try:
            leaf = records.check(row, following, is_purged=is_stripped(row))
            if row.day != file_day:
                report.add(Attack.ENVELOPE_CHANGED, f"a record of {row.day} is in the file of {file_day}", seq=row.seq)
            if row.phase != Phase.OUTCOME or row.head_seq >= moment.tree.minimum_index:
                events[file_day].check(row)
                indexes[file_day].check(row)  # else its intent was pruned, and their entries in the search tables
        except (TypeError, AttributeError, OverflowError, ValueError):
            report.add(Attack.ENVELOPE_CHANGED, "it holds a value of a type that no record has", seq=row.seq)
            continue
        if row.seq >= heads.size:
            heads.append(leaf)
        gone.note(row, is_in_tree=leaf == leaves.leaf(row.seq))
        if report.records % 1000 == 0:
            progress(report.records, total)
    if expected < moment.tree.size:
        report.add(
            Attack.TRUNCATED,
            f"{Attack.TRUNCATED.value} {moment.tree.size}: the day files end at record {expected - 1}",
            seq=expected,
            through=moment.tree.size - 1,
        )
    for index in indexes.values():
        index.finish()
    _judge_beginning(moment, report, gone, missing)
    return gone


def _judge_beginning(moment: MomentPort, report: Report, gone: Gone, missing: list[tuple[int, int]]) -> None:
    """Records before the first are gone on record, or gone."""
    for first, end in missing:
        if end > gone.pruned_to:
            first = max(first, gone.pruned_to)
            which = f"record {first} is" if end == first + 1 else f"records {first} to {end - 1} are"
            report.add(Attack.ROW_MISSING, f"{which} gone", seq=first, through=end - 1)


def _with_following(moment: MomentPort) -> Iterator[tuple[str, Row, Row | None]]:
    """Each record with the day of its file and the record after it."""

    def tagged(day: str, rows: Iterator[Row]) -> Iterator[tuple[str, Row]]:
        for row in rows:
            yield day, row

    merged = heapq.merge(
        *(tagged(reader.day.isoformat(), reader.rows()) for reader in moment.days), key=lambda pair: pair[1].seq
    )
    held = next(merged, None)
    while held is not None:
        following = next(merged, None)
        yield held[0], held[1], following[1] if following else None
        held = following
