"""Evidence files: records with everything that an outsider needs to verify them, as JSON Lines.

The first line is a header with the log's public key and a signed checkpoint. Each further line is one record. A
*complete* file holds every record that the log still has below the checkpoint, so its root can be computed from the
lines alone; a *selected* one holds an inclusion path with each record. Of a pruned log a complete file begins at the
first record that is left; the header brings the roots of the subtrees before it, and the record of the pruning, which
lies further on in the file, tells why they are gone.

Blind tokens stay behind (their commitment does not), ciphertexts are included unless asked otherwise: without the
day's keys they are noise, and after the purge they are for everybody. When the file was made is not in it: nobody would
have signed that.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from audit.canonical import JSON
from audit.checkpoint import Checkpoint
from audit.errors import RecordNotFound, StoreError
from audit.export.evidence_lines import Header, record_line
from audit.row import Row
from audit.store.moment import MomentPort, open_moment
from audit.tiles import TileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records to export; all conditions hold at once, none means everything."""

    event_ids: frozenset[uuid.UUID] = frozenset()
    first_day: date | None = None
    last_day: date | None = None

    def __bool__(self) -> bool:
        return bool(self.event_ids or self.first_day or self.last_day)

    def as_content(self) -> dict[str, JSON]:
        """The selection for the record of an export."""
        return {
            "event_ids": sorted(str(event_id) for event_id in self.event_ids),
            "first_day": self.first_day.isoformat() if self.first_day else None,
            "last_day": self.last_day.isoformat() if self.last_day else None,
        }

    def has_day(self, day: date) -> bool:
        """May records of this day be among the selected?"""
        return (self.first_day is None or day >= self.first_day) and (self.last_day is None or day <= self.last_day)


EVERYTHING = Selection()


def export_evidence(
    directory: Path | str, out: IO[str], selection: Selection = EVERYTHING, *, with_content: bool = True
) -> int:
    """Write an evidence file of a store's directory; see ``write_evidence``."""
    with open_moment(directory) as moment:
        return write_evidence(moment, out, selection, with_content=with_content)


def write_evidence(
    moment: MomentPort, out: IO[str], selection: Selection = EVERYTHING, *, with_content: bool = True
) -> int:
    """Write an evidence file; returns the number of records. Complete unless events or days select some.

    Holds one record at a time. ``out`` must leave ends of lines as they are (``newline=""`` or ``"\n"``). Raises
    ``RecordNotFound`` if a named event is not there, ``StoreError`` if nothing is signed yet.
    """
    if moment.unreadable:  # a file that says it is complete must not leave a day out
        raise StoreError(f"{', '.join(moment.unreadable)} cannot be read; run verify")
    key = moment.identity.verifier_key
    checkpoint = newest_checkpoint(moment)
    selects = bool(selection)
    tree = TileTree(moment.tree.read_tile, moment.tree.size)
    first = 0 if selects else moment.tree.minimum_index
    header = Header(
        key=key,
        complete=not selects,
        first_record=first,
        before=tuple(tree.subtrees(first)),
        checkpoint=checkpoint.note(key),
    )
    out.write(header.line().decode())
    missing = {event_id.bytes for event_id in selection.event_ids}
    count = 0
    for row in selected_rows(moment, selection, checkpoint.size):
        missing.discard(row.event_id)
        path = tree.inclusion_path(row.seq, checkpoint.size) if selects else None
        out.write(record_line(row, path, with_content=with_content).decode())
        count += 1
    if missing:
        raise RecordNotFound(f"{len(missing)} of the named events are not covered by a checkpoint")
    return count


def newest_checkpoint(moment: MomentPort) -> Checkpoint:
    """The checkpoint an export is made under. Raises ``StoreError`` if nothing is signed yet."""
    checkpoints = moment.tree.checkpoints(moment.identity.origin)
    if not checkpoints:
        raise StoreError("the log has no checkpoint yet; it is signed within a second, or at the next start")
    return checkpoints[-1][0]


def selected_rows(moment: MomentPort, selection: Selection, covered_size: int) -> Iterator[Row]:
    """The rows that a selection names below a tree size, in the order of their sequence numbers."""
    days = [reader for reader in moment.days if selection.has_day(reader.day)]
    if selection.event_ids:
        found = [row for reader in days for event_id in selection.event_ids for row in reader.event(event_id.bytes)]
        rows: Iterator[Row] = iter(sorted(found, key=lambda row: row.seq))
    else:
        rows = heapq.merge(*(reader.rows() for reader in days), key=lambda row: row.seq)
    return (row for row in rows if row.seq < covered_size)
