"""Records as CSV (RFC 4180) for spreadsheets: a header line, CRLF, every field quoted, no cell that runs.

A spreadsheet takes a cell that begins with ``= + - @``, a tab or a return for a formula (CWE-1236), and a person may
choose their own display name. Such a cell is written with an apostrophe before it, which spreadsheets show as text.
Negative numbers are left alone: they are ours, and a number cannot run.

The header never changes its order; new columns are added at its end.
"""

from __future__ import annotations

from typing import Final

from audit.export.record import ExportRecord
from audit.export.text import one_line, utc_text

COLUMNS: Final = (
    "uid",
    "origin",
    "seq",
    "head_seq",
    "event_id",
    "phase",
    "tenant",
    "day",
    "class",
    "recorded_at",
    "action",
    "effect",
    "reasons",
    "about",
    "bundle_revision",
    "model",
    "model_digest",
    "credits",
    "latency_bucket_ms",
    "schema",
    "node",
    "actor",
    "display",
    "department",
    "groups",
    "leaf_hash",
    "checkpoint_size",
)
_LINE_END: Final = "\r\n"
# Full-width forms of the signs run as well in some spreadsheets (OWASP, CSV Injection).
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_header() -> str:
    """The first line, with its end."""
    return _row(COLUMNS)


def csv_row(record: ExportRecord) -> str:
    """One record as a line, with its end. Lists are joined by spaces (reasons) or semicolons (groups)."""
    envelope, subject = record.envelope, record.subject
    return _row(
        (
            record.uid,
            record.origin,
            envelope.seq,
            envelope.head_seq,
            envelope.event_id,
            envelope.phase.value,
            envelope.tenant,
            envelope.day.isoformat(),
            envelope.class_,
            utc_text(envelope.recorded_at),
            envelope.action,
            envelope.effect,
            " ".join(envelope.reasons),
            envelope.about,
            envelope.bundle_revision,
            envelope.model,
            envelope.model_digest,
            envelope.credits,
            "" if envelope.latency_bucket_ms is None else envelope.latency_bucket_ms,
            envelope.schema,
            envelope.node,
            subject.actor if subject else "",
            subject.display if subject else "",
            subject.department if subject else "",
            ";".join(subject.groups) if subject else "",
            record.leaf.hex(),
            record.covered_by_size,
        )
    )


def _row(cells: tuple[str | int, ...]) -> str:
    return ",".join(_cell(cell) for cell in cells) + _LINE_END


def _cell(value: str | int) -> str:
    if isinstance(value, int):
        return f'"{value}"'
    text = one_line(value)
    # Leading spaces are trimmed by some importers before they look for a formula.
    if text.lstrip(" ").startswith(_FORMULA_STARTS) or value.startswith(_FORMULA_STARTS):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'
