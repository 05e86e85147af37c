"""Pictures in, findings out: the workers' looks, the block list, and the text screening of what they read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from gateway.exchange import Finding, Picture, Stage
from gateway.screening.findings import numbered, unavailable
from gateway.screening.image.blocked import BlockFile
from gateway.screening.image.pool import PicturePool, PicturesUnavailable
from gateway.screening.image.report import report
from gateway.screening.image.required import Required
from gateway.screening.image.seen import Classifier
from gateway.screening.image.watch import Asked, MemoryWatch

DEFAULT_WORKERS: Final = 2
ScreenText = Callable[[str, Literal["ocr_upload", "ocr_output"]], Awaitable[Sequence[Finding]]]
_log = logging.getLogger(__name__)


class Gallery:
    """What pictures show. One for the process; `screen_text` reads what stands in them."""

    def __init__(
        self,
        *,
        directory: Path,
        screen_text: ScreenText,
        workers: int = DEFAULT_WORKERS,
        block_list: Path | None = None,
        classifiers: Sequence[Classifier] = (),
        watch: MemoryWatch | None = None,
    ) -> None:
        self._watch = watch
        self._pool = PicturePool(workers, classifiers)
        self._screen_text = screen_text
        self._blocked = BlockFile(block_list)
        self._required = Required(directory)
        self._classifiers = tuple(classifiers)

    async def look(
        self,
        pictures: Sequence[tuple[str, Picture]],
        *,
        stage: Stage,
        timeout_seconds: float,
        asked: Asked | None = None,
    ) -> tuple[Finding, ...]:
        """The findings about pictures and the names of their fields, with ids `output.f1`, `output.f2`…

        A picture of which a detector gave no answer has the finding `screening.unavailable`, whatever else was found.
        With `asked`, pictures are finished ones, and are compared with what others were given.
        """
        answers = [self._one(field, picture, stage, timeout_seconds, asked) for field, picture in pictures]
        found = [finding for some in await asyncio.gather(*answers) for finding in some]
        return tuple(replace(finding, id=f"{stage}.f{place}") for place, finding in enumerate(found, 1))

    async def _one(
        self, field: str, picture: Picture, stage: Stage, timeout_seconds: float, asked: Asked | None
    ) -> Sequence[Finding]:
        try:
            seen = await self._pool.look(picture, timeout_seconds)
            if seen.broken:
                _log.warning("screening.picture-refused", extra={"picture": field, "check": seen.broken})
                return [unavailable(stage, field)]
            found = report(
                seen,
                stage=stage,
                field=field,
                # In a thread: a long list takes a while.
                is_blocked=await asyncio.to_thread(self._blocked.match, seen) is not None,
                classifiers=self._classifiers,
                required=self._required.of(stage),
            )
            if seen.failed:
                _log.error("screening.detectors-failed", extra={"picture": field, "detectors": list(seen.failed)})
                found.append(unavailable(stage, field))
            if self._watch is not None and stage == "upload":
                self._watch.saw_upload(picture.sha256, seen)
            elif self._watch is not None and asked is not None:
                async with asyncio.timeout(timeout_seconds):
                    found += await self._watch.see(seen, picture.index, asked, field)
            if seen.text:
                scope: Literal["ocr_upload", "ocr_output"] = "ocr_output" if stage == "output" else "ocr_upload"
                said = await self._screen_text(seen.text, scope)
                # Its offsets are of the text that was read: nothing of the prompt can be replaced by them.
                found += [replace(one, stage=stage, field=field, start=0, end=0, maskable=False) for one in said]
        except PicturesUnavailable as error:
            _log.error("screening.pictures-failed", extra={"picture": field, "cause": str(error)})
            return [unavailable(stage, field)]
        except Exception as error:  # whatever it is: no answer from screening is never a yes
            _log.error("screening.pictures-failed", extra={"picture": field, "cause": type(error).__name__})
            return [unavailable(stage, field)]
        return numbered(found)

    async def warm_up(self) -> None:
        """Read what the first picture would wait for. Raises what the database raises."""
        if self._watch is not None:
            await self._watch.refresh()

    async def aclose(self) -> None:
        """No more answers."""
        await self._pool.aclose()
