"""What comes into force, in a real browser: for some people first, at once on one word, upon rules that others changed
meanwhile; and which lines of a file no test runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visit, Visits
from tests.browser.test_rules import CHECK_MS, LIMITS, MISSING, base_of, go, looked_at, managed, new_draft

__all__ = ["go", "managed"]  # fixtures

pytestmark = pytest.mark.xdist_group("rules-pages")

EXTRA = "gateway/extra/extra.rego"
RULES = """# METADATA
# title: Extra
# scope: package
# custom:
#   owner: security-team
package gateway.extra

seen if {
	input.a == 1
	input.b == 2
}

unseen if {
	input.c == 3
	input.d == 4
}
"""
TESTS = 'package gateway.extra_test\n\ntest_seen if data.gateway.extra.seen with input as {"a": 1, "b": 2}\n'


async def checked(page: Page, old: str, new: str) -> None:
    """The file of limits with one thing otherwise, saved and found good."""
    await page.goto(f"{base_of(page)}?file={LIMITS}")
    area = page.locator("#content")
    text = await area.input_value()
    assert old in text
    await area.fill(text.replace(old, new, 1))
    await page.get_by_role("button", name="Save and check").click()
    await page.wait_for_url("**/check", timeout=CHECK_MS)
    await expect(page.get_by_text("checks pass")).to_be_visible()


async def proposed(page: Page, why: str) -> str:
    """Asked of a second person; the address of the proposal."""
    await page.get_by_label("Why? Whoever agrees reads this").fill(why)
    await page.get_by_role("button", name="Propose version 2").click()
    await page.wait_for_url("**/proposals/*")
    return page.url


async def agreed(one: Visit, proposal: str) -> None:
    await one.page.goto(proposal)
    await one.page.get_by_role("button", name="Approve").click()
    await expect(one.page.locator(".eyebrow")).to_contain_text("approved", ignore_case=True)


async def followed(one: Visit) -> None:
    """The overview, once this gateway runs what is in force."""
    for _ in range(40):
        await one.go("/rules")
        behind = one.page.get_by_text("does not carry it out yet")
        if await one.page.get_by_text("what is in force", exact=True).is_visible() and not await behind.is_visible():
            return
        await asyncio.sleep(0.5)
    raise AssertionError("this gateway does not follow")


async def gone_back(one: Visit) -> None:
    """What was in force before is in force again."""
    await followed(one)
    await one.page.get_by_text("Roll back …").first.click()
    form = one.page.locator("details[open] form")
    await form.get_by_label("Why? Everybody will read it").fill("This is the end of the test")
    await form.get_by_role("button", name="Roll back to these rules").click()
    await expect(one.page.get_by_text("Those rules are in force again.")).to_be_visible()
    await followed(one)


async def test_new_rules_are_for_some_people_first_then_for_more_then_for_nobody(
    go: Visits, screenshot_dir: Path
) -> None:
    ann, bea, bob = [await go(name, allowed=(MISSING,)) for name in ("ann", "bea", "bob")]
    page = await new_draft(ann, "Fewer pictures a day, for some")
    await checked(page, "user_day: 500", "user_day: 450")
    await page.get_by_role("link", name="Propose", exact=True).click()
    await page.get_by_role("radio", name="some people first").check()
    await page.get_by_text("Which people first").click()
    await page.get_by_label("Groups, one a line").fill("staff")
    await page.get_by_label("One person may widen it to").fill("25, 100")
    await looked_at(ann, screenshot_dir, "rules-propose-stage")
    proposal = await proposed(page, "To see whom it bothers")

    await bea.page.goto(proposal)
    await expect(bea.page.get_by_text("the group staff, at first")).to_be_visible()
    await expect(bea.page.get_by_text("/v1/")).to_have_count(0)
    await looked_at(bea, screenshot_dir, "rules-approval-stage")
    await bea.page.get_by_role("link", name="version 2, file by file").click()
    await expect(bea.page.get_by_text("user_day: 450")).to_be_visible()
    await agreed(bea, proposal)
    await followed(bea)
    panel = bea.page.get_by_role("region", name="Being rolled out")
    await expect(panel).to_contain_text("For the group staff, since")
    row = bea.page.get_by_role("row", name="Fewer pictures a day, for some")
    await expect(row).to_contain_text("being rolled out")  # it waits for nobody any more
    await looked_at(bea, screenshot_dir, "rules-rollout")
    await bob.go("/rules")
    await expect(bob.page.get_by_role("region", name="Being rolled out")).to_be_visible()
    await expect(bob.page.get_by_role("button", name="Widen")).to_have_count(0)

    await panel.get_by_label("Why? Everybody will read it").fill("No complaints since Monday")
    await panel.get_by_role("button", name="Widen").click()
    await expect(bea.page.get_by_text("Done. Every gateway follows within two seconds.")).to_be_visible()
    await expect(panel).to_contain_text("For the group staff, and 25 % of all others, since")
    await expect(panel.get_by_role("button", name="Widen")).to_have_count(0)
    await expect(panel.get_by_role("button", name="In force for everybody")).to_be_visible()

    await bob.go("/rules")
    late = await go("bea", allowed=(MISSING,))
    await late.go("/rules")
    await panel.get_by_label("Why? Everybody will read it").fill("They can not work with this")
    await panel.get_by_role("button", name="End it: nobody").click()
    await expect(panel).to_have_count(0)
    await expect(row).to_contain_text("open")
    stale = late.page.get_by_role("region", name="Being rolled out")
    await stale.get_by_label("Why? Everybody will read it").fill("I did not see that it ended")
    await stale.get_by_role("button", name="End it: nobody").click()
    await expect(late.page.get_by_role("alert")).to_be_visible()


async def test_glass_is_broken_alone_for_minutes_and_everybody_sees_it(go: Visits, screenshot_dir: Path) -> None:
    ann, bea = await go("ann", allowed=(MISSING,)), await go("bea", allowed=(MISSING,))
    page = await new_draft(ann, "Nobody may make more than one")
    await checked(page, "user_day: 500", "user_day: 1")
    draft = base_of(page).removesuffix("/check")
    await page.goto(f"{draft}/propose")
    await expect(page.get_by_text("break glass")).to_have_count(0)  # who writes rules does not put them in force

    async def broken(minutes: str) -> None:
        await bea.page.goto(f"{draft}/propose")
        await bea.page.get_by_text("It can’t wait and nobody is there: break glass").click()
        form = bea.page.get_by_role("form", name="Break glass")
        await form.get_by_label("For how many minutes").fill(minutes)
        await form.get_by_label("What happened? Everybody will read it").fill("Somebody empties the budget")
        if minutes == "5":
            await looked_at(bea, screenshot_dir, "rules-break-glass")
        await form.get_by_role("button", name="Put it in force for a while").click()

    await broken("5")
    await expect(bea.page.get_by_text("Your edit is in force. It ends by itself")).to_be_visible()
    await expect(bea.page.get_by_text("Break-glass: ends by itself")).to_be_visible()
    await expect(bea.page.get_by_text("Somebody empties the budget").first).to_be_visible()
    await followed(bea)
    await looked_at(bea, screenshot_dir, "rules-broken-glass")
    await broken("6")
    await expect(bea.page.get_by_text("A break-glass edit is in force already.")).to_be_visible()
    await expect(bea.page.get_by_label("What happened? Everybody will read it")).to_have_value(
        "Somebody empties the budget"
    )
    await gone_back(bea)
    await expect(bea.page.get_by_text("Break-glass: ends by itself")).to_have_count(0)


async def test_a_draft_that_others_overtook_is_put_upon_theirs_by_its_author(go: Visits, screenshot_dir: Path) -> None:
    ann, bea = await go("ann", allowed=(MISSING,)), await go("bea", allowed=(MISSING,))
    page = await new_draft(ann, "Fewer a day")
    await page.goto(f"{base_of(page)}?file={LIMITS}")
    draft = base_of(page)
    area = page.locator("#content")
    await area.fill((await area.input_value()).replace("user_day: 500", "user_day: 400", 1))
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("#told")).to_have_text("Saved as version 2.")
    other = await new_draft(ann, "Three at once")
    await checked(other, "employee: 4", "employee: 3")
    await other.get_by_role("link", name="Propose", exact=True).click()
    await agreed(bea, await proposed(other, "Four were too many"))
    await followed(bea)

    await page.goto(draft)
    await expect(page.get_by_text("Other rules came into force since this draft began.")).to_be_visible()
    await page.get_by_role("link", name="Put it upon them").click()
    await expect(page.get_by_text("The rules in force changed these files as well:")).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-history-conflict")
    await page.get_by_role("link", name="Read both and decide").click()
    theirs = page.get_by_role("region", name=f"What came into force: {LIMITS}")
    await expect(theirs.locator(".added")).to_contain_text("employee: 3")
    mine = page.get_by_role("region", name=f"What this draft changes: {LIMITS}")
    await expect(mine.locator(".added")).to_contain_text("user_day: 400")
    await page.get_by_role("radio", name="as written here").check()
    await page.get_by_text("Write it", exact=True).click()
    text = page.get_by_label(f"Text of {LIMITS} upon the rules in force")
    await looked_at(ann, screenshot_dir, "rules-rebase")
    await text.fill((await text.input_value()).replace("employee: 4", "employee: 3", 1))
    await page.get_by_role("button", name="Put it upon them").click()
    await expect(page.get_by_text("The draft is upon the rules in force now. Check it again.")).to_be_visible()
    await page.get_by_role("link", name="Changes").click()
    await expect(page.locator(".code-diff .added")).to_have_count(1)
    await expect(page.locator(".code-diff .added")).to_contain_text("user_day: 400")
    await gone_back(bea)


async def test_lines_that_no_test_runs_are_marked_where_they_stand(go: Visits, screenshot_dir: Path) -> None:
    ann = await go("ann", allowed=(MISSING,))
    page = await new_draft(ann, "Rules with a test missing")
    draft = base_of(page)
    for path, text in ((EXTRA, RULES), (EXTRA.replace(".rego", "_test.rego"), TESTS)):
        await page.get_by_text("Add a file").click()
        await page.get_by_label("Its path").fill(path)
        await page.get_by_role("button", name="Add", exact=True).click()
        await page.wait_for_url(f"**file={path}*")
        await page.locator("#content").fill(text)
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("#told")).to_contain_text("Saved as version")
    await page.get_by_role("button", name="Save and check").click()
    await page.wait_for_url("**/check", timeout=CHECK_MS)
    await looked_at(ann, screenshot_dir, "rules-check-missed")
    await page.get_by_role("link", name=f"lines 14–15 of {EXTRA}").press("Enter")
    await page.wait_for_url("**line=14*")
    assert page.url.startswith(f"{draft}?file={EXTRA}")
    await expect(page.locator("#markers")).to_contain_text("No test runs these lines.")
    gutter = page.locator(".gutter")
    for line, is_missed in ((9, False), (13, False), (14, True), (15, True), (16, False)):
        names = await gutter.locator(f"span:nth-child({line})").get_attribute("class") or ""
        assert ("missed" in names.split()) is is_missed, (line, names)
    await expect(page.locator(".painted .unrun", has_text="input").first).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-editor-missed")
    await page.locator("#content").press("End")
    await page.locator("#content").press("x")
    await expect(gutter).to_have_class(re.compile("stale"))
    await expect(page.locator(".painted .unrun")).to_have_count(0)
    await page.locator("#content").press("Backspace")
    await expect(page.locator(".painted .unrun").first).to_be_visible()
