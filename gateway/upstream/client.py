"""Asks an image server for pictures, and says in our own words what went wrong when it can't.

Cancelling a call closes its connection: the server takes that as "the client is gone" and frees the slot. A server that
speaks our wire is told so by name as well, because a proxy in between may keep the connection open.
No address ever comes from a caller; the one in the settings is the only one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.errors import ImprimaturError, InvalidRequest, ModelBroken, ModelUnavailable
from gateway.exchange import Actor, CleanUpload, ImageRequest, Partial, Progress, RequestId
from gateway.settings import UpstreamSettings
from gateway.upstream.answers import Assembly, Made, as_object, complaint, made, too_long
from gateway.upstream.badge import Badge
from gateway.upstream.fields import PATHS, body, form, known_fields, own_fields, speaks_ours
from gateway.upstream.sse import read_events
from gateway.upstream.turn import Turns
from model_server.wire import DEADLINE_HEADER

ERROR_BODY_BYTES: Final = 65_536
LISTING_SECONDS: Final = 5.0
CANCEL_SECONDS: Final = 5.0

T = TypeVar("T")


class ImageServer:
    """One image server. Open for the life of the process."""

    def __init__(self, settings: UpstreamSettings, badge: Badge, turns: Turns) -> None:
        self._settings = settings
        self._badge = badge
        self._turns = turns
        self._listed: dict[str, dict[str, Any]] = {}  # by model id, as last told; the event loop's thread only
        self._cancelling: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(
            base_url=str(settings.url).rstrip("/"),
            transport=AiohttpTransport(
                verify=_tls(settings), limits=httpx.Limits(max_connections=settings.max_connections)
            ),
            timeout=httpx.Timeout(
                settings.read_seconds, connect=settings.connect_seconds, pool=settings.connect_seconds
            ),
            trust_env=False,  # a proxy from the environment must never see a prompt
        )

    async def make(
        self,
        request: ImageRequest,
        texts: Mapping[str, str],
        uploads: Sequence[CleanUpload],
        request_id: RequestId,
        actor: Actor,
    ) -> AsyncGenerator[Progress | Partial | Made, None]:
        """Pictures for `texts` ("prompt", "negative_prompt", "sketch.0"…) and `uploads`. Ends with one Made.

        Texts may be masked and uploads are clean; those in `request` are not looked at. Close the iterator (`aclosing`)
        to stop the work.

        Raises InvalidRequest for what the model can't do, ModelOverloaded, ModelUnavailable, ModelBroken.
        """
        ours = await self._check_fields(request)
        deadline = asyncio.get_running_loop().time() + self._settings.total_seconds
        headers = self._turns.headers(actor) | {DEADLINE_HEADER: f"{self._settings.total_seconds:g}"} if ours else {}
        finished = False
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout_at(deadline):
                    opening = self._open(
                        "POST", PATHS[request.action], request_id, body(request, texts), uploads, headers
                    )
                    response = await stack.enter_async_context(opening)
                if not response.is_success:
                    finished = True
                    raise await _complain(response)
                if not request.stream:
                    async with asyncio.timeout_at(deadline):
                        answer = await _read(response, self._largest_body(request.n))
                    finished = True
                    yield made(as_object(answer), request, self._settings)
                    return
                assembly = Assembly(request, self._settings)
                try:
                    async for event, data in _until(deadline, read_events(response.aiter_lines())):
                        seen = assembly.take(event, data)
                        if seen is not None:
                            yield seen
                except (ValueError, KeyError, TypeError) as error:
                    raise ModelBroken(
                        "The image server broke off with an answer we can't read. Nothing was charged."
                    ) from error
                finished = True
                yield assembly.finish()
        except TimeoutError as error:
            raise too_long() from error
        finally:
            if ours and not finished:
                self._cancel_soon(request_id)

    async def models(self) -> list[dict[str, Any]]:
        """Its `/v1/models` entries, as it gives them."""
        async with self._open("GET", "/v1/models", RequestId("models"), None) as response:
            if not response.is_success:
                raise await _complain(response)
            listed = as_object(await _read(response, 1 << 20)).get("data")
        if not isinstance(listed, list) or not all(
            isinstance(m, dict) and isinstance(m.get("id"), str) for m in listed
        ):
            raise ModelBroken("The image server's list of models is not one.")
        self._listed = {entry["id"]: entry for entry in listed}
        return listed

    async def knows(self, model: str, field: str) -> bool:
        """Whether the server has said that it takes this field of ours for this model."""
        if not self._listed:
            await self.models()
        return field in known_fields(self._listed.get(model, {}))

    async def ready(self) -> bool:
        """Whether it would take a request now."""
        try:
            return (await self._client.get("/readyz", timeout=LISTING_SECONDS)).is_success
        except httpx.HTTPError:
            return False

    async def aclose(self) -> None:
        await asyncio.gather(*self._cancelling)
        await self._client.aclose()

    async def _check_fields(self, request: ImageRequest) -> bool:
        """Whether the server speaks our wire for this model. Raises InvalidRequest for a field of ours that it has not
        said it knows: to send it all the same would be to lose it unseen, or to be misunderstood."""
        needed = own_fields(request)
        if needed and not self._listed:
            await self.models()
        entry = self._listed.get(request.model, {})
        for name in sorted(needed - known_fields(entry)):
            raise InvalidRequest(
                f"{name}: this model does not know it here; leave it out.", param=name, code="unsupported_value"
            )
        return speaks_ours(entry)

    def _cancel_soon(self, request_id: RequestId) -> None:
        # On a task of its own: we may be here because our task is being cancelled, and could await nothing.
        task = asyncio.create_task(self._cancel(request_id), name="upstream-cancel")
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def _cancel(self, request_id: RequestId) -> None:
        """Best effort: the closed connection says the same, and the deadline ends what neither reaches."""
        headers = {"authorization": self._badge.header()}
        with suppress(httpx.HTTPError, aiohttp.ClientError):
            await self._client.post(f"/v1/images/{request_id}/cancel", headers=headers, timeout=CANCEL_SECONDS)

    def _largest_body(self, n: int) -> int:
        return n * (self._settings.max_picture_bytes * 4 // 3 + 4096) + 65_536

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        request_id: RequestId,
        fields: Mapping[str, Any] | None,
        uploads: Sequence[CleanUpload] = (),
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        # A fresh badge for each call, also when a call is tried again: one that was seen before is refused.
        own = {"authorization": self._badge.header(), "x-request-id": request_id, **(headers or {})}
        content: dict[str, Any] = {"json": fields}
        if uploads and fields is not None:
            texts, files = form(fields, uploads)
            content = {"data": texts, "files": files}
        try:
            async with self._client.stream(method, path, headers=own, **content) as response:
                yield response
        # Not TimeoutException: this transport says ConnectTimeout for a refused connection too.
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise too_long() from error
        # aiohttp's own errors come through where its transport has no httpx word for them (an answer that is not HTTP).
        except (httpx.HTTPError, aiohttp.ClientError) as error:
            raise ModelUnavailable(
                "The image server can't be reached. Try again in a moment; nothing was charged."
            ) from error


def _tls(settings: UpstreamSettings) -> ssl.SSLContext | bool:
    """Whom to trust and who we are. A company's CA stands alone: any public one could vouch for a stranger."""
    if settings.tls_ca_path is None and settings.tls_certificate_path is None:
        return True
    context = ssl.create_default_context(cafile=None if settings.tls_ca_path is None else str(settings.tls_ca_path))
    if settings.tls_certificate_path is not None and settings.tls_key_path is not None:
        context.load_cert_chain(settings.tls_certificate_path, settings.tls_key_path)
    return context


async def _until(deadline: float, source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """What `source` gives, until the loop's clock says `deadline`: then TimeoutError. Only the waiting is timed: while
    our caller works on an item, its time is its own and must not be interrupted."""
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                item = await anext(source)
        except StopAsyncIteration:
            return
        yield item


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
