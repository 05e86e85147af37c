"""Engines and owners that are closed whatever a test does to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from gateway.policy.bundle import Rules
from gateway.policy.embedded import EmbeddedEngine
from gateway.policy.owner import Owner
from tests.support.policy import NOW, UNHURRIED_SECONDS, Told

EngineOver = Callable[..., EmbeddedEngine]


@pytest_asyncio.fixture
async def engine_over() -> AsyncIterator[EngineOver]:
    """Makes engines over a folder, and closes them whatever happens."""
    made: list[EmbeddedEngine] = []

    def make(folder: Path, told: Told | None = None, **options: Any) -> EmbeddedEngine:
        options = {"decision_seconds": UNHURRIED_SECONDS, "reload_seconds": 3600.0} | options
        made.append(EmbeddedEngine(folder, clock=lambda: NOW, on_reload=told or Told(), **options))
        return made[-1]

    yield make
    for engine in made:
        await engine.aclose()


@pytest_asyncio.fixture
async def owner_of() -> AsyncIterator[Callable[[Rules], Awaitable[Owner]]]:
    """Makes owners, and closes them whatever happens."""
    made: list[Owner] = []

    async def make(rules: Rules) -> Owner:
        made.append(Owner(rules))
        await made[-1].begin()
        return made[-1]

    yield make
    for owner in made:
        owner.close()
