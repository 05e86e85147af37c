"""Inclusion proofs that stand alone (C2SP tlog-proof): a record's leaf, its path, and the checkpoint they lead to."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime

from audit.canonical import decode
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.cosignature import WitnessPolicy
from audit.note import NoteRefused, VerifierKey, decode_base64
from audit.tree import HASH_BYTES, leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_PROOF_BYTES = 64 * 1024
_MAX_PATH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Proof that one record is in the tree of a signed checkpoint."""

    event_id: str
    phase: str
    seq: int
    leaf_data: bytes  # what the leaf hashes: digests and commitments, no content and no person
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: str  # the checkpoint, signed; may carry cosignatures of witnesses

    @property
    def text(self) -> str:
        """The C2SP tlog-proof file. Its ``extra`` line carries the leaf's data, so that the file alone can be
        checked against a record."""
        lines = [HEADER, f"extra {base64.b64encode(self.leaf_data).decode()}", f"index {self.seq}"]
        lines += [base64.b64encode(sibling).decode() for sibling in self.path]
        return "\n".join(lines) + "\n\n" + self.note

    def verify(self, key: VerifierKey) -> bool:
        """Does the proof hold under this key?"""
        checkpoint = self.checkpoint
        return checkpoint.is_signed_by(key) and verify_inclusion(
            self.seq, checkpoint.size, leaf_hash(self.leaf_data), self.path, checkpoint.root
        )


@dataclass(frozen=True, slots=True)
class CheckedProof:
    """What a verified proof file says."""

    seq: int
    tenant: str
    day: str
    leaf: bytes
    checkpoint: Checkpoint
    cosigned: dict[str, datetime] = field(default_factory=dict)  # witnesses of the policy that cosigned, and when


def check_proof_text(text: str, key: VerifierKey, policy: WitnessPolicy | None = None) -> CheckedProof:
    """Verify a proof file offline. Raises ``NoteRefused`` with the reason."""
    if len(text) > _MAX_PROOF_BYTES:
        raise NoteRefused("proof is too long")
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != HEADER:
        raise NoteRefused(f"not a proof file: expected {HEADER} in its first line")
    if len(lines) < 3 or not lines[1].startswith("extra "):
        raise NoteRefused("proof lacks its extra line with the leaf's data")
    index = _INDEX.fullmatch(lines[2])
    if index is None or len(lines) - 3 > _MAX_PATH:
        raise NoteRefused("proof lacks its index line, or has too many hashes")
    try:
        data = decode_base64(lines[1][len("extra ") :])
        path = [decode_base64(line) for line in lines[3:]]
        label, _, seq, tenant, day, *_ = decode(data)
    except ValueError:
        raise NoteRefused("proof is malformed") from None
    if any(len(sibling) != HASH_BYTES for sibling in path):
        raise NoteRefused("proof holds a hash of the wrong length")
    if label != "imprimatur/audit/leaf" or seq != int(index[1]):
        raise NoteRefused("proof's index is not that of its record")
    checkpoint = parse_checkpoint(note, key)
    leaf = leaf_hash(data)
    if not verify_inclusion(int(index[1]), checkpoint.size, leaf, path, checkpoint.root):
        raise NoteRefused("proof does not lead to the checkpoint's root")
    cosigned = (policy or WitnessPolicy()).cosigned_by(note)
    return CheckedProof(int(index[1]), str(tenant), str(day), leaf, checkpoint, cosigned)
