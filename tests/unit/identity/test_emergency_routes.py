"""Break-glass over HTTP: two people, two envelopes, two browsers, one hour, and everybody hears of it."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select, update

from gateway.emergency_watch import EmergencyWatch
from gateway.errors import InvalidRequest
from gateway.identity.seals import NewSeal, Seals, normal, totp
from gateway.identity.tables import emergencies, emergency_seals
from gateway.identity.tables import people as people_table
from tests.support.admins import signed_in
from tests.support.front_door import URL, FrontDoor, open_front_door
from tests.support.issuer import Issuer

PAGE = "/auth/emergency"
REASON = "The identity provider is away since 7:40"


@pytest.fixture
async def door(tmp_path: Path, listening_issuer: Issuer) -> AsyncIterator[FrontDoor]:
    listening_issuer.forget()
    listening_issuer.now = time.time
    async with open_front_door(tmp_path, listening_issuer) as door:
        yield door


@dataclass
class Holder:
    """Somebody with an envelope, a token, and a browser."""

    door: FrontDoor
    seal: NewSeal
    browser: httpx.AsyncClient
    steps_ahead: int = 0

    @property
    def password(self) -> str:
        secret = base64.b32decode(parse_qs(urlsplit(self.seal.totp_uri).query)["secret"][0])
        return totp(secret, int(self.door.services.clock().timestamp()) // 30 + self.steps_ahead)

    async def page(self, query: str = "") -> httpx.Response:
        return await self.browser.get(PAGE + query, headers={"accept": "text/html"})

    async def post(self, path: str = "", **fields: str) -> httpx.Response:
        """As a page would; also where the page offers no such form, to see that the route says no by itself."""
        desk = self.door.services.identity.emergency
        cookie = "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())
        form = {"csrf_token": desk.csrf_token(desk.ticket(cookie)), **fields}
        headers = {"origin": URL, "sec-fetch-site": "same-origin", "accept": "text/html"}
        return await self.browser.post(PAGE + path, data=form, headers=headers)

    async def show(self, path: str = "", **changes: str) -> httpx.Response:
        fields = {"seal": self.seal.name, "code": self.seal.code, "password": self.password, "reason": ""}
        return await self.post(path, **{**fields, **changes})


async def recorded(door: FrontDoor) -> None:
    """As a second of the gateway's own watch."""
    await EmergencyWatch(door.services.identity.emergency, door.services.audit).look()


@asynccontextmanager
async def holders(door: FrontDoor) -> AsyncIterator[tuple[Holder, Holder]]:
    seals = door.services.identity.emergency.seals
    made = [await seals.make(name, holder, by="root") for name, holder in (("north", "Ann"), ("south", "Ben"))]
    await recorded(door)
    async with door.browser("10.0.0.1") as one, door.browser("10.0.0.2") as other:
        yield Holder(door, made[0], one), Holder(door, made[1], other)


async def opened(first: Holder, second: Holder) -> None:
    assert (await first.show(reason=REASON)).status_code == 303
    assert (await second.show()).status_code == 303
    assert (await second.post("/agree")).headers["location"] == "/"
    assert (await first.post("/enter")).headers["location"] == "/"


async def who(holder: Holder) -> dict[str, object]:
    answer = await holder.browser.get("/v1/session")
    return answer.json() if answer.status_code == 200 else {"status": answer.status_code}


async def headers_of(holder: Holder) -> dict[str, str]:
    return await holder.door.page_headers(holder.browser)


async def test_two_people_open_an_hour_of_narrow_rights_while_the_provider_is_away(door):
    """The issuer is never asked: everything here would be the same without it."""
    async with holders(door) as (first, second):
        await opened(first, second)
        for one in (first, second):
            assert (await who(one))["roles"] == ["break-glass"]
        assert (await first.browser.get("/v1/organization/users")).status_code == 200
        assert (await first.browser.get("/v1/organization/role_mapping")).status_code == 200
        for closed in ("/v1/organization/audit_logs", "/v1/models", "/v1/organization/service_accounts"):
            assert (await first.browser.get(closed)).status_code == 403, closed
        assert door.issuer.asked == {}


