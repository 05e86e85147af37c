"""Everybody can ask where a picture comes from."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from gateway.provenance.credentials import Statement
from gateway.provenance.opening import open_provenance
from gateway.provenance.register import Register
from tests.browser.conftest import PHONE
from tests.browser.preview import Running
from tests.unit.provenance.pictures import decoded, encoded, made

REFUSED = "Failed to load resource: the server responded with a status of"
RECORD = "01a20320-a200-7213-8e45-855782a7aab8"
PIXELS = made("shapes", 5)
SECONDS = 40
ASKED = "**/v1/content_provenance_checks"


@pytest.fixture(scope="module")
def ours(preview: Running) -> bytes:
    """A picture as it left here."""
    services = preview.services
    releaser = open_provenance(services.settings.provenance, services.clock).releaser
    statement = Statement(record_id=RECORD, model="house-128", policy_revision="r1")
    released = releaser.release(encoded(PIXELS, "PNG"), "image/png", statement)
    remembering = Register(services.database, services.clock).remember(RECORD, 0, "house-128", released)
    asyncio.run_coroutine_threadsafe(remembering, preview.loop).result(30)
    return released.data


def file(data: bytes, name: str = "fox.png", kind: str = "image/png") -> dict[str, object]:
    return {"name": name, "mimeType": kind, "buffer": data}


async def give(page: Page, data: bytes, name: str = "fox.png", kind: str = "image/png") -> None:
    await page.locator("#file").set_input_files(files=[file(data, name, kind)])
    await looked_at(page)


async def looked_at(page: Page) -> None:
    """A check starts a process, which takes its time on a busy machine."""
    await expect(page.locator("#working")).to_be_hidden(timeout=SECONDS * 1000)


async def drop(page: Page, *files: bytes) -> None:
    """As if they came from the desktop."""
    bytes_of = [base64.b64encode(data).decode() for data in files]
    await page.evaluate(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [n, text] of files.entries()) {
                const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                transfer.items.add(new File([bytes], `${n}.png`, { type: "image/png" }));
            }
            for (const type of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(
                    new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer }));
        }""",
        bytes_of,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_picture_of_ours_is_told_in_words(visit, ours: bytes, screenshot_dir: Path, scheme) -> None:
    one = await visit("alice", scheme=scheme)
    page = await one.go("/check")
    await page.get_by_label("Choose a picture").set_input_files(files=[file(ours)])
    await looked_at(page)
    answer = page.get_by_role("article")
    await expect(answer.get_by_role("heading", name="Yes")).to_be_visible()
    await expect(answer.locator(".effect").first).to_have_text("Made here")
    await expect(answer).to_contain_text("by house-128, and not changed since. Ask an auditor for more.")
    await expect(answer.locator(".found")).to_have_count(3)
    await expect(answer.locator(".found").first).to_contain_text("trusted")
    await expect(page.get_by_role("status").first).to_contain_text("Made here")
    await expect(page.get_by_alt_text("The picture that you gave us: fox.png")).to_be_visible()
    assert RECORD not in await page.content()
    await answer.get_by_text("About the file").click()
    await expect(answer).to_contain_text("512 × 512")
    await page.screenshot(path=screenshot_dir / f"check-ours-{scheme}.png", full_page=True)
    assert await one.axe() == []


async def test_an_auditor_is_led_to_the_record(visit, ours: bytes, screenshot_dir: Path) -> None:
    page = await (await visit("bob")).go("/check")
    await give(page, ours)
    link = page.get_by_role("article").get_by_role("link", name=RECORD)
    await expect(link).to_have_attribute("href", f"/audit/records/{RECORD}")
    await page.screenshot(path=screenshot_dir / "check-auditor-light.png", full_page=True)


