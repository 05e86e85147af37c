"""What witnesses gave, on disk: one folder a witness, to lie outside the store.

::

    <folder>/<witness>/<size>.note    the log's note with the witness's cosignature; the newest few
    <folder>/<witness>/<size>.tsr     an RFC 3161 answer over the note beside it; all of them, with their notes
    <folder>/<witness>/state.json     counts and the last error, for people

Notes and answers are fsynced before a checkpoint counts as witnessed. ``state.json`` is not: losing it in a power cut
loses a count. Whoever deletes this folder hides nothing, for the witness still holds its side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.cosignature import WitnessPolicy
from audit.note import NoteRefused, VerifierKey, add_signatures, read_note
from audit.record import NAME_PATTERN
from audit.store.disk import Disk
from audit.witness.port import Receipt, Submission

# Each witness takes the newest checkpoint when it is ready; so that several of them can be shown on one checkpoint,
# the last minutes are kept.
KEPT_NOTES: Final = 256
_MODE: Final = 0o644  # nothing here is secret
_NOTE_NAME = re.compile(r"([0-9]{19})\.note")
_SIZE_DIGITS: Final = 19


@dataclass(slots=True, kw_only=True)
class WitnessState:
    """What is known of one witness."""

    last_size: int = 0  # of the newest checkpoint it took
    last_at: datetime | None = None
    failures: int = 0  # tries that failed, ever
    last_error: str = ""  # "" after a success
    is_refused: bool = False  # the last failure was a refusal: a person must look


class Shelf:
    """The folder of one witness. Used by one thread."""

    def __init__(self, folder: Path, name: str, disk: Disk) -> None:
        """Raises ``ValueError`` for a name that is none, ``OSError`` if the folder cannot be made."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(f"a witness's name must match {NAME_PATTERN}")
        self._folder = folder / name
        self._disk = disk
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> WitnessState:
        """State as it was left. A file that a power cut spoiled counts as none: notes say what matters."""
        state = WitnessState()
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(self._state_path.read_text(encoding="utf-8"))
            last_at = stored["last_at"]
            state = WitnessState(
                last_at=None if last_at is None else datetime.fromisoformat(last_at),
                failures=int(stored["failures"]),
                last_error=str(stored["last_error"]),
                is_refused=bool(stored["is_refused"]),
            )
        state.last_size = max(_sizes(self._folder), default=0)
        return state

    def keep(self, submission: Submission, receipt: Receipt) -> None:
        """Store what the witness gave, durably. Raises ``OSError``."""
        stem = f"{submission.checkpoint.size:0{_SIZE_DIGITS}}"
        if receipt.token is not None:  # first: a note without its answer would look witnessed
            self._disk.write_whole(self._folder / f"{stem}.tsr", receipt.token, _MODE)
        note = add_signatures(submission.note, receipt.cosignatures)
        self._disk.write_whole(self._folder / f"{stem}.note", note.encode(), _MODE)
        for size in sorted(_sizes(self._folder))[:-KEPT_NOTES]:
            old = self._folder / f"{size:0{_SIZE_DIGITS}}.note"
            if not old.with_suffix(".tsr").exists():
                old.unlink(missing_ok=True)

    def save(self, state: WitnessState) -> None:
        """Write ``state.json``, whole or not at all, but not through to the disk. Raises ``OSError``."""
        values = asdict(state) | {"last_at": None if state.last_at is None else state.last_at.isoformat()}
        fresh = self._state_path.with_suffix(".new")
        fresh.write_text(json.dumps(values, indent=2), encoding="utf-8")
        fresh.replace(self._state_path)

    @property
    def _state_path(self) -> Path:
        return self._folder / "state.json"


def newest_kept(folder: Path, key: VerifierKey) -> Checkpoint | None:
    """The newest checkpoint that any witness took, for comparing with a store before it is opened.

    Raises ``NoteRefused`` if a note there is not signed by ``key``, ``OSError`` if it cannot be read.
    """
    newest: Checkpoint | None = None
    for place in _folders(folder):
        size = max(_sizes(place), default=None)
        if size is not None and (newest is None or size > newest.size):
            newest = parse_checkpoint(_read(place, size), key)
    return newest


def newest_cosigned(folder: Path, key: VerifierKey, policy: WitnessPolicy) -> str | None:
    """The newest note that enough witnesses of ``policy`` cosigned, with all their lines; ``None`` if there is none.

    Raises ``NoteRefused`` if a note there is not signed by ``key``, ``OSError`` if one cannot be read.
    """
    places = list(_folders(folder))
    for size in sorted({size for place in places for size in _sizes(place)}, reverse=True):
        merged = ""
        for place in places:
            with suppress(FileNotFoundError):  # not every witness took every checkpoint
                note = _read(place, size)
                parse_checkpoint(note, key)
                merged = add_signatures(merged or note, [item.line for item in read_note(note)[1]])
        with suppress(NoteRefused):
            policy.cosigned_by(merged)
            return merged
    return None


def stamped_notes(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Note and RFC 3161 answer of each stamped checkpoint, oldest first within a witness."""
    for place in _folders(folder):
        for size in sorted(_sizes(place)):
            note = place / f"{size:0{_SIZE_DIGITS}}.note"
            if note.with_suffix(".tsr").exists():
                yield note, note.with_suffix(".tsr")


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(place for place in folder.iterdir() if place.is_dir())


def _sizes(place: Path) -> set[int]:
    found = (_NOTE_NAME.fullmatch(path.name) for path in place.iterdir())
    return {int(match[1]) for match in found if match}


def _read(place: Path, size: int) -> str:
    return (place / f"{size:0{_SIZE_DIGITS}}.note").read_text(encoding="utf-8")
