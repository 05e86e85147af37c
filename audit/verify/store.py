"""Verifying a store directory, also beside a live writer."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from audit.checkpoint import Checkpoint
from audit.errors import StoreDamaged
from audit.note import NoteRefused, VerifierKey
from audit.record import Phase
from audit.row import Row
from audit.store.files.layout import Layout
from audit.store.files.moment import Moment
from audit.tiles import TILE_BYTES, TILE_WIDTH, fold, split_hashes
from audit.tree import HASH_BYTES
from audit.verify.heads import HeadChecker
from audit.verify.index import IndexChecker
from audit.verify.records import EventChecker, LeafIndex, RecordChecker, event_id_of, is_stripped
from audit.verify.report import Attack, Report
from audit.witness import read_witness

Progress = Callable[[int, int], None]  # records done, records in all


def verify_store(
    directory: Path, key: VerifierKey | None, witness: Path | None, progress: Progress = lambda _done, _all: None
) -> Report:
    """Check everything in a store. Without a key the store's own is used: that finds accidents and careless hands, not
    somebody who replaced the key as well. Raises ``StoreDamaged`` if the directory is no store at all."""
    report = Report(subject=str(directory), vkey_was_given=key is not None)
    with Moment(Layout(directory)) as moment:
        key = key or moment.identity.verifier_key
        report.origin, report.vkey = key.name, str(key)
        if moment.identity.verifier_key != key:
            report.add(Attack.CHECKPOINT_FORGED, "the store names another key or origin than the one that was given")
        for name, reason in moment.unreadable.items():
            report.add(Attack.UNREADABLE, f"{name}: {reason}")
        leaves = _stored_leaves(moment, report)
        own = [checkpoint for checkpoint, _ in moment.tree.checkpoints(key.name)]
        heads = HeadChecker(report, key, own, _witnessed(witness, key, report))
        for leaf in leaves:
            heads.append(leaf)
        _check_upper_tiles(moment, report)
        try:
            _check_rows(moment, report, heads, LeafIndex(leaves), progress)
        except sqlite3.DatabaseError as error:
            report.add(Attack.UNREADABLE, f"a day file is corrupt: {error}")
        heads.finish()
        report.uncovered = max(0, heads.size - report.covered_size)
        if moment.is_live:
            report.notes.append("another process is writing this store; its last second is not covered yet")
    return report


def _witnessed(path: Path | None, key: VerifierKey, report: Report) -> list[Checkpoint]:
    if path is None:
        return []
    found: list[Checkpoint] = []
    try:
        found.extend(read_witness(path, key))
    except NoteRefused as error:
        report.add(Attack.CHECKPOINT_FORGED, f"witness {path}: {error}")
    except OSError as error:
        raise StoreDamaged(f"witness {path} cannot be read: {error.strerror}") from error
    return found


def _stored_leaves(moment: Moment, report: Report) -> list[bytes]:
    """Leaf hashes as the tiles hold them: checked against signed roots next, so they can tell which record lies."""
    leaves: list[bytes] = []
    for position in range(-(-moment.tree.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, moment.tree.size - position * TILE_WIDTH)
        try:
            tile = moment.tree.read_tile(0, position)
        except StoreDamaged:
            tile = b""
        if len(tile) < width * HASH_BYTES:
            report.add(Attack.TREE_CHANGED, f"tile 0/{position} is missing or cut short", seq=position * TILE_WIDTH)
            break
        leaves += split_hashes(tile[: width * HASH_BYTES])
    return leaves


def _check_upper_tiles(moment: Moment, report: Report) -> None:
    """Each hash above level 0 is the root of the full tile below it."""
    level, count = 1, moment.tree.size // TILE_WIDTH
    while count:
        for index in range(count):
            try:
                tile = moment.tree.read_tile(level, index // TILE_WIDTH)
                below = moment.tree.read_tile(level - 1, index)
            except StoreDamaged as error:
                report.add(Attack.TREE_CHANGED, str(error))
                return
            at = index % TILE_WIDTH * HASH_BYTES
            if len(below) != TILE_BYTES or tile[at : at + HASH_BYTES] != fold(split_hashes(below)):
                first = index * TILE_WIDTH**level
                report.add(
                    Attack.TREE_CHANGED, f"tile {level}/{index // TILE_WIDTH} contradicts the one below", seq=first
                )
                return
        level, count = level + 1, count // TILE_WIDTH


def _check_rows(moment: Moment, report: Report, heads: HeadChecker, leaves: LeafIndex, progress: Progress) -> None:
    indexes = {
        reader.day.isoformat(): IndexChecker(report, reader.day.isoformat(), reader.connection)
        for reader in moment.days
    }
    events = {day: EventChecker(report) for day in indexes}
    first_stripped: dict[tuple[str, str], int] = {}  # day and class -> first record without its sealed parts
    purges_on_record: set[str] = set()
    records = RecordChecker(report, leaves)
    expected, total = 0, moment.count()
    for file_day, row, following in _with_following(moment):
        if row.seq > expected:
            if expected >= moment.tree.size and moment.is_live:
                break  # written while we looked
            report.add(
                Attack.ROW_MISSING, f"records {expected} to {row.seq - 1} are gone", seq=expected, through=row.seq - 1
            )
        if row.seq < expected:
            report.add(
                Attack.REPLAYED, f"record number {row.seq} is used twice", seq=row.seq, event_id=event_id_of(row)
            )
            continue
        expected = row.seq + 1
        is_purged = is_stripped(row)
        leaf = records.check(row, following, is_purged=is_purged)
        if row.day != file_day:
            report.add(Attack.ENVELOPE_CHANGED, f"a record of {row.day} is in the file of {file_day}", seq=row.seq)
        events[file_day].check(row)
        indexes[file_day].check(row)
        if row.seq >= heads.size:
            heads.append(leaf)
        if is_purged:
            first_stripped.setdefault((file_day, row.class_), row.seq)
        if row.phase == Phase.PURGE:
            purges_on_record.add(row.about)
        report.records += 1
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
    marked = {reader.day.isoformat(): reader for reader in moment.days if reader.purged_at() is not None}
    report.purged_days = sorted(marked.keys() | {day for day, _ in first_stripped})
    for day, reader in marked.items():
        if day not in purges_on_record and not any(day == stripped for stripped, _ in first_stripped):
            seq = reader.oldest_seq()
            report.add(Attack.CONTENT_REMOVED, f"{day} says it was purged, but the log holds no purge of it", seq=seq)
    for (day, class_), seq in first_stripped.items():
        if day not in purges_on_record and f"{day}/{class_}" not in purges_on_record:
            report.add(
                Attack.CONTENT_REMOVED, f"{day}, class {class_}, is stripped, but the log holds no purge of it", seq=seq
            )


def _with_following(moment: Moment) -> Iterator[tuple[str, Row, Row | None]]:
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
