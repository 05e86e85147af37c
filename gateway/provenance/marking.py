"""The door that the pipeline goes through with a finished picture: marked, remembered, signed, or it does not leave."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.errors import ProvenanceUnavailable
from gateway.exchange import Marks, Picture
from gateway.provenance.certificates import CertificateRefused
from gateway.provenance.credentials import SigningFailed, Statement
from gateway.provenance.register import Register
from gateway.provenance.release import QUALITY, Released, ReleaseFailed, Releaser

THREADS: Final = 2
"""Pictures marked at once: each takes a core for its 30 ms."""
RETRY_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class Marking:
    """Marks pictures. One for the process; safe for many requests at once."""

    def __init__(self, releaser: Releaser, register: Register) -> None:
        self._releaser = releaser
        self._register = register
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="provenance")

    async def mark(self, picture: Picture, statement: Statement, *, quality: int = QUALITY) -> Picture:
        """`picture` as it may leave: watermarked, remembered in the register, signed last.

        `quality` is what was asked for of a JPEG or WebP (1 to 100). Raises ProvenanceUnavailable, and what the
        database raises: an unmarked picture stays.
        """
        work = partial(
            self._releaser.release,
            picture.data,
            picture.media_type,
            statement,
            index=picture.index,
            quality=min(QUALITY, quality),
        )
        try:
            one: Released = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (ReleaseFailed, SigningFailed, CertificateRefused, ValueError) as error:
            _log.error("provenance.failed", extra={"fields": {"cause": type(error).__name__}})
            raise ProvenanceUnavailable(
                "The picture was made, but could not be marked as ours, so it may not leave. Nothing was charged. "
                "Tell your administrator.",
                retry_after_seconds=RETRY_SECONDS,
            ) from error
        await self._register.remember(statement.record_id, picture.index, statement.model, one)
        marks = Marks(
            handle=one.handle,
            fingerprint=str(one.fingerprint),
            quality=one.fingerprint.quality,
            certificate=one.certificate,
        )
        return replace(picture, data=one.data, sha256=one.sha256, width=one.width, height=one.height, marks=marks)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
