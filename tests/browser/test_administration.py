"""What administrators do, and break-glass, in a real browser: without a line of script of ours."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.emergency_watch import EmergencyWatch
from gateway.identity.seals import NewSeal, totp
from tests.browser.conftest import Visit, Visits
from tests.browser.preview import Running


async def seal(preview: Running, name: str, holder: str) -> NewSeal:
    """As the command on the host, and the gateway's watch a second later."""
    desk = preview.services.identity.emergency

    async def make() -> NewSeal:
        made = await desk.seals.make(name, holder, by="root")
        await EmergencyWatch(desk, preview.services.audit).look()
        return made

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), preview.loop))


async def show(one: Visit, made: NewSeal, reason: str = "") -> None:
    page = await one.go("/auth/emergency")
    secret = base64.b32decode(parse_qs(urlsplit(made.totp_uri).query)["secret"][0])
    form = page.locator("form[aria-labelledby=open]")
    await form.get_by_label("Name of the seal").fill(made.name)
    await form.get_by_label("Sealed code").fill(made.code)
    await form.get_by_label("One-time password").fill(totp(secret, int(time.time()) // 30))
    await form.get_by_label("What happened?").fill(reason)
    await form.get_by_role("button").click()


async def looked_at(one: Visit, shots: Path, name: str) -> None:
    await one.page.screenshot(path=shots / f"{name}.png", full_page=True)
    assert await one.axe() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_two_people_open_an_emergency_from_two_browsers(visit: Visits, preview: Running, screenshot_dir, scheme):
    north, south = await seal(preview, "north", "Ann Berg"), await seal(preview, "south", "Ben Holm")
    first, second = await visit(None, scheme=scheme), await visit(None, scheme=scheme)
    await show(first, north, "The identity provider is away since 7:40")
    await first.page.get_by_text("Now the second person").wait_for()
    await looked_at(first, screenshot_dir, f"emergency-waiting-{scheme}")
    await show(second, south)
    await second.page.get_by_text("away since 7:40").wait_for()
    await looked_at(second, screenshot_dir, f"emergency-agree-{scheme}")
    await second.page.get_by_role("button", name="I agree").click()
    await second.page.wait_for_url("**/people")
    await second.page.get_by_text("Emergency access.").wait_for()
    await looked_at(second, screenshot_dir, f"emergency-open-{scheme}")
    await first.page.get_by_role("link", name="Look whether").click()
    await looked_at(first, screenshot_dir, f"emergency-enter-{scheme}")
    await first.page.get_by_role("button", name="Come in").click()
    await first.page.wait_for_url("**/people")
    await first.page.get_by_role("button", name="End it for both").click()
    await first.page.wait_for_url("**/signed-out")
    await second.page.goto(second.url + "/people")
    assert "/welcome" in second.page.url


async def test_a_mapping_is_looked_at_before_it_is_proposed(visit: Visits, screenshot_dir):
    one = await visit("carol")
    page = await one.go("/mapping")
    field = page.get_by_label("A group on each line")
    await field.fill(await field.input_value() + "\nleads: reviewer")
    await page.get_by_role("button", name="Show what it would change").click()
    await page.get_by_role("heading", name="What it would change").wait_for()
    await looked_at(one, screenshot_dir, "mapping-preview")
    await page.get_by_label("Why? Whoever agrees").fill("Leads review")
    await page.get_by_role("button", name="Propose it").click()
    await page.wait_for_url("**/proposals/*")
    await page.get_by_text("Nobody approves their own proposal").wait_for()
    await page.get_by_role("button", name="Withdraw").click()
    await page.get_by_text("withdrawn").first.wait_for()
