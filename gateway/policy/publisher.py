"""Rules from the folder to the servers that ask for them: tried out, signed, recorded, and only then handed out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.policy.bundle import MANIFEST, Bundle, Rules
from gateway.policy.reload import OnReload, Reloader, ignore
from gateway.policy.revisions import Revisions
from gateway.policy.signing import SigningKey, verify
from gateway.policy.tarball import SIGNATURES, opa_files, pack
from gateway.policy.trial import TRIAL_SECONDS, try_out

LONGEST_WAIT_SECONDS: Final = 60.0
MAX_WAITING: Final = 256
"""Long polls at once. One more gets its answer now and asks again: that costs a request and loses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One bundle as it is handed out."""

    revision: str
    digest: str
    """Of the folder it came from (`bundle.Bundle.digest`)."""
    key_id: str
    body: bytes
    etag: str
    """Weak: every replica signs for itself, so the same rules come in different bytes (RFC 9110, 8.8.1)."""


OnPublish = Callable[[Published], Awaitable[None]]


async def say_nothing(_: Published) -> None:
    """For callers that don't want to be told."""


class Publisher:
    """Watches the folder. With a `key` it makes the bundle that OPA servers fetch; without one it only knows which
    revision the folder holds. Either way `revisions` says what may decide.

    What does not pass its trial, or can't be recorded (`on_reload`, `on_publish` raise), is not handed out: the
    bundle before it stays.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], datetime],
        revisions: Revisions,
        key: SigningKey | None,
        decision_seconds: float = 0.25,
        reload_seconds: float = 1.0,
        trial_seconds: float = TRIAL_SECONDS,
        on_reload: OnReload = ignore,
        on_publish: OnPublish = say_nothing,
    ) -> None:
        self._clock = clock
        self._revisions = revisions
        self._key = key
        self._decision_seconds = decision_seconds
        self._reload_seconds = reload_seconds
        self._trial_seconds = trial_seconds
        self._on_publish = on_publish
        self._manifest = b""
        self._digest = ""
        self._watch: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._waiting = 0
        self.current: Published | None = None
        """None without a key."""
        self.reloader: Final = Reloader(
            directory, try_out=self._try_out, activate=self._activate, on_reload=on_reload, clock=clock
        )

    async def start(self) -> None:
        """Read the folder and watch it. Raises BundleRefused."""
        await self.reloader.first()
        self._watch = asyncio.create_task(self.reloader.run(self._reload_seconds), name="policy-publisher")

    async def aclose(self) -> None:
        """Stop, and let everybody go who waits. May be called twice."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        self._changed.set()

    async def other_than(self, etag: str, wait_seconds: float) -> Published | None:
        """The bundle, or None when after `wait_seconds` (60 at most) it is still the one that bears `etag`."""
        if wait_seconds > 0 and self._is_current(etag) and self._watch is not None and self._waiting < MAX_WAITING:
            self._waiting += 1
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait_seconds, LONGEST_WAIT_SECONDS)):
                        await self._changed.wait()
            finally:
                self._waiting -= 1
        return None if self._is_current(etag) else self.current

    def _is_current(self, etag: str) -> bool:
        return self.current is not None and self.current.etag == etag

    async def _try_out(self, bundle: Bundle) -> Rules:
        rules = await try_out(bundle, decision_seconds=self._decision_seconds, trial_seconds=self._trial_seconds)
        # The reloader holds its lock from here to `_activate`: these belong to the same bundle.
        self._manifest, self._digest = bundle.files[MANIFEST], bundle.digest
        return rules

    async def _activate(self, rules: Rules) -> None:
        if self._key is None:
            # OPA loads the folder itself, and tells the manifest's own word for it.
            self._revisions.put_in_force(rules.revision, rules.revision.rpartition("+")[0])
            return
        new = await asyncio.to_thread(self._made, self._key, rules)
        await self._on_publish(new)
        self._revisions.put_in_force(new.revision)
        self.current = new
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _made(self, key: SigningKey, rules: Rules) -> Published:
        files = opa_files(rules, self._manifest)
        now = self._clock()
        files[SIGNATURES] = key.sign(files, now)
        # What we would not take ourselves is not handed out: a key that signs wrongly shows here and not in the fleet.
        verify(files, {key.key_id: key.public_pem}, now=now)
        return Published(
            revision=rules.revision,
            digest=self._digest,
            key_id=key.key_id,
            body=pack(files),
            etag=f'W/"{self._digest}.{key.fingerprint}"',
        )
