"""Asks an image server for pictures, and says in our own words what went wrong when it can't.

Cancelling a call closes its connection: the server takes that as "the client is gone" and frees the slot.
No address ever comes from a caller; the one in the settings is the only one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.errors import ImprimaturError, ModelBroken, ModelUnavailable
from gateway.exchange import ImageRequest, Partial, Progress, RequestId
from gateway.settings import UpstreamSettings
from gateway.upstream.answers import Assembly, Made, as_object, complaint, made
from gateway.upstream.badge import Badge
from gateway.upstream.sse import read_events

ERROR_BODY_BYTES: Final = 65_536
LISTING_SECONDS: Final = 5.0


class ImageServer:
    """One image server. Open for the life of the process."""

    def __init__(self, settings: UpstreamSettings, badge: Badge) -> None:
        self._settings = settings
        self._badge = badge
        self._client = httpx.AsyncClient(
            base_url=str(settings.url).rstrip("/"),
            transport=AiohttpTransport(limits=httpx.Limits(max_connections=settings.max_connections)),
            timeout=httpx.Timeout(
                settings.read_seconds, connect=settings.connect_seconds, pool=settings.connect_seconds
            ),
            trust_env=False,  # a proxy from the environment must never see a prompt
        )

    async def generate(
        self, request: ImageRequest, texts: Mapping[Any, str], request_id: RequestId
    ) -> AsyncGenerator[Progress | Partial | Made, None]:
        """Pictures for `texts` ("prompt", "negative_prompt"). Ends with one Made.

        The texts may be masked; those in `request` are not looked at.

        Raises InvalidRequest for what the model can't do, ModelOverloaded, ModelUnavailable, ModelBroken.
        """
        body = _body(request, texts)
        async with self._open("POST", "/v1/images/generations", request_id, body) as response:
            if not request.stream:
                yield made(as_object(await _read(response, self._largest_body(request.n))), request, self._settings)
                return
            assembly = Assembly(request, self._settings)
            try:
                async for event, data in read_events(response.aiter_lines()):
                    seen = assembly.take(event, data)
                    if seen is not None:
                        yield seen
            except (ValueError, KeyError, TypeError) as error:
                raise ModelBroken(
                    "The image server broke off with an answer we can't read. Nothing was charged."
                ) from error
            yield assembly.finish()

    async def models(self) -> list[dict[str, Any]]:
        """Its `/v1/models` entries, as it gives them."""
        async with self._open("GET", "/v1/models", RequestId("models"), None) as response:
            listed = as_object(await _read(response, 1 << 20)).get("data")
        if not isinstance(listed, list) or not all(
            isinstance(m, dict) and isinstance(m.get("id"), str) for m in listed
        ):
            raise ModelBroken("The image server's list of models is not one.")
        return listed

    async def ready(self) -> bool:
        """Whether it would take a request now."""
        try:
            return (await self._client.get("/readyz", timeout=LISTING_SECONDS)).is_success
        except httpx.HTTPError:
            return False

    async def aclose(self) -> None:
        await self._client.aclose()

    def _largest_body(self, n: int) -> int:
        return n * (self._settings.max_picture_bytes * 4 // 3 + 4096) + 65_536

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, request_id: RequestId, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        headers = {"authorization": self._badge.header(), "x-request-id": request_id}
        try:
            async with self._client.stream(method, path, json=body, headers=headers) as response:
                if not response.is_success:
                    raise await _complain(response)
                yield response
        # Not TimeoutException: this transport says ConnectTimeout for a refused connection too.
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise ModelUnavailable("The image server took too long. Try again; nothing was charged.") from error
        # aiohttp's own errors come through where its transport has no httpx word for them (an answer that is not HTTP).
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise ModelUnavailable(
                "The image server can't be reached. Try again in a moment; nothing was charged."
            ) from error


def _body(request: ImageRequest, texts: Mapping[Any, str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        **texts,
        "model": request.model,
        "n": request.n,
        "size": request.size,
        "quality": request.quality,
        "background": request.background,
        "output_format": request.output_format,
        "output_compression": request.output_compression,
        "response_format": "b64_json",
        **request.options,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.style:
        body["style"] = request.style
    if request.stream:
        body |= {"stream": True, "partial_images": request.partial_images}
    return body


async def _read(response: httpx.Response, limit: int) -> bytes:
    """The body, refused beyond `limit` bytes instead of collected without bound."""
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > limit:
            raise ModelBroken("The image server's answer is larger than it may be.")
        chunks.append(chunk)
    return b"".join(chunks)


async def _complain(response: httpx.Response) -> ImprimaturError:
    try:
        data = as_object(await _read(response, ERROR_BODY_BYTES))
    except ModelBroken:
        data = {}
    return complaint(response.status_code, data, response.headers.get("retry-after"))
