"""A sink that writes to a file, such as a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from audit.errors import SinkRefused
from audit.export.formats import RENDERINGS, FeedFormat
from audit.export.record import ExportRecord


class StreamSink:
    """Writes lines, and flushes after each batch. A reader that went away (``EPIPE``) refuses."""

    def __init__(self, out: TextIO, feed_format: FeedFormat) -> None:
        self._out = out
        self._rendering = RENDERINGS[feed_format]
        self._is_begun = False

    async def send(self, records: Sequence[ExportRecord]) -> None:
        try:
            if not self._is_begun:
                self._out.write(self._rendering.header)
                self._is_begun = True
            for record in records:
                self._out.write(self._rendering.line(record))
            self._out.flush()
        except BrokenPipeError:
            raise SinkRefused("the reader of the output went away") from None

    async def aclose(self) -> None:
        return
