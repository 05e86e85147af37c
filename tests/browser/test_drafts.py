"""Back from a fresh second factor, a form stands in a real browser as it was left."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from gateway.exchange import ActorId
from gateway.identity.drafts import Draft
from tests.browser.conftest import PHONE
from tests.browser.preview import XSS, Running


async def came_back(visit: Any, preview: Running, page: str, draft: Draft, **looks: Any) -> Any:
    bob = await visit("bob", **looks)
    actor = (await bob.page.request.get(f"{preview.url}/v1/session")).json()
    actor = (await actor if hasattr(actor, "__await__") else actor)["actor"]
    cookie = preview.services.identity.drafts.keep(ActorId(actor), page, draft)
    assert cookie is not None
    await bob.page.context.add_cookies([{"name": cookie.name, "value": cookie.value, "url": preview.url}])
    await bob.go(page)
    return bob


@pytest.mark.parametrize(
    "looks", [{}, {"scheme": "dark"}, {"size": PHONE}], ids=lambda looks: "-".join(map(str, looks)) or "light"
)
async def test_form_is_filled_once_says_so_and_reads_well(visit: Any, preview: Running, looks: dict[str, Any]) -> None:
    written = Draft("/holds", {"kind": "abuse", "reason": f"Order 17/26 {XSS}", "actor": "company|eve"})
    bob = await came_back(visit, preview, "/holds/new", written, **looks)
    page = bob.page
    await expect(page.get_by_role("status")).to_contain_text("send it again")
    await expect(page.get_by_label("Why?")).to_have_value(f"Order 17/26 {XSS}")
    await expect(page.get_by_label("or a person’s id")).to_have_value("company|eve")
    await expect(page.get_by_label("abuse that has to be looked into")).to_be_checked()
    assert await bob.axe() == []
    await page.reload()
    await expect(page.get_by_label("Why?")).to_have_value("")
    await expect(page.get_by_role("status")).to_have_count(0)


async def test_what_was_folded_away_is_open_when_the_person_is_back(visit: Any, preview: Running) -> None:
    record = f"/audit/records/{preview.requests[5]}"
    written = Draft("/cases", {"purpose": "Complaint 17: a brand was misused", "hours": "24"})
    bob = await came_back(visit, preview, record, written)
    await expect(bob.page.get_by_label("Why do you need to see it?")).to_be_visible()
    await expect(bob.page.get_by_label("For how long?")).to_have_value("24")
