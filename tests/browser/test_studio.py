"""The studio as a person lives in it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PHONE, Visit, Visits
from tests.browser.preview import XSS, Running

REFUSED = "Failed to load resource: the server responded with a status of"


async def studio(visit: Visits, **options: object) -> Page:
    one: Visit = await visit("alice", allowed=(REFUSED,), **options)  # type: ignore[arg-type]
    page = await one.go("/studio")
    await page.locator("#models .chip").first.wait_for()
    return page


async def ask(page: Page, prompt: str) -> None:
    await page.get_by_label("What should it show?").fill(prompt)
    await page.keyboard.press("Control+Enter")


async def test_words_become_pictures_that_say_what_they_cost(visit, screenshot_dir: Path):
    page = await studio(visit)
    await expect(page.locator("#credits")).to_contain_text("of 500 credits")
    before = int(re.findall(r"\d+", await page.locator("#credits").inner_text())[0])
    await page.get_by_label("What should it show?").fill("A fox on a blue background")
    await page.get_by_role("button", name="Make 4 pictures 1 credit").click()
    await expect(page.locator(".picture:not(.working)")).to_have_count(4)
    await expect(page.get_by_role("heading", name="A fox on a blue background")).to_be_visible()
    await expect(page.locator(".run header small")).to_have_text(f"1 credit · {before - 1} left")
    await expect(page.locator("#credits")).to_contain_text(f"{before - 1} of 500 credits")
    await expect(page.locator("#told")).to_have_text("Your 4 pictures are ready.")
    alt = await page.locator(".picture img").nth(2).get_attribute("alt")
    assert alt == "A fox on a blue background (picture 3 of 4)"
    await page.wait_for_timeout(700)  # the blur goes in six tenths of a second
    await page.screenshot(path=screenshot_dir / "studio-made-light.png")


async def test_progress_is_shown_while_it_happens(visit, screenshot_dir: Path):
    page = await studio(visit, scheme="dark")
    await ask(page, "A slow snail, hold")
    await expect(page.locator(".run header small")).to_contain_text(re.compile(r"step \d+ of 20 · about \d+ s left"))
    await expect(page.locator(".picture.working img:visible")).to_have_count(4)
    assert 0 < float(await page.locator(".run progress").get_attribute("value") or 0) <= 20
    await page.screenshot(path=screenshot_dir / "studio-working-dark.png")
    await page.keyboard.press("Escape")
    await expect(page.locator("#told")).to_have_text("Cancelled.")


async def test_a_place_in_the_queue_is_shown(visit):
    page = await studio(visit)
    await ask(page, "A patient owl, queue")
    await expect(page.locator(".run header small")).to_have_text("number 3 in the queue")


async def test_escape_cancels_and_the_model_stops_and_nothing_is_charged(visit, preview: Running):
    page = await studio(visit)
    await expect(page.locator("#credits")).to_contain_text("of 500")
    before = await page.locator("#credits").inner_text()
    await ask(page, "A hold of its own")
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await expect(page.locator(".picture.working img:visible")).to_have_count(4)
    await page.keyboard.press("Escape")
    await expect(page.locator(".run")).to_have_count(0)
    await expect(page.get_by_role("button", name="Make 4 pictures")).to_be_enabled()
    await expect(page.locator("#empty")).to_be_visible()
    assert await page.get_by_label("What should it show?").input_value() == "A hold of its own"
    for _ in range(40):
        if "A hold of its own" in preview.pipeline.cancelled:
            break
        await asyncio.sleep(0.05)
    assert "A hold of its own" in preview.pipeline.cancelled
    await expect(page.locator("#credits")).to_have_text(before)


async def test_escape_closes_what_is_open_before_it_cancels(visit):
    page = await studio(visit)
    await ask(page, "Something that will hold")
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await page.get_by_role("button", name="Alice Meyer").click()
    await page.keyboard.press("Escape")
    await expect(page.locator("#account")).to_be_hidden()
    await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Make 4 pictures")).to_be_visible()


async def test_what_would_be_masked_or_stopped_is_marked_while_typing(visit, screenshot_dir: Path):
    page = await studio(visit)
    await page.get_by_label("What should it show?").fill("🦊 for dana.miller@contoso.com, card 4111 1111 1111 1111")
    await expect(page.locator("#shadow mark.mask")).to_have_text("dana.miller@contoso.com")
    await expect(page.locator("#shadow mark.deny")).to_have_text("4111 1111 1111 1111")
    await expect(page.locator("#hints")).to_contain_text("Will be replaced")
    await expect(page.locator("#hints")).to_contain_text("Would be stopped")
    await page.screenshot(path=screenshot_dir / "studio-hints-light.png")
    await page.get_by_label("What should it show?").fill("A plain fox")
    await expect(page.locator("#hints")).to_be_empty()
    await expect(page.locator("#shadow mark")).to_have_count(0)


async def test_the_marks_lie_exactly_under_the_words(visit):
    page = await studio(visit)
    text = "One line\n" + "many words that wrap around the edge of the paper " * 4 + "dana.miller@contoso.com\n\nend"
    field = page.get_by_label("What should it show?")
    await field.fill(text)
    await page.locator("#shadow mark").first.wait_for()
    same = """() => {
      const a = document.querySelector('#prompt'), b = document.querySelector('#shadow');
      const [x, y] = [a, b].map((e) => e.getBoundingClientRect());
      const [s, t] = [a, b].map((e) => getComputedStyle(e));
      const names = ['fontFamily', 'fontSize', 'lineHeight', 'letterSpacing', 'paddingLeft', 'paddingTop',
                     'whiteSpace'];
      return [x.x - y.x, x.y - y.y, x.width - y.width, x.height - y.height, a.scrollHeight > a.clientHeight,
              ...names.filter((n) => s[n] !== t[n])];
    }"""
    assert await page.evaluate(same) == [0, 0, 0, 0, False]


async def test_a_refusal_teaches_and_nothing_is_charged(visit, screenshot_dir: Path):
    page = await studio(visit)
    await expect(page.locator("#credits")).to_contain_text("of 500")
    before = await page.locator("#credits").inner_text()
    prompt = "Poster 🎨 for the order paid with 4111 1111 1111 1111 by us"
    await ask(page, prompt)
    card = page.locator(".coach")
    await expect(card.locator(".effect")).to_have_text("Not sent · nothing charged")
    await expect(card.locator("mark")).to_have_text("4111 •••• •••• 1111")
    await expect(card.locator("blockquote")).to_contain_text("Poster 🎨 for the order paid with")
    await expect(card).to_contain_text("dlp.payment-card")
    await expect(card).to_be_focused()
    await expect(page.locator("#credits")).to_have_text(before)
    await page.wait_for_timeout(450)
    await page.screenshot(path=screenshot_dir / "studio-refused-light.png")
    visited = next(v for v in visit.open if v.page is page)
    assert await visited.axe() == []
    await card.get_by_role("button", name="Change the words").click()
    field = page.get_by_label("What should it show?")
    await expect(field).to_be_focused()
    selected = "document.getSelection().toString()"
    assert await page.evaluate(selected) == "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("word", "headline", "sentence", "act"),
    [
        ("refused", "Not sent · nothing charged", "Pictures are made between 6 and 22 o’clock.", "Change the words"),
        ("review", "Waiting for a reviewer · nothing charged", "You will find the answer here.", "Dismiss"),
        ("withheld", "Made but withheld · nothing charged", "Try other words.", "Change the words"),
        ("poor", "Not sent · nothing charged", "Not enough credits.", "Change the words"),
        ("busy", "Too fast · nothing charged", "Try again in 7 seconds.", "Dismiss"),
        ("down", "Our fault · nothing charged", "can’t be reached", "Dismiss"),
        ("breaks", "Not sent · nothing charged", "ended without a picture", "Dismiss"),
        ("cut", "The connection broke", "Your words are still here", "Dismiss"),
    ],
)
async def test_each_way_of_no_has_words_of_its_own(visit, word, headline, sentence, act):
    one = await visit("alice", allowed=(REFUSED, "net::ERR_"))
    page = await one.go("/studio")
    await page.locator("#models .chip").first.wait_for()
    await ask(page, f"A fox, {word}")
    card = page.locator(".coach")
    await expect(card.locator(".effect")).to_have_text(headline)
    await expect(card).to_contain_text(sentence)
    await expect(card.get_by_role("button", name=act)).to_be_visible()
    await expect(page.locator(".run")).to_have_count(0)
    await expect(page.get_by_role("button", name="Make 4 pictures")).to_be_enabled()
    assert await page.get_by_label("What should it show?").input_value() == f"A fox, {word}"


async def test_a_stale_second_factor_leads_to_the_provider_and_the_words_come_back(visit):
    page = await studio(visit)
    await ask(page, "A stale biscuit")
    go = page.get_by_role("link", name="Confirm it’s you")
    assert await go.get_attribute("href") == "/auth/step-up?return_to=%2Fstudio&max_age=900"
    await page.route("**/auth/step-up*", lambda route: route.fulfill(status=303, headers={"location": "/studio"}))
    await go.click()
    await page.locator("#models .chip").first.wait_for()
    assert await page.get_by_label("What should it show?").input_value() == "A stale biscuit"
    await page.reload()
    assert await page.get_by_label("What should it show?").input_value() == ""


async def test_a_session_that_ended_leads_back_to_the_door(visit):
    page = await studio(visit)
    await page.context.clear_cookies()
    await ask(page, "A fox that stayed up late")
    card = page.locator(".coach")
    await expect(card.locator(".effect")).to_have_text("Signed out · nothing charged")
    assert await card.get_by_role("link", name="Sign in again").get_attribute("href") == (
        "/auth/sign-in?return_to=%2Fstudio"
    )


async def test_a_masked_address_is_told_and_stays_out_of_the_file_name(visit):
    page = await studio(visit)
    await ask(page, "A panda for dana.miller@contoso.com")
    await expect(page.locator(".rewritten")).to_contain_text("What the model saw:")
    await expect(page.locator(".rewritten q")).not_to_contain_text("contoso")
    await expect(page.locator(".picture:not(.working)")).to_have_count(4)
    name = await page.locator(".picture a.badge").first.get_attribute("download")
    assert name is not None
    assert name.startswith("a-panda-for-")
    assert "contoso" not in name
    assert "dana" not in name


async def test_a_picture_can_be_looked_at_and_downloaded_under_a_sensible_name(visit, tmp_path: Path):
    page = await studio(visit)
    await ask(page, "Ein Fuchs & ein Bär: blauer Grund!")
    await page.get_by_role("button", name="Look closer at picture 1 of 4").click()
    dialog = page.get_by_role("dialog", name="Ein Fuchs & ein Bär: blauer Grund!")
    await expect(dialog).to_be_visible()
    await expect(dialog).to_contain_text("house-128")
    await expect(dialog).to_contain_text("1234567890")
    async with page.expect_download() as waiting:
        await dialog.get_by_role("link", name="Download").click()
    download = await waiting.value
    assert re.fullmatch(r"ein-fuchs-ein-bar-blauer-grund-[0-9a-f]{8}-1\.png", download.suggested_filename)
    await download.save_as(tmp_path / "fox.png")
    assert (tmp_path / "fox.png").read_bytes().startswith(b"\x89PNG")
    await dialog.get_by_role("button", name="Use these words again").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_label("What should it show?")).to_be_focused()


async def test_the_whole_way_works_by_keyboard_alone(visit):
    page = await studio(visit)
    await expect(page.get_by_label("What should it show?")).to_be_focused()
    await page.keyboard.type("A fox")
    await page.keyboard.press("Tab")  # size
    await page.keyboard.press("Tab")  # count
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("button", name="Make 2 pictures 1 credit")).to_be_visible()
    await page.keyboard.press("Tab")  # model
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="sdxl-design")).to_be_checked()
    await page.keyboard.press("Tab")  # the button
    await expect(page.locator("#make")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".picture:not(.working)")).to_have_count(2)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#viewer")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#viewer")).to_be_hidden()
    await expect(page.get_by_role("button", name="Look closer at picture 1 of 2")).to_be_focused()


async def test_what_a_model_can_do_is_what_is_offered(visit):
    page = await studio(visit)
    assert await page.locator("#sizes .chip").all_inner_texts() == ["Square"]
    assert await page.locator("#counts .chip").all_inner_texts() == ["1", "2", "4"]
    await page.get_by_role("radio", name="2", exact=True).check(force=True)
    await expect(page.get_by_role("button", name="Make 2 pictures 1 credit")).to_be_visible()
    await page.get_by_role("radio", name="sdxl-design").check(force=True)
    assert await page.locator("#sizes .chip").all_inner_texts() == [
        "Square 512",
        "Wide",
        "Tall",
        "Square 1024",
    ]
    assert await page.locator("#counts .chip").all_inner_texts() == ["1", "2", "4"]
    await expect(page.get_by_role("button", name="Make 2 pictures 1 credit")).to_be_visible()


async def test_earlier_pictures_stay_below_while_the_page_is_open(visit, screenshot_dir: Path):
    page = await studio(visit)
    for prompt in ("First a fox", "Then a lion"):
        await ask(page, prompt)
        await expect(page.get_by_role("heading", name=prompt)).to_be_visible()
        await expect(page.get_by_role("button", name="Make 4 pictures")).to_be_enabled()
    assert await page.locator(".run h2").all_inner_texts() == ["Then a lion", "First a fox"]
    await page.wait_for_timeout(700)
    await page.screenshot(path=screenshot_dir / "studio-two-runs-light.png", full_page=True)


async def test_an_example_can_be_tried(visit):
    page = await studio(visit)
    await page.get_by_role("button", name="A fox on a blue background").click()
    assert await page.get_by_label("What should it show?").input_value() == "A fox on a blue background"


@pytest.mark.parametrize("text", [text for text in XSS if len(text) > 12][::3])
async def test_a_hostile_prompt_is_text_wherever_it_is_shown(visit, text):
    page = await studio(visit)
    await ask(page, text)
    await expect(page.locator(".run, .coach").first).to_be_visible()
    await expect(page.get_by_role("button", name="Make 4 pictures")).to_be_enabled()
    assert await page.title() == "Studio · Imprimatur"
    if await page.locator(".run").count():
        assert await page.locator(".run h2").text_content() == text


async def test_the_studio_works_on_a_phone(visit, screenshot_dir: Path):
    page = await studio(visit, size=PHONE, has_touch=True, is_mobile=True)
    await page.get_by_label("What should it show?").fill("A fox on a blue background")
    await page.get_by_role("button", name="Make 4 pictures").tap()
    await expect(page.locator(".picture:not(.working)")).to_have_count(4)
    await page.wait_for_timeout(700)
    await page.screenshot(path=screenshot_dir / "studio-made-phone.png", full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_motion_stops_for_who_asks_for_it(visit):
    page = await studio(visit, reduced_motion="reduce")
    await ask(page, "A slow snail, hold")
    await page.locator(".picture.working").first.wait_for()
    moving = "document.getAnimations().filter((a) => a.playState === 'running').length"
    assert await page.evaluate(moving) == 0


async def test_without_a_model_the_page_says_so_and_asks_nothing(visit):
    one = await visit("alice")
    await one.page.route("**/v1/models", lambda route: route.fulfill(json={"object": "list", "data": []}))
    page = await one.go("/studio")
    await expect(page.locator("#hints")).to_contain_text("No model is ready for you right now")
    await expect(page.locator("#make")).to_be_disabled()
