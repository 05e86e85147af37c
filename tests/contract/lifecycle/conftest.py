"""One gateway with managed rules a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.rule_desk import RuleDesk, open_rule_desk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RuleDesk]:
    async with open_rule_desk(tmp_path_factory.mktemp("lifecycle")) as desk:
        yield desk
