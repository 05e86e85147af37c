"""A day at the company, in a real browser, through the real provider, gateway, model and log."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Browser, Page, expect

from demo.idp import Person
from tests.browser.conftest import DESK, Visit, listen

pytestmark = pytest.mark.timeout(240)

REFUSED = "Failed to load resource: the server responded with a status of 400"
PICTURE_MS = 120_000
"""A picture takes seconds; on a machine that does much else it may take more."""


async def arrive(browser: Browser, url: str) -> Visit:
    """A fresh browser at our front door."""
    context = await browser.new_context(viewport=DESK, accept_downloads=True)  # type: ignore[arg-type]
    visit = Visit(await context.new_page(), url)
    await listen(visit)
    await visit.go("/")
    return visit


async def sign_in(page: Page, person: Person) -> None:
    """What a person does: our door, the provider's three questions, back with us."""
    await page.get_by_role("main").get_by_role("link").first.click()
    await page.locator("input[name=login]").fill(person.name)
    await page.keyboard.press("Enter")
    await page.locator("input[name=password]").fill(person.password)
    await page.keyboard.press("Enter")
    assert person.totp_secret is not None
    totp = pyotp.TOTP(person.totp_secret)
    for _ in range(2):
        await page.locator("input[name=otp]").fill(totp.now())
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        if "/otp" not in page.url:
            return
        # A code is good once, and for half a minute: another test had just used it, or its time ran out on the way.
        await asyncio.sleep(30 - time.time() % 30)


async def complaints_of_ours(visit: Visit) -> list[str]:
    """What our own pages complained about; the provider's are not ours to mend."""
    return [text for text in await visit.unexpected() if visit.url in text]


async def test_from_sign_in_with_a_second_factor_to_a_proven_record(browser, stack, screenshot_dir: Path, tmp_path):
    alice = await arrive(browser, stack.url)
    page = alice.page
    await expect(page).to_have_url(f"{stack.url}/welcome")
    await sign_in(page, stack.people["alice"])
    await expect(page).to_have_url(f"{stack.url}/studio")
    await expect(page.get_by_role("button", name="Alice Marsh")).to_be_visible()
    credits = page.locator("#credits")
    await expect(credits).to_contain_text("credits")
    before = int(re.findall(r"\d+", await credits.inner_text())[0])

    await page.get_by_role("radio", name="2", exact=True).check(force=True)
    await page.get_by_label("What should it show?").fill("a fox on a blue background")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".run header small")).to_contain_text(re.compile(r"step \d+ of \d+"), timeout=PICTURE_MS)
    await expect(page.locator(".picture:not(.working)")).to_have_count(2, timeout=PICTURE_MS)
    await expect(credits).to_contain_text(f"{before - 1} of")
    await page.wait_for_timeout(700)
    await page.screenshot(path=screenshot_dir / "journey-studio.png")
    await page.get_by_role("button", name="Look closer at picture 1 of 2").click()
    request_id = await page.locator("#viewer-facts dd.mono").inner_text()
    async with page.expect_download() as waiting:
        await page.get_by_role("dialog").get_by_role("link", name="Download").click()
    await (await waiting.value).save_as(tmp_path / "fox.png")
    assert (tmp_path / "fox.png").read_bytes().startswith(b"\x89PNG")
    await page.get_by_role("dialog").get_by_role("button", name="Vary").click()
    await expect(page.locator(".run").first.locator(".picture:not(.working)")).to_have_count(3, timeout=PICTURE_MS)
    await page.get_by_role("button", name="Look closer at picture 1 of 3").click()
    await page.get_by_role("dialog").get_by_role("button", name="Edit", exact=True).click()
    await page.get_by_role("radio", name="A box").check(force=True)
    await page.get_by_label("What should change?").fill("a red apple")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_role("heading", name="a red apple")).to_be_visible()
    await expect(page.locator(".run").first.locator(".picture:not(.working)")).to_have_count(2, timeout=PICTURE_MS)
    await expect(credits).to_contain_text(f"{before - 3} of")
    await page.wait_for_timeout(700)
    await page.screenshot(path=screenshot_dir / "journey-edit.png")
    await page.get_by_role("button", name="Take it away").click()

    await page.get_by_label("What should it show?").fill("a poster for the order paid with 4111 1111 1111 1111")
    await expect(page.locator("#shadow mark.deny")).to_have_text("4111 1111 1111 1111")
    alice.allowed = (REFUSED,)
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".coach .effect")).to_have_text("Not sent · nothing charged", timeout=15_000)
    refused_id = (await page.locator(".coach .reference").inner_text()).rpartition(" · ")[2]
    await expect(credits).to_contain_text(f"{before - 3} of")
    await page.screenshot(path=screenshot_dir / "journey-refusal.png")

    await page.get_by_role("button", name="Alice Marsh").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{stack.url}/studio")
    await expect(page).to_have_url(re.compile(r"/welcome\?return_to="))
    assert await complaints_of_ours(alice) == []
    await page.context.close()

    bob = await arrive(browser, stack.url)
    page = bob.page
    await sign_in(page, stack.people["bob"])
    await expect(page).to_have_url(f"{stack.url}/audit")
    for event_id, word, reason in ((request_id, "allowed", ""), (refused_id, "denied", "payment card number")):
        await page.goto(f"{stack.url}/audit?event_id={event_id}")
        row = page.locator("tr").filter(has=page.locator(f'a[href="/audit/records/{event_id}"]'))
        await expect(row).to_contain_text("Alice Marsh")
        await expect(row.locator(".effect")).to_have_text(word)
        await expect(row).to_contain_text(reason)
        await row.locator(".when a").click()
        await expect(page.get_by_text("Verified now")).to_be_visible()
        assert "blue background" not in await page.content()
        assert "order paid with" not in await page.content()
    await page.screenshot(path=screenshot_dir / "journey-record.png", full_page=True)
    assert await bob.axe() == []
    assert await complaints_of_ours(bob) == []
    await page.context.close()


async def test_the_door_turns_away_who_has_no_second_factor(browser, stack):
    visit = await arrive(browser, stack.url)
    page, carol = visit.page, stack.people["carol"]
    await page.get_by_role("main").get_by_role("link").first.click()
    await page.locator("input[name=login]").fill(carol.name)
    await page.keyboard.press("Enter")
    await page.locator("input[name=password]").fill(carol.password)
    await page.keyboard.press("Enter")
    await page.wait_for_load_state("networkidle")
    await page.goto(f"{stack.url}/studio")
    await expect(page).not_to_have_url(f"{stack.url}/studio")
    await expect(page.get_by_label("What should it show?")).to_have_count(0)
    await page.context.close()