async def test_each_step_is_on_record_before_it_holds(door):
    async with holders(door) as (first, second):
        await opened(first, second)
        (asked,), (done,) = await door.records("auth:emergency:ask"), await door.records("auth:emergency:open")
        sealed = await door.records("auth:emergency:seal")
        assert {(await door.content_of(row))["holder"] for row in sealed} == {"Ann", "Ben"}
        assert (await door.content_of(asked))["reason"] == REASON
        content = await door.content_of(done)
        assert (content["seals"], content["reason"]) == (["north", "south"], REASON)
        assert len(await door.records("auth:session:start")) == 1  # the first person's; the second's is the opening


async def test_nothing_of_it_is_shown_to_a_browser_that_showed_no_seal(door):
    async with holders(door) as (first, second), door.browser("10.9.9.9") as stranger:
        before = await stranger.get(PAGE)
        await first.show(reason=REASON)
        assert (await stranger.get(PAGE)).text == before.text
        assert REASON not in (await second.page()).text
        await second.show()
        assert REASON in (await second.page()).text


async def test_one_person_with_one_envelope_opens_nothing(door):
    async with holders(door) as (first, second):
        await first.show(reason=REASON)
        assert (await first.post("/agree")).status_code == 403
        assert (await first.post("/enter")).status_code == 400
        second.browser = first.browser  # both envelopes, one browser
        refused = await second.show()
        assert refused.status_code == 403
        assert "another browser" in refused.text
        assert (await first.post("/agree")).status_code == 403
        assert await door.records("auth:emergency:open") == ()


async def test_the_second_person_has_ten_minutes(door):
    async with holders(door) as (first, second):
        await first.show(reason=REASON)
        await second.show()
        async with door.services.database.transaction() as tx:
            long_ago = door.services.clock() - timedelta(seconds=601)
            await tx.execute(update(emergencies).values(asked_at=long_ago))
        assert (await second.post("/agree")).status_code == 400
        assert (await who(second)) == {"status": 401}


async def test_both_seals_are_spent_and_open_nothing_more(door):
    async with holders(door) as (first, second):
        await opened(first, second)
        for one in (first, second):
            one.steps_ahead = 1
            again = await one.show(reason=REASON)
            assert again.status_code == 403
            assert "sealed anew" in again.text


async def test_each_comes_in_once(door):
    async with holders(door) as (first, second):
        assert (await first.show(reason=REASON)).status_code == 303
        await second.show()
        ticket = dict(first.browser.cookies)
        await second.post("/agree")
        assert (await first.post("/enter")).status_code == 303
        first.browser.cookies.update(ticket)
        assert (await first.post("/enter")).status_code == 400


async def test_a_one_time_password_works_once_and_a_wrong_one_never(door):
    async with holders(door) as (first, _):
        wrong = f"{(int(first.password) + 1) % 1_000_000:06}"
        assert (await first.show(reason=REASON, password=wrong)).status_code == 403
        assert (await first.show("/drill")).status_code == 303
        again = await first.show("/drill")
        assert again.status_code == 403
        assert "used already" in again.text
        first.steps_ahead = 3
        assert (await first.show("/drill")).status_code == 403


@pytest.mark.parametrize(
    "changes", [{"seal": "nowhere"}, {"code": "0000-0000"}, {"code": ""}, {"password": ""}, {"password": "abcdef"}]
)
async def test_what_was_wrong_is_not_said(door, changes):
    async with holders(door) as (first, _):
        refused = await first.show(reason=REASON, **changes)
        assert refused.status_code == 403
        assert "The seal, its code or its one-time password is not right" in refused.text


async def test_code_of_one_seal_does_not_open_another(door):
    async with holders(door) as (first, second):
        assert (await first.show(reason=REASON, code=second.seal.code)).status_code == 403


async def test_codes_are_read_as_hands_write_them(door):
    async with holders(door) as (first, _):
        by_hand = first.seal.code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
        assert (await first.show("/drill", code=by_hand)).status_code == 303


