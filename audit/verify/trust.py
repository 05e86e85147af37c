"""What a verification takes for granted: keys and checkpoints from elsewhere, and how many witnesses must agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audit.cosignature import WitnessPolicy
from audit.note import VerifierKey

Progress = Callable[[int, int], None]  # records done, records in all

NO_POLICY = WitnessPolicy()


def silent(_done: int, _all: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Everything that does not come from what is checked."""

    key: VerifierKey | None = None  # the log's public key; None: that of the subject itself, which proves less
    witness: Path | None = None  # checkpoints kept outside the log: a witness file, or a single note
    policy: WitnessPolicy = NO_POLICY
    receipts: Path | None = None  # folder of what witnesses gave to this log
    timestamp: Path | None = None  # RFC 3161 answer over the note that is checked
    timestamp_roots: Path | None = None  # PEM file of the authorities that may have made it
