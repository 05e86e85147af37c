"""A person's data in the browser: handed over or erased, by two officers, neither of them the person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from demo.idp.browserless import sign_in
from tests.support.auditor import HOSTILE, Auditor, recorded
from tests.support.idp import PUBLIC_URL

pytestmark = [pytest.mark.xdist_group("idp"), pytest.mark.asyncio(loop_scope="module")]

WHY = f"Letter of 20 November {HOSTILE}"


@pytest_asyncio.fixture(loop_scope="module")
async def people(house: Any) -> AsyncIterator[tuple[Auditor, Auditor, Auditor]]:
    async with house.browser() as first, house.browser() as second, house.browser() as third:
        for browser, name in ((first, "bob"), (second, "gail"), (third, "alice")):
            await sign_in(browser, PUBLIC_URL, house.idp.people[name])
        yield Auditor(first), Auditor(second), Auditor(third)


async def asked(person: Auditor, kind: str, actor: str) -> str:
    answer = await person.post("/subjects", "/subjects/new", kind=kind, actor=actor, note=WHY)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def act(person: Auditor, request: str, name: str) -> int:
    return (await person.post(f"{request}/decision", request, act=name)).status_code


async def test_data_is_handed_over_after_a_second_officer_agreed_to_whoever_asked(house: Any, people: Any) -> None:
    bob, gail, _ = people
    person = "canaille|gone-export"
    event_id = await recorded(house.services.audit, person)
    await recorded(house.services.audit, "canaille|somebody-else", "a secret of somebody else")
    request = await asked(bob, "export", person)
    file = f"{request}/file"
    assert (await bob.post(file, request)).status_code == 403
    assert await act(bob, request, "approve") == 403
    assert await act(gail, request, "approve") == 303
    assert (await gail.post(file, request)).status_code == 403
    taken = await bob.post(file, request)
    assert taken.status_code == 200
    assert taken.headers["cache-control"] == "no-store"
    assert taken.headers["content-type"] == "application/json"
    assert taken.headers["content-disposition"] == (
        f'attachment; filename="subject-access-{request.rpartition("/")[2]}.json"'
    )
    document = taken.json()
    assert {record["event_id"] for record in document["records"]} == {event_id}
    assert document["records"][0]["content"]["request"]["prompt"] == HOSTILE
    assert "a secret of somebody else" not in taken.text
    recordings = [row.effect for row in await house.records("audit:subject:export")]
    assert recordings[:3] == ["allow", "deny", "deny"]


async def test_an_erasure_takes_name_and_content_and_leaves_the_proof(house: Any, people: Any) -> None:
    bob, gail, _ = people
    log, person = house.services.audit, "canaille|gone-erasure"
    event_id = await recorded(log, person)
    request = await asked(bob, "erasure", person)
    assert await act(bob, request, "erase") == 403
    assert await act(gail, request, "approve") == 303
    # By hand, or by the sweeper, which was there first.
    assert await act(bob, request, "erase") == 303 or (await bob.read(request))["state"] == "done"
    done = await bob.read(request)
    assert done["state"] == "done"
    assert done["receipts"][0]["erased"] == 2
    record = await bob.read(f"/audit/records/{event_id}")
    assert record["subject"] is None
    assert record["content_destroyed"] is True
    assert record["proof"]["verified"] is True
    page = await bob.see(request)
    assert "2 records" in page
    assert "Erase now" not in page


async def test_nobody_decides_about_their_own_data(house: Any, people: Any) -> None:
    bob, gail, _ = people
    request = await asked(bob, "erasure", "canaille|gail")
    assert await act(gail, request, "approve") == 403
    assert "Approve" not in await gail.see(request)
    assert await act(gail, request, "reject") == 303


async def test_a_rejected_request_hands_over_and_erases_nothing(house: Any, people: Any) -> None:
    bob, gail, _ = people
    event_id = await recorded(house.services.audit, "canaille|stays")
    for kind in ("export", "erasure"):
        request = await asked(bob, kind, "canaille|stays")
        assert await act(gail, request, "reject") == 303
        last = await bob.post(f"{request}/file" if kind == "export" else f"{request}/decision", request, act="erase")
        assert last.status_code == 403
    assert (await bob.read(f"/audit/records/{event_id}"))["subject"]["actor"] == "canaille|stays"


async def test_an_employee_reaches_nobody_s_data_here(house: Any, people: Any) -> None:
    bob, _, alice = people
    request = await asked(bob, "export", "canaille|alice")
    for path in ("/subjects", "/subjects/new", request):
        assert (await alice.browser.get(path)).status_code == 403
    for path in ("/subjects", f"{request}/decision", f"{request}/file"):
        assert (await alice.post(path, "/studio", act="approve")).status_code == 403


@pytest.mark.parametrize(
    "fields", [{"kind": "sell"}, {"actor": " "}, {"actor": "x" * 513}, {"note": "why not"}, {"note": ""}]
)
async def test_a_form_that_makes_no_sense_is_refused_in_words(people: Any, fields: dict[str, str]) -> None:
    bob, _, _ = people
    whole = {"kind": "export", "actor": "canaille|alice", "note": WHY, **fields}
    answer = await bob.post("/subjects", "/subjects/new", **whole)
    assert answer.status_code == 400, answer.text


async def test_an_export_is_not_erased_and_what_is_not_there_is_not_found(people: Any) -> None:
    bob, _, _ = people
    request = await asked(bob, "export", "canaille|alice")
    assert await act(bob, request, "erase") == 400
    nowhere = "01a20320-a200-793b-b904-15780e4f403f"
    for path in (f"/subjects/export/{nowhere}", f"/subjects/sale/{nowhere}", request.replace("export", "erasure")):
        assert (await bob.browser.get(path)).status_code == 404


async def test_a_form_that_another_site_sent_takes_and_erases_nothing(people: Any) -> None:
    bob, gail, _ = people
    request = await asked(bob, "export", "canaille|alice")
    await act(gail, request, "approve")
    for path in (f"{request}/file", f"{request}/decision", "/subjects"):
        answer = await bob.browser.post(path, data={"act": "approve"}, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "records" not in answer.text


async def test_what_people_wrote_is_text_on_every_page(people: Any) -> None:
    bob, gail, _ = people
    request = await asked(bob, "erasure", HOSTILE)
    for html in (
        await gail.see(request),
        await gail.see("/subjects"),
        await gail.see("/subjects/new?actor=%22%3E%3Cscript%3E"),
    ):
        assert "<script>alert" not in html
        assert '"><script' not in html
    assert "&lt;script&gt;" in await gail.see(request)


async def test_requests_of_both_kinds_stand_in_one_list(people: Any) -> None:
    bob, _, _ = people
    request = await asked(bob, "export", "canaille|alice")
    listed = await bob.read("/subjects")
    assert request.rpartition("/")[2] in {one["id"] for one in listed["requests"]}
