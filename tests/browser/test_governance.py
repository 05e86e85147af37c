"""Cases, holds and people's data in a real browser: by keyboard alone, and with whatever people wrote as text."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from playwright.async_api import expect

from audit import Entry, Officer, Scope, Subject
from tests.browser.preview import XSS, Running


async def test_a_hold_is_asked_for_and_placed_by_keyboard_alone(visit, preview: Running):
    bob = await visit("bob")
    page = await bob.go(f"/audit/records/{preview.requests[5]}")
    await page.get_by_role("link", name="Hold this record").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/holds/new?*")
    await expect(page.get_by_label("Request ids")).to_have_value(preview.requests[5])
    await page.get_by_label("a court or another authority").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Order 18/26 of the district court")
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.tagName") == "BUTTON":
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("A second person has to place it")).to_be_visible()
    assert await page.get_by_role("button", name="Place the hold").count() == 0
    gail = await visit("gail")
    other = await gail.go(page.url.removeprefix(preview.url))
    await other.get_by_role("button", name="Place the hold").focus()
    await other.keyboard.press("Enter")
    await expect(other.locator(".eyebrow")).to_contain_text("keeps", ignore_case=True)
    await page.reload()
    await expect(page.get_by_role("button", name="Ask for its end")).to_be_visible()


async def opened_case(preview: Running, prompt: str) -> str:
    """The address of an active case of Bob's about a record that holds this text everywhere it can."""

    async def make() -> str:
        log, now = preview.services.audit, preview.services.clock()
        bob, gail = (Officer(Subject(actor=f"preview|{name}", display=name), now) for name in ("bob", "gail"))
        who = Subject(actor="preview|mira", display=prompt[:200])
        content = {"request": {"prompt": prompt, prompt[:60]: prompt}, "user_agent": prompt[:200]}
        ticket = await log.intend(Entry(action="image:generate", subject=who, content=content))
        await log.conclude(
            ticket, Entry(action="image:generate", subject=who, effect="deny", content={"error": prompt})
        )
        case = await log.cases.request(prompt[:500], Scope(event_ids=(ticket.event_id,)), now + timedelta(hours=1), bob)
        await log.cases.approve(case.id, gail)
        return f"/cases/{case.id}"

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), preview.loop))


async def test_opened_content_is_text_whatever_it_says(visit, preview: Running):
    """Every attack of the corpus at once, as prompt, as a name in the content, as display name and as purpose."""
    prompt = "\n".join(XSS)
    bob = await visit("bob")
    page = await bob.go(await opened_case(preview, prompt))
    assert "pwned" not in await page.title()
    await page.get_by_role("button", name="Open the sealed content").click()
    await expect(page.get_by_text("Opened content")).to_be_visible()
    shown = await page.locator("main").text_content() or ""
    for text in XSS:
        assert text in shown, text
    assert "pwned" not in await page.title()
    assert await page.locator("main script, main img, main iframe, main svg").count() == 0
    assert await bob.axe() == []


async def test_a_destructive_act_says_what_it_will_do_beside_its_button(visit, preview: Running):
    for person, address, button, says in (
        ("bob", preview.governed["hold-release-requested"], "Release", "read by nobody, in no backup"),
        ("gail", preview.governed["erasure-requested"], "erase for good", "This can’t be undone"),
    ):
        one = await visit(person)
        page = await one.go(address)
        form = page.locator("form.act").filter(has=page.get_by_role("button", name=button))
        await expect(form).to_contain_text(says)
