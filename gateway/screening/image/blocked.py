"""The pictures that must not be made or uploaded: a file of fingerprints, read again when it changes."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from gateway.prints.block_list import BlockList
from gateway.prints.fingerprint import Fingerprint
from gateway.prints.window_list import WindowList
from gateway.prints.windows import WORDS
from gateway.screening.image.seen import Look


class BlockFile:
    """The list in a file, one for the process. Without a path it is empty. Safe for threads.

    A file that can't be read (any more) raises OSError or ValueError at each look: a list that is not there blocks
    nothing, and so it must not be taken for an empty one.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], BlockList, WindowList] = ((0, 0, 0), BlockList(), WindowList.read(""))

    def match(self, seen: Look) -> str | None:
        """The label of the listed picture that this one is nearest to, if it is the same: saved again, resized, turned,
        mirrored; and cut, where the list holds windows of it."""
        whole, windows = self._current()
        near = whole.match([Fingerprint.parse(text, seen.quality) for text in seen.fingerprints])
        if near is not None:
            return near.blocked.label
        asked = np.frombuffer(base64.b64decode(seen.windows, validate=True), np.uint64).reshape(-1, WORDS)
        part = windows.match(asked)
        return None if part is None else part[0]

    def _current(self) -> tuple[BlockList, WindowList]:
        if self._path is None:
            return self._read[1:]
        about = self._path.stat()
        stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        read = self._read  # other threads may put another one there
        if stamp != read[0]:
            text = self._path.read_text("utf-8")
            read = self._read = (stamp, BlockList.read(text), WindowList.read(text))
        return read[1:]
