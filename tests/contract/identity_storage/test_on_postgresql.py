"""What administrators do, on the other database: the same tests as in `tests/unit/identity`."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import InvalidRequest
from gateway.identity.mapping import read_mapping
from tests.unit.identity.test_emergency import *  # noqa: F403
from tests.unit.identity.test_mapping import *  # noqa: F403
from tests.unit.identity.test_mapping import CAROL, DAN, NOW, approve, proposed, versions

pytestmark = pytest.mark.xdist_group("identity-storage")


async def test_of_two_approvals_at_the_same_moment_one_is_carried_out(identity, database):
    first = await proposed(identity, {**NOW, "leads": ["reviewer"]})
    second = await proposed(identity, {**NOW, "leads": ["policy-author"]})
    done = await asyncio.gather(
        *(approve(identity, database, draft, DAN) for draft in (first, second)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["InvalidRequest", "NoneType"]
    assert await versions(database) == [1]


async def test_of_two_who_narrow_at_the_same_moment_one_is_told_to_look_again(identity, database):
    previews = [
        await identity.mapping.preview(read_mapping({**NOW, "compliance": []})),
        await identity.mapping.preview(read_mapping({**NOW, "staff": []})),
    ]
    done = await asyncio.gather(*(identity.mapping.narrow(CAROL, one) for one in previews), return_exceptions=True)
    assert sum(isinstance(one, InvalidRequest) for one in done) == 1
    assert await versions(database) == [1]
