"""Reads what callers send: bounded in bytes, in time, and in what all callers together may hold in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from model_server.errors import InvalidRequest, RequestTimeout, TooLarge, Unavailable, WrongMedia
from model_server.http.intake import form_limits, form_refusal
from model_server.limits import BodyLimits
from model_server.wire import EditRequest, VariationRequest
from model_server.wire.multipart import Form, FormError, read_form

_MEMORY_FREE_IN_SECONDS = 2


@dataclass(slots=True)
class Held:
    """Bytes that one body takes."""

    size: int = 0


class Bodies:
    """Reads bodies. Used on the event loop alone."""

    def __init__(self, limits: BodyLimits) -> None:
        self.limits = limits
        self._held_bytes = 0

    @contextmanager
    def held(self) -> Iterator[Held]:
        """A body's place in memory; free again when the block ends."""
        held = Held()
        try:
            yield held
        finally:
            self._held_bytes -= held.size

    async def read_json(self, request: Request, held: Held) -> bytes:
        """A JSON body. Raises WrongMedia, TooLarge, RequestTimeout, Unavailable."""
        _require_media(request, "application/json")
        body = bytearray()
        async for chunk in self._chunks(request, self.limits.max_json_bytes, held):
            body += chunk
        return bytes(body)

    async def read_form(self, request: Request, kind: type[EditRequest] | type[VariationRequest], held: Held) -> Form:
        """A form. Raises InvalidRequest too, which names the field."""
        _require_media(request, "multipart/form-data")
        limits = form_limits(kind, self.limits.max_upload_bytes)
        types = request.headers.getlist("content-type")
        if len(types) != 1:  # a proxy before us may have split the body by the other one
            raise InvalidRequest("'content-type' must come once.", param="content-type")
        try:
            return await read_form(types[0], self._chunks(request, limits.max_body_bytes, held), limits)
        except FormError as error:
            raise form_refusal(error, limits) from None

    async def _chunks(self, request: Request, limit: int, held: Held) -> AsyncIterator[bytes]:
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdecimal() and int(announced[:20]) > limit:
            raise TooLarge(f"The body is longer than {limit} bytes.")
        size = 0
        stream = aiter(request.stream())
        end = time.monotonic() + self.limits.total_seconds
        while True:
            # Around the waiting only: a timer that ran on while the caller of this generator works would end its task.
            left = min(self.limits.idle_seconds, end - time.monotonic())
            try:
                async with asyncio.timeout(left):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise RequestTimeout from None
            if chunk is None:
                return
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The body is longer than {limit} bytes.")
            self._take(len(chunk), held)
            yield chunk

    def _take(self, size: int, held: Held) -> None:
        if self._held_bytes + size > self.limits.memory_bytes:
            raise Unavailable("Too many pictures are being sent at once.", retry_after_seconds=_MEMORY_FREE_IN_SECONDS)
        self._held_bytes += size
        held.size += size


def _require_media(request: Request, kind: str) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise WrongMedia(f"The body must be {kind}.")
