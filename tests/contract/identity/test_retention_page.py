"""The retention clock: what goes when, and receipts of what went, for auditors and their programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.idp.browserless import sign_in
from tests.support.auditor import Auditor, recorded
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]


async def test_it_says_how_long_what_is_kept_and_what_goes_next(house: Any) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["bob"])
        bob = Auditor(browser)
        body = await bob.read("/retention")
        assert body["classes"]["standard"] == 30
        assert body["records_past_retention"] == 0
        assert (body["clock_trusted"], body["destroyed_list_intact"]) == (True, True)
        due = datetime.fromisoformat(body["next_purge_at"]) - datetime.now(UTC)
        assert timedelta(days=29) < due <= timedelta(days=31)
        html = await bob.see("/retention")
        assert "30 days" in html
        assert "Nothing went yet" in html
        assert "as it should be" in html


async def test_every_purged_day_leaves_a_receipt_that_leads_to_its_record(doomed_house: Any) -> None:
    house = doomed_house
    log = house.services.audit
    long_ago = datetime.now(UTC) - timedelta(days=40)
    now, log._clock = log._clock, lambda: long_ago
    await recorded(log)
    log._clock = now
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["bob"])
        bob = Auditor(browser)
        await log.purge()
        body = await bob.read("/retention")
        (receipt,) = body["receipts"]
        assert receipt["day"] == long_ago.date().isoformat()
        assert receipt["records"] >= 2
        assert receipt["space_freed"] is True
        assert f"/audit/records/{receipt['event_id']}" in await bob.see("/retention")


async def test_an_employee_does_not_see_it(house: Any) -> None:
    async with house.browser() as browser:
        await sign_in(browser, PUBLIC_URL, house.idp.people["alice"])
        assert (await browser.get("/retention")).status_code == 403
