"""The day keys: one wrapped file for each tenant, class and day, unwrapped once a day by a process.

``keys/2026-11-22.default.standard.json`` holds 64 random bytes wrapped by the key service: the data key (DEK) that
record keys are derived from, and the index key of the blind index. The file's tenant, class, day and key id are the
associated data of the wrap, so a file renamed to another day or tenant does not open.

To destroy a day, or some classes of it, is to append it to the list of destroyed days, then overwrite and unlink its
files. Several processes may share the folder: of two that create a key at the same time one wins and both use its key;
what one destroys no other uses again, for each looks at the list before every use (one ``stat``) and wipes what it
holds unwrapped. ``refresh``, called once a second, does the same for a process that uses no keys just then.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Container, Iterable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from audit.errors import ContentDestroyed, KeyRefused
from audit.keys.day_key_file import StoredDayKey, context_of, load, store_new
from audit.keys.destroyed import DestroyedDays, PurgeStep, Scope, ScopeState
from audit.keys.folder import KeyFolder
from audit.store.disk import Disk

KEY_BYTES = 32  # AES-256, HMAC-SHA-256
_KEY_ID_BYTES = 8

_KeyScope = tuple[date, str, str]  # day, tenant, class


class Wrapper(Protocol):
    """What the ring needs of a key service; ``services/port.py`` tells what it promises and raises."""

    @property
    def key_id(self) -> str: ...

    def can_unwrap(self, key_id: str) -> bool: ...

    def wrap(self, secret: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


class DayKeys:
    """Unwrapped keys of one tenant, class and day. ``wipe`` overwrites them as well as Python allows."""

    __slots__ = ("class_", "day", "dek", "index_key", "is_wiped", "key_id", "row_key", "tenant", "tokens")

    def __init__(self, tenant: str, class_: str, day: date, key_id: str, secret: bytes) -> None:
        self.tenant = tenant
        self.class_ = class_
        self.day = day
        self.key_id = key_id
        self.dek = bytearray(secret[:KEY_BYTES])
        self.index_key = bytearray(secret[KEY_BYTES:])
        self.row_key = bytearray(hmac.digest(self.dek, b"imprimatur/audit/row-key/v1", "sha256"))
        self.tokens: dict[tuple[str, str], bytes] = {}  # made with the index key, remembered; see seal.blind_terms
        self.is_wiped = False

    def wipe(self) -> None:
        self.is_wiped = True  # first: see require_live
        self.tokens.clear()  # they tell who and what in plain words
        for key in (self.dek, self.index_key, self.row_key):
            key[:] = bytes(len(key))

    def require_live(self) -> None:
        """Call it after deriving anything: raises ``ContentDestroyed`` if the keys were wiped by another thread
        meanwhile, for what was derived may then hang on zeros, which everybody can guess."""
        if self.is_wiped:
            raise ContentDestroyed(f"keys of {self.day.isoformat()} were destroyed in this moment")


class KeyRing:
    """Finds, creates and destroys day keys. Safe to call from several threads and processes."""

    def __init__(self, folder: Path, service: Wrapper, disk: Disk) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = KeyFolder(folder)
        self.service = service
        self.disk = disk
        self._lock = threading.Lock()  # guards the cache and the list
        self._fetching = threading.Lock()  # one thread asks the key service, which may be far away
        self._cache: dict[_KeyScope, DayKeys] = {}
        self._wiped_at = -1  # version of the list that the cache was last compared with
        self.destroyed = DestroyedDays(self.folder.destroyed_list, disk)
        self._unlisted: dict[Scope, int] = {}  # keys destroyed while the list could not be written
        self.erased: Container[bytes] = frozenset()  # events nobody may open any more; set by whoever keeps the list

    def get(self, day: date, tenant: str, class_: str) -> DayKeys:
        """Keys that exist. Raises ``ContentDestroyed`` for a destroyed scope, ``KeyRefused`` for a missing file, and
        what the key service raises: one that cannot be reached destroys nothing."""
        return self._find((day, tenant, class_)) or self._fetch((day, tenant, class_), create=False)

    def get_or_create(self, day: date, tenant: str, class_: str) -> DayKeys:
        """Keys for writing. New ones are durable on disk before anything is sealed with them."""
        return self._find((day, tenant, class_)) or self._fetch((day, tenant, class_), create=True)

    def is_destroyed(self, day: date, class_: str | None = None) -> bool:
        """Are the keys of a day and class gone for good? Without a class: of all classes at once."""
        with self._lock:
            self._look()
            return self.destroyed.is_destroyed(day, class_)

    def scopes(self, day: date, tenant: str) -> list[str]:
        """Classes that a tenant has keys for on a day; none once they are destroyed."""
        classes = {file.class_ for file in self.folder.files() if file.day == day and file.tenant == tenant}
        return sorted(class_ for class_ in classes if not self.is_destroyed(day, class_))

    def states(self) -> dict[Scope, ScopeState]:
        """What the list of destroyed days tells of each scope, as it is now."""
        with self._lock:
            self._look()
            return {scope: self.destroyed.state(scope) for scope in self.destroyed.scopes()}

    def refresh(self) -> bool:
        """Wipe what was destroyed elsewhere; tells whether the list had changed."""
        with self._lock:
            return self._look()

    def destroy(self, day: date, at: datetime, classes: Iterable[str] | None = None) -> int:
        """Destroy the keys of a day in every tenant, of all classes or of some; returns how many files went. Safe to
        repeat: files that came back go again.

        When this returns, the scope is on the durable list and its files are gone. On a full disk the files go first
        (that needs no space) and the ``OSError`` of the list is raised after.
        """
        scopes = [Scope(day)] if classes is None else [Scope(day, class_) for class_ in sorted(set(classes))]
        with self._lock:
            self._look()
            paths = {scope: self.folder.of(scope) for scope in scopes}
            failure: OSError | None = None
            for scope in scopes:
                keys = len(paths[scope]) + self._unlisted.pop(scope, 0)
                try:
                    if keys or PurgeStep.DESTROYED not in self.destroyed.state(scope).steps:
                        self.destroyed.add([scope], PurgeStep.DESTROYED, at, keys=keys)
                except OSError as error:
                    self._unlisted[scope] = keys
                    failure = error
            self.destroyed.give_up(scopes)
            self._wipe_destroyed()
            gone = [path for scope in scopes for path in paths[scope]]
            for path in gone:
                with suppress(FileNotFoundError):  # a rewrap that ran beside us took it away
                    self.disk.erase(path)
            if failure is not None:
                raise failure
            return len(gone)

    def mark(self, scope: Scope, step: PurgeStep, at: datetime, **details: int | str) -> None:
        """Note progress of a purge durably. Raises ``OSError``."""
        with self._lock:
            self.destroyed.add([scope], step, at, **details)

    def wipe(self) -> None:
        """Forget every unwrapped key."""
        with self._lock:
            while self._cache:
                self._cache.popitem()[1].wipe()

    def _look(self) -> bool:
        """Called with the lock."""
        changed = self.destroyed.refresh()
        if self.destroyed.version != self._wiped_at:
            self._wipe_destroyed()
        return changed

    def _wipe_destroyed(self) -> None:
        self._wiped_at = self.destroyed.version
        for scope in [scope for scope in self._cache if self.destroyed.is_destroyed(scope[0], scope[2])]:
            self._cache.pop(scope).wipe()

    def _find(self, scope: _KeyScope) -> DayKeys | None:
        with self._lock:
            self._look()
            cached = self._cache.get(scope)
            if cached is not None:  # then the list, as it is now, does not name its scope: ``_look`` wiped what it does
                return cached
            if self.destroyed.is_destroyed(scope[0], scope[2]):
                # First of all: a key file restored from a backup must not be looked at.
                raise ContentDestroyed(f"keys of {scope[0].isoformat()} are destroyed")
            return None

    def _fetch(self, scope: _KeyScope, *, create: bool) -> DayKeys:
        with self._fetching:
            found = self._find(scope)  # another thread may have fetched it meanwhile
            if found is not None:
                return found
            path = self.folder.key_path(*scope)
            if create and not path.exists():
                self._create(path, scope)
            keys = self._load(path, scope)
            with self._lock:
                self._look()  # again: it may have been destroyed while the key service worked
                if self.destroyed.is_destroyed(day := scope[0], scope[2]):
                    keys.wipe()
                    raise ContentDestroyed(f"keys of {day.isoformat()} are destroyed")
                self._cache[scope] = keys
            return keys

    def _load(self, path: Path, scope: _KeyScope) -> DayKeys:
        day, tenant, class_ = scope
        stored = load(path)
        if not self.service.can_unwrap(stored.kek_id):
            raise KeyRefused(
                f"day key {path} is wrapped by {stored.kek_id}, got key-encryption key {self.service.key_id}"
            )
        secret = self.service.unwrap(stored.wrapped, context_of(day, tenant, class_, stored.key_id))
        return DayKeys(tenant, class_, day, stored.key_id, secret)

    def _create(self, path: Path, scope: _KeyScope) -> None:
        key_id = os.urandom(_KEY_ID_BYTES).hex()
        kek_id = self.service.key_id  # before wrapping; see KeyService.key_id
        wrapped = self.service.wrap(os.urandom(2 * KEY_BYTES), context_of(*scope, key_id))
        with suppress(FileExistsError):  # another process was faster: its key is the day's
            store_new(path, StoredDayKey(key_id=key_id, kek_id=kek_id, wrapped=wrapped), self.disk)
