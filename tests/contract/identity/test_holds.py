"""Holds in the browser: asked by one, placed by another, ended the same way; each step on record, none by accident."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from demo.idp.browserless import sign_in
from tests.support.auditor import HOSTILE, Auditor, recorded
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

WHY = f"Order 17/26 of the court {HOSTILE}"


@pytest_asyncio.fixture(loop_scope="module")
async def people(house: Any) -> AsyncIterator[tuple[Auditor, Auditor, Auditor]]:
    async with house.browser() as first, house.browser() as second, house.browser() as third:
        for browser, name in ((first, "bob"), (second, "gail"), (third, "alice")):
            await sign_in(browser, PUBLIC_URL, house.idp.people[name])
        yield Auditor(first), Auditor(second), Auditor(third)


async def asked(house: Any, bob: Auditor, **fields: str) -> str:
    """The address of a hold that Bob asked for."""
    whole = {"kind": "legal", "reason": WHY, "event_ids": await recorded(house.services.audit), **fields}
    answer = await bob.post("/holds", "/holds/new", **whole)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def act(person: Auditor, hold: str, name: str) -> int:
    return (await person.post(f"{hold}/decision", hold, act=name)).status_code


async def test_a_hold_keeps_once_a_second_person_placed_it_and_until_a_second_person_released_it(
    house: Any, people: Any
) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob)
    assert (await bob.read(hold))["keeps"] is False
    assert await act(bob, hold, "place") == 403
    assert await act(gail, hold, "place") == 303
    assert (await bob.read(hold))["keeps"] is True
    assert await act(gail, hold, "ask-release") == 303
    assert (await bob.read(hold))["keeps"] is True
    assert await act(gail, hold, "release") == 403
    assert await act(bob, hold, "release") == 303
    after = await bob.read(hold)
    assert (after["state"], after["keeps"]) == ("released", False)
    assert [after[step]["actor"] for step in ("requested", "decided", "release_requested", "released")] == [
        "canaille|bob",
        "canaille|gail",
        "canaille|gail",
        "canaille|bob",
    ]


async def test_each_step_is_on_record_with_who_took_it_and_so_is_each_refusal(house: Any, people: Any) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob)
    await act(bob, hold, "place")
    await act(gail, hold, "place")
    rows = [row for row in await house.records("audit:hold:") if row.subject is not None]
    assert [(row.action, row.effect, row.subject.actor) for row in rows[:3]] == [
        ("audit:hold:place", "allow", "canaille|gail"),
        ("audit:hold:place", "deny", "canaille|bob"),
        ("audit:hold:request", "allow", "canaille|bob"),
    ]


async def test_a_hold_that_was_turned_down_or_taken_back_keeps_nothing(house: Any, people: Any) -> None:
    bob, gail, _ = people
    for person in (bob, gail):
        hold = await asked(house, bob)
        assert await act(person, hold, "reject") == 303
        assert (await bob.read(hold))["state"] == "rejected"
        assert await act(gail, hold, "place") == 403


async def test_an_end_that_was_asked_for_by_mistake_is_taken_back(house: Any, people: Any) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob)
    for person, name in ((gail, "place"), (bob, "ask-release"), (bob, "keep")):
        assert await act(person, hold, name) == 303
    assert (await bob.read(hold))["state"] == "active"


async def test_a_person_is_held_from_a_day_on(house: Any, people: Any) -> None:
    bob, _, _ = people
    hold = await asked(house, bob, event_ids="", actor="canaille|alice", from_day="2026-11-01", to_day="2026-11-20")
    scope = (await bob.read(hold))["scope"]
    assert (scope["actor"], scope["from_day"], scope["to_day"]) == ("canaille|alice", "2026-11-01", "2026-11-20")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "curiosity"},
        {"reason": "because"},
        {"reason": "x" * 2001},
        {"event_ids": ""},
        {"event_ids": "not-an-id"},
        {"actor": "canaille|alice"},  # besides records: one or the other
        {"event_ids": "", "actor": "canaille|alice"},  # from which day on?
        {"event_ids": "", "actor": "canaille|alice", "from_day": "yesterday"},
        {"event_ids": "", "actor": "canaille|alice", "from_day": "2026-11-20", "to_day": "2026-11-01"},
    ],
)
async def test_a_form_that_makes_no_sense_is_refused_in_words(house: Any, people: Any, fields: dict[str, str]) -> None:
    bob, _, _ = people
    event_id = await recorded(house.services.audit)
    whole = {"kind": "legal", "reason": WHY, "event_ids": event_id, **fields}
    before = len((await bob.read("/holds"))["holds"])
    answer = await bob.post("/holds", "/holds/new", **whole)
    assert answer.status_code == 400, answer.text
    assert len((await bob.read("/holds"))["holds"]) == before


@pytest.mark.parametrize("name", ["", "destroy", "Place"])
async def test_an_act_that_there_is_not_changes_nothing(house: Any, people: Any, name: str) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob)
    assert await act(gail, hold, name) == 400
    assert (await bob.read(hold))["state"] == "requested"


async def test_a_form_that_another_site_sent_changes_nothing(house: Any, people: Any) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob)
    for data in ({"act": "place"}, {"act": "place", "csrf_token": "made-up"}):
        answer = await gail.browser.post(f"{hold}/decision", data=data, headers={"origin": PUBLIC_URL})
        assert answer.status_code == 403
    token = (await gail.read("/v1/session"))["csrf_token"]
    foreign = {"act": "place", "csrf_token": token}
    answer = await gail.browser.post(f"{hold}/decision", data=foreign, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert (await bob.read(hold))["state"] == "requested"


async def test_an_employee_sees_no_hold_and_asks_for_none(house: Any, people: Any) -> None:
    bob, _, alice = people
    hold = await asked(house, bob)
    for path in ("/holds", "/holds/new", hold):
        assert (await alice.browser.get(path)).status_code == 403
    answer = await alice.post("/holds", "/studio", kind="legal", reason=WHY, event_ids="x")
    assert answer.status_code == 403
    assert (await alice.post(f"{hold}/decision", "/studio", act="place")).status_code == 403


async def test_a_stale_second_factor_leads_to_a_fresh_one_and_back_to_the_form(house: Any, people: Any) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob)
    real = house.services.clock
    object.__setattr__(house.services, "clock", lambda: real() + timedelta(minutes=6))
    try:
        page = await gail.browser.get(hold, headers={"accept": "text/html"})
        token = (await gail.read("/v1/session"))["csrf_token"]
        sent = await gail.browser.post(
            f"{hold}/decision",
            data={"act": "place", "csrf_token": token},
            headers={"origin": PUBLIC_URL, "referer": PUBLIC_URL + hold, "accept": "text/html"},
        )
        elsewhere = await gail.browser.post(
            f"{hold}/decision",
            data={"act": "place", "csrf_token": token},
            headers={"origin": PUBLIC_URL, "referer": "https://evil.example/x", "accept": "text/html"},
        )
    finally:
        object.__setattr__(house.services, "clock", real)
    back = "return_to=" + hold.replace("/", "%2F")
    assert (page.status_code, sent.status_code) == (303, 303)
    assert page.headers["location"].startswith("/auth/step-up?max_age=300&")
    assert page.headers["location"].endswith(back)
    assert sent.headers["location"].endswith(back)
    assert elsewhere.headers["location"].endswith("return_to=%2F")
    assert (await bob.read(hold))["state"] == "requested"


async def test_what_people_wrote_is_text_on_every_page(house: Any, people: Any) -> None:
    bob, gail, _ = people
    hold = await asked(house, bob, event_ids="", actor=HOSTILE, from_day="2026-11-01")
    for html in (await gail.see(hold), await gail.see("/holds"), await gail.see("/holds/new?actor=%22%3E%3Cscript%3E")):
        assert "<script>alert" not in html
        assert '"><script>' not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in await gail.see(hold)


async def test_a_hold_that_there_is_not_is_not_found(people: Any) -> None:
    bob, _, _ = people
    for path in ("/holds/01a20320-a200-793b-b904-15780e4f403f", "/holds/..%2fetc"):
        assert (await bob.browser.get(path)).status_code == 404
