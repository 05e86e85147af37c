"""Image requests that are being worked on, so that whoever may not ask any more is stopped in the middle.

A request is decided once, at its beginning; making a picture takes long after that. When somebody is taken out by their
directory or suspended, what they have running ends here: the model's work is cancelled, no picture leaves, the record
says why. `stop` is for who knows it at once, in this process; `watch` asks the database twice a second about those who
have something running, which finds also what another replica did.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import Stopped
from gateway.exchange import ActorId, Reason
from gateway.vocabulary import Code, Severity

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.5
"""How often those with something running are looked up: half of the second within which it has to take effect."""

Step = TypeVar("Step")
Lookup = Callable[[frozenset[ActorId]], Awaitable[dict[ActorId, Code]]]
"""Which of these may not go on, and why."""


class Job:
    """One running request. Touched by the event loop's thread only."""

    def __init__(self, actor: ActorId) -> None:
        self.actor = actor
        self._code: Code | None = None
        self._waiting: asyncio.Task[object] | None = None

    def stop(self, code: Code) -> None:
        """End it: now if it waits for the model, else at its next step."""
        if self._code is None:
            self._code = code
            if self._waiting is not None:
                self._waiting.cancel()

    def check(self) -> None:
        """Raises Stopped when it may not go on."""
        if self._code is not None:
            message = "You may not use Imprimatur any more, so this was stopped. Nothing was charged."
            raise Stopped(message, reasons=[Reason(code=self._code, message=message, severity=Severity.MEDIUM)])

    async def each(self, steps: AsyncIterator[Step]) -> AsyncGenerator[Step, None]:
        """The same steps, until it is stopped. Only the waiting is cancelled, never what reads these steps: that may
        be in the middle of an answer."""
        while True:
            self.check()
            self._waiting = asyncio.current_task()
            try:
                step = await anext(steps)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if self._code is not None and self._waiting is not None:
                    self._waiting.uncancel()  # it was ours: from here on it is an ordinary refusal
                    self.check()
                raise
            finally:
                self._waiting = None
            yield step


class Running:
    """All running requests of this process, by actor."""

    def __init__(self) -> None:
        self._jobs: dict[ActorId, set[Job]] = {}

    @asynccontextmanager
    async def job(self, actor: ActorId) -> AsyncIterator[Job]:
        """A request begins; it is forgotten when the block ends."""
        job = Job(actor)
        self._jobs.setdefault(actor, set()).add(job)
        try:
            yield job
        finally:
            mine = self._jobs[actor]
            mine.discard(job)
            if not mine:
                del self._jobs[actor]

    def stop(self, actor: ActorId, code: Code) -> int:
        """End what this person has running here. Returns how many requests that were."""
        mine = tuple(self._jobs.get(actor, ()))
        for job in mine:
            job.stop(code)
        return len(mine)

    async def watch(self, lookup: Lookup) -> None:
        """Never returns. A database that does not answer is asked again: nothing is stopped on a guess."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not self._jobs:
                continue
            try:
                over = await lookup(frozenset(self._jobs))
            except (SQLAlchemyError, OSError) as error:
                log.error("running.unwatched", extra={"fields": {"cause": type(error).__name__}})
                continue
            for actor, code in over.items():
                self.stop(actor, code)
