"""A witness as an append-only file outside the store: each checkpoint is appended when it is signed.

A witness is worth what keeps it apart from the store: mount it from another machine, or collect it. Whoever rolls the
store back then contradicts it, up to the last checkpoint that got out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.note import VerifierKey
from audit.store.disk import Disk

# Between notes: a line that no note can contain where a note would begin (a note's text is never empty).
_TERMINATOR = "\n"
_TAIL_BYTES = 8 * 1024


class FileWitness:
    """Appends notes to the file. One writer: the log's own process."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def append(self, note: str) -> None:
        """Append durably. Raises ``OSError``."""
        self._disk.append(self._path, (note + _TERMINATOR).encode(), 0o644)


def read_witness(path: Path, key: VerifierKey) -> Iterator[Checkpoint]:
    """All checkpoints in the file, oldest first. Raises ``NoteRefused`` at one that ``key`` did not sign.

    A last note without its end was cut by a crash and is left out.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines: list[str] = []
        for line in file:
            lines.append(line)
            # text lines, blank, signature lines, blank: the second blank line ends a note
            if line == _TERMINATOR and lines.count("\n") == 2:
                yield parse_checkpoint("".join(lines[:-1]), key)
                lines = []


def newest_witnessed(path: Path, key: VerifierKey) -> Checkpoint | None:
    """The last whole checkpoint in the file, without reading all of it; ``None`` if there is none yet."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    whole, separator, _ = text.rpartition("\n\n")
    blocks = (whole + separator).split("\n\n")[:-1]  # text, signatures, text, signatures, ...
    if len(blocks) < 2:
        return None
    # A signature block begins with an em dash, a text never does in this log (its origin is plain ASCII).
    while blocks and not blocks[-1].startswith("\u2014 "):
        blocks.pop()
    return parse_checkpoint(f"{blocks[-2]}\n\n{blocks[-1]}\n", key) if len(blocks) >= 2 else None