async def test_what_was_saved_again_is_known_by_its_watermark(visit, ours: bytes) -> None:
    page = await (await visit("dave")).go("/check")  # somebody without a role
    await give(page, encoded(decoded(ours)[20:500, 20:500], "JPEG"), "fox.jpg", "image/jpeg")
    answer = page.get_by_role("article")
    await expect(answer).to_contain_text("saved again or changed since")
    await expect(answer.locator(".found").nth(1)).to_contain_text("found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_found_and_a_likeness_are_no_proof(visit, ours: bytes, screenshot_dir: Path, scheme) -> None:
    one = await visit("alice", scheme=scheme)
    page = await one.go("/check")
    await give(page, encoded(made("clouds", 2), "PNG"), "<b>clouds</b>.png")
    answer = page.get_by_role("article")
    await expect(answer.get_by_role("heading", name="We can’t tell")).to_be_visible()
    await page.screenshot(path=screenshot_dir / f"check-unknown-{scheme}.png", full_page=True)
    assert await one.axe() == []
    await expect(page.get_by_text("Check another picture")).to_be_visible()
    await give(page, encoded(PIXELS, "PNG"))
    await expect(answer.get_by_role("heading", name="Perhaps")).to_be_visible()
    await expect(answer).to_contain_text("That is no proof.")
    await expect(answer).to_have_count(1)


async def test_a_file_is_dropped_anywhere_and_two_are_one_too_many(visit, ours: bytes) -> None:
    page = await (await visit("alice")).go("/check")
    await drop(page, ours, ours)
    await expect(page.get_by_role("alert")).to_contain_text("One picture at a time")
    await drop(page)
    await expect(page.get_by_role("alert")).to_contain_text("That was no file")
    await drop(page, ours)
    await looked_at(page)
    await expect(page.get_by_role("heading", name="Yes")).to_be_visible()
    await expect(page.get_by_role("alert")).to_be_hidden()
    assert page.url.endswith("/check")


async def test_no_picture_is_said_with_what_to_do(visit, ours: bytes, screenshot_dir: Path) -> None:
    one = await visit("alice", allowed=(REFUSED,))
    page = await one.go("/check")
    await give(page, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "fox.png")
    trouble = page.get_by_role("alert")
    await expect(trouble).to_contain_text("This is not a PNG, JPEG or WebP picture, whatever its name says")
    await expect(trouble).not_to_contain_text("file:")
    await expect(page.locator("#seen")).to_be_hidden()
    await expect(page.get_by_text("Three marks, because")).to_be_hidden()
    await page.screenshot(path=screenshot_dir / "check-trouble-light.png", full_page=True)
    assert await one.axe() == []
    await give(page, b"", "empty.png")
    await expect(trouble).to_contain_text("This file is empty")


async def test_keys_alone_are_enough(visit, ours: bytes, tmp_path: Path) -> None:
    picture = tmp_path / "fox.png"
    picture.write_bytes(ours)
    page = await (await visit("alice")).go("/check")
    async with page.expect_file_chooser() as asked:  # listens from here on
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.id") == "file":
                break
        await expect(page.locator("#file")).to_be_focused()
        await page.keyboard.press("Enter")
    await (await asked.value).set_files(picture)
    await looked_at(page)
    await expect(page.get_by_role("heading", name="Yes")).to_be_visible()


async def test_waiting_shows_and_can_be_stopped(visit, ours: bytes, screenshot_dir: Path) -> None:
    one = await visit("alice")
    page = await one.go("/check")
    arrived = asyncio.Event()

    async def never(_: object) -> None:
        arrived.set()

    await page.route(ASKED, never)
    await page.locator("#file").set_input_files(files=[file(ours)])
    await arrived.wait()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await page.screenshot(path=screenshot_dir / "check-working-light.png", full_page=True)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("progressbar")).to_be_hidden()
    await expect(page.get_by_role("status").first).to_have_text("Stopped.")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_what_can_go_wrong_on_the_way_is_said(visit, ours: bytes) -> None:
    one = await visit("alice", allowed=(REFUSED, "ERR_FAILED"))
    page = await one.go("/check")
    trouble = page.get_by_role("alert")
    error = {"error": {"code": "rate_limit_exceeded", "message": "More than 30 requests in a minute."}}
    for answer, words in (
        ({"status": 429, "json": error, "headers": {"retry-after": "7"}}, "Try again in 7 seconds."),
        ({"status": 502, "body": "<h1>proxy</h1>"}, "Something answered in our place."),
        ({"status": 200, "body": "<h1>a hotel's page</h1>"}, "Something answered in our place."),
        ({"status": 401, "json": {"error": {"message": "Please sign in."}}}, "Sign in again"),
        (None, "The connection broke"),
    ):
        await page.unroute(ASKED)

        async def answered(route: Route, *, answer: dict[str, Any] | None = answer) -> None:
            await (route.abort() if answer is None else route.fulfill(**answer))

        await page.route(ASKED, answered)
        await give(page, ours)
        await expect(trouble).to_contain_text(words)
    await expect(trouble.get_by_role("link")).to_be_hidden()


async def test_words_of_an_answer_never_become_markup(visit, ours: bytes) -> None:
    one = await visit("alice")
    page = await one.go("/check")
    evil = "<img src=x onerror=\"document.title='pwned'\">"
    found = {"type": evil, "outcome": evil, "message": evil, "pictures": [{"generated_at": evil, "model": evil}]}
    found["record_ids"] = ["javascript:alert(1)"]
    told = {"verdict": evil, "message": evil, "results": [found], "file": {"bytes": 1, "sha256": evil}}
    await page.route(ASKED, lambda route: route.fulfill(json=told))
    await give(page, ours, evil)
    await expect(page.get_by_role("article")).to_contain_text(evil)
    assert await page.locator("article img").count() == 0
    assert await page.title() == "Check a picture · Imprimatur"
    href = await page.get_by_role("article").get_by_role("link").get_attribute("href")
    assert href == "/audit/records/javascript%3Aalert(1)"


async def test_an_answer_fits_a_phone(visit, ours: bytes, screenshot_dir: Path) -> None:
    one = await visit("alice", size=PHONE)
    page = await one.go("/check")
    await give(page, ours)
    await expect(page.get_by_role("heading", name="Yes")).to_be_visible()
    await page.get_by_text("About the file").click()
    await page.screenshot(path=screenshot_dir / "check-ours-phone.png", full_page=True)
    for width in (390, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_the_page_is_for_people(preview: Running) -> None:
    async with httpx.AsyncClient(base_url=preview.url) as nobody:
        answer = await nobody.get("/check", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/welcome?return_to=%2Fcheck")
