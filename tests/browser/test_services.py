"""Service accounts, as an administrator sees them."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.browser.preview import Running

MISSING = "Failed to load resource: the server responded with a status of"


async def test_an_agreed_key_is_shown_once_to_who_proposed_it(visit, preview: Running, screenshot_dir):
    other = await visit("dan")
    page = await other.go("/services/newsletter")
    await expect(page.get_by_role("button", name="Make the key and show it")).to_have_count(0)
    one = await visit("carol", allowed=(MISSING,))
    page = await one.go("/services/newsletter")
    await page.get_by_role("button", name="Make the key and show it").first.click()
    await expect(page.get_by_role("heading", name="The new key")).to_be_visible()
    key = await page.locator("pre").inner_text()
    assert re.fullmatch(r"imp_svc_[0-9A-Za-z]{50}", key)
    assert key not in page.url
    await page.screenshot(path=screenshot_dir / "service-key.png", full_page=True)
    assert await one.axe() == []
    await page.reload()  # sends the form once more
    await expect(page.get_by_role("heading", level=1)).not_to_have_text("The new key")
    assert key not in await page.content()
    page = await one.go("/services/newsletter")
    row = page.get_by_role("row").filter(has_text=key[:20])
    await expect(row).to_contain_text("make pictures")
    assert key not in await page.content()
    await row.get_by_label("Revoke Ready", exact=True).click()
    await row.get_by_role("button", name="Revoke Ready for good").click()
    await expect(page.get_by_role("row").filter(has_text=key[:20])).to_contain_text("revoked")


async def test_a_service_is_proposed_and_waits(visit):
    one = await visit("carol")
    page = await one.go("/services")
    form = page.locator('form[action="/services"]')
    await form.get_by_label("Name").fill("slides")
    await form.get_by_label("What is it for?").fill("Pictures for slides")
    await form.get_by_label("Who answers for it?").fill("preview|alice")
    await form.get_by_label("make pictures").check()
    await form.get_by_label("Where may it come from?").fill("10.30.0.0/16\n2001:db8::/48")
    await form.get_by_label("Why?").fill("The slides robot moves to the data centre")
    await form.get_by_role("button", name="Propose it").click()
    await expect(page.get_by_role("link", name="Create the service slides")).to_be_visible()
    await expect(page.get_by_role("cell", name="slides", exact=True)).to_have_count(0)
    other = await visit("dan")
    page = await other.go("/services")
    await expect(page.get_by_role("listitem").filter(has_text="Create the service slides")).to_contain_text(
        "proposed by preview|carol"
    )


async def test_a_mistyped_network_is_said_with_what_was_meant(visit):
    one = await visit("carol", allowed=(MISSING,))
    page = await one.go("/services/retired")
    form = page.locator('form[action="/services/retired/change"]')
    await form.get_by_label("Where may it come from?").fill("10.1.2.3/8")
    await form.get_by_role("button", name="Change it").click()
    await expect(page.locator("main")).to_contain_text("Did you mean 10.0.0.0/8")


async def test_narrowing_is_in_force_when_the_page_is_back(visit):
    one = await visit("carol")
    page = await one.go("/services/orphan")
    form = page.locator('form[action="/services/orphan/change"]')
    await form.get_by_label("list the models").uncheck()
    await form.get_by_role("button", name="Change it").click()
    await expect(page.locator("dl.facts")).not_to_contain_text("list the models")
    await expect(page.locator("dl.facts")).to_contain_text("make pictures")
