"""The auditor's search and the record with its proof."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from audit.note import VerifierKey
from audit.proof import check_proof_text
from tests.browser.preview import COOKIE, XSS, Running

MISSING = "Failed to load resource: the server responded with a status of"


async def test_a_search_is_a_form_whose_address_can_be_sent(visit):
    one = await visit("bob")
    page = await one.go("/audit")
    await expect(page.get_by_label("Did")).to_have_value("image:")
    await page.get_by_label("Effect").select_option("denied")
    await page.get_by_label("Why").fill("dlp")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_label("Ask the log")).to_have_value("action:image:* effect:deny reason:dlp.*")
    assert "effect=deny" in page.url
    assert "reason=dlp" in page.url
    effects = set(await page.locator("td .effect").all_inner_texts())
    assert effects == {"denied"}
    reasons = set(await page.locator("td:nth-child(5)").all_inner_texts())
    assert reasons == {"payment card number"}
    other = await visit("bob")
    await other.page.goto(page.url)
    assert await other.page.locator("table").inner_text() == await page.locator("table").inner_text()


async def test_it_works_without_scripts(visit):
    one = await visit("bob", java_script_enabled=False)
    page = await one.go("/audit")
    await page.get_by_label("Effect").select_option("denied")
    await page.get_by_role("button", name="Filter").click()
    await page.get_by_label("Ask the log").fill("effect:deny -reason:mfa.*")
    await page.get_by_role("button", name="Search").click()
    await page.locator("td a").first.click()
    await expect(page.get_by_text("Verified now")).to_be_visible()
    one.complaints.clear()


async def test_a_question_is_asked_in_one_text(visit):
    one = await visit("bob")
    page = await one.go("/audit")
    await expect(page.get_by_label("Ask the log")).to_have_value("action:image:*")
    await page.get_by_label("Ask the log").fill("effect:deny,mask -reason:mfa.* created:7d")
    async with page.expect_navigation():
        await page.get_by_label("Ask the log").press("Enter")
    effects = set(await page.locator("td .effect").all_inner_texts())
    assert effects == {"denied", "masked"}
    await expect(page.get_by_label("Ask the log")).to_have_value("effect:deny,mask -reason:mfa.* created:7d")
    await page.get_by_role("link", name="Ask without -reason:mfa.*").click()
    await expect(page.get_by_label("Ask the log")).to_have_value("effect:deny,mask created:7d")


async def test_counts_are_links_that_narrow_the_search_and_widen_it_again(visit):
    one = await visit("bob")
    page = await one.go("/audit")
    narrow = page.get_by_role("navigation", name="Narrow the search")
    denied = narrow.get_by_role("link", name="denied").first
    number = int((await denied.locator(".numbers").inner_text()).replace(",", ""))
    await denied.click()
    await expect(page.locator(".counted")).to_contain_text(f"{number} records")
    assert set(await page.locator("td .effect").all_inner_texts()) == {"denied"}
    await expect(page.get_by_label("Ask the log")).to_have_value("action:image:* effect:deny")
    await expect(page.get_by_label("Effect")).to_have_value("deny")
    chosen = narrow.locator("[aria-current=true]", has_text="denied")
    await chosen.click()
    await expect(page.get_by_label("Ask the log")).to_have_value("action:image:*")
    await narrow.get_by_role("link", name="Leave out denied").click()
    assert "denied" not in await page.locator("td .effect").all_inner_texts()


async def test_an_error_in_a_question_says_where_and_keeps_the_question(visit):
    one = await visit("bob", allowed=(MISSING,))
    page = await one.go("/audit?q=effect:deny+acter:alice")
    await expect(page.get_by_role("alert")).to_contain_text("Character 13: there is no field with that name")
    await expect(page.get_by_role("alert")).not_to_contain_text("alice")
    await expect(page.get_by_label("Ask the log")).to_have_value("effect:deny acter:alice")


async def test_the_page_teaches_the_language_by_questions_that_can_be_clicked(visit):
    one = await visit("bob")
    page = await one.go("/audit")
    await page.get_by_text("How to ask").click()
    await page.get_by_role("link", name="phase:access").click()
    await expect(page.get_by_label("Ask the log")).to_have_value("phase:access")
    assert "searched the records" in await page.locator("td:nth-child(3)").all_inner_texts()


async def test_a_name_leads_to_everything_that_person_did(visit):
    one = await visit("bob")
    page = await one.go("/audit")
    await page.get_by_role("link", name="Alice Meyer").first.click()
    assert set(await page.locator("tr:not(.day) td:nth-child(2) a").all_inner_texts()) == {"Alice Meyer"}


async def test_pages_follow_each_other_without_gaps(visit, preview: Running):
    one = await visit("bob")
    page = await one.go("/audit?action=image:generate")
    seen = []
    while True:
        seen += [
            (await link.get_attribute("href") or "").rpartition("/")[2] for link in await page.locator(".when a").all()
        ]
        older = page.get_by_role("link", name="Older")
        if not await older.count():
            break
        await older.click()
    assert len(set(seen)) == len(seen)
    assert [request for request in seen if request in preview.requests] == preview.requests[::-1]
    await page.get_by_role("link", name="Newest").click()
    assert "cursor" not in page.url


async def test_a_request_id_finds_its_record(visit, preview: Running):
    one = await visit("bob")
    page = await one.go("/audit")
    await page.get_by_label("Who").fill(preview.requests[3])
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator(".when a")).to_have_count(1)


async def test_a_search_that_finds_nothing_teaches(visit):
    one = await visit("bob")
    page = await one.go("/audit?who=nobody&action=")
    await expect(page.get_by_role("heading", name="Nothing matches.")).to_be_visible()
    await expect(page.get_by_text("choose a name in the list")).to_be_visible()
    await expect(page.get_by_label("Who")).to_have_value("nobody")


async def test_a_search_that_cannot_be_read_says_why_and_keeps_what_was_typed(visit):
    one = await visit("bob", allowed=(MISSING,))
    page = await one.go("/audit?since=2026-11-22&until=2026-11-01&who=x")
    await expect(page.get_by_role("alert")).to_contain_text("“To” lies before “From”")
    await expect(page.get_by_label("Who")).to_have_value("x")


async def test_looking_is_itself_on_the_record(visit):
    one = await visit("bob")
    page = await one.go("/audit?action=image:generate")
    await page.get_by_text("This search was recorded as").get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Bob Ito searched the records")


async def test_a_record_shows_both_halves_who_why_and_until_when(visit, preview: Running):
    one = await visit("bob")
    async with httpx.AsyncClient(base_url=preview.url, cookies={COOKIE: preview.session("bob")}) as client:
        asked = {"effect": "deny", "action": "image:generate"}
        rows = (await client.get("/audit", params=asked, headers={"accept": "application/json"})).json()["rows"]
    rows = [row for row in rows if row["event_id"] in preview.requests]  # others may have asked since, and been refused
    page = await one.go(f"/audit/records/{rows[0]['event_id']}")
    facts = await page.locator("dl.facts").first.inner_text()
    for word in ("Intent", "Outcome", "denied", "2026.11.1+9f2c11aa", "not reached", "Unreadable from", "in 3"):
        assert word in facts
    await expect(page.get_by_text("They open inside a case: you say why, somebody else agrees.")).to_be_visible()
    assert rows[0]["who"] in await page.get_by_role("heading", level=1).inner_text()


async def test_an_open_request_is_shown_as_open(visit, preview: Running):
    one = await visit("bob")
    page = await one.go(f"/audit/records/{preview.requests[-1]}")
    await expect(page.locator("dl.facts").first).to_contain_text("none yet")
    await expect(page.locator(".half")).to_have_count(1)


async def test_the_proof_is_drawn_checked_and_can_be_taken_away(visit, preview: Running, tmp_path: Path):
    one = await visit("bob")
    page = await one.go(f"/audit/records/{preview.requests[3]}")
    await expect(page.get_by_text("Verified now")).to_be_visible()
    await expect(page.get_by_text("head is signed")).to_have_count(2)
    await expect(page.locator("svg.path polygon").first).to_be_visible()
    key = VerifierKey.parse(await page.locator("dd.mono").last.inner_text())
    for number, phase in enumerate(("intent", "outcome")):
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Download this proof").nth(number).click()
        download = await waiting.value
        assert download.suggested_filename == f"{preview.requests[3]}-{phase}.tlog-proof"
        await download.save_as(tmp_path / phase)
        checked = check_proof_text((tmp_path / phase).read_text(), key)
        shown = await page.locator(".half").nth(number).inner_text()
        assert f"leaf number {checked.seq} in a tree of" in shown
        hashes = await page.locator(".half").nth(number).locator("dd.mono").all_text_contents()
        assert hashes[0] == checked.leaf.hex()
        root = base64.b64decode((tmp_path / phase).read_text().rpartition("\n\n")[0].splitlines()[-1])
        assert len(root) == 32


async def test_the_signed_head_can_be_taken_away(visit):
    one = await visit("bob")
    page = await one.go("/audit")
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name="Download the signed head of the log").click()
    assert (await waiting.value).suggested_filename == "checkpoint.txt"


async def test_a_program_gets_the_same_as_json(preview: Running):
    async with httpx.AsyncClient(base_url=preview.url, cookies={COOKIE: preview.session("bob")}) as client:
        client.headers["accept"] = "application/json"
        found = (await client.get("/audit", params={"event_id": preview.requests[3]})).json()
        record = (await client.get(f"/audit/records/{preview.requests[3]}")).json()
        broken = await client.get("/audit", params={"effect": "perhaps"})
        counted = (await client.get("/audit", params={"q": "effect:deny", "facets": "true"})).json()
        nowhere = await client.get("/audit/records/01a2033e-6394-7688-ae58-061aca1eafce")
        odd = await client.get("/audit/records/..%2f..%2fetc")
    assert [row["event_id"] for row in found["rows"]] == [preview.requests[3]]
    assert record["proof"]["verified"] is True
    assert record["proof"]["seq"] < record["proof"]["tree_size"]
    assert [half["phase"] for half in record["proof"]["halves"]] == ["intent", "outcome"]
    assert "facets" not in found
    assert counted["count"] == {"number": len(counted["rows"]), "is_exact": True}
    assert {value["value"] for value in counted["facets"]["effect"]} == {"deny"}
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_value")
    assert (nowhere.status_code, odd.status_code) == (404, 404)


@pytest.mark.parametrize("person", ["alice", "dave", None])
@pytest.mark.parametrize("path", ["/audit", "/audit/records/{}", "/audit/records/{}/proof", "/audit/checkpoint"])
async def test_nobody_else_sees_a_record(preview: Running, person, path):
    cookies = {COOKIE: preview.session(person)} if person else {}
    async with httpx.AsyncClient(base_url=preview.url, cookies=cookies) as client:
        answer = await client.get(path.format(preview.requests[3]), headers={"accept": "application/json"})
    assert answer.status_code == (403 if person else 401)
    assert preview.requests[3] not in answer.text


async def test_hostile_names_are_text_in_the_list_and_in_the_record(visit, preview: Running):
    one = await visit("bob")
    shown: list[str] = []
    page = await one.go("/audit?action=image:generate")
    while True:
        shown += await page.locator("tr:not(.day) td:nth-child(2) a").all_text_contents()
        assert await page.title() == "Records · Imprimatur"
        older = page.get_by_role("link", name="Older")
        if not await older.count():
            break
        await older.click()
        await page.wait_for_load_state()
    assert set(XSS) <= set(shown)
    for number, text in list(enumerate(XSS))[::4]:
        page = await one.go(f"/audit/records/{preview.requests[number + 3]}")
        assert text in (await page.locator("h1").text_content() or "")
        assert text in (await page.locator("dl.facts").first.text_content() or "")
        assert "pwned" not in await page.title()


async def test_hostile_words_in_a_search_are_text(visit):
    one = await visit("bob", allowed=(MISSING, "does not conform to the required format"))
    fields = ("q", "who", "action", "effect", "reason", "model", "since", "until", "cursor", "event_id")
    for text in XSS:
        for asked in ({"who": text, "action": ""}, {"q": text}, dict.fromkeys(fields, text)):
            page = await one.go("/audit?" + str(httpx.QueryParams(asked)))
            assert await page.title() == "Records · Imprimatur"
            assert await page.locator("form.search").count() == 1
            if "who" in asked:
                assert await page.locator("#who").input_value() == text.strip()
            if "q" in asked:
                assert await page.locator("#q").input_value() == text.strip()
    assert await page.locator("#reason").input_value() == text.strip()
