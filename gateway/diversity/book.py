"""The rewriter in force, exchanged when its files change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from gateway.diversity.drawing import drawn_for
from gateway.diversity.rewriter import Rewriter
from gateway.diversity.vocabulary import SHARES, WORDS, DiversityError, load_language, load_world

_log = logging.getLogger(__name__)


def load(directory: Path) -> Rewriter:
    """The rewriter of the bundle in `directory`. Raises `DiversityError`."""
    paths = sorted((directory / WORDS).glob("*.yaml"))
    if not paths:
        raise DiversityError(f"{WORDS}: no files with words")
    languages = {path.stem: load_language(path) for path in paths}
    return Rewriter(languages, load_world(directory / SHARES, languages))


class Diversity:
    """Rewrites prompts where policy asks for it. One for the process.

    Raises `DiversityError` when made over files that don't load. Later ones that don't load leave the old in force.
    """

    def __init__(
        self, directory: Path, *, reload_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory, self._every, self._clock = directory, reload_seconds, clock
        self._signature = self._look()
        self._next_look = clock() + reload_seconds
        self._current = load(directory)
        self.error = ""
        """What is wrong with the files as they lie; empty when they are the ones in force."""

    def rewrite_each(self, prompt: str, request_id: str, n: int) -> tuple[str, ...] | None:
        """One text a picture, each with lots of its own; None = the prompt as it is, for all."""
        self._refresh()
        texts = [self._current.rewrite(prompt, drawn_for(request_id, index)) for index in range(n)]
        return tuple(text if text is not None else prompt for text in texts) if any(texts) else None

    def _refresh(self) -> None:
        if self._clock() < self._next_look:
            return
        self._next_look = self._clock() + self._every
        signature = self._look()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._current, self.error = load(self._directory), ""
        except DiversityError as error:
            self.error = str(error)
            _log.warning("diversity.refused", extra={"cause": self.error})

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        seen = []
        for path in (*sorted((self._directory / WORDS).glob("*.yaml")), self._directory / SHARES):
            try:
                status = path.stat()
            except OSError:
                continue
            seen.append((path.name, status.st_mtime_ns, status.st_size))
        return tuple(seen)
