"""Editing and varying in the studio: a picture above the words, and the part of it that shall change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PHONE, Visit, Visits
from tests.browser.preview import Running
from tests.support.pictures import BAD_FILES, colourful, decode, encode

OWN = encode(colourful(640, 480))
REFUSED = "Failed to load resource: the server responded with a status of"


async def studio(visit: Visits, **options: Any) -> Page:
    one: Visit = await visit("alice", allowed=(REFUSED,), **options)
    page = await one.go("/studio")
    await page.locator("#models .chip").first.wait_for()
    return page


async def upload(page: Page, data: bytes = OWN, name: str = "room.png") -> None:
    await page.get_by_label("Start from a picture").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": data}
    )


async def made(page: Page, count: int) -> None:
    await expect(page.locator(".run").first.locator(".picture:not(.working)")).to_have_count(count)


async def axe(visit: Visits, page: Page) -> list[str]:
    return await next(one for one in visit.open if one.page is page).axe()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_an_own_picture_is_painted_on_and_edited(visit, preview: Running, screenshot_dir: Path, scheme):
    page = await studio(visit, scheme=scheme)
    await upload(page)
    await expect(page.get_by_role("heading", name="What should change?")).to_be_visible()
    await expect(page.get_by_role("button", name="Make 3 edits 1 credit")).to_be_visible()
    await expect(page.locator("#sizes")).to_be_hidden()
    await page.get_by_role("radio", name="What I paint over").check(force=True)
    surface = await page.locator("#overlay").bounding_box()
    assert surface is not None
    x, y = surface["x"] + surface["width"] / 2, surface["y"] + surface["height"] / 2
    await page.mouse.move(x - 40, y)
    await page.mouse.down()
    await page.mouse.move(x + 40, y, steps=8)
    await page.mouse.up()
    await page.get_by_label("What should change?").fill("A red armchair")
    await page.wait_for_timeout(300)
    assert await axe(visit, page) == []
    await page.screenshot(path=screenshot_dir / f"studio-paint-{scheme}.png")
    preview.pipeline.uploads.clear()
    await page.get_by_role("button", name="Make 3 edits").click()
    await made(page, 3)
    sent = dict(preview.pipeline.uploads)
    assert set(sent) == {"image", "mask"}
    assert decode(sent["image"]).convert("RGB").tobytes() == colourful(640, 480).tobytes()
    alpha = decode(sent["mask"]).getchannel("A")
    assert alpha.size == (640, 480)
    assert alpha.getpixel((320, 240)) == 0
    assert alpha.getpixel((10, 10)) == 255
    await page.screenshot(path=screenshot_dir / f"studio-edited-{scheme}.png")


async def test_painting_can_be_taken_back_and_nothing_painted_is_said(visit, preview: Running):
    page = await studio(visit)
    await upload(page)
    await page.get_by_role("radio", name="What I paint over").check(force=True)
    await page.locator("#overlay").click()
    await page.get_by_role("button", name="Undo").click()
    await page.get_by_label("What should change?").fill("A red armchair")
    preview.pipeline.uploads.clear()
    await page.get_by_role("button", name="Make 3 edits").click()
    await expect(page.locator("#where-told")).to_contain_text("Paint over what should change")
    assert preview.pipeline.uploads == []


async def test_a_box_is_given_by_keyboard_alone(visit, preview: Running, screenshot_dir: Path):
    page = await studio(visit)
    await upload(page)
    await page.get_by_role("radio", name="Everything").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    for name, value in (("left", "50"), ("top", "0"), ("width", "50"), ("height", "50")):
        field = page.locator(f"#box-{name}")
        await page.keyboard.press("Tab")
        await expect(field).to_be_focused()
        await page.keyboard.press("Control+a")
        await page.keyboard.type(value)
    await page.wait_for_timeout(200)
    assert await axe(visit, page) == []
    await page.screenshot(path=screenshot_dir / "studio-box-light.png")
    await page.get_by_label("What should change?").fill("A red armchair")
    preview.pipeline.uploads.clear()
    await page.keyboard.press("Control+Enter")
    await made(page, 3)
    alpha = decode(dict(preview.pipeline.uploads)["mask"]).getchannel("A")
    assert [alpha.getpixel(at) for at in ((330, 10), (630, 230), (310, 10), (330, 250))] == [0, 0, 255, 255]


async def test_everything_needs_no_mask(visit, preview: Running):
    page = await studio(visit)
    await upload(page)
    await page.get_by_label("What should change?").fill("In the style of a woodcut")
    preview.pipeline.uploads.clear()
    await page.keyboard.press("Control+Enter")
    await made(page, 3)
    assert [name for name, _ in preview.pipeline.uploads] == ["image"]


async def test_a_finished_picture_is_varied_and_edited_from_close_up(visit, preview: Running, screenshot_dir: Path):
    page = await studio(visit)
    await page.get_by_label("What should it show?").fill("A panda for dana.miller@contoso.com")
    await page.keyboard.press("Control+Enter")
    await made(page, 4)
    await page.get_by_role("button", name="Look closer at picture 1 of 4").click()
    await page.wait_for_timeout(300)
    await page.screenshot(path=screenshot_dir / "studio-viewer-light.png")
    preview.pipeline.uploads.clear()
    await page.get_by_role("dialog").get_by_role("button", name="Vary").click()
    await made(page, 3)
    title = page.locator(".run h2").first
    await expect(title).to_contain_text("Variations of “A panda for")
    await expect(title).not_to_contain_text("contoso")  # what was masked stays masked
    assert [name for name, _ in preview.pipeline.uploads] == ["image"]
    await page.get_by_role("button", name="Look closer at picture 2 of 3").click()
    await expect(page.get_by_role("button", name="Use these words again")).to_be_hidden()
    await page.get_by_role("dialog").get_by_role("button", name="Edit", exact=True).click()
    await expect(page.get_by_role("heading", name="Your picture")).to_be_visible()
    await expect(page.get_by_label("What should change?")).to_be_focused()
    await page.get_by_role("button", name="Take it away").click()
    await expect(page.get_by_label("What should it show?")).to_be_visible()
    await expect(page.get_by_role("button", name="Make 4 pictures")).to_be_visible()


async def test_an_own_picture_is_varied_without_words_and_square(visit, preview: Running):
    page = await studio(visit)
    await upload(page, encode(colourful(3000, 2000), "JPEG"), "photo.jpg")
    preview.pipeline.uploads.clear()
    await page.get_by_role("button", name="Make variations of it instead").click()
    await made(page, 3)
    ((_, data),) = preview.pipeline.uploads
    width, height = decode(data).size
    assert width == height
    assert len(data) < 4_000_000


@pytest.mark.parametrize("name", ["SVG as PNG", "an empty file", "noise"])
async def test_a_file_that_is_no_picture_is_said_and_changes_nothing(visit, name):
    page = await studio(visit)
    await upload(page, BAD_FILES[name])
    await expect(page.locator("#source-told")).to_contain_text("can’t be read as a picture")
    await expect(page.locator("#source")).to_be_hidden()
    await expect(page.get_by_label("What should it show?")).to_be_visible()


async def test_a_model_that_can_not_edit_offers_none_of_it(visit):
    page = await studio(visit)
    await upload(page)
    await page.get_by_role("radio", name="sdxl-design").check(force=True)
    await expect(page.locator("#source")).to_be_hidden()
    await expect(page.locator("#begin")).to_be_hidden()
    await expect(page.get_by_label("What should it show?")).to_be_visible()


async def test_a_refused_edit_keeps_picture_and_words(visit):
    page = await studio(visit)
    await upload(page)
    await page.get_by_label("What should change?").fill("Write 4111 1111 1111 1111 on it")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".coach .effect")).to_have_text("Not sent · nothing charged")
    await expect(page.locator("#source")).to_be_visible()
    await page.get_by_role("button", name="Change the words").click()
    await expect(page.get_by_label("What should change?")).to_be_focused()


async def test_it_works_on_a_phone(visit, preview: Running, screenshot_dir: Path):
    page = await studio(visit, size=PHONE, has_touch=True, is_mobile=True)
    await upload(page)
    await page.get_by_role("radio", name="What I paint over").tap(force=True)
    await page.locator("#overlay").tap()
    await page.get_by_label("What should change?").fill("A red armchair")
    await page.screenshot(path=screenshot_dir / "studio-paint-phone.png", full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    preview.pipeline.uploads.clear()
    await page.get_by_role("button", name="Make 3 edits").tap()
    await made(page, 3)
    alpha = decode(dict(preview.pipeline.uploads)["mask"]).getchannel("A")
    assert alpha.getpixel((320, 240)) == 0, "a tap is a dot"