async def test_a_seal_opens_nothing_before_its_making_is_on_record(database, moment):
    seals = Seals(database, b"c" * 32, b"t" * 32, moment)
    made = await seals.make("north", "Ann", by="root")
    secret = base64.b32decode(parse_qs(urlsplit(made.totp_uri).query)["secret"][0])
    step = int(moment().timestamp()) // 30
    (waiting,) = await seals.unrecorded()
    assert await seals.judge("north", made.code, totp(secret, step)) == ("unrecorded", waiting)
    await seals.recorded(waiting)
    judged = await seals.judge("north", made.code, totp(secret, step + 1))
    assert judged == (await seals.list())[0]


async def test_a_drill_is_on_record_and_spends_nothing(door):
    async with holders(door) as (first, second):
        done = await first.show("/drill")
        assert done.headers["location"] == f"{PAGE}?drilled=north"
        assert "The seal north works" in (await first.page("?drilled=north")).text
        (row,) = await door.records("auth:emergency:drill")
        assert (await door.content_of(row))["seal"] == "north"
        (north, south) = await door.services.identity.emergency.seals.list()
        assert (north.tried_at is not None, north.spent_at, south.tried_at) == (True, None, None)
        first.steps_ahead = 1
        await opened(first, second)


async def test_a_flood_of_wrong_codes_locks_nobody_out_and_does_not_fill_the_log(door):
    async with holders(door) as (first, second), door.browser("10.6.6.6") as attacker:
        wrong = Holder(door, NewSeal(name="north", code="0" * 28, totp_uri=first.seal.totp_uri), attacker)
        seen = [(await wrong.show(reason=REASON, password="000000")).status_code for _ in range(12)]
        assert set(seen) == {403, 429}
        assert seen[-1] == 429
        assert len(await door.records("auth:emergency:refuse")) <= 2
        await opened(first, second)
        assert (await who(first))["roles"] == ["break-glass"]


async def test_no_other_site_can_send_the_forms(door):
    async with holders(door) as (first, _):
        form = {"seal": "north", "code": first.seal.code, "password": first.password, "reason": REASON}
        for headers in ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, {}):
            assert (await first.browser.post(PAGE, data=form, headers=headers)).status_code == 403
        (north, _) = await door.services.identity.emergency.seals.list()
        assert north.spent_at is None
        assert await door.records("auth:emergency:ask") == ()


async def test_it_ends_by_the_clock_whatever_is_done_and_the_end_is_on_record(door):
    async with holders(door) as (first, second):
        await opened(first, second)
        async with door.services.database.transaction() as tx:
            await tx.execute(update(emergencies).values(ends_at=door.services.clock() - timedelta(seconds=1)))
        await recorded(door)
        for one in (first, second):
            assert await who(one) == {"status": 401}
            assert (await one.post("/enter")).status_code in (400, 403)
        for _ in range(40):
            if await door.records("auth:emergency:end"):
                break
            await asyncio.sleep(0.05)
        assert len(await door.records("auth:emergency:end")) == 1


async def test_a_session_ends_with_the_hour_and_no_step_up_prolongs_it(door):
    async with holders(door) as (first, second):
        await opened(first, second)
        (actor,) = {row.subject.actor for row in await door.records("auth:session:start")}
        emergency = actor.split("|")[1].split(".")[0]
        found = await door.services.identity.emergency.find(emergency)
        assert found.ends_at - found.opened_at == timedelta(hours=1)
        mine = await door.services.identity.own_sessions.of(actor)
        assert [one.expires_at for one in mine] == [found.ends_at]
        away = await first.browser.get("/auth/step-up?max_age=60&return_to=/people")
        assert away.status_code == 400


async def test_either_of_them_ends_it_for_both(door):
    async with holders(door) as (first, second):
        await opened(first, second)
        token = (await headers_of(first))["x-csrf-token"]
        headers = {"origin": URL, "sec-fetch-site": "same-origin"}
        done = await first.browser.post(f"{PAGE}/end", data={"csrf_token": token}, headers=headers)
        assert done.headers["location"] == "/signed-out"
        for one in (first, second):
            assert await who(one) == {"status": 401}
        await recorded(door)
        assert len(await door.records("auth:emergency:end")) == 1


