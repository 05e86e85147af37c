"""The pictures that must not be made or uploaded: a file of PDQ fingerprints, read again when it changes."""

from __future__ import annotations

from pathlib import Path

from gateway.provenance.fingerprint import BlockList, Fingerprint, Match
from gateway.screening.image.seen import Look


class BlockFile:
    """The list in a file, one for the process. Without a path it is empty.

    A file that can't be read (any more) raises OSError or ValueError at each look: a list that is not there blocks
    nothing, and so it must not be taken for an empty one.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] = (0, 0, 0)
        self._listed = BlockList()

    def match(self, seen: Look) -> Match | None:
        """The listed picture that this one is nearest to, if it is the same: saved again, resized, turned, mirrored."""
        candidates = [Fingerprint.parse(text, seen.quality) for text in seen.fingerprints]
        return self._current().match(candidates)

    def _current(self) -> BlockList:
        if self._path is None:
            return self._listed
        about = self._path.stat()
        stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        if stamp != self._stamp:
            self._listed = BlockList.read(self._path.read_text("utf-8"))
            self._stamp = stamp
        return self._listed
