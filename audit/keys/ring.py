"""The day keys: one wrapped file for each tenant, class and day, unwrapped once a day by a process.

``keys/2026-11-22.default.standard.json`` holds 64 random bytes wrapped by the key-encryption key: the data key (DEK)
that record keys are derived from, and the index key of the blind index. The file's tenant, class, day and key id are
the associated data of the wrap, so a file renamed to another day or tenant does not open.

To destroy a day is to append it to the list of destroyed days, then overwrite and unlink its files.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import threading
from datetime import date, datetime
from pathlib import Path

from audit.canonical import encode
from audit.errors import ContentDestroyed, KeyRefused
from audit.keys.destroyed import DestroyedDays, PurgeStep
from audit.keys.files import create_private, read_private
from audit.keys.kek import KEY_BYTES, FileKek
from audit.store.disk import Disk

_FORMAT = 1
_SUFFIX = ".json"
_KEY_ID_BYTES = 8


class DayKeys:
    """Unwrapped keys of one tenant, class and day. ``wipe`` overwrites them as well as Python allows."""

    __slots__ = ("class_", "day", "dek", "index_key", "key_id", "row_key", "tenant")

    def __init__(self, tenant: str, class_: str, day: date, key_id: str, secret: bytes) -> None:
        self.tenant = tenant
        self.class_ = class_
        self.day = day
        self.key_id = key_id
        self.dek = bytearray(secret[:KEY_BYTES])
        self.index_key = bytearray(secret[KEY_BYTES:])
        self.row_key = bytearray(hmac.digest(self.dek, b"imprimatur/audit/row-key/v1", "sha256"))

    def wipe(self) -> None:
        for key in (self.dek, self.index_key, self.row_key):
            key[:] = bytes(len(key))


class KeyRing:
    """Finds, creates and destroys day keys. Safe to call from several threads."""

    def __init__(self, folder: Path, kek: FileKek, disk: Disk) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._kek = kek
        self._disk = disk
        self._lock = threading.Lock()
        self._cache: dict[tuple[date, str, str], DayKeys] = {}
        self.destroyed = DestroyedDays(folder / "destroyed-days", disk)

    def get(self, day: date, tenant: str, class_: str) -> DayKeys:
        """Keys that exist. Raises ``ContentDestroyed`` for a destroyed day, ``KeyRefused`` for a missing file."""
        with self._lock:
            return self._get(day, tenant, class_)

    def get_or_create(self, day: date, tenant: str, class_: str) -> DayKeys:
        """Keys for writing. New ones are durable on disk before anything is sealed with them."""
        with self._lock:
            path = self._path(day, tenant, class_)
            if (day, tenant, class_) not in self._cache and day not in self.destroyed and not path.exists():
                self._create(path, day, tenant, class_)
            return self._get(day, tenant, class_)

    def scopes(self, day: date, tenant: str) -> list[str]:
        """Classes that a tenant has keys for on a day; none once the day is destroyed."""
        if day in self.destroyed:
            return []
        prefix = f"{day.isoformat()}.{tenant}."
        names = [path.name for path in self._folder.glob(f"{prefix}*{_SUFFIX}")]
        return sorted(name[len(prefix) : -len(_SUFFIX)] for name in names)

    def days(self) -> list[date]:
        """Days that key files exist for, destroyed ones included (a restored file shows up here)."""
        return sorted({date.fromisoformat(path.name[:10]) for path in self._folder.glob("????-??-??.*")})

    def destroy(self, day: date, at: datetime) -> int:
        """Destroy all keys of a day, in every tenant and class; returns how many files went. Safe to repeat.

        When this returns, the day is on the durable list and its files are gone. On a full disk the files go first
        (that needs no space) and the ``OSError`` of the list is raised after.
        """
        with self._lock:
            failure: OSError | None = None
            try:
                if day not in self.destroyed:
                    self.destroyed.add(day, PurgeStep.DESTROYED, at)
            except OSError as error:
                failure = error
            for scope in [scope for scope in self._cache if scope[0] == day]:
                self._cache.pop(scope).wipe()
            paths = sorted(self._folder.glob(f"{day.isoformat()}.*"))
            for path in paths:
                self._disk.erase(path)
            if failure is not None:
                raise failure
            return len(paths)

    def mark(self, day: date, step: PurgeStep, at: datetime) -> None:
        """Note progress of a purge."""
        with self._lock:
            if step not in self.destroyed.steps(day):
                self.destroyed.add(day, step, at)

    def wipe(self) -> None:
        """Forget every unwrapped key."""
        with self._lock:
            while self._cache:
                self._cache.popitem()[1].wipe()

    def _path(self, day: date, tenant: str, class_: str) -> Path:
        return self._folder / f"{day.isoformat()}.{tenant}.{class_}{_SUFFIX}"

    def _get(self, day: date, tenant: str, class_: str) -> DayKeys:
        if day in self.destroyed:  # first of all: a key file restored from a backup must not be looked at
            raise ContentDestroyed(f"keys of {day.isoformat()} are destroyed")
        scope = (day, tenant, class_)
        if scope not in self._cache:
            self._cache[scope] = self._load(self._path(day, tenant, class_), day, tenant, class_)
        return self._cache[scope]

    def _load(self, path: Path, day: date, tenant: str, class_: str) -> DayKeys:
        try:
            stored = json.loads(read_private(path, "day key"))
            key_id, kek_id = str(stored["key_id"]), str(stored["kek_id"])
            wrapped = base64.b64decode(stored["wrapped"], validate=True)
            known = stored["format"] == _FORMAT
        except (ValueError, KeyError, TypeError):
            raise KeyRefused(f"day key {path} is malformed") from None
        if not known:
            raise KeyRefused(f"day key {path} has an unknown format")
        if kek_id != self._kek.key_id:
            raise KeyRefused(f"day key {path} is wrapped by {kek_id}, got key-encryption key {self._kek.key_id}")
        secret = self._kek.unwrap(wrapped, _context(day, tenant, class_, key_id))
        return DayKeys(tenant, class_, day, key_id, secret)

    def _create(self, path: Path, day: date, tenant: str, class_: str) -> None:
        key_id = os.urandom(_KEY_ID_BYTES).hex()
        wrapped = self._kek.wrap(os.urandom(2 * KEY_BYTES), _context(day, tenant, class_, key_id))
        stored = {
            "format": _FORMAT,
            "key_id": key_id,
            "kek_id": self._kek.key_id,
            "wrapped": base64.b64encode(wrapped).decode(),
        }
        create_private(path, json.dumps(stored).encode(), self._disk)


def _context(day: date, tenant: str, class_: str, key_id: str) -> bytes:
    return encode("imprimatur/audit/day-key/v1", tenant, class_, day.isoformat(), key_id)
