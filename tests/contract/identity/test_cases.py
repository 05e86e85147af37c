"""Opening content in the browser: a case, two people, a fresh second factor, and a record of every step."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from audit import Entry, Query, Subject
from demo.idp.browserless import sign_in
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

HOSTILE = '<script>alert(1)</script> " onfocus=x & \u202egnp'
WHY = "Complaint 17: reported misuse of a brand"


class Auditor:
    """A signed-in auditor who fills in forms."""

    def __init__(self, browser: httpx.AsyncClient) -> None:
        self.browser = browser

    async def post(self, path: str, page: str, **fields: str) -> httpx.Response:
        """Send a form as it stands on a page of ours."""
        html = (await self.browser.get(page)).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', html)
        assert found is not None
        data = {"csrf_token": found[1], **fields}
        return await self.browser.post(path, data=data, headers={"origin": PUBLIC_URL, "accept": "text/html"})


@pytest_asyncio.fixture(loop_scope="module")
async def people(house: Any) -> Any:
    async with house.browser() as first, house.browser() as second, house.browser() as third:
        await sign_in(first, PUBLIC_URL, house.idp.people["bob"])
        await sign_in(second, PUBLIC_URL, house.idp.people["gail"])
        await sign_in(third, PUBLIC_URL, house.idp.people["alice"])
        yield Auditor(first), Auditor(second), Auditor(third)


async def recorded(house: Any) -> str:
    """A request of somebody's, with something to open."""
    who = Subject(actor="canaille|alice", display="Alice <b>Marsh</b>")
    log = house.services.audit
    ticket = await log.intend(Entry(action="image:generate", subject=who, content={"request": {"prompt": HOSTILE}}))
    await log.conclude(ticket, Entry(action="image:generate", subject=who, effect="allow", content={"findings": []}))
    return str(ticket.event_id)


async def requested(bob: Auditor, event_id: str) -> str:
    page = f"/audit/records/{event_id}"
    answer = await bob.post("/cases", page, event_id=event_id, purpose=WHY, hours="8")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_content_opens_after_a_second_person_agreed_and_is_shown_as_text(house: Any, people: Any) -> None:
    bob, gail, _ = people
    event_id = await recorded(house)
    case = await requested(bob, event_id)
    case_id = case.rpartition("/")[2]
    opening = f"/audit/records/{event_id}/content"
    too_early = await bob.post(opening, case, case_id=case_id)
    assert too_early.status_code == 403
    assert HOSTILE not in too_early.text
    own = await bob.post(f"{case}/decision", case, act="approve")
    assert own.status_code == 403
    assert (await gail.post(f"{case}/decision", case, act="approve")).status_code == 303
    opened = await bob.post(opening, case, case_id=case_id)
    assert opened.status_code == 200
    assert opened.headers["cache-control"] == "no-store"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in opened.text
    assert "<script>alert" not in opened.text
    assert "<b>Marsh" not in opened.text
    # Gail agreed, and may not look: the case is Bob's.
    assert (await gail.post(opening, case, case_id=case_id)).status_code == 403
    said = (
        await gail.browser.get(f"/audit/records/{event_id}/accesses", headers={"accept": "application/json"})
    ).json()
    assert [
        (a["action"], a["effect"], a["actor"]) for a in said["accesses"] if a["action"] == "audit:content:open"
    ] == [
        ("audit:content:open", "deny", "canaille|gail"),
        ("audit:content:open", "allow", "canaille|bob"),
        ("audit:content:open", "deny", "canaille|bob"),
    ]


async def test_a_closed_or_rejected_case_opens_nothing(house: Any, people: Any) -> None:
    bob, gail, _ = people
    event_id = await recorded(house)
    for acts in ((gail, "reject"),), ((gail, "approve"), (bob, "close")):
        case = await requested(bob, event_id)
        for person, act in acts:
            assert (await person.post(f"{case}/decision", case, act=act)).status_code == 303
        answer = await bob.post(f"/audit/records/{event_id}/content", case, case_id=case.rpartition("/")[2])
        assert answer.status_code == 403


async def test_an_employee_sees_no_case_and_asks_for_none(house: Any, people: Any) -> None:
    bob, _, alice = people
    event_id = await recorded(house)
    case = await requested(bob, event_id)
    for path in ("/cases", case, f"/audit/records/{event_id}/accesses"):
        assert (await alice.browser.get(path)).status_code == 403
    answer = await alice.post("/cases", "/studio", event_id=event_id, purpose=WHY, hours="8")
    assert answer.status_code == 403


async def test_a_form_that_another_site_sent_changes_nothing(house: Any, people: Any) -> None:
    bob, gail, _ = people
    case = await requested(bob, await recorded(house))
    for data in ({"act": "approve"}, {"act": "approve", "csrf_token": "made-up"}):
        answer = await gail.browser.post(f"{case}/decision", data=data, headers={"origin": PUBLIC_URL})
        assert answer.status_code == 403
    body = (await gail.browser.get(case, headers={"accept": "application/json"})).json()
    assert body["state"] == "requested"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "x"}, "purpose"),
        ({"purpose": WHY * 200}, "purpose"),
        ({"hours": "9999"}, "hours"),
        ({"event_id": "nonsense"}, "event_id"),
    ],
)
async def test_a_form_that_makes_no_sense_is_refused_in_words(people: Any, fields: dict[str, str], param: str) -> None:
    bob, _, _ = people
    whole = {"event_id": "01a20320-a200-793b-b904-15780e4f403f", "purpose": WHY, "hours": "8", **fields}
    answer = await bob.post("/cases", "/cases", **whole)
    assert answer.status_code in (400, 413), (param, answer.text)


async def test_an_opening_needs_a_second_factor_of_this_moment(house: Any, people: Any, monkeypatch: Any) -> None:
    bob, gail, _ = people
    event_id = await recorded(house)
    case = await requested(bob, event_id)
    await gail.post(f"{case}/decision", case, act="approve")
    real = house.services.clock
    object.__setattr__(house.services, "clock", lambda: real() + timedelta(minutes=10))
    try:
        answer = await bob.post(f"/audit/records/{event_id}/content", case, case_id=case.rpartition("/")[2])
    finally:
        object.__setattr__(house.services, "clock", real)
    assert answer.status_code in (303, 401, 403)
    assert HOSTILE not in answer.text


async def test_cases_are_listed_with_who_waits_for_whom(house: Any, people: Any) -> None:
    bob, gail, _ = people
    case = await requested(bob, await recorded(house))
    listed = (await gail.browser.get("/cases")).text
    assert case in listed
    assert "waits for a second person" in listed
    rows = (await house.services.audit.search(Query(action="audit:case:request"), searched_by=Subject(actor="-"))).rows
    assert rows[0].subject.actor == "canaille|bob"