async def test_administrators_are_told_and_the_process_log_shouts(door, caplog):
    async with signed_in(door, {"carol": ("platform",), "alice": ("staff",)}) as people:
        async with holders(door) as (first, second):
            with caplog.at_level(logging.CRITICAL, "gateway.services"):
                await opened(first, second)
        acts = [record.fields["event"] for record in caplog.records if record.message == "emergency.act"]
        assert {"auth:emergency:ask", "auth:emergency:open", "auth:session:start"} <= set(acts)
        notices = {}
        for name, person in people.items():
            account = (await person.get("/account", headers={"accept": "application/json"})).json()
            notices[name] = [notice for notice in account["notices"] if notice["kind"] == "emergency"]
        assert REASON in [notice["facts"].get("reason") for notice in notices["carol"]]
        assert notices["alice"] == []
        metrics = (await people["carol"].get("/metrics")).text
        assert 'imprimatur_emergency_acts_total{event="auth:emergency:open"} 1.0' in metrics


async def test_one_of_them_proposes_and_the_other_approves_so_that_there_is_an_administrator_again(door):
    """Nobody has the role any more: that is what it is for."""
    async with holders(door) as (first, second):
        await opened(first, second)
        roles = {"staff": ["employee"], "new-admins": ["admin"], "platform": ["admin"], "compliance": ["auditor"]}
        body = {"roles": roles, "note": "the group was renamed at the provider"}
        asked = await first.browser.post("/v1/organization/role_mapping", json=body, headers=await headers_of(first))
        assert asked.status_code == 202, asked.text
        decision = (f"/v1/organization/proposals/{asked.json()['id']}/approve", {"digest": asked.json()["digest"]})
        own = await first.browser.post(decision[0], json=decision[1], headers=await headers_of(first))
        assert own.status_code == 403
        done = await second.browser.post(decision[0], json=decision[1], headers=await headers_of(second))
        assert done.status_code == 200, done.text
        async with door.browser() as browser:
            await door.sign_in(browser, "nina", "new-admins")
            assert (await browser.get("/v1/session")).json()["roles"] == ["admin"]


async def test_nobody_keeps_two_seals(door):
    seals = door.services.identity.emergency.seals
    await seals.make("north", "Ann", by="root")
    with pytest.raises(InvalidRequest, match="keeps the seal north already"):
        await seals.make("south", "Ann", by="root")
    await seals.make("north", "Ann", by="root")  # sealed anew


async def test_sealing_anew_ends_the_old_envelope_and_what_was_asked_with_it(door):
    async with holders(door) as (first, second):
        await first.show(reason=REASON)
        await second.show()
        await door.services.identity.emergency.seals.make("north", "Ann", by="root")
        await recorded(door)
        assert (await second.post("/agree")).status_code == 400
        assert (await first.show(reason=REASON)).status_code == 403


async def test_no_secret_of_a_seal_stands_in_the_database(door):
    async with holders(door) as (first, second):
        await opened(first, second)
        secret = base64.b32decode(parse_qs(urlsplit(first.seal.totp_uri).query)["secret"][0])
        async with door.services.database.reading() as tx:
            for table in (emergency_seals, emergencies, people_table):
                text = repr((await tx.execute(select(table))).all())
                assert normal(first.seal.code) not in text.replace("-", "")
                assert repr(secret)[2:-1] not in text


@pytest.mark.parametrize(
    ("at", "password"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_one_time_passwords_are_those_of_rfc_6238(at: int, password: str) -> None:
    """Appendix B, the last six of its eight digits."""
    assert totp(b"12345678901234567890", at // 30) == password


async def test_another_identity_secret_makes_no_password_right(door):
    """A sealed secret that can't be opened must not become a known one."""
    database, clock = door.services.database, door.services.clock
    made = await Seals(database, b"c" * 32, b"t" * 32, clock).make("north", "Ann", by="root")
    other = Seals(database, b"c" * 32, b"u" * 32, clock)
    step = int(clock().timestamp()) // 30
    for secret in (bytes(20), b""):
        for near in (step - 1, step, step + 1):
            assert await other.judge("north", made.code, totp(secret, near)) == ("wrong", None)
