"""Adding to a list of blocked pictures that others may be reading: whole or not at all, and nothing twice."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.prints.block_list import Blocked, BlockList
from gateway.prints.fingerprint import Fingerprint
from gateway.prints.window_list import WindowList, written
from gateway.prints.windows import NONE, Prints

MAX_LABEL: Final = 100
NEW_MODE: Final = 0o644
"""A fingerprint shows nothing of its picture, and the gateway that reads the list may be another user."""


def add(
    path: Path, laid: Sequence[Fingerprint], label: str, listed: Prints = NONE, asked: Prints = NONE
) -> tuple[str, int] | None:
    """Block the picture whose fingerprints, laid down in all eight ways, are `laid` (the first is upright), and what is
    left of it when its edges are cut away. `listed` and `asked` are its windows (`gateway.prints.windows`).

    None when it was added: durable, and whoever reads the list sees the old one or the new one. Else the label of
    what was there already and how many bits away it is, and the file is as it was. Lines and comments of others stay as
    they are. Raises ValueError for a picture that says too little, for a bad label and for a list that can't be read;
    OSError.
    """
    word = " ".join(label.split())
    if not word or not word.isprintable() or len(word) > MAX_LABEL:
        raise ValueError(f"expected a label of 1 to {MAX_LABEL} printable characters")
    path = path.resolve()  # the file behind a link is replaced, never the link
    with _alone(path.parent):
        text = path.read_text("utf-8") if path.exists() else ""
        before = BlockList.read(text)
        known, part = before.match(laid), WindowList.read(text).match(asked)
        if known is not None:
            return known.blocked.label, known.distance
        if part is not None:
            return part
        added = BlockList([Blocked(laid[0], word)])  # refuses what would match everything that is flat
        apart = "" if not text or text.endswith("\n") else "\n"
        _replace(path, f"{text}{apart}{added.write()}{written(listed, word)}")
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer at a time in this folder. The lock goes with the process, however that ends, and leaves no file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if path.exists():
                before = path.stat()
                os.fchmod(file.fileno(), before.st_mode & 0o777)
                with suppress(PermissionError):  # only root may give files away
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            else:
                os.fchmod(file.fileno(), NEW_MODE)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
