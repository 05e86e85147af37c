"""The pages of rules in a real browser: a draft by keyboard, what is wrong where it is, replay, proposal, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PHONE, Visit, Visits
from tests.browser.preview import Preview, Running

pytestmark = pytest.mark.xdist_group("rules-pages")

LIMITS = "gateway/config/limits/data.yaml"
AUTHZ = "gateway/image/authz/authz.rego"
CHECK_MS = 120_000
"""A check runs every test of the rules, on a machine that does much else."""
MISSING = "Failed to load resource: the server responded with a status of"


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Preview(tmp_path_factory.mktemp("managed"), rules="managed") as serving:
        yield serving.running


@pytest_asyncio.fixture(loop_scope="session")
async def go(browser: Browser, managed: Running) -> AsyncIterator[Visits]:
    """As `visit`, where rules are managed."""
    visits = Visits(browser, managed)
    yield visits
    unexpected = []
    for one in visits.open:
        unexpected += await one.unexpected()
        await one.page.context.close()
    assert unexpected == []


async def new_draft(one: Visit, title: str) -> Page:
    page = await one.go("/rules/drafts/new")
    await page.get_by_label("What shall be otherwise?").fill(title)
    await page.get_by_role("button", name="Begin the draft").click()
    await page.wait_for_url("**/rules/drafts/*")
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    return page


def base_of(page: Page) -> str:
    return page.url.split("?")[0].split("#")[0]


async def looked_at(one: Visit, shots: Path, name: str) -> None:
    """Taken in light and dark, wide and on a phone; nothing hangs over; axe finds nothing."""
    page = one.page
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.screenshot(path=shots / f"{name}-{scheme}.png", full_page=True)
        assert await one.axe() == [], f"{name} {scheme}"
    size = page.viewport_size
    for width in (PHONE["width"], 320):
        await page.set_viewport_size({"width": width, "height": 844})
        if width == PHONE["width"]:
            await page.screenshot(path=shots / f"{name}-phone.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} at {width}"
    assert size
    await page.set_viewport_size(size)


async def test_a_rule_is_changed_by_keyboard_checked_proposed_approved_and_taken_back(
    go: Visits, managed: Running, screenshot_dir: Path
) -> None:
    ann = await go("ann")
    page = await ann.go("/rules")
    await expect(page.get_by_text("Nobody wants the rules otherwise just now.")).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-first")
    page = await new_draft(ann, "Three pictures are enough")
    draft = base_of(page)
    await page.goto(f"{draft}?file={LIMITS}")
    area = page.locator("#content")
    await expect(area).to_have_value(managed_text(managed, LIMITS))
    await area.focus()
    await page.keyboard.press("Control+f")
    await page.keyboard.type("employee: 4")
    await expect(page.locator("#found")).to_have_text("1 of 1")
    await page.keyboard.press("Escape")
    await page.keyboard.press("End")
    await page.keyboard.press("Backspace")
    await page.keyboard.type("3")
    await expect(page.locator("#told")).to_have_text("Not saved yet.")
    await page.keyboard.press("Control+s")
    await expect(page.locator("#told")).to_have_text("Saved as version 2.")
    await looked_at(ann, screenshot_dir, "rules-editor")
    await area.focus()
    await page.keyboard.press("Control+Enter")
    await page.wait_for_url("**/check", timeout=CHECK_MS)
    await expect(page.get_by_text("checks pass")).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-check-passed")
    await page.get_by_role("link", name="Changes").click()
    await expect(page.get_by_text("employee: 3")).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-changes")
    await page.get_by_role("link", name="Propose", exact=True).click()
    await looked_at(ann, screenshot_dir, "rules-propose")
    await page.get_by_label("Why? Whoever agrees reads this").fill("Four were too many")
    await page.get_by_role("button", name="Propose version 2").click()
    await page.wait_for_url("**/proposals/*")
    await expect(page.get_by_text("Nobody approves their own proposal")).to_be_visible()
    proposal = page.url.removeprefix(managed.url)

    bea = await go("bea")
    other = await bea.go(proposal)
    await expect(other.get_by_text(f"{LIMITS} (+1 −1)")).to_be_visible()
    await looked_at(bea, screenshot_dir, "rules-approval")
    await other.get_by_role("button", name="Approve").click()
    await expect(other.locator(".eyebrow")).to_contain_text("approved", ignore_case=True)
    for _ in range(20):  # it follows within two seconds, on a machine that has time
        await bea.go("/rules")
        if await other.get_by_text("what is in force", exact=True).is_visible():
            break
        await asyncio.sleep(0.5)
    await expect(other.get_by_text("what is in force", exact=True)).to_be_visible()
    await other.get_by_text("Roll back …").first.click()
    await looked_at(bea, screenshot_dir, "rules-rollback")
    form = other.locator("details[open] form")
    await form.get_by_label("Why? Everybody will read it").fill("Three were too few after all")
    await form.get_by_role("button", name="Roll back to these rules").click()
    await expect(other.get_by_text("Those rules are in force again.")).to_be_visible()
    await expect(other.get_by_text("Three were too few after all").first).to_be_visible()


def managed_text(managed: Running, path: str) -> str:
    return (Path(__file__).resolve().parents[2] / "policies" / path).read_text("utf-8")
