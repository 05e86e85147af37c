"""Rotation of the key in a file: a fresh one takes its place, the old one stays beside it and still unwraps.

::

    audit.kek                              wraps
    audit.kek.previous-0123456789abcdef    still unwraps; erase it once nothing is wrapped by it
    audit.kek.next                         there for a moment, or after a crash, in which case the next rotation uses it
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from audit.errors import KeyRefused
from audit.keys.files import create_private
from audit.keys.services.file import KEY_BYTES, PREVIOUS, key_id_of, read_key
from audit.store.disk import Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What a rotation did."""

    old_key_id: str
    new_key_id: str
    old_path: Path


def rotate_file_key(path: Path, disk: Disk) -> Rotation:
    """Make a fresh key the current one, durably. Safe to kill at any moment: at each, the current key wraps and all
    keys that ever did unwrap. Rewrap after. Raises ``KeyRefused`` if a key file must not be used."""
    old = read_key(path)
    fresh = path.with_name(f"{path.name}.next")
    if not fresh.exists():
        create_private(fresh, os.urandom(KEY_BYTES), disk)
    new = read_key(fresh)
    kept = path.with_name(f"{path.name}{PREVIOUS}{key_id_of(old)}")
    if kept.exists():
        if read_key(kept) != old:
            raise KeyRefused(f"{kept} holds another key than its name says; put it aside")
    else:
        create_private(kept, old, disk)
    disk.replace(fresh, path)
    return Rotation(old_key_id=key_id_of(old), new_key_id=key_id_of(new), old_path=kept)
