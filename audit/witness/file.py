"""A witness as an append-only file outside the store: each checkpoint is appended when it is signed.

A witness is worth what keeps it apart from the store: mount it from another machine, or collect it. Whoever rolls the
store back then contradicts it, up to the last checkpoint that got out.

The file is a sequence of signed notes, each followed by an empty line. A note that a crash cut short is left where it
is (the file is append-only) and followed by a line that says so; what cannot be read without such a line was tampered
with, and is reported.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.errors import WitnessUnavailable
from audit.note import MAX_NOTE_BYTES, NoteRefused, VerifierKey
from audit.store.disk import Disk
from audit.witness.port import Receipt, Submission

_END = "\n"  # after a note, which ends in a newline itself
_CUT_SHORT = "(cut short)"
_SIGNATURE = "\u2014 "
_TAIL_BYTES = 16 * 1024  # dozens of notes


class FileWitness:
    """Appends notes to the file. One writer: the log's own process."""

    def __init__(self, path: Path, disk: Disk, name: str = "file") -> None:
        self._path = path
        self._disk = disk
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def submit(self, submission: Submission) -> Receipt:
        """``append`` as a witness among others."""
        try:
            self.append(submission.note)
        except OSError as error:
            raise WitnessUnavailable(f"witness file {self._path}: {error.strerror}") from error
        return Receipt()

    def close(self) -> None:
        """Nothing is held open."""

    def append(self, note: str) -> None:
        """Append durably. Raises ``OSError``."""
        mark = f"\n\n{_CUT_SHORT}\n\n" if self._is_torn() else ""
        self._disk.append(self._path, (mark + note + _END).encode(), 0o644)

    def _is_torn(self) -> bool:
        if not self._path.exists() or self._path.stat().st_size == 0:
            return False
        text = _tail(self._path)[1]
        # A text whose signature is missing ends in an empty line too.
        return not text.endswith("\n\n") or not text[:-2].rpartition("\n")[2].startswith((_SIGNATURE, _CUT_SHORT))


def read_witness(path: Path, key: VerifierKey) -> Iterator[Checkpoint]:
    """All checkpoints in the file, oldest first. Raises ``NoteRefused`` at one that ``key`` did not sign.

    What a crash cut short, at the end or marked as such, is left out.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        yield from _checkpoints(_blocks(file), key)


def read_checkpoints(path: Path, key: VerifierKey) -> list[Checkpoint]:
    """Checkpoints that somebody kept: a witness file, or a file with a single note, as ``checkpoint`` of a store.

    Raises ``NoteRefused`` at one that ``key`` did not sign, ``OSError`` if the file cannot be read.
    """
    if path.stat().st_size <= MAX_NOTE_BYTES:
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.count("\n\n") == 1 and not text.endswith("\n\n"):  # a note without the empty line after it
            return [parse_checkpoint(text, key)]
    return list(read_witness(path, key))


def newest_witnessed(path: Path, key: VerifierKey) -> Checkpoint | None:
    """The last whole checkpoint in the file, without reading all of it; ``None`` if there is none yet."""
    if not path.exists():
        return None
    is_whole, text = _tail(path)
    if not is_whole:  # begin after the first whole note
        text = text[text.find("\n\n", text.find("\n" + _SIGNATURE)) :]
    found = deque(_checkpoints(_blocks(text.splitlines(keepends=True)), key), maxlen=1)
    return found[0] if found else None


def _tail(path: Path) -> tuple[bool, str]:
    """The end of the file, and whether that is all of it."""
    with path.open("rb") as file:
        file.seek(0, 2)
        start = max(0, file.tell() - _TAIL_BYTES)
        file.seek(start)
        return start == 0, file.read().decode("utf-8", "replace")


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Runs of lines that an empty line ends; a last one without its end is dropped."""
    block: list[str] = []
    for line in lines:
        if line != "\n":
            block.append(line)
        elif block:
            yield "".join(block)
            block = []


def _checkpoints(blocks: Iterator[str], key: VerifierKey) -> Iterator[Checkpoint]:
    text: str | None = None  # of a note whose signatures come next
    wrong: NoteRefused | None = None  # held until it is known whether a crash explains it
    for block in blocks:
        if block == _CUT_SHORT + "\n":
            text = wrong = None
            continue
        if wrong is not None:
            raise wrong
        if not block.startswith(_SIGNATURE):
            if text is not None:
                wrong = NoteRefused("a note in the witness has no signature")
            text = block
            continue
        try:
            if text is None:
                raise NoteRefused("a signature in the witness has no note")
            checkpoint = parse_checkpoint(f"{text}\n{block}", key)
        except NoteRefused as error:
            wrong = error
        else:
            yield checkpoint
        text = None
    if wrong is not None:
        raise wrong
