"""One record as exporters see it: its plain envelope, who acted if that was opened, and where its proof lies.

Never its content: no exporter is handed a prompt or a picture, so none can leak one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from audit.errors import ContentDestroyed
from audit.keys.ring import KeyRing
from audit.record import Envelope, Subject
from audit.row import Row
from audit.store.compose import open_subject

SubjectOpener = Callable[[Row], Subject | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRecord:
    """A record on its way out."""

    origin: str  # name of the log, as its checkpoints say it
    envelope: Envelope
    subject: Subject | None  # None unless it was asked for, and once its keys are destroyed
    leaf: bytes  # its leaf in the tree; ``envelope.seq`` is the leaf's index
    covered_by_size: int  # size of a signed checkpoint that covers it

    @property
    def uid(self) -> str:
        """Unique among all records of the log and the same each time this record is sent: what a receiver
        recognises a repeated delivery by. The halves of a request share their event id, so the phase is part of it.
        """
        return f"{self.envelope.event_id}.{self.envelope.phase.value}"


def sealed_subject(_: Row) -> Subject | None:
    """The opener that opens nothing: who acted stays sealed."""
    return None


def ring_opener(ring: KeyRing) -> SubjectOpener:
    """The opener that a log's keys allow: nobody once a day's keys are destroyed or the event
    was erased, nor in a zero-retention record."""

    def opened(row: Row) -> Subject | None:
        if row.subject is None or row.event_id in ring.erased:
            return None
        try:
            return open_subject(row, ring.get(date.fromisoformat(row.day), row.tenant, row.class_))
        except ContentDestroyed:
            return None

    return opened


def export_record(origin: str, row: Row, covered_by_size: int, opener: SubjectOpener = sealed_subject) -> ExportRecord:
    """A stored row as exporters see it."""
    return ExportRecord(
        origin=origin,
        envelope=row.envelope(),
        subject=opener(row),
        leaf=row.leaf,
        covered_by_size=covered_by_size,
    )
