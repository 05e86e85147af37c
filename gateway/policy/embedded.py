"""Rego in process: no other server to run, and rules from a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.policy.bundle import Bundle, Rules
from gateway.policy.engine import EngineFailed, EngineHealth, EntryPoint, Evaluation
from gateway.policy.owner import MakeRego, Owner, make_rego, question
from gateway.policy.rego import ENGINE_NAME
from gateway.policy.reload import OnReload, Reloader, ignore
from gateway.policy.trial import TRIAL_SECONDS, try_out


class EmbeddedEngine:
    """A PolicyEngine over a folder. Changed files come into force within `reload_seconds` and a trial's time.

    A decision is one question to one `Owner`, and an owner's rules never change: no decision mixes two revisions.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], datetime],
        decision_seconds: float = 0.25,
        reload_seconds: float = 1.0,
        trial_seconds: float = TRIAL_SECONDS,
        on_reload: OnReload = ignore,
        make: MakeRego = make_rego,
        on_swap: Callable[[Rules], None] = lambda _: None,
    ) -> None:
        """`on_swap` is called in the same step of the event loop that exchanges the rules: no question comes between.
        It must not fail."""
        self._decision_seconds = decision_seconds
        self._reload_seconds = reload_seconds
        self._trial_seconds = trial_seconds
        self._make = make
        self._on_swap = on_swap
        self._owner: Owner | None = None  # touched by the event loop's thread only
        self._watch: asyncio.Task[None] | None = None
        self.reloader = Reloader(
            directory, try_out=self._try_out, activate=self._activate, on_reload=on_reload, clock=clock
        )

    @property
    def revision(self) -> str:
        return "" if self._owner is None else self._owner.rules.revision

    async def start(self) -> None:
        """Load the rules and watch the folder. Raises BundleRefused: without rules a gateway doesn't start."""
        await self.reloader.first()
        self._watch = asyncio.create_task(self.reloader.run(self._reload_seconds), name="policy-reload")

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        owner = self._owner
        if owner is None:
            raise EngineFailed("no rules are in force")
        result = await owner.ask(entry, question(document), seconds=self._decision_seconds)
        return Evaluation(result=result, engine=ENGINE_NAME, revision=owner.rules.revision)

    async def health(self) -> EngineHealth:
        watching = self._watch is not None and not self._watch.done()
        return EngineHealth(
            ready=self._owner is not None and watching,
            engine=ENGINE_NAME,
            revision=self.revision,
            since=self.reloader.since,
            error=self.reloader.error,
        )

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def _try_out(self, bundle: Bundle) -> Awaitable[Rules]:
        return try_out(bundle, decision_seconds=self._decision_seconds, trial_seconds=self._trial_seconds)

    async def _activate(self, rules: Rules) -> None:
        new = Owner(rules, self._make)
        try:
            await new.begin()
        except BaseException:
            new.close()
            raise
        old, self._owner = self._owner, new
        self._on_swap(rules)
        if old is not None:
            old.close()
