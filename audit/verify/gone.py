"""What may be missing: sealed parts that a purge or an erasure took, records that a pruning took; each on record.

A record is *stripped* when its ciphertexts, blind tokens, salt and authenticator are all gone. That is in order iff
the log holds, in its tree, a purge record about its day ("2026-10-22") or its day and class ("2026-10-22/standard"),
or an erasure record whose list, whose digest the record announced, has its number.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from audit.errors import StoreDamaged
from audit.governance.coverage import ErasureLists, covered_seqs
from audit.record import Phase
from audit.row import Row
from audit.verify.records import is_stripped
from audit.verify.report import Attack, Report
from audit.vocabulary import LogEvent

_MAX_DIGITS = 19  # of a tree's size
Run = tuple[int, int]  # first and last of consecutive stripped records


def pruned_by(row: Row) -> int:
    """Up to which record a prune record says that the log was pruned; 0 for every other record."""
    if row.action != LogEvent.PRUNE or row.phase != Phase.PURGE or not (row.about.isdecimal() and row.about.isascii()):
        return 0
    index = int(row.about) if len(row.about) <= _MAX_DIGITS else 0
    return index if index <= row.seq else 0  # it cannot announce the end of records that were not there yet


@dataclass(slots=True)
class Gone:
    """Collects what is missing and what explains it; ``judge`` compares the two. Of a part of a log, or of all."""

    purges: set[str] = field(default_factory=set)  # what purge records are about
    erasures: list[tuple[str, str]] = field(default_factory=list)  # event id and digest
    pruned_to: int = 0  # largest index that a prune record is about
    stripped: dict[tuple[str, str], list[Run]] = field(default_factory=dict)  # by day and class

    def note(self, row: Row, *, is_in_tree: bool) -> None:
        """Look at a record. One whose leaf is not in the tree explains nothing: whoever may write to the store could
        have put it there."""
        if is_stripped(row):
            runs = self.stripped.setdefault((row.day, row.class_), [])
            if runs and runs[-1][1] == row.seq - 1:
                runs[-1] = (runs[-1][0], row.seq)
            else:
                runs.append((row.seq, row.seq))
        if not is_in_tree:
            return
        if row.phase == Phase.PURGE and row.action != LogEvent.PRUNE:
            self.purges.add(row.about)
        elif row.phase == Phase.ERASURE:
            self.erasures.append((str(uuid.UUID(bytes=row.event_id)), row.about))
        self.pruned_to = max(self.pruned_to, pruned_by(row))

    def add(self, other: Gone) -> None:
        """Take over what another part of the log showed."""
        self.purges |= other.purges
        self.erasures += other.erasures
        self.pruned_to = max(self.pruned_to, other.pruned_to)
        for scope, runs in other.stripped.items():
            self.stripped.setdefault(scope, []).extend(runs)

    def judge(self, report: Report, lists: ErasureLists | None, marked: Mapping[str, int]) -> None:
        """Report stripped records that nothing on record explains, and say which days were purged.

        ``marked``: days that the store says were purged, with their first record.
        """
        stripped_days = {day for day, _ in self.stripped}
        days = {day for day in marked if day in self.purges}
        for day, first in sorted(marked.items()):
            if day not in self.purges and day not in stripped_days:
                report.add(
                    Attack.CONTENT_REMOVED, f"{day} says it was purged, but the log holds no purge of it", seq=first
                )
        for day, class_ in sorted(self.stripped):
            if day in self.purges or f"{day}/{class_}" in self.purges:
                days.add(day)
                continue
            for first, last in self._unexplained(sorted(self.stripped[day, class_]), lists, report):
                days.add(day)
                report.add(
                    Attack.CONTENT_REMOVED,
                    f"{day}, class {class_}, is stripped, but the log holds no purge of it and no erasure",
                    seq=first,
                    through=last,
                )
        report.purged_days = sorted(days)

    def _unexplained(self, runs: list[Run], lists: ErasureLists | None, report: Report) -> list[Run]:
        erased = self._erased(lists, report)
        left: list[Run] = []
        for first, last in runs:
            for seq in range(first, last + 1):
                if seq in erased:
                    report.erased += 1
                elif left and left[-1][1] == seq - 1:
                    left[-1] = (left[-1][0], seq)
                else:
                    left.append((seq, seq))
        return left

    def _erased(self, lists: ErasureLists | None, report: Report) -> Collection[int]:
        found: set[int] = set()
        for event_id, about in self.erasures:
            try:
                if lists is not None:
                    found |= covered_seqs(event_id, about, lists)
            except StoreDamaged as error:  # whatever it would excuse is not excused
                if str(error) not in report.notes:
                    report.notes.append(str(error))
        return found
