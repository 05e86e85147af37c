"""New rules for some people first: an engine that asks one of two, chosen by who is asking.

The choice depends on the person, the rollout's salt and its size, and on nothing else: the same on every gateway, at
every stage of a request, and when the share grows nobody who had the new rules loses them. Whoever is among the chosen
is decided by the candidate alone. When it can't answer, that is no answer: nobody falls back to other rules silently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.policy.bundle import Rules
from gateway.policy.engine import EngineHealth, EntryPoint, Evaluation, PolicyEngine
from gateway.policy.owner import Owner, question
from gateway.policy.rego import ENGINE_NAME

BUCKETS: Final = 10_000
"""A hundredth of a per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who gets the candidate: everybody in one of `groups`, and besides `percent` of all people and programs."""

    salt: str
    """The rollout's id: another rollout chooses other people first."""
    percent: float = 0.0
    groups: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError(f"percent: expected 0 to 100, got {self.percent}")

    def includes(self, subject: Mapping[str, Any]) -> bool:
        """Whether the candidate decides on this subject of an input."""
        if not self.groups.isdisjoint(subject["groups"]):
            return True
        return bucket(self.salt, subject["id"]) < self.percent * (BUCKETS / 100)


def bucket(salt: str, actor: str) -> int:
    """0 to 9999, the same for an actor in a rollout for ever, evenly spread."""
    # Each length first, so that no salt and actor together look like another pair.
    digest = hashlib.sha256(f"{len(salt)}:{salt}{actor}".encode()).digest()
    return int.from_bytes(digest[:8]) % BUCKETS


class Staged:
    """A PolicyEngine over another, with a candidate beside it for an audience. Every answer names its revision."""

    def __init__(self, engine: PolicyEngine, *, decision_seconds: float) -> None:
        self._engine = engine
        self._decision_seconds = decision_seconds
        self._candidate: tuple[Owner, Audience] | None = None  # one value: both change in one step

    @property
    def revision(self) -> str:
        return self._engine.revision

    @property
    def candidate(self) -> tuple[str, Audience] | None:
        """The candidate's revision and who gets it."""
        return None if self._candidate is None else (self._candidate[0].rules.revision, self._candidate[1])

    async def start(self) -> None:
        await self._engine.start()

    async def aclose(self) -> None:
        await self.withdraw()
        await self._engine.aclose()

    async def health(self) -> EngineHealth:
        return await self._engine.health()

    async def offer(self, rules: Rules, audience: Audience) -> None:
        """From the moment this returns, `audience` is decided by `rules`, which passed their trial. Another candidate
        is replaced whole; the same one only gets another audience. Raises EngineFailed, and then nothing changed."""
        before = self._candidate
        if before is not None and before[0].rules.revision == rules.revision:
            self._candidate = (before[0], audience)
            return
        owner = Owner(rules)
        try:
            await owner.begin()
        except BaseException:
            owner.close()
            raise
        self._candidate = (owner, audience)
        if before is not None:
            before[0].close()

    async def withdraw(self) -> None:
        """Everybody is decided by the rules in force again. Nothing happens when there is no candidate."""
        before, self._candidate = self._candidate, None
        if before is not None:
            before[0].close()

    async def evaluate(self, entry: EntryPoint, document: Mapping[str, Any]) -> Evaluation:
        candidate = self._candidate
        if candidate is None or not candidate[1].includes(document["subject"]):
            return await self._engine.evaluate(entry, document)
        owner = candidate[0]
        result = await owner.ask(entry, question(document), seconds=self._decision_seconds)
        return Evaluation(result=result, engine=ENGINE_NAME, revision=owner.rules.revision)
