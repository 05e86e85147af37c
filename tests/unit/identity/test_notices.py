"""People are told what happened to their account, and nobody else is."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from gateway.exchange import ActorId
from gateway.identity.notices import KEPT_DAYS, NoticeKind, Notices
from gateway.storage.database import Database
from tests.support.moment import Moment
from tests.support.visit import Visit


@pytest.fixture
async def alice(visit: Visit) -> ActorId:
    await visit.sign_in()
    return (await visit.actor()).id


@pytest.fixture
def notices(database: Database, moment: Moment) -> Notices:
    return Notices(database, moment)


async def test_a_notice_waits_until_it_is_seen(notices, moment, alice):
    await notices.tell(alice, NoticeKind.NEW_KEY, name="script")
    moment.pass_(seconds=5)
    await notices.tell(alice, NoticeKind.NEW_BROWSER, network="192.0.2.7")
    found = await notices.of(alice, only_unseen=True)
    assert [(one.kind, dict(one.facts)) for one in found] == [
        ("new-browser", {"network": "192.0.2.7"}),
        ("new-key", {"name": "script"}),
    ]
    await notices.seen(alice)
    assert await notices.of(alice, only_unseen=True) == []
    assert [one.seen_at for one in await notices.of(alice)] == [moment(), moment()]


async def test_nobody_reads_those_of_others(notices, alice):
    await notices.tell(alice, NoticeKind.NEW_KEY, name="script")
    assert await notices.of(ActorId("company|bob")) == []
    await notices.seen(ActorId("company|bob"))
    assert len(await notices.of(alice, only_unseen=True)) == 1


async def test_old_ones_are_forgotten(notices, moment, alice):
    await notices.tell(alice, NoticeKind.NEW_KEY, name="old")
    moment.pass_(days=KEPT_DAYS, seconds=1)
    await notices.tell(alice, NoticeKind.NEW_KEY, name="new")
    assert [dict(one.facts) for one in await notices.of(alice)] == [{"name": "new"}]


async def test_only_known_people_are_told(notices):
    with pytest.raises(IntegrityError):
        await notices.tell(ActorId("company|nobody"), NoticeKind.NEW_KEY)
