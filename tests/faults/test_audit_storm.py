"""Fifty kills of the log's processes and of the database under them: nothing acknowledged is lost.

`make storm` does the same a thousand times on each store.
"""

from __future__ import annotations

import secrets

import pytest

from tests.storm.__main__ import on_postgres, on_sqlite

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("storm")]


@pytest.mark.parametrize(("storm", "kills"), [(on_sqlite, 30), (on_postgres, 20)], ids=["sqlite", "postgres"])
def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(storm, kills):
    said: list[str] = []
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # shown when it fails
    storm(kills, seed, said.append)
    assert "kills" in said[-1]
    assert " 0 acknowledged" not in said[-1]
