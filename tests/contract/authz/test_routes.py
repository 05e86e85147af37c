"""Every route for every kind of caller, from the application's own list of routes. What is not in the table fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.settings import Settings
from tests.authz.bed import Bed, open_bed
from tests.authz.matrix import CALLERS, NOBODY, is_open, lines
from tests.authz.table import WAYS, Guard
from tests.support.routes import routes_of

pytestmark = [pytest.mark.xdist_group("authz"), pytest.mark.asyncio(loop_scope="module")]

TRIED = [key for key in WAYS if key[0] != "*"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    async with open_bed(tmp_path_factory.mktemp("authz")) as bed:
        yield bed


async def test_every_route_is_in_the_table_and_nothing_else_is() -> None:
    there = routes_of(create_app(Settings()))
    assert there - WAYS.keys() == set(), "say in tests/authz/table.py who may come in this way"
    assert WAYS.keys() - there == set(), "these are no routes any more"


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_way_is_open_to_whom_it_is_meant_for_and_to_nobody_else(bed: Bed, caller: str) -> None:
    wrong = []
    for method, path in TRIED:
        way = WAYS[method, path]
        answer = await bed.knock(method, path, way, caller)
        # 303 to the welcome page is how a browser is told to sign in.
        is_turned_away = answer.status_code in (401, 403) or (
            way.opens is Guard.OWN_SECRET and answer.status_code in (400, 404)
        )
        if is_turned_away == is_open(way, caller):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:150]}")
        elif is_turned_away and caller == NOBODY and way.opens is not Guard.OWN_SECRET:
            assert answer.status_code == 401, (method, path)
        assert answer.status_code < 500 or answer.status_code in (502, 503), (method, path, answer.text[:200])
    assert wrong == []


async def test_the_matrix_has_a_line_for_each_route() -> None:
    printed = list(lines())
    assert len(printed) == 2 + len(WAYS)
    assert all(line.count("|") == len(CALLERS) + 3 for line in printed)


async def test_the_page_of_the_matrix_is_current() -> None:
    page = Path(__file__).resolve().parents[3] / "docs/reference/who-may-what.md"
    assert "\n".join(lines()) in page.read_text("utf-8"), "run `python -m tests.authz` and put it there"
