"""Changed rules come into force without a restart; rules that don't load leave the old ones in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.policy.bundle import REVISION_CHARS, Bundle, BundleRefused, Problem, Rules, read_bundle, signature

_log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.05
"""A folder that changes again within this time is still being written; the next look takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """One attempt to bring rules into force."""

    ok: bool
    revision: str
    """What is in force after it, or what was refused (then without the manifest's part when that couldn't be read)."""
    previous: str
    """What was in force before; empty at the first load."""
    problems: tuple[Problem, ...] = ()
    at: datetime


OnReload = Callable[[Reload], Awaitable[None]]


async def ignore(_: Reload) -> None:
    """For callers that don't want to be told."""


class Reloader:
    """Looks at a folder and hands changed rules on.

    The order is: read, try out, tell `on_reload`, bring into force. When `on_reload` raises (the audit log can't be
    written), the rules do not come into force, and the next look tries again: no rules without a record of it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        try_out: Callable[[Bundle], Awaitable[Rules]],
        activate: Callable[[Rules], Awaitable[None]],
        on_reload: OnReload,
        clock: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._try_out = try_out
        self._activate = activate
        self._on_reload = on_reload
        self._clock = clock
        self._seen: object = None
        self._refused_digest = ""
        self._lock = asyncio.Lock()
        self.digest = ""
        self.revision = ""
        self.since: datetime | None = None
        self.error = ""
        """Why the newest rules are not in force; empty when they are."""

    async def first(self) -> None:
        """Load for the first time. Raises BundleRefused, or what `on_reload` raises."""
        async with self._lock:
            seen = await asyncio.to_thread(self._look)
            await self._load(await asyncio.to_thread(read_bundle, self._directory))
            self._seen = seen

    async def check(self) -> None:
        """Look once, and load what changed. Never raises."""
        async with self._lock:
            try:
                await self._check()
            except BundleRefused as refused:
                self.error = str(refused)
            except Exception as error:
                # Nothing was activated; the cause (a full disk, a log that can't be written) may pass.
                self._seen = None
                self.error = f"changed rules wait: {type(error).__name__}"
                _log.exception("policy.reload_failed")

    async def run(self, every_seconds: float) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            await self.check()

    async def _check(self) -> None:
        seen = await asyncio.to_thread(self._look)
        if seen == self._seen:
            if not self._refused_digest:
                self.error = ""  # a folder that could not be read is back as it was
            return
        bundle = await asyncio.to_thread(read_bundle, self._directory)
        await asyncio.sleep(SETTLE_SECONDS)
        if await asyncio.to_thread(self._look) != seen:
            return
        if bundle.digest == self.digest:
            self.error = self._refused_digest = ""  # the old state is back
        elif bundle.digest != self._refused_digest:
            await self._load(bundle)
        self._seen = seen

    async def _load(self, bundle: Bundle) -> None:
        try:
            rules = await self._try_out(bundle)
        except BundleRefused as refused:
            self._refused_digest = bundle.digest
            _log.error("policy.refused", extra={"problems": [str(p) for p in refused.problems[:10]]})
            await self._tell(ok=False, revision=bundle.digest[:REVISION_CHARS], problems=refused.problems)
            raise
        await self._tell(ok=True, revision=rules.revision)
        await self._activate(rules)
        self.digest, self.revision, self.since = bundle.digest, rules.revision, self._clock()
        self.error = self._refused_digest = ""
        _log.info("policy.activated", extra={"revision": rules.revision})

    async def _tell(self, *, ok: bool, revision: str, problems: tuple[Problem, ...] = ()) -> None:
        await self._on_reload(
            Reload(ok=ok, revision=revision, previous=self.revision, problems=problems, at=self._clock())
        )

    def _look(self) -> object:
        try:
            return signature(self._directory)
        except OSError as error:
            return f"{type(error).__name__}"  # differs from every good look, so that `read_bundle` says what is wrong
