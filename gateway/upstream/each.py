"""One request whose pictures have texts of their own: an upstream call for each picture, all at once.

The Images API knows one prompt a call, and so does every server that speaks it. What comes back is put together as if
it had been one call: pictures in their order, one progress, one Made. When a call fails, the others are stopped, and
the request fails as a whole: nobody is charged for a part.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from gateway.exchange import Actor, CleanUpload, ImageRequest, Partial, Progress, RequestId, TokenUsage
from gateway.upstream.answers import Made
from gateway.upstream.client import ImageServer
from model_server.wire import MAX_SEED

_SEEDS: Final = 1 << 31
"""A seed of ours is below: every server's range holds it."""
Step = Progress | Partial | Made


async def make_each(
    server: ImageServer,
    request: ImageRequest,
    each: Sequence[Mapping[str, str]],
    uploads: Sequence[CleanUpload],
    request_id: RequestId,
    actor: Actor,
) -> AsyncGenerator[Step, None]:
    """What `ImageServer.make` gives and raises, with the texts of picture i in `each[i]`.

    One text for all, or one a picture. Call i has the request's id with `-i` behind it. Picture i comes from the seed
    of the whole + i, as it would in one call; where the server takes seeds and none was asked for, one is chosen.
    """
    if len(each) == 1:
        async with aclosing(server.make(request, each[0], uploads, request_id, actor)) as steps:
            async for step in steps:
                yield step
        return
    if len(each) != request.n:
        raise ValueError(f"expected a text for each of {request.n} pictures, got {len(each)}")
    seed = request.seed
    if seed is None and await server.knows(request.model, "seed"):
        seed = secrets.randbelow(_SEEDS)
    seen: asyncio.Queue[tuple[int, Step | None, Exception | None]] = asyncio.Queue(maxsize=request.n)

    async def call(place: int) -> None:
        own = replace(request, n=1, seed=None if seed is None else (seed + place) % (MAX_SEED + 1))
        try:
            making = server.make(own, each[place], uploads, RequestId(f"{request_id}-{place}"), actor)
            async with aclosing(making) as steps:
                async for step in steps:
                    await seen.put((place, step, None))
        except Exception as error:  # told to the caller as its own
            await seen.put((place, None, error))

    calls = [asyncio.create_task(call(place), name="upstream-each") for place in range(request.n)]
    together = _Together(request.n)
    try:
        while not together.is_whole:
            place, said, error = await seen.get()
            if error is not None:
                raise error
            if said is not None and (told := together.take(place, said)) is not None:
                yield told
        yield together.made(seed)
    finally:
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


class _Together:
    """The answers of several calls as one."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._made: dict[int, Made] = {}
        self._progress: dict[int, Progress] = {}
        self._told: Progress | None = None

    @property
    def is_whole(self) -> bool:
        return len(self._made) == self._n

    def take(self, place: int, step: Step) -> Progress | Partial | None:
        if isinstance(step, Partial):
            return replace(step, index=place)
        if isinstance(step, Made):
            self._made[place] = step
            return None
        self._progress[place] = step
        progress = self._overall()
        if progress == self._told:
            return None
        self._told = progress
        return progress

    def _overall(self) -> Progress:
        """As far as all are together: calls that have said nothing yet have done nothing."""
        heard = self._progress.values()
        steps = max(one.steps for one in heard)
        done = sum(steps if place in self._made else one.step for place, one in self._progress.items())
        left = [one.eta_seconds for one in heard if one.eta_seconds is not None]
        return Progress(
            step=done // self._n,
            steps=steps,
            queue_position=max(one.queue_position for one in heard),
            eta_seconds=max(left, default=None),
        )

    def made(self, seed: int | None) -> Made:
        """All pictures. `seed`: of the whole, None where each call chose its own: then no one seed makes them again."""
        parts = [self._made[place] for place in range(self._n)]
        usage = [part.usage for part in parts]
        first = parts[0].making
        return Made(
            pictures=tuple(replace(part.pictures[0], index=place) for place, part in enumerate(parts)),
            making=first if seed is not None else replace(first, seed=None),
            usage=TokenUsage(
                input_tokens=sum(one.input_tokens for one in usage),
                text_tokens=sum(one.text_tokens for one in usage),
                image_tokens=sum(one.image_tokens for one in usage),
                output_tokens=sum(one.output_tokens for one in usage),
            ),
            size=parts[0].size,
        )
