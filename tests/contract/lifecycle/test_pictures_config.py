"""The categories that pictures are searched for go with the rules that decide upon what was found."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image

from gateway.exchange import Picture
from gateway.vocabulary import Code
from tests.support.rule_desk import RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

PICTURES = "gateway/config/pictures/data.yaml"


class Held:
    """The picture workers, of whom one keeps the last picture until it is let go, the first time."""

    def __init__(self, pool: Any, last: int) -> None:
        self._pool = pool
        self._last = last
        self.began = asyncio.Event()
        self.let_go = asyncio.Event()
        self.looks: list[int] = []

    async def look(self, picture: Picture, timeout_seconds: float) -> Any:
        self.looks.append(picture.index)
        seen = await self._pool.look(picture, timeout_seconds)
        if picture.index == self._last and self.looks.count(self._last) == 1:
            self.began.set()
            await self.let_go.wait()
        return seen


def picture(index: int) -> Picture:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 40 * index)).save(out, "PNG")
    return Picture(index=index, data=out.getvalue(), media_type="image/png", width=64, height=64, sha256="0" * 64)


async def test_pictures_under_way_are_looked_at_for_what_the_new_rules_want(desk: RuleDesk) -> None:
    began = (await desk.get("status"))["in_force"]["revision"]
    screening: Any = desk.services.screening
    before, pool = screening.rules, screening._gallery._pool
    held = screening._gallery._pool = Held(pool, last=1)
    try:
        looking = asyncio.create_task(screening.screen_pictures([picture(0), picture(1)]))
        await asyncio.wait_for(held.began.wait(), 120)
        await desk.change({PICTURES: desk.text(PICTURES).replace("  output: []", '  output: ["violence"]')})
        held.let_go.set()
        found = await asyncio.wait_for(looking, 120)
    finally:
        screening._gallery._pool = pool
    wanted = [one.field for one in found if one.type == Code.PICTURE_UNCHECKED]
    assert wanted == ["pictures[0]", "pictures[1]"], found
    assert sorted(held.looks) == [0, 0, 1, 1]
    assert (screening.rules is before, screening.rules.revision) == (False, before.revision)
    await desk.post("rollback", {"revision": began, "reason": "end of the test"}, by="bea", role="policy-approver")
    await desk.until(began)


async def test_categories_that_can_not_be_read_are_no_rules(desk: RuleDesk) -> None:
    draft = await desk.draft(
        {PICTURES: desk.text(PICTURES).replace("required:\n  upload: []\n  output: []", "required: 5")}
    )
    report = await desk.post(f"drafts/{draft['id']}/check")
    assert any((one["path"], one["check"]) == (PICTURES, "load") for one in report["problems"]), report["problems"]
