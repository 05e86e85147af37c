"""Secrets in the key folder, wrapped by the key service: the governance key, and one key for each hold.

A file says its format, the id of its key, which key wraps it, and the wrapped secret, like a day key's does.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Protocol

from audit.canonical import encode
from audit.errors import KeyRefused
from audit.keys.files import OWNER_ONLY, read_private
from audit.store.disk import Disk

_FORMAT = 1
_KEY_ID_BYTES = 8


class KeyWrapper(Protocol):
    """What is needed of the key service."""

    @property
    def key_id(self) -> str: ...

    def wrap(self, secret: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


def load_secret(path: Path, purpose: str, wrapper: KeyWrapper) -> tuple[str, bytes]:
    """Id and bytes of a stored secret. ``purpose`` is bound to it: a file put in another's place does not open.

    Raises ``KeyRefused`` for a missing, malformed or foreign file.
    """
    try:
        stored = json.loads(read_private(path, "key file"))
        key_id = str(stored["key_id"])
        wrapped = base64.b64decode(stored["wrapped"], validate=True)
        if stored["format"] != _FORMAT:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise KeyRefused(f"key file {path} is malformed or of an unknown format") from None
    return key_id, wrapper.unwrap(wrapped, _context(purpose, key_id))


def create_secret(path: Path, purpose: str, size_bytes: int, wrapper: KeyWrapper, disk: Disk) -> tuple[str, bytes]:
    """Make a secret, durable and whole before anybody sees it; of two processes at once one makes it.

    Returns the one that is there then, which may be the other's.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_id = os.urandom(_KEY_ID_BYTES).hex()
    fresh = path.with_name(f"{path.name}.{key_id}")
    kek_id = wrapper.key_id  # before: a rotation in between must leave an older label, which a rewrap looks at
    wrapped = wrapper.wrap(os.urandom(size_bytes), _context(purpose, key_id))
    disk.write_whole(fresh, _to_json(key_id, kek_id, wrapped), OWNER_ONLY)
    try:
        os.link(fresh, path)  # unlike a rename, refuses where there is one already
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
        disk.sync_folder(path.parent)
    return load_secret(path, purpose, wrapper)


def rewrap_secret(path: Path, purpose: str, wrapper: KeyWrapper, disk: Disk, *, everything: bool = False) -> bool:
    """Wrap a secret anew under the key service's present key; ``False`` if it was already. The secret stays.

    ``everything`` is for services whose rotation has no name to go by. Raises ``KeyRefused`` if the secret does not
    open, or would not open again; the file is left as it was.
    """
    kek_id = wrapper.key_id
    key_id, secret = load_secret(path, purpose, wrapper)
    if json.loads(read_private(path, "key file")).get("kek_id") == kek_id and not everything:
        return False
    context = _context(purpose, key_id)
    wrapped = wrapper.wrap(secret, context)
    if wrapper.unwrap(wrapped, context) != secret:
        raise KeyRefused(f"key file {path} would not open again under the new key; it was left as it was")
    disk.write_whole(path, _to_json(key_id, kek_id, wrapped), OWNER_ONLY)
    return True


def _to_json(key_id: str, kek_id: str, wrapped: bytes) -> bytes:
    stored = {"format": _FORMAT, "key_id": key_id, "kek_id": kek_id, "wrapped": base64.b64encode(wrapped).decode()}
    return json.dumps(stored).encode()


def _context(purpose: str, key_id: str) -> bytes:
    return encode("imprimatur/audit/governance-secret/v1", purpose, key_id)
