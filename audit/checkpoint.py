"""Checkpoints: signed tree heads (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from audit.note import NoteRefused, NoteSigner, VerifierKey, assemble, open_note, split_note
from audit.tree import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log said of its tree, and the signature it said it with."""

    origin: str
    size: int
    root: bytes
    signature: bytes

    @property
    def text(self) -> str:
        """The signed text: origin, size and root, one a line."""
        return checkpoint_text(self.origin, self.size, self.root)

    def note(self, key: VerifierKey) -> str:
        """The signed note that is shown, stored and witnessed."""
        return assemble(self.text, key, self.signature)

    def is_signed_by(self, key: VerifierKey) -> bool:
        return key.verify(self.text.encode(), self.signature)


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def sign_checkpoint(signer: NoteSigner, size: int, root: bytes) -> Checkpoint:
    """Sign a tree head under the signer's own name. The caller promises never to sign an inconsistent one."""
    origin = signer.verifier_key.name
    return Checkpoint(origin, size, root, signer.sign(checkpoint_text(origin, size, root)))


def parse_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Read a checkpoint and check its signature and origin. Raises ``NoteRefused``."""
    text = open_note(note, key)
    lines = text[:-1].split("\n")
    if len(lines) != 3:  # extension lines are allowed by the format, but this log writes none
        raise NoteRefused(f"checkpoint has the wrong number of lines: expected 3, got {len(lines)}")
    origin, size, encoded = lines
    if origin != key.name:
        raise NoteRefused("checkpoint is of another origin than its key")
    if not _SIZE.fullmatch(size):
        raise NoteRefused("checkpoint size is not a decimal number")
    try:
        root = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise NoteRefused("checkpoint root is not base64") from None
    if len(root) != HASH_BYTES:
        raise NoteRefused(f"checkpoint root has the wrong length: expected {HASH_BYTES} bytes, got {len(root)}")
    return Checkpoint(origin, int(size), root, split_note(note, key)[1])
