"""Seals and emergencies, without HTTP: each check by itself, on a clock that the test holds."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import delete, update

from gateway.errors import Denied, InvalidRequest, Unauthenticated
from gateway.exchange import Actor, ActorId, Credentials, Origin
from gateway.identity import Identity
from gateway.identity.emergency import Emergency, Ticket, emergency_of
from gateway.identity.roles import EMERGENCY_ROLES
from gateway.identity.seals import NewSeal, Refusals, Seal, totp
from gateway.identity.tables import emergency_seals, people

HERE = Origin(ip="127.0.0.1")
REASON = "The provider is away"


class Holders:
    """Two seals that are on record, and what their holders do."""

    def __init__(self, identity: Identity, moment) -> None:
        self.desk = identity.emergency
        self.identity = identity
        self.moment = moment
        self.made: dict[str, NewSeal] = {}

    async def seal(self, name: str, holder: str) -> None:
        self.made[name] = await self.desk.seals.make(name, holder, by="root")
        for seal in await self.desk.seals.unrecorded():
            await self.desk.seals.recorded(seal)

    def password(self, name: str, ahead: int = 0) -> str:
        secret = base64.b32decode(parse_qs(urlsplit(self.made[name].totp_uri).query)["secret"][0])
        return totp(secret, int(self.moment().timestamp()) // 30 + ahead)

    async def judged(self, whose: str, **changes: str):
        shown = {"name": whose, "code": self.made[whose].code, "password": self.password(whose)} | changes
        return await self.desk.seals.judge(**shown)

    async def good(self, name: str) -> Seal:
        found = await self.judged(name)
        assert isinstance(found, Seal), found
        return found

    async def asked(self) -> Emergency:
        draft = self.desk.draft(await self.good("north"), REASON)
        await self.desk.ask(draft)
        return draft

    async def opened(self) -> Emergency:
        asked = await self.asked()
        await self.good("south")
        admission = await self.desk.agreeing(Ticket(asked.id, "south", "n"))
        self.second = await self.desk.open(admission, (), HERE)
        return admission.emergency

    async def acts(self, value: str) -> Actor:
        cookie = f"__Host-imprimatur-session={value}"
        return await self.identity.authenticate(Credentials(cookie=cookie, method="GET"), HERE)


@pytest.fixture
async def holders(identity: Identity, moment) -> Holders:
    found = Holders(identity, moment)
    await found.seal("north", "Ann")
    await found.seal("south", "Ben")
    return found


async def test_a_right_seal_is_the_seal_once_for_each_password(holders, moment):
    assert (await holders.good("north")).holder == "Ann"
    fault, seal = await holders.judged("north")
    assert (fault, seal.name) == ("used-step", "north")
    fault, _ = await holders.judged("north", password=holders.password("north", -1))
    assert fault == "used-step"  # an older one neither, although it was never used
    moment.pass_(seconds=30)
    assert isinstance(await holders.judged("north", password=holders.password("north", 1)), Seal)


@pytest.mark.parametrize("ahead", [-3, -2, 2, 3])
async def test_a_password_of_another_minute_is_wrong(holders, ahead):
    assert await holders.judged("north", password=holders.password("north", ahead)) == ("wrong", None)


@pytest.mark.parametrize("ahead", [-1, 0, 1])
async def test_a_clock_may_be_off_by_one_step(holders, ahead):
    assert isinstance(await holders.judged("north", password=holders.password("north", ahead)), Seal)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": ""},
        {"code": "0" * 28},
        {"password": ""},
        {"password": "000000 0"},
        {"name": "nowhere"},
        {"name": ""},
        {"name": "n" * 999},
        {"name": "north\x00"},
        {"password": "１２３４５６"},
    ],
)
async def test_anything_wrong_is_wrong_and_uses_nothing_up(holders, changes):
    assert await holders.judged("north", **changes) == ("wrong", None)
    await holders.good("north")


async def test_each_seal_s_code_and_password_are_its_own(holders):
    other = holders.made["south"].code
    assert await holders.judged("north", code=other) == ("wrong", None)
    assert await holders.judged("north", password=holders.password("south")) == ("wrong", None)


@pytest.mark.parametrize("name", ["", "North", "n" * 41, "-n", "n n", "n.n", "n\n"])
async def test_a_seal_s_name_is_one_for_paper_and_ids(identity, name):
    with pytest.raises(InvalidRequest, match="name"):
        await identity.emergency.seals.make(name, "Ann", by="root")


@pytest.mark.parametrize("holder", ["", "  ", "h" * 256, "An\x07n"])
async def test_a_holder_is_somebody_in_words(identity, holder):
    with pytest.raises(InvalidRequest, match="keeps the envelope"):
        await identity.emergency.seals.make("north", holder, by="root")


async def test_nobody_keeps_two_seals_that_open(holders):
    with pytest.raises(InvalidRequest, match="keeps the seal north already"):
        await holders.desk.seals.make("west", " Ann ", by="root")
    await holders.desk.seals.make("north", "Ann", by="root")  # made anew


async def test_a_holder_whose_seal_is_spent_may_keep_another(holders):
    await holders.opened()
    await holders.seal("west", "Ann")


async def test_a_seal_that_nobody_tried_for_ninety_days_is_overdue(holders, moment):
    (north, _) = await holders.desk.seals.list()
    day = timedelta(days=1)
    assert not north.overdue(moment() + 89 * day, 90)
    assert north.overdue(moment() + 90 * day, 90)
    await holders.desk.drill(await holders.good("north"))
    (north, _) = await holders.desk.seals.list()
    assert not north.overdue(north.tried_at + 89 * day, 90)


@pytest.mark.parametrize("reason", ["", "short", "r" * 501, "The provider\x00 is away"])
async def test_the_first_person_says_why(holders, reason):
    seal = await holders.good("north")
    with pytest.raises(InvalidRequest, match="what happened"):
        holders.desk.draft(seal, reason)


async def test_a_drill_is_no_emergency(holders):
    await holders.desk.drill(await holders.good("north"))
    assert await holders.desk.waiting() is None


async def test_who_may_be_the_second(holders):
    asked = await holders.asked()
    north, south = await holders.desk.seals.list()
    waiting = await holders.desk.waiting()
    assert waiting == asked
    with pytest.raises(Denied, match="first person"):
        holders.desk.check_second(waiting, north, None)
    with pytest.raises(Denied, match="another browser"):
        holders.desk.check_second(waiting, south, Ticket(asked.id, "north", "n"))
    holders.desk.check_second(waiting, south, None)
    holders.desk.check_second(waiting, south, Ticket(asked.id, "south", "n"))  # shows it again
    holders.desk.check_second(waiting, south, Ticket("another", "north", "n"))  # of an older emergency


async def test_only_another_seal_agrees_and_only_in_time(holders, moment):
    asked = await holders.asked()
    with pytest.raises(Denied):
        await holders.desk.agreeing(Ticket(asked.id, "north", "n"))
    with pytest.raises(InvalidRequest):
        await holders.desk.agreeing(Ticket("nothing", "south", "n"))
    moment.pass_(seconds=599)
    await holders.desk.agreeing(Ticket(asked.id, "south", "n"))
    moment.pass_(seconds=1)
    with pytest.raises(InvalidRequest):
        await holders.desk.agreeing(Ticket(asked.id, "south", "n"))
    assert await holders.desk.waiting() is None


async def test_it_opens_once(holders):
    asked = await holders.asked()
    admissions = [await holders.desk.agreeing(Ticket(asked.id, "south", "n")) for _ in range(2)]
    await holders.desk.open(admissions[0], (), HERE)
    with pytest.raises(InvalidRequest):
        await holders.desk.open(admissions[1], (), HERE)
    with pytest.raises(InvalidRequest):
        await holders.desk.agreeing(Ticket(asked.id, "south", "n"))


async def test_an_opened_one_does_not_open_again_even_with_seals_that_somebody_made_good(holders, database):
    asked = await holders.asked()
    admissions = [await holders.desk.agreeing(Ticket(asked.id, "south", "n")) for _ in range(2)]
    await holders.desk.open(admissions[0], (), HERE)
    async with database.transaction() as tx:
        await tx.execute(update(emergency_seals).values(spent_at=None))
        await tx.execute(delete(people))
    with pytest.raises(InvalidRequest):
        await holders.desk.open(admissions[1], (), HERE)


async def test_the_first_does_not_come_in_before_the_second_agreed(holders):
    asked = await holders.asked()
    with pytest.raises(InvalidRequest):
        await holders.desk.entering(Ticket(asked.id, "north", "n"))


async def test_it_does_not_open_with_a_seal_that_was_spent_meanwhile(holders, database):
    asked = await holders.asked()
    admission = await holders.desk.agreeing(Ticket(asked.id, "south", "n"))
    async with database.transaction() as tx:
        assert await holders.desk.seals.spend(tx, ["north", "south"])
    with pytest.raises(InvalidRequest):
        await holders.desk.open(admission, (), HERE)
    found = await holders.desk.find(asked.id)
    assert found is not None
    assert found.opened_at is None


async def test_it_does_not_open_with_an_envelope_that_was_made_anew_meanwhile(holders, moment):
    asked = await holders.asked()
    admission = await holders.desk.agreeing(Ticket(asked.id, "south", "n"))
    moment.pass_(seconds=1)
    await holders.seal("north", "Ann")
    with pytest.raises(InvalidRequest):
        await holders.desk.open(admission, (), HERE)


async def test_the_second_acts_as_break_glass_and_nothing_else_until_the_hour_is_over(holders, moment):
    opened = await holders.opened()
    actor = await holders.acts(holders.second.value)
    assert (actor.roles, actor.groups, emergency_of(actor)) == (EMERGENCY_ROLES, (), opened.id)
    assert holders.second.max_age_seconds == 3600
    for _ in range(3):
        moment.pass_(seconds=19 * 60)
        await holders.acts(holders.second.value)
    moment.pass_(seconds=3 * 60)
    with pytest.raises(Unauthenticated):
        await holders.acts(holders.second.value)


async def test_the_first_comes_in_once_while_it_is_open(holders, moment):
    opened = await holders.opened()
    ticket = Ticket(opened.id, "north", "n")
    with pytest.raises(InvalidRequest):
        await holders.desk.entering(Ticket(opened.id, "south", "n"))  # the second is in
    with pytest.raises(InvalidRequest):
        await holders.desk.entering(Ticket("nothing", "north", "n"))
    admission = await holders.desk.entering(ticket)
    cookie = await holders.desk.enter(admission, HERE)
    assert (await holders.acts(cookie.value)).roles == EMERGENCY_ROLES
    with pytest.raises(InvalidRequest, match="each opens once"):
        await holders.desk.enter(await holders.desk.entering(ticket), HERE)


async def test_nobody_comes_in_when_it_is_over(holders, moment):
    opened = await holders.opened()
    moment.pass_(seconds=3600)
    with pytest.raises(InvalidRequest):
        await holders.desk.entering(Ticket(opened.id, "north", "n"))


async def test_its_end_is_claimed_by_one_and_given_back_when_it_can_not_be_recorded(holders, moment):
    opened = await holders.opened()
    assert await holders.desk.ended() == []
    moment.pass_(seconds=3600)
    assert [one.id for one in await holders.desk.ended()] == [opened.id]
    assert await holders.desk.ended() == []
    await holders.desk.unrecord_end(opened.id)
    assert [one.id for one in await holders.desk.ended()] == [opened.id]


async def test_ending_it_by_hand_is_told_once(holders):
    opened = await holders.opened()
    assert await holders.desk.end(opened.id)
    assert not await holders.desk.end(opened.id)
    assert await holders.desk.ended() == []


async def test_a_ticket_is_ours_whole_and_young(holders, moment):
    asked = await holders.asked()
    (north, _) = await holders.desk.seals.list()
    cookie = holders.desk.give(asked, north)
    header = f"{cookie.name}={cookie.value}"
    ticket = holders.desk.ticket(header)
    assert ticket is not None
    assert (ticket.emergency, ticket.seal) == (asked.id, "north")
    assert holders.desk.ticket(f"{cookie.name}={cookie.value[:-4]}AAAA") is None
    assert holders.desk.ticket(None) is None
    moment.pass_(seconds=cookie.max_age_seconds + 61)
    assert holders.desk.ticket(header) is None


async def test_forms_of_other_pages_are_refused(holders):
    ticket = Ticket("e", "north", "nonce")
    ours = Credentials(
        method="POST",
        site_origin="https://imprimatur.example",
        fetch_site="same-origin",
        csrf_token=holders.desk.csrf_token(ticket),
    )
    holders.desk.check_ours(ours, ticket)
    foreign = (
        (replace(ours, csrf_token=holders.desk.csrf_token(None)), ticket),
        (ours, Ticket("e", "north", "other")),
        (ours, None),
        (replace(ours, site_origin="https://evil.example"), ticket),
        (replace(ours, fetch_site="same-site"), ticket),
    )
    for credentials, held in foreign:
        with pytest.raises(Denied):
            holders.desk.check_ours(credentials, held)


def test_nobody_else_is_in_an_emergency():
    alice = Actor(id=ActorId("company|alice"), display_name="", method="session", credential_id="-")
    assert emergency_of(alice) is None
    assert emergency_of(replace(alice, id=ActorId("emergency|e1.north"))) == "e1"


def test_wrong_codes_are_told_at_most_every_ten_seconds_with_how_many(moment):
    refusals = Refusals()
    assert [refusals.count(moment()) for _ in range(5)] == [1, 0, 0, 0, 0]
    later = moment() + timedelta(seconds=10)
    assert [refusals.count(later), refusals.count(later)] == [5, 0]
    assert refusals.count(moment()) == 2  # a clock that was set back silences nothing
