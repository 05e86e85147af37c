"""Rewrapping: every living day key under the key that wraps now. The day keys themselves never change, so no record is
touched and a running gateway, which holds them unwrapped, notices nothing.

Safe to repeat, to kill at any moment and to run beside gateways that create and destroy day keys meanwhile. A day that
is destroyed while its file is being rewrapped stays destroyed: the list is looked at again after the file is in its
place, and the file goes if its day went.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from audit.errors import KeyRefused, StoreInUse
from audit.keys.day_key_file import REPLACEMENT, StoredDayKey, context_of, load, replace
from audit.keys.destroyed import DestroyedDays
from audit.keys.files import OWNER_ONLY
from audit.keys.folder import KeyFile, KeyFolder
from audit.keys.services.port import KeyService
from audit.store.disk import Disk

DAY_KEY_BYTES = 64  # data key and index key; see ring.py


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProblem:
    """A file that does not open, and why."""

    file: str
    reason: str


@dataclass(slots=True, kw_only=True)
class RewrapReport:
    """What a rewrap found and did. Names of files, nothing of what is in them."""

    key_id: str  # that wraps everything now, but for the problems
    rewrapped: list[str] = field(default_factory=list)
    already_current: int = 0
    destroyed: int = 0  # files of destroyed days that were passed over; the next purge takes them away
    problems: list[KeyProblem] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return not self.problems


def rewrap(folder: Path, service: KeyService, disk: Disk | None = None, *, everything: bool = False) -> RewrapReport:
    """Rewrap what another key, or an older version, wraps; with ``everything``, what the current one wraps too.

    ``everything`` is for services whose rotation has no name to go by (KMS's automatic one). To move from one key
    service to another, give a ``Succession`` of both. Raises ``StoreInUse`` if another rewrap of the folder runs, and
    ``KeyServiceUnavailable`` as soon as the service does not answer: what is done stays done. A file that does not open
    is a problem in the report, and the others go on.
    """
    disk = disk or Disk()
    keys = KeyFolder(folder)
    service.check()
    with _alone(folder):
        for leftover in sorted(folder.glob(f"*{REPLACEMENT}*")):  # of a rewrap that was killed
            disk.erase(leftover)
        destroyed = DestroyedDays(keys.destroyed_list, disk)
        report = RewrapReport(key_id=service.key_id)
        for file in living(keys, destroyed):
            try:
                _rewrap_one(file, service, disk, report, everything=everything)
            except KeyRefused as error:
                if file.path.exists():  # else it was destroyed in this moment
                    report.problems.append(KeyProblem(file=file.path.name, reason=str(error)))
            destroyed.refresh()
            if destroyed.is_destroyed(file.day, file.class_):
                with suppress(FileNotFoundError):  # whoever destroyed it takes it away as well
                    disk.erase(file.path)
        report.destroyed = sum(file.is_whole and destroyed.is_destroyed(file.day, file.class_) for file in keys.files())
    return report


def living(folder: KeyFolder, destroyed: DestroyedDays) -> list[KeyFile]:
    """Whole files of days that are not destroyed, oldest first."""
    files = (file for file in folder.files() if file.is_whole and not destroyed.is_destroyed(file.day, file.class_))
    return sorted(files, key=lambda file: file.path.name)


def unwrap_file(file: KeyFile, stored: StoredDayKey, service: KeyService) -> bytes:
    """The day key of a file. Raises ``KeyRefused`` or ``KeyServiceUnavailable``."""
    if not service.can_unwrap(stored.kek_id):
        raise KeyRefused(f"is wrapped by {stored.kek_id}, which key service {service.name} does not have")
    secret = service.unwrap(stored.wrapped, context_of(file.day, file.tenant, file.class_, stored.key_id))
    if len(secret) != DAY_KEY_BYTES:
        raise KeyRefused(f"holds a key of a wrong length: expected {DAY_KEY_BYTES} bytes, got {len(secret)}")
    return secret


def _rewrap_one(file: KeyFile, service: KeyService, disk: Disk, report: RewrapReport, *, everything: bool) -> None:
    stored = load(file.path)
    kek_id = service.key_id  # before wrapping; see the port
    if stored.kek_id == kek_id and not everything:
        report.already_current += 1
        return
    secret = unwrap_file(file, stored, service)
    context = context_of(file.day, file.tenant, file.class_, stored.key_id)
    fresh = StoredDayKey(key_id=stored.key_id, kek_id=kek_id, wrapped=service.wrap(secret, context))
    if service.unwrap(fresh.wrapped, context) != secret:  # the old file is the only other copy of this key
        raise KeyRefused("would not open again under the new key; left as it was")
    replace(file.path, fresh, disk)
    report.rewrapped.append(file.path.name)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "rewrap.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(f"{folder} is being rewrapped by another process: let it finish") from None
        yield
    finally:
        os.close(descriptor)
