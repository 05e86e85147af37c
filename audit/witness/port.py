"""What a witness must do, whatever it is: a file elsewhere, a C2SP witness, a time stamping authority."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audit.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A checkpoint on its way to witnesses."""

    checkpoint: Checkpoint
    note: str  # the checkpoint as the log signed it
    # Consistency proof (RFC 6962, section 2.1.2) from a smaller size to the checkpoint's. Raises ``ValueError`` or
    # ``StoreError`` where the tree cannot give it any more, because it was pruned.
    prove_consistency: Callable[[int], list[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a witness gave for a checkpoint. Empty for one that only keeps it."""

    cosignatures: tuple[str, ...] = ()  # verified signature lines, to be put below the checkpoint's note
    token: bytes | None = None  # a verified RFC 3161 answer over the note


class Witness(Protocol):
    """One witness. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """Short, stable, fit for a folder's name and a metric's label."""
        ...

    def submit(self, submission: Submission) -> Receipt:
        """Return only when the witness holds the checkpoint.

        Raises ``WitnessUnavailable`` where trying again may help, ``WitnessRefused`` where a person must look: the
        witness holds something that this checkpoint contradicts, or does not know the log.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
