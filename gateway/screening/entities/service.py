"""Reading names beside the event loop: a thread of its own, a deadline, and who pays when there is no answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.model import shared_model
from gateway.screening.entities.scan import ReadsNames, Wanted, read, sound
from gateway.screening.text.normalise import Normalised
from gateway.screening.text.scan import Hit

LOAD_SECONDS: Final = 30.0
"""Loading is paid by the first text with a cue, not by its deadline."""
RETRY_SECONDS: Final = 30.0
"""A model that is missing or another one is looked for again after so long: each look hashes 13 MB."""
log = logging.getLogger(__name__)


class Names:
    """For many requests at once. The model is loaded when a text first has a cue, once for the process."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        load: Callable[[], ReadsNames] = shared_model,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout_seconds
        self._load = load
        self._clock = clock
        self._model: ReadsNames | None = None
        self._missing = ""
        self._next_try = clock()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="names")  # the model reads one at a time

    async def find(self, original: Normalised, wanted: Wanted) -> list[Hit]:
        """The names in these parts of a text.

        Missing, altered, late or broken: raises `NamesUnavailable` where a rule in force asked, so that the text is not
        let through unread. Where all that asked are in monitor mode their answer would change nothing, and a request
        that is held for want of it would be held for nothing: the list is empty then, and a line of the log says why.
        """
        try:
            return await self._find(original, wanted)
        except Exception as error:  # of others than ours only the class is told: they may quote the text
            cause = str(error) if isinstance(error, NamesUnavailable) else type(error).__name__
            if wanted.is_enforced:
                raise NamesUnavailable(cause) from None
            log.warning("screening.names-unread", extra={"cause": cause})
            return []

    async def warm_up(self) -> None:
        """Load the model now. Raises `NamesUnavailable`."""
        await self._loaded()

    async def _find(self, original: Normalised, wanted: Wanted) -> list[Hit]:
        loop = asyncio.get_running_loop()
        model = await self._loaded()
        async with asyncio.timeout(LOAD_SECONDS):  # the first time each rule is tried by its own tests
            rules = await loop.run_in_executor(self._threads, lambda: sound(wanted.rules, model))
        until = self._clock() + self._timeout
        async with asyncio.timeout(self._timeout):
            return await loop.run_in_executor(
                self._threads,
                lambda: read(rules, original, wanted.stretches, model, lambda: self._clock() > until),
            )

    async def _loaded(self) -> ReadsNames:
        if self._model is not None:
            return self._model
        if self._missing and self._clock() < self._next_try:
            raise NamesUnavailable(self._missing)
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                self._model = await asyncio.get_running_loop().run_in_executor(self._threads, self._load)
        except NamesUnavailable as error:
            self._missing, self._next_try = str(error), self._clock() + RETRY_SECONDS
            raise
        return self._model

    async def aclose(self) -> None:
        """Let go of the thread; a stretch under way is read to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
