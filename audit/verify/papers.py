"""Verifying single files: a proof, a consistency proof, a checkpoint. Each is in order or not; there is no list."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from audit import consistency, proof
from audit.checkpoint import Checkpoint, parse_checkpoint
from audit.consistency import ConsistencyProof
from audit.note import NoteRefused, VerifierKey
from audit.verify.trust import Trust
from audit.witness import read_checkpoints

MAX_PAPER_BYTES: Final = 256 * 1024
_NOTE = re.compile(r"[^\n{}]{1,1000}\n[0-9]{1,20}\n[A-Za-z0-9+/=]{1,100}\n(?:[^\n]+\n)*\n\u2014 ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What a file was found to say."""

    says: str  # one sentence for people
    facts: Mapping[str, Any]  # for ``--json``
    cosigned: Mapping[str, datetime] = field(default_factory=dict)
    stamped_at: datetime | None = None


Check = Callable[[str, VerifierKey, Trust], Paper]


def paper_check(path: Path) -> Check | None:
    """How to check a file of this kind; ``None`` if it is none of these."""
    with path.open("rb") as file:
        start = file.read(8192).decode("utf-8", "replace")
    if start.startswith(proof.HEADER):
        return _check_proof
    if start.startswith(consistency.HEADER):
        return _check_consistency
    return _check_checkpoint if _NOTE.match(start) else None


def check_paper(path: Path, check: Check, trust: Trust) -> Paper:
    """Check a file. Raises ``NoteRefused`` with what is wrong, ``ValueError`` if it cannot be checked at all."""
    if trust.key is None:
        raise ValueError("such a file is checked with the log's public key: give --vkey")
    with path.open("rb") as file:
        data = file.read(MAX_PAPER_BYTES + 1)
    if len(data) > MAX_PAPER_BYTES:
        raise NoteRefused("the file is too long for what it says it is")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NoteRefused("the file is not UTF-8") from None
    paper = check(text, trust.key, trust)
    if trust.timestamp_roots is None:
        return paper
    if check is not _check_checkpoint:
        raise ValueError("a time stamp is of a checkpoint: give that file")
    return replace(paper, stamped_at=_stamped_at(data, path, trust.timestamp_roots, trust.timestamp))


def _stamped_at(note: bytes, path: Path, roots: Path, timestamp: Path | None) -> datetime:
    try:
        adapter: Any = import_module("audit.witness.stamp")  # needs a package that few verifications need
    except ModuleNotFoundError:
        raise ValueError("checking a time stamp needs the package rfc3161-client: install it") from None
    with (timestamp or path.with_suffix(".tsr")).open("rb") as file:
        token = file.read(adapter.MAX_TOKEN_BYTES + 1)
    at: datetime = adapter.check_timestamp(note, token, adapter.read_certificates(roots))
    return at


def _check_proof(text: str, key: VerifierKey, trust: Trust) -> Paper:
    found = proof.check_proof_text(text, key, trust.policy)
    size = found.checkpoint.size
    return Paper(
        says=f"record {found.seq} of {found.day} (tenant {found.tenant}) is in the log {key.name}, which signed a tree "
        f"of {size} records",
        facts={"seq": found.seq, "tenant": found.tenant, "day": found.day, "checkpoint_size": size},
        cosigned=found.cosigned,
    )


def _check_consistency(text: str, key: VerifierKey, trust: Trust) -> Paper:
    found = ConsistencyProof.parse(text)
    new = found.check(_kept(trust, key, found.old_size), key)
    return Paper(
        says=f"the log {key.name} with {new.size} records continues what it signed at {found.old_size}",
        facts={"old_size": found.old_size, "checkpoint_size": new.size},
        cosigned=trust.policy.cosigned_by(found.note),
    )


def _check_checkpoint(text: str, key: VerifierKey, trust: Trust) -> Paper:
    found = parse_checkpoint(text, key)
    for other in [] if trust.witness is None else read_checkpoints(trust.witness, key):
        if other.size == found.size and other.root != found.root:
            raise NoteRefused(f"the log signed two histories: two roots at size {found.size}")
    return Paper(
        says=f"the log {key.name} signed a tree of {found.size} records",
        facts={"checkpoint_size": found.size, "root": found.root.hex()},
        cosigned=trust.policy.cosigned_by(text),
    )


def _kept(trust: Trust, key: VerifierKey, size: int) -> Checkpoint:
    if trust.witness is None:
        raise ValueError("a consistency proof begins at a checkpoint that you have kept: give its file by --witness")
    for checkpoint in read_checkpoints(trust.witness, key):
        if checkpoint.size == size:
            return checkpoint
    raise ValueError(f"{trust.witness} holds no checkpoint of size {size}, where the proof begins")
