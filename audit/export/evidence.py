"""Evidence files: records with everything that an outsider needs to verify them, as JSON Lines.

The first line is a header with origin, public key and a signed checkpoint. Each further line is one record. A
*complete* file holds every record of the checkpoint, so its root can be computed from the lines alone; a *selected*
one holds an inclusion path with each record. Blind tokens stay behind (their commitment does not), ciphertexts are
included unless asked otherwise: without the day's keys they are noise, and after the purge they are for everybody.
"""

from __future__ import annotations

import base64
import heapq
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

from audit.canonical import JSON
from audit.checkpoint import Checkpoint
from audit.errors import RecordNotFound, StoreError
from audit.note import VerifierKey
from audit.row import COLUMNS, Row
from audit.store.moment import MomentPort, open_moment
from audit.tiles import TileTree

FORMAT = "imprimatur-audit-evidence/1"
# An endless line must not fill a verifier's memory. Far above the largest record that any log allows.
MAX_LINE_CHARACTERS = 64 * 1024 * 1024
_LEFT_OUT = ("index_salt", "terms", "authenticator")
_FIELDS = tuple(name for name in COLUMNS if name not in _LEFT_OUT)
_BYTES = frozenset(
    {
        "envelope_salt",
        "subject_digest",
        "content_digest",
        "index_commitment",
        "leaf",
        "subject",
        "content",
    }
)


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
    directory: Path | str,
    out: IO[str],
    selection: Selection = EVERYTHING,
    *,
    taken_at: datetime,
    with_content: bool = True,
) -> int:
    """Write an evidence file of a store's directory; see ``write_evidence``."""
    with open_moment(directory) as moment:
        return write_evidence(moment, out, selection, taken_at=taken_at, with_content=with_content)


def write_evidence(
    moment: MomentPort,
    out: IO[str],
    selection: Selection = EVERYTHING,
    *,
    taken_at: datetime,
    with_content: bool = True,
) -> int:
    """Write an evidence file; returns the number of records. Complete unless events or days select some.

    Holds one record at a time. Raises ``RecordNotFound`` if a named event is not there, ``StoreError`` if nothing is
    signed yet.
    """
    if moment.unreadable:  # a file that says it is complete must not leave a day out
        raise StoreError(f"{', '.join(moment.unreadable)} cannot be read; run verify")
    key = moment.identity.verifier_key
    checkpoint = newest_checkpoint(moment)
    selects = bool(selection)
    out.write(_line(_header(key, checkpoint, taken_at, complete=not selects)))
    tree = TileTree(moment.tree.read_tile, moment.tree.size)
    missing = {event_id.bytes for event_id in selection.event_ids}
    count = 0
    for row in selected_rows(moment, selection, checkpoint.size):
        missing.discard(row.event_id)
        path = tree.inclusion_path(row.seq, checkpoint.size) if selects else None
        out.write(_line(record_to_json(row, path, with_content=with_content)))
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


def _header(key: VerifierKey, checkpoint: Checkpoint, taken_at: datetime, *, complete: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "origin": key.name,
        "vkey": str(key),
        "taken_at": taken_at.isoformat(),
        "complete": complete,
        "checkpoint": checkpoint.note(key),
    }


def record_to_json(row: Row, path: list[bytes] | None, *, with_content: bool) -> dict[str, Any]:
    """One record as a line's object."""
    record: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(row, name)
        if name == "event_id":
            value = str(uuid.UUID(bytes=value))
        elif name in ("subject", "content") and not with_content:
            value = None
        elif name in _BYTES and value is not None:
            value = base64.b64encode(value).decode()
        record[name] = value
    line: dict[str, Any] = {"record": record}
    if path is not None:
        line["path"] = [base64.b64encode(sibling).decode() for sibling in path]
    return line


def record_from_json(line: dict[str, Any]) -> tuple[Row, list[bytes] | None]:
    """Inverse of ``record_to_json``. Raises ``ValueError`` for anything malformed."""
    try:
        record = line["record"]
        values: dict[str, Any] = dict.fromkeys(_LEFT_OUT)
        for name in _FIELDS:
            values[name] = _FROM_JSON.get(name, _plain)(record[name])
        path = line.get("path")
        return Row(**values), None if path is None else [base64.b64decode(item, validate=True) for item in path]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"record line is malformed: {type(error).__name__}") from None


def _plain(value: object) -> object:
    if value is not None and type(value) not in (str, int):
        raise TypeError
    return value


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)


_FROM_JSON: dict[str, Callable[[Any], Any]] = dict.fromkeys(_BYTES, _bytes)
_FROM_JSON["event_id"] = lambda text: uuid.UUID(text).bytes


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def read_lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    """JSON objects of a file, one a line. Raises ``ValueError``."""
    while line := file.readline(MAX_LINE_CHARACTERS + 1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise ValueError(f"a line is longer than {MAX_LINE_CHARACTERS:,} characters: this is no evidence file")
        try:
            value = json.loads(line)
        except RecursionError:  # ten thousand brackets are no reason to fall over
            raise ValueError("a line is nested too deeply to be a record") from None
        if not isinstance(value, dict):
            raise ValueError("expected a JSON object on each line")
        yield value
