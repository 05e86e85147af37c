"""Consistency proofs that stand alone: that a log's later checkpoint continues its earlier one.

The file is the body of a C2SP tlog-witness ``add-checkpoint`` request, so that what an auditor checks on a laptop is
what any witness takes (``curl --data-binary @FILE https://WITNESS/add-checkpoint``)::

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    ...

    example.com/audit
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/audit Az3grlgtzPIC...

The earlier checkpoint is not in it: whoever checks has kept it, and that is the point.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from audit.checkpoint import Checkpoint, parse_checkpoint, parse_size
from audit.note import MAX_NOTE_BYTES, NoteRefused, VerifierKey, decode_base64
from audit.tree import HASH_BYTES, verify_consistency

HEADER: Final = "old "
MAX_PATH: Final = 63  # of the specification: no tree has more
MAX_BYTES: Final = MAX_NOTE_BYTES + 4096  # a note, and 63 lines of 45 characters before it


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof:
    """That the tree of ``old_size`` is a prefix of the tree that ``note`` signs. Parsed, not verified."""

    old_size: int
    path: tuple[bytes, ...]
    note: str

    @property
    def text(self) -> str:
        """The file, and the request's body."""
        lines = [f"{HEADER}{self.old_size}", *(base64.b64encode(sibling).decode() for sibling in self.path)]
        return "\n".join(lines) + "\n\n" + self.note

    @classmethod
    def parse(cls, text: str) -> ConsistencyProof:
        """Raises ``NoteRefused`` for anything that is not such a body; looks at no signature."""
        if len(text) > MAX_BYTES:
            raise NoteRefused("consistency proof is too long")
        head, separator, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if not separator or not first.startswith(HEADER):
            raise NoteRefused("not a consistency proof: expected 'old SIZE' in its first line")
        if len(lines) > MAX_PATH:
            raise NoteRefused(f"consistency proof has too many hashes: expected at most {MAX_PATH}, got {len(lines)}")
        try:
            path = tuple(decode_base64(line) for line in lines)
        except ValueError:
            raise NoteRefused("consistency proof holds a line that is not base64") from None
        if any(len(sibling) != HASH_BYTES for sibling in path):
            raise NoteRefused("consistency proof holds a hash of the wrong length")
        return cls(old_size=parse_size(first[len(HEADER) :]), path=path, note=note)

    def check(self, old: Checkpoint, key: VerifierKey) -> Checkpoint:
        """The later checkpoint, if it is signed and continues ``old``. Raises ``NoteRefused`` with the reason."""
        new = parse_checkpoint(self.note, key)
        if old.origin != new.origin or not old.is_signed_by(key):
            raise NoteRefused("the earlier checkpoint is not of this log, or not signed by its key")
        if old.size != self.old_size:
            raise NoteRefused(
                f"the proof begins at another size than the earlier checkpoint: expected {old.size}, "
                f"got {self.old_size}"
            )
        if not verify_consistency(old.size, new.size, old.root, new.root, self.path):
            raise NoteRefused(
                f"the log does not continue what it signed at {old.size}: the proof to {new.size} does not hold"
            )
        return new
