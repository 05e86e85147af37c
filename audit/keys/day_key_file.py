"""One file of the key folder: a wrapped day key.

``{"format": 1, "key_id": …, "kek_id": …, "wrapped": Base64}``. ``key_id`` names the day key and never changes;
``kek_id`` names the key that wraps it (see ``KeyService.key_id``) and changes with a rewrap. What ``context_of`` holds
is authenticated, by the wrap, so a file renamed to another day, tenant or class does not open. ``kek_id`` is not, and
need not be: a false one opens nothing that the service would not open anyhow.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from audit.canonical import encode
from audit.errors import KeyRefused
from audit.keys.files import OWNER_ONLY, read_private
from audit.store.disk import Disk

_FORMAT: Final = 1
REPLACEMENT: Final = ".rewrapped"  # end of the name of a file that is to take another's place
_ID = re.compile(r"[ -~]{1,512}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDayKey:
    """What a file holds. ``wrapped`` is no secret by itself, but stays out of errors and logs all the same."""

    key_id: str
    kek_id: str
    wrapped: bytes

    def __repr__(self) -> str:
        return f"StoredDayKey(key_id={self.key_id!r}, kek_id={self.kek_id!r})"


def context_of(day: date, tenant: str, class_: str, key_id: str) -> bytes:
    """What a day key is bound to."""
    return encode("imprimatur/audit/day-key/v1", tenant, class_, day.isoformat(), key_id)


def load(path: Path) -> StoredDayKey:
    """Raises ``KeyRefused`` for a file that is missing, open to others, malformed or of another format."""
    try:
        stored = json.loads(read_private(path, "day key"))
        key_id, kek_id = stored["key_id"], stored["kek_id"]
        wrapped = base64.b64decode(stored["wrapped"], validate=True)
        is_known = stored["format"] == _FORMAT
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeyRefused(f"day key {path} is malformed") from None
    if not is_known:
        raise KeyRefused(f"day key {path} has an unknown format")
    for name in (key_id, kek_id):
        if not isinstance(name, str) or _ID.fullmatch(name) is None:
            raise KeyRefused(f"day key {path} is malformed")
    return StoredDayKey(key_id=key_id, kek_id=kek_id, wrapped=wrapped)


def store_new(path: Path, stored: StoredDayKey, disk: Disk) -> None:
    """Create the file durably. Raises ``FileExistsError``: of several processes that try, one wins, whole."""
    disk.create(path, _dump(stored), OWNER_ONLY)


def replace(path: Path, stored: StoredDayKey, disk: Disk) -> None:
    """Put other contents in the file's place, atomically and durably. A crash leaves the old file or the new one, and
    perhaps a third that ends in ``REPLACEMENT``, which ``rewrap`` clears away."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}{REPLACEMENT}")
    disk.create(fresh, _dump(stored), OWNER_ONLY)
    disk.replace(fresh, path)


def _dump(stored: StoredDayKey) -> bytes:
    wrapped = base64.b64encode(stored.wrapped).decode()
    text = json.dumps({"format": _FORMAT, "key_id": stored.key_id, "kek_id": stored.kek_id, "wrapped": wrapped})
    return text.encode()
