"""What is looked into in the preview: cases, holds, requests about people's data."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from audit import HoldKind, HoldScope, Officer, Scope, Subject
from gateway.services import Services
from tests.browser.preview.people import PEOPLE, XSS
from tests.browser.preview.records import intent


async def govern(services: Services, made: list[str]) -> dict[str, str]:
    """Cases, holds and requests about people's data in every state that a page shows; Bob asks, Gail agrees."""
    now = services.clock()
    bob, gail = (
        Officer(Subject(actor=f"preview|{name}", display=PEOPLE[name].display_name), now) for name in ("bob", "gail")
    )
    governance = services.audit.governance
    found: dict[str, str] = {}
    for state in ("requested", "active"):
        case = await governance.cases.request(
            f"Complaint 17: reported misuse of a brand, {XSS[0]}",
            Scope(event_ids=(made[3],)),
            now + timedelta(hours=8),
            bob,
        )
        if state == "active":
            await governance.cases.approve(case.id, gail)
        found[f"case-{state}"] = f"/cases/{case.id}"
    for state in ("requested", "active", "release-requested"):
        whose = (
            HoldScope(actor="preview|mira", from_day=now.date())
            if state == "active"
            else HoldScope(event_ids=(made[4],))
        )
        hold = await governance.holds.request(
            HoldKind.LEGAL, whose, f"Order 17/26 of the district court, {XSS[0]}", bob
        )
        if state != "requested":
            await governance.holds.place(hold.id, gail)
        if state == "release-requested":
            await governance.holds.ask_release(hold.id, gail)
        found[f"hold-{state}"] = f"/holds/{hold.id}"
    asked = await governance.subject_access.requests.request(
        "preview|x5", "Letter of 20 November, identity checked", bob
    )
    found["export-requested"] = f"/subjects/export/{asked.id}"
    taken = await governance.subject_access.requests.request("preview|x6", f"Letter, {XSS[0]}", bob)
    await governance.subject_access.requests.approve(taken.id, gail)
    found["export-approved"] = f"/subjects/export/{taken.id}"
    # Somebody of their own: whoever is erased is in no list of people any more.
    leaving = replace(intent("gone", "Max Gone", "Sales"), action="image:edit")
    ticket = await services.audit.intend(leaving)
    await services.audit.conclude(ticket, replace(leaving, effect="allow"))
    for state in ("requested", "done"):
        erased = await governance.erasures.requests.request("preview|gone", "Letter of 21 November, read to us", bob)
        if state == "done":
            await governance.erasures.requests.approve(erased.id, gail)
            await governance.erasures.execute(erased.id, bob)
        found[f"erasure-{state}"] = f"/subjects/erasure/{erased.id}"
    return found
