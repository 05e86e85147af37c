"""What a reference witness knows of the logs it serves: one file a log, replaced whole, never without its registration.

A log's keys and its newest checkpoint are in the same file, so that no deletion makes the witness start over from an
empty tree: without the file it does not know the log at all (404), and only its operator can register it again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from audit.checkpoint import TreeHead, parse_head
from audit.cosignature import WitnessKey
from audit.errors import KeyRefused, StoreDamaged, StoreInUse
from audit.keys.signing import create_signer, load_signer
from audit.note import NoteRefused, NoteSigner, VerifierKey, read_note, signature_of
from audit.store.disk import Disk
from audit.tree import EMPTY_ROOT

FORMAT: Final = 1
_MODE: Final = 0o600
_MAX_EVIDENCE_FILES: Final = 100  # a log that misbehaves all day must not fill the witness's disk


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLog:
    """One log, as far as this witness has followed it."""

    origin: str
    keys: tuple[VerifierKey, ...]  # several while a log changes its key
    note: str = ""  # the newest checkpoint, as the log signed it; "" before the first
    taken_at: datetime | None = None

    @property
    def head(self) -> TreeHead:
        """What the newest checkpoint says; the empty tree before the first."""
        return parse_head(read_note(self.note)[0]) if self.note else TreeHead(self.origin, 0, EMPTY_ROOT, ())

    def is_signed(self, note: str) -> bool:
        """Did the log sign this note? Raises ``NoteRefused`` if a signature of a known key does not hold."""
        text, signatures = read_note(note)
        holds = False
        for key in self.keys:
            found = signature_of(signatures, key.name, key.key_id)
            if found is not None:
                if not key.verify(text.encode(), found):
                    raise NoteRefused("a signature of a known key does not verify")
                holds = True
        return holds

    def to_json(self) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "origin": self.origin,
                "vkeys": [str(key) for key in self.keys],
                "note": self.note,
                "taken_at": None if self.taken_at is None else self.taken_at.isoformat(),
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str) -> KnownLog:
        """Raises ``ValueError`` for anything that ``to_json`` would not have written, or a note that no key of the log
        signed: a state that somebody wrote by hand must not be cosigned on."""
        try:
            stored = json.loads(text)
            if stored["format"] != FORMAT:
                raise ValueError("unknown format")
            taken = stored["taken_at"]
            log = cls(
                origin=str(stored["origin"]),
                keys=tuple(VerifierKey.parse(vkey) for vkey in stored["vkeys"]),
                note=str(stored["note"]),
                taken_at=None if taken is None else datetime.fromisoformat(taken),
            )
            if log.note and not (log.is_signed(log.note) and log.head.origin == log.origin):
                raise ValueError("its checkpoint is not signed by the log")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"malformed: {type(error).__name__}") from None
        return log


class Ledger:
    """The folder of a witness. One process at a time serves it; the caller locks between threads."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        """Raises ``StoreDamaged`` if the folder is no witness's, ``KeyRefused`` for its key file, ``OSError``."""
        self._folder = folder
        self._disk = disk or Disk()
        try:
            stored = json.loads((folder / "witness.json").read_text(encoding="utf-8"))
            self.key = WitnessKey.parse(stored["vkey"])
        except FileNotFoundError:
            raise StoreDamaged(
                f"{folder} is no witness's folder: make one with `python -m audit witness init`"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise StoreDamaged(f"{folder / 'witness.json'} is malformed") from None
        self._lock_descriptor = -1

    @classmethod
    def create(cls, folder: Path, name: str, disk: Disk | None = None) -> Ledger:
        """A new witness with a fresh key. Raises ``FileExistsError`` rather than touch one that exists."""
        disk = disk or Disk()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        signer = create_signer(folder / "witness.pem", name, disk)
        key = WitnessKey(name, signer.verifier_key.public_key)
        for part in ("logs", "evidence"):
            (folder / part).mkdir(mode=0o700, exist_ok=True)
        disk.write_whole(folder / "witness.json", json.dumps({"vkey": str(key)}).encode(), _MODE)  # last
        return cls(folder, disk)

    def signer(self) -> NoteSigner:
        """The key it cosigns with. Raises ``KeyRefused`` if it is missing, open to others, or another than it was."""
        signer = load_signer(self._folder / "witness.pem", self.key.name)
        if signer.verifier_key.public_key != self.key.public_key:
            raise KeyRefused(f"{self._folder / 'witness.pem'} is not the key that {self.key.name} began with")
        return signer

    def lock(self) -> None:
        """Keep other processes out until ``release``. Raises ``StoreInUse``: two of them would cosign two futures."""
        descriptor = os.open(self._folder / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreInUse(f"{self._folder} is served by another process; stop it first") from None
        self._lock_descriptor = descriptor

    def release(self) -> None:
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def register(self, key: VerifierKey) -> KnownLog:
        """Take on a log, or one more key of a log that is known. The log's origin is its key's name.

        The caller holds the lock. Raises ``ValueError`` if the key is known already, or is the witness's own.
        """
        if key.public_key == self.key.public_key:
            raise ValueError("that is the witness's own key: nobody witnesses themselves")
        known = self.find(key.name)
        if known is None:
            log = KnownLog(origin=key.name, keys=(key,))
        elif key in known.keys:
            raise ValueError(f"{key.name} is registered with this key already")
        else:
            log = KnownLog(origin=known.origin, keys=(*known.keys, key), note=known.note, taken_at=known.taken_at)
        self._write(log)
        return log

    def find(self, origin: str) -> KnownLog | None:
        """A log by its origin. Raises ``StoreDamaged`` if its file cannot be trusted."""
        path = self._path(origin)
        try:
            log = KnownLog.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreDamaged(f"{path}: {error}") from None
        if log.origin != origin:
            raise StoreDamaged(f"{path} is of another log")
        return log

    def logs(self) -> list[KnownLog]:
        """All logs, by origin. Raises ``StoreDamaged``."""
        found = []
        for path in (self._folder / "logs").glob("*.json"):
            try:
                found.append(KnownLog.from_json(path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise StoreDamaged(f"{path}: {error}") from None
        return sorted(found, key=lambda log: log.origin)

    def advance(self, log: KnownLog, note: str, at: datetime) -> KnownLog:
        """Make a checkpoint the log's newest, durably. Raises ``OSError``; the old one stands then."""
        advanced = KnownLog(origin=log.origin, keys=log.keys, note=note, taken_at=at.astimezone(UTC))
        self._write(advanced)
        return advanced

    def keep_evidence(self, log: KnownLog, request: str) -> None:
        """Keep a request that the log signed and that contradicts what it signed before, with that: together they prove
        a fork to anybody. Raises ``OSError``."""
        folder = self._folder / "evidence"
        data = json.dumps({"origin": log.origin, "known": log.note, "request": request}, indent=2).encode()
        path = folder / f"{hashlib.sha256(data).hexdigest()}.json"
        if not path.exists() and self.evidence_count() < _MAX_EVIDENCE_FILES:
            self._disk.write_whole(path, data, _MODE)

    def evidence_count(self) -> int:
        return sum(1 for path in (self._folder / "evidence").glob("*.json"))

    def _write(self, log: KnownLog) -> None:
        self._disk.write_whole(self._path(log.origin), log.to_json().encode(), _MODE)

    def _path(self, origin: str) -> Path:
        # A hash: an origin may hold slashes and dots.
        return self._folder / "logs" / f"{hashlib.sha256(origin.encode()).hexdigest()}.json"
