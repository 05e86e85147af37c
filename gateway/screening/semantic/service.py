"""Reading for meaning beside the event loop: threads of its own, a deadline, no answer but a whole one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gateway.screening.semantic.errors import MeaningUnavailable
from gateway.screening.semantic.reader import Meant, Reader, shared_reader

THREADS: Final = 2
"""The network runs outside Python's lock, one core a thread."""
LOAD_SECONDS: Final = 30.0
"""Loading is paid by the first text, not by its deadline."""


class Meaning:
    """For many requests at once. The model is loaded with the first text, once for the process."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        load: Callable[[], Reader] = shared_reader,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout_seconds
        self._load = load
        self._clock = clock
        self._reader: Reader | None = None
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="meaning")

    async def find(self, text: str) -> list[Meant]:
        """The subjects of a normalised text. Raises `MeaningUnavailable`: missing, broken or late."""
        loop = asyncio.get_running_loop()
        try:
            if self._reader is None:
                async with asyncio.timeout(LOAD_SECONDS):
                    self._reader = await loop.run_in_executor(self._threads, self._load)
            reader, until = self._reader, self._clock() + self._timeout
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(
                    self._threads, lambda: reader.read(text, lambda: self._clock() > until)
                )
        except TimeoutError:
            raise MeaningUnavailable("reading took too long") from None

    async def aclose(self) -> None:
        """Let go of the threads; a window under way is read to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
