"""The pages of rules in a real browser: a draft by keyboard, what is wrong where it is, replay, proposal, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PHONE, Visit, Visits
from tests.browser.preview import XSS, Preview, Running

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
    await expect(page.get_by_role("heading", name="What was in force")).to_be_visible()
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


async def test_what_is_wrong_with_a_draft_is_shown_at_its_line(go: Visits, screenshot_dir: Path) -> None:
    ann = await go("ann")
    page = await new_draft(ann, "Open on Sundays")
    await page.goto(f"{base_of(page)}?file={AUTHZ}")
    area = page.locator("#content")
    text = await area.input_value()
    assert "is_set(set)" in text
    await area.fill(text.replace("is_set(set)", "is_sett(set)", 1))
    await page.get_by_role("button", name="Save and check").click()
    # What is to be mended in this very file is read beside its text.
    await page.locator("#markers").wait_for(timeout=CHECK_MS)
    await page.get_by_role("link", name="Check", exact=True).last.click()
    await expect(page.get_by_role("heading", name="To mend before it can be proposed")).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-check-refused")
    place = page.locator(".findings .place").first
    await expect(place).to_contain_text(f"{AUTHZ}:")
    await place.click()
    await page.wait_for_url("**line=*")
    line = page.url.partition("line=")[2].partition("#")[0]
    await expect(page.locator(f"#L{line}")).to_be_visible()
    await expect(page.locator(f".gutter span:nth-child({line})")).to_have_class("problem")
    await looked_at(ann, screenshot_dir, "rules-editor-marked")
    proposed = await ann.go(f"{base_of(page).removeprefix(ann.url)}/propose")
    await expect(proposed.get_by_text("There is something to mend.")).to_be_visible()


async def test_two_who_write_at_once_are_told_and_lose_nothing(go: Visits) -> None:
    ann = await go("ann", allowed=(MISSING,))
    page = await new_draft(ann, "Two at once")
    address = f"{base_of(page)}?file={LIMITS}"
    await page.goto(address)
    other = await go("ann", allowed=(MISSING,))
    theirs = await other.go(address.removeprefix(ann.url))
    await theirs.locator("#content").fill("# theirs\n" + await theirs.locator("#content").input_value())
    await theirs.keyboard.press("Control+s")
    await expect(theirs.locator("#told")).to_have_text("Saved as version 2.")
    mine = "# mine\n" + await page.locator("#content").input_value()
    await page.locator("#content").fill(mine)
    await page.keyboard.press("Control+s")
    await expect(page.locator("#told")).to_contain_text("Somebody saved version 2 while you wrote.")
    await expect(page.locator("#content")).to_have_value(mine)
    await expect(page.get_by_role("link", name="what they changed")).to_have_attribute(
        "href", "/rules/drafts/" + base_of(page).rpartition("/")[2] + "/changes?version=2&against=1"
    )
    await page.get_by_role("button", name="Save mine over this file").click()
    await expect(page.locator("#told")).to_have_text("Saved as version 3.")
    await page.goto(f"{base_of(page)}/history")
    await page.get_by_role("button", name="Restore version 2").click()
    await expect(page.get_by_text("That version is the newest again.")).to_be_visible()
    await page.goto(address)
    await expect(page.locator("#content")).to_have_value("# theirs\n" + mine.partition("\n")[2])


async def test_everything_works_without_a_script(go: Visits) -> None:
    ann = await go("ann", java_script_enabled=False, allowed=(MISSING,))
    page = ann.page
    await page.goto(f"{ann.url}/rules/drafts/new")
    await page.get_by_label("What shall be otherwise?").fill("Without a script")
    await page.get_by_role("button", name="Begin the draft").click()
    address = f"{base_of(page)}?file={LIMITS}"
    await page.goto(address)
    area = page.locator("#content")
    text = await area.input_value()
    await area.fill(text.replace("user_day: 500", "user_day: 400"))
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await page.get_by_role("link", name="Changes").click()
    await expect(page.locator(".code-diff .added")).to_have_count(1)  # a browser's line ends changed no other line
    await page.goto(address)
    await page.get_by_role("button", name="As in the rules it is upon").click()
    await expect(page.get_by_text("The file is as in the rules in force again.")).to_be_visible()
    await page.get_by_text("Add a file").click()
    await page.get_by_label("Its path").fill("../outside.rego")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_text("is no path of a rule file")).to_be_visible()
    await page.goto(address)
    await page.get_by_text("Say something").click()
    await page.get_by_label("Line (0 = none)").fill("3")
    await page.get_by_label("What you want to say").fill(f"Why four? {XSS[0]}")
    await page.get_by_role("button", name="Say it").click()
    await expect(page.get_by_text(f"Why four? {XSS[0]}").first).to_be_visible()
    await page.goto(f"{base_of(page)}/history")
    await page.get_by_role("button", name="Close this draft").click()
    await expect(page.get_by_text("The draft is closed. It stays readable.")).to_be_visible()
    await page.goto(address)
    await expect(page.get_by_text("You may read this draft, not change it.")).to_be_visible()


async def test_one_decision_is_explained_and_a_replay_says_that_there_is_nothing_yet(
    go: Visits, screenshot_dir: Path
) -> None:
    ann = await go("ann", allowed=(MISSING,))
    page = await new_draft(ann, "Try it")
    await page.get_by_role("link", name="Try one").click()
    await page.get_by_label("Its id: every record").fill("nothing-of-that-name")
    await page.get_by_role("button", name="Ask the rules").click()
    await page.get_by_text("is not kept").first.wait_for()
    await page.goto(f"{base_of(page).removesuffix('/preview')}/preview")
    await page.get_by_role("radio", name="An input of your own").check()
    field = page.get_by_label("JSON, as rules see it")
    await field.fill((await field.input_value()).replace('"mfa_age_seconds": 60', '"mfa_age_seconds": null'))
    await page.get_by_role("button", name="Ask the rules").click()
    await expect(page.get_by_role("region", name="This draft")).to_contain_text("no second factor", timeout=60_000)
    await looked_at(ann, screenshot_dir, "rules-preview")
    await page.get_by_label("JSON, as rules see it").fill("{")
    await page.get_by_role("radio", name="An input of your own").check()
    await page.get_by_role("button", name="Ask the rules").click()
    await expect(page.get_by_text("The input is not JSON")).to_be_visible()
    await page.get_by_role("link", name="Replay", exact=True).click()
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_text("there is nothing to replay")).to_be_visible(timeout=60_000)
    await looked_at(ann, screenshot_dir, "rules-replay-none")


async def test_a_form_changes_hours_without_a_line_of_code(go: Visits, screenshot_dir: Path) -> None:
    ann = await go("ann", allowed=(MISSING,))
    page = await new_draft(ann, "Office hours")
    await page.get_by_role("link", name="Forms").click()
    await looked_at(ann, screenshot_dir, "rules-forms")
    for name in ("models", "findings", "dlp", "pictures", "retention", "limits"):
        await page.goto(f"{base_of(page).partition('/forms')[0]}/forms/{name}")
        await expect(page.get_by_role("button", name="Save")).to_be_visible()
        await looked_at(ann, screenshot_dir, f"rules-form-{name}")
    await page.goto(f"{base_of(page).partition('/forms')[0]}/forms/hours")
    await looked_at(ann, screenshot_dir, "rules-form-hours")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Nothing was otherwise, so nothing was saved.")).to_be_visible()
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await page.get_by_label("From, row 1").fill("26")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("expected a whole number from 0 to 23")
    await expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    await page.get_by_label("From, row 1").fill("6")
    await page.get_by_role("group", name="Days, row 1").get_by_role("checkbox", name="Sun").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved as version 2.")).to_be_visible()
    await page.get_by_role("link", name="Changes").click()
    await expect(page.locator(".code-diff .added")).to_have_count(3)
    await expect(page.locator(".code-diff .removed")).to_have_count(3)


async def test_text_that_was_not_saved_is_not_lost_by_leaving(go: Visits) -> None:
    ann = await go("ann")
    page = await new_draft(ann, "Do not lose it")
    await page.locator("#content").press("x")
    asked: list[str] = []

    async def answer(dialog: Any) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", answer)
    await page.get_by_role("link", name="← Rules").click()
    await asyncio.sleep(0.5)
    assert asked == ["beforeunload"]
    assert "/rules/drafts/" in page.url


async def test_an_auditor_reads_and_is_offered_nothing_to_press(go: Visits, screenshot_dir: Path) -> None:
    ann = await go("ann")
    page = await new_draft(ann, f"For the auditor {XSS[0]}")
    bob = await go("bob")
    read = await bob.go("/rules")
    await expect(read.get_by_role("link", name="Change a rule")).to_have_count(0)
    await expect(read.get_by_text("Roll back …")).to_have_count(0)
    await looked_at(bob, screenshot_dir, "rules-auditor")
    read = await bob.go(base_of(page).removeprefix(bob.url))
    await expect(read.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    await expect(read.get_by_role("heading", level=1)).to_contain_text(XSS[0])
    assert (await read.title()).startswith("For the auditor <script>")


async def test_where_rules_come_from_a_folder_the_page_says_so(visit: Visits, screenshot_dir: Path) -> None:
    ann = await visit("ann")
    page = await ann.go("/rules")
    await expect(page.get_by_text("policy.source: managed")).to_be_visible()
    await looked_at(ann, screenshot_dir, "rules-folder")
