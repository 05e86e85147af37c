"""Checkpoints: signed tree heads (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from audit.note import NoteRefused, NoteSigner, VerifierKey, assemble, decode_base64, split_note
from audit.tree import HASH_BYTES

MAX_SIZE: Final = 2**63 - 1
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


class TreeHead(NamedTuple):
    """What a checkpoint's text says."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...]  # this log writes none; a witness also reads those of other logs


def parse_head(text: str) -> TreeHead:
    """Read a checkpoint's text. Raises ``NoteRefused``."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise NoteRefused(f"checkpoint has the wrong number of lines: expected 3, got {sum(map(bool, lines))}")
    origin, size_text, encoded, *extensions = lines
    try:
        root = decode_base64(encoded)
    except ValueError:
        raise NoteRefused("checkpoint root is not base64") from None
    if len(root) != HASH_BYTES:
        raise NoteRefused(f"checkpoint root has the wrong length: expected {HASH_BYTES} bytes, got {len(root)}")
    return TreeHead(origin, parse_size(size_text), root, tuple(extensions))


def parse_size(text: str) -> int:
    """A tree size in its one spelling. Raises ``NoteRefused``."""
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteRefused("tree size is not a decimal number without leading zeroes")
    return int(text)


def parse_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Read a checkpoint of this log and check its signature and origin. Raises ``NoteRefused``."""
    text, signature = split_note(note, key)
    if not key.verify(text.encode(), signature):
        raise NoteRefused("signature of the note does not verify")
    head = parse_head(text)
    if head.extensions:  # allowed by the format, but this log writes none
        raise NoteRefused(f"checkpoint has the wrong number of lines: expected 3, got {3 + len(head.extensions)}")
    if head.origin != key.name:
        raise NoteRefused("checkpoint is of another origin than its key")
    return Checkpoint(head.origin, head.size, head.root, signature)
