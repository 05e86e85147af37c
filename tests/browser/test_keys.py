"""A person's API keys."""

from __future__ import annotations

import re

import httpx
from playwright.async_api import expect

from tests.browser.preview import COOKIE, Running

REFUSED = "Failed to load resource: the server responded with a status of"


async def test_a_key_is_made_shown_once_used_and_revoked(visit, preview: Running):
    one = await visit("alice")
    page = await one.go("/keys")
    await page.get_by_label("What is it for?").fill("Newsletter <b>script</b>")
    await page.get_by_label("How long may it live?").select_option("7 days")
    await page.get_by_role("button", name="Make the key").click()
    dialog = page.get_by_role("dialog", name="Your new key")
    await expect(dialog).to_be_visible()
    key = await dialog.locator("code").inner_text()
    assert re.fullmatch(r"imp_pat_[0-9A-Za-z]{50}", key)
    await dialog.get_by_role("button", name="I have it").click()
    row = page.get_by_role("row").filter(has_text="Newsletter <b>script</b>")
    await expect(row).to_contain_text("make pictures")
    assert key not in await page.content()
    await page.get_by_role("button", name="Revoke Newsletter").click()
    await expect(page.get_by_role("dialog", name="Revoke this key?")).to_contain_text("Newsletter <b>script</b>")
    await page.get_by_role("button", name="Revoke it").click()
    await expect(row).to_contain_text("revoked")
    await expect(row.get_by_role("button")).to_have_count(0)


async def test_nothing_is_revoked_by_a_slip(visit, preview: Running):
    async with httpx.AsyncClient(base_url=preview.url, cookies={COOKIE: preview.session("mira")}) as client:
        csrf = (await client.get("/v1/session")).json()["csrf_token"]
        made = await client.post(
            "/v1/keys",
            json={"name": "kept", "scopes": ["image:generate"], "days": 1},
            headers={"x-csrf-token": csrf, "origin": preview.url},
        )
        assert made.status_code == 201, made.text
    one = await visit("mira")
    page = await one.go("/keys")
    await page.get_by_role("button", name="Revoke kept").click()
    await page.get_by_role("button", name="Keep it").click()
    await page.reload()
    await expect(page.get_by_role("row").filter(has_text="kept").get_by_role("button")).to_have_count(1)


async def test_a_stale_second_factor_comes_back_to_the_filled_form(visit):
    one = await visit("alice", allowed=(REFUSED,))
    page = await one.go("/keys")
    challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
    error = {"error": {"code": "insufficient_user_authentication", "message": "Once more, please.", "reasons": []}}
    await page.route(
        "**/v1/keys",
        lambda route: route.fulfill(status=401, json=error, headers={"www-authenticate": challenge}),
    )
    async with page.expect_request("**/auth/step-up*") as asked:
        await page.route("**/auth/step-up*", lambda route: route.fulfill(status=204))
        await page.get_by_label("What is it for?").fill("My script")
        await page.get_by_label("credit:read").check()
        await page.get_by_role("button", name="Make the key").click()
    query = httpx.URL((await asked.value).url).params
    assert query["max_age"] == "300"
    page = await one.go(query["return_to"])
    await expect(page.get_by_label("What is it for?")).to_have_value("My script")
    await expect(page.get_by_label("credit:read")).to_be_checked()


async def test_a_refusal_is_said_on_the_page(visit):
    one = await visit("alice", allowed=(REFUSED,))
    page = await one.go("/keys")
    error = {"error": {"code": "invalid_value", "message": "You have 20 keys already. Revoke one first."}}
    await page.route("**/v1/keys", lambda route: route.fulfill(status=400, json=error))
    await page.get_by_label("What is it for?").fill("One more")
    await page.get_by_role("button", name="Make the key").click()
    await expect(page.get_by_role("alert")).to_have_text("You have 20 keys already. Revoke one first.")
    await expect(page.get_by_role("button", name="Make the key")).to_be_enabled()


async def test_the_form_only_offers_what_may_be_granted(visit):
    one = await visit("alice")
    page = await one.go("/keys?scope=audit:search&days=4000&name=" + "x" * 500)
    assert await page.locator("input[name=scope]:checked").count() == 0
    await expect(page.get_by_label("How long may it live?")).to_have_value("30")
    assert len(await page.get_by_label("What is it for?").input_value()) == 80


async def test_nothing_happens_without_proof_that_one_of_our_pages_asked(preview: Running):
    """The forged requests that another site could have sent through a signed-in browser."""
    async with httpx.AsyncClient(base_url=preview.url, cookies={COOKIE: preview.session("mira")}) as client:
        csrf = (await client.get("/v1/session")).json()["csrf_token"]
        body = {"name": "forged", "scopes": ["image:generate"], "days": 1}
        for headers in (
            {},
            {"origin": preview.url},
            {"x-csrf-token": csrf, "origin": "https://attacker.example"},
            {"x-csrf-token": csrf, "origin": preview.url, "sec-fetch-site": "cross-site"},
            {"x-csrf-token": csrf[::-1], "origin": preview.url},
        ):
            assert (await client.post("/v1/keys", json=body, headers=headers)).status_code == 403
        assert "forged" not in (await client.get("/keys", headers={"accept": "text/html"})).text
