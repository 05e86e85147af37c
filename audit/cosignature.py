"""Cosignatures: a witness's word that a checkpoint continues all it saw before (C2SP tlog-cosignature v1, Ed25519).

::

    signed message  = "cosignature/v1\\n" || "time <Unix seconds>\\n" || the checkpoint's text
    note signature  = key id || time (8 bytes, big endian) || Ed25519 signature
    key id          = SHA-256(name || "\\n" || 0x04 || public key)[:4]

The message does not name the witness, so a key must never serve two of them, nor a log.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from audit.note import (
    NoteRefused,
    NoteSignature,
    NoteSigner,
    is_ed25519_signature,
    key_id,
    parse_vkey,
    read_note,
    signature_of,
    vkey_text,
)

COSIGNATURE_V1: Final = b"\x04"  # signature type byte of the specification
_time = struct.Struct(">Q")
_SIGNATURE_BYTES: Final = 64
_MAX_TIME: Final = 2**63 - 1
_LAST_DATETIME: Final = 253_402_300_799  # the end of the year 9999, beyond which Python has no dates


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """Public key of a witness."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> WitnessKey:
        """Read a vkey of type 0x04. Raises ``NoteRefused``; a log's key (type 0x01) is refused too."""
        return cls(*parse_vkey(vkey, COSIGNATURE_V1))

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.public_key, COSIGNATURE_V1)

    def __str__(self) -> str:
        return vkey_text(self.name, self.key_id, COSIGNATURE_V1, self.public_key)

    def time_of(self, text: str, signatures: Iterable[NoteSignature]) -> datetime | None:
        """When this witness cosigned ``text``; ``None`` if it did not. Raises ``NoteRefused`` if a signature under its
        name and key id does not hold, or if there are two."""
        found = signature_of(signatures, self.name, self.key_id)
        if found is None:
            return None
        if len(found) != _time.size + _SIGNATURE_BYTES:
            raise NoteRefused(f"cosignature of {self.name} has the wrong length")
        seconds = _time.unpack_from(found)[0]
        if seconds > _LAST_DATETIME or not is_ed25519_signature(
            self.public_key, _message(seconds, text).encode(), found[_time.size :]
        ):
            raise NoteRefused(f"cosignature of {self.name} does not verify")
        return datetime.fromtimestamp(seconds, UTC)


class Cosigner:
    """Signs checkpoints as a witness. It looks at nothing: whoever calls it has checked what it may sign."""

    def __init__(self, signer: NoteSigner, clock: Callable[[], float] = time.time) -> None:
        """``signer`` carries the witness's name and key; ``clock`` gives Unix seconds."""
        self._signer = signer
        self._clock = clock
        self.key = WitnessKey(signer.verifier_key.name, signer.verifier_key.public_key)

    def cosign(self, text: str) -> str:
        """Signature line of a checkpoint's text, at the present second. Raises ``ValueError`` for a clock before
        1970: a time that can't be told must not be signed."""
        seconds = int(self._clock())
        if not 0 <= seconds <= _MAX_TIME:
            raise ValueError("the clock is before 1970 or beyond all dates")
        signature = _time.pack(seconds) + self._signer.sign(_message(seconds, text))
        return NoteSignature(self.key.name, self.key.key_id, signature).line


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPolicy:
    """Which witnesses count, and how many of them a checkpoint needs."""

    keys: Sequence[WitnessKey] = ()
    required: int = 0

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a policy that nothing could fulfil, or that counts one witness twice."""
        # By key, not by name: whoever holds one key under two names is still one witness.
        if len({key.public_key for key in self.keys}) != len(self.keys):
            raise ValueError("a witness key was given twice: it would count twice")
        if not 0 <= self.required <= len(self.keys):
            raise ValueError(f"{self.required} witnesses are required, but {len(self.keys)} witness keys were given")

    def cosigned_by(self, note: str) -> dict[str, datetime]:
        """Which of the witnesses cosigned a checkpoint, and when. Its log's signature is checked elsewhere.

        Raises ``NoteRefused`` if too few did, or if a signature of a known witness does not hold.
        """
        text, signatures = read_note(note)
        found: dict[str, datetime] = {}
        for key in self.keys:
            at = key.time_of(text, signatures)
            if at is not None:
                found[key.name] = at  # two keys of one name (a rotation) are one witness
        if len(found) < self.required:
            who = ", ".join(found) or "none"
            raise NoteRefused(f"checkpoint has too few witnesses: expected {self.required}, got {len(found)} ({who})")
        return found


def _message(seconds: int, text: str) -> str:
    return f"cosignature/v1\ntime {seconds}\n{text}"
