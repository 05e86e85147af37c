"""The place where decisions are seen: an engine around the engine, that tells others what was asked and answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.policy.engine import EngineHealth, EntryPoint, Evaluation, PolicyEngine

_log = logging.getLogger(__name__)

Watcher = Callable[[EntryPoint, Mapping[str, Any], Evaluation], None]
"""Told of one decision. Must return at once: it is called on a request's path. The document is not its to change."""


class Watched:
    """A PolicyEngine whose decisions others see. What they do with it never changes a decision, nor delays one by more
    than it takes to put a reference into a queue; a watcher that raises is logged and the decision goes on."""

    def __init__(self, engine: PolicyEngine, watchers: Sequence[Watcher] = ()) -> None:
        self._engine = engine
        self.watchers = list(watchers)

    @property
    def revision(self) -> str:
        return self._engine.revision

    async def start(self) -> None:
        await self._engine.start()

    async def aclose(self) -> None:
        await self._engine.aclose()

    async def health(self) -> EngineHealth:
        return await self._engine.health()

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        evaluation = await self._engine.evaluate(entry, document)
        for watcher in self.watchers:
            try:
                watcher(entry, document, evaluation)
            except Exception as error:
                # The name only: what it stumbled over may be part of the question.
                _log.error("policy.watcher_failed", extra={"fields": {"cause": type(error).__name__}})
        return evaluation
