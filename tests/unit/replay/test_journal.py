"""The journal keeps what it should, gives it back in order, and forgets what it must."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, update

from gateway.policy.engine import UNDEFINED, EntryPoint, Evaluation
from gateway.replay import journal as journals
from gateway.replay.journal import Journal
from gateway.replay.sealing import PageUnreadable, Sealer
from gateway.replay.tables import replay_pages
from tests.unit.replay.conftest import document, journal_on, sealer_on

ALLOWED = Evaluation(result={"effect": "allow", "reasons": [], "obligations": {}}, engine="test", revision="r7")


def see(journal, *documents):
    for one in documents:
        journal.saw(EntryPoint.IMAGE, one, ALLOWED)


async def read(journal, days=30):
    return [json.loads(line) async for page in journal.pages(days) for line in page.splitlines()]


async def test_what_was_seen_comes_back_whole_and_in_order(database, clock):
    journal = journal_on(database, clock)
    see(journal, *(document(str(n)) for n in range(1200)))
    await journal.flush()
    kept = await read(journal)
    assert [one["document"]["request_id"] for one in kept] == [str(n) for n in range(1200)]
    assert kept[0] == {"document": document("0"), "result": ALLOWED.result, "revision": "r7"}
    assert await journal.count(30) == 1200


async def test_no_answer_is_kept_as_none(database, clock):
    journal = journal_on(database, clock)
    journal.saw(EntryPoint.IMAGE, document(), Evaluation(result=UNDEFINED, engine="", revision="r"))
    await journal.flush()
    assert (await read(journal))[0]["result"] is None


async def test_only_decisions_on_pictures_are_kept(database, clock):
    journal = journal_on(database, clock)
    journal.saw(EntryPoint.ADMIN, document(), ALLOWED)
    await journal.flush()
    assert await read(journal) == []


async def test_people_whose_records_are_kept_shorter_or_not_at_all_are_left_out(database, clock):
    journal = journal_on(database, clock, lambda groups: {"zero": 0, "short": 13}.get(groups[0], 14))
    for group in ("zero", "short", "long"):
        see(journal, document(group, subject={"groups": [group]}))
    await journal.flush()
    assert [one["document"]["request_id"] for one in await read(journal)] == ["long"]
    assert journal.left_out == 2


async def test_only_the_days_asked_for_are_read(database, clock):
    journal = journal_on(database, clock)
    see(journal, document("old"))
    await journal.flush()
    clock.pass_(3)
    see(journal, document("new"))
    await journal.flush()
    assert [one["document"]["request_id"] for one in await read(journal, 2)] == ["new"]
    assert await journal.count(2) == 1
    assert len(await read(journal, 7)) == 2


async def test_a_batch_over_midnight_becomes_two_days(database, clock, tmp_path):
    journal = journal_on(database, clock)
    see(journal, document("before"))
    clock.pass_(1)
    see(journal, document("after"))
    await journal.flush()
    assert len(list((tmp_path / "keys").glob("*.key"))) == 2


async def test_the_keys_of_old_days_go_and_their_pages_with_them(database, clock, tmp_path):
    journal = journal_on(database, clock)
    see(journal, document("old"))
    await journal.flush()
    clock.pass_(14)
    see(journal, document("new"))
    await journal.flush()
    assert await journal.sweep() == 0
    clock.pass_(1)
    assert [one["document"]["request_id"] for one in await read(journal)] == ["new"]  # even before the sweep
    assert await journal.sweep() == 1
    async with database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(replay_pages))).scalar_one() == 1
    assert [path.stem for path in (tmp_path / "keys").iterdir()] == ["2026-12-04"]


async def test_what_was_erased_from_the_log_is_erased_here(database, clock):
    journal = journal_on(database, clock)
    gone, stays = uuid.uuid4(), uuid.uuid4()
    see(journal, document(str(gone)), document(str(stays)), document(str(gone), "prompt"))
    assert await journal.forget_erased(lambda: [gone.bytes]) == 2
    assert [one["document"]["request_id"] for one in await read(journal)] == [str(stays)]
    assert await journal.count(30) == 1
    assert await journal.forget_erased(lambda: [gone.bytes, stays.bytes]) == 1
    assert await read(journal) == []


async def test_a_person_can_be_forgotten(database, clock):
    journal = journal_on(database, clock)
    see(journal, document("a"), document("b", subject={"id": "idp|bob"}))
    assert await journal.forget("idp|bob") == 1
    assert [one["document"]["request_id"] for one in await read(journal)] == ["a"]


async def test_nothing_of_a_person_is_readable_in_the_database(database, clock, tmp_path):
    journal = journal_on(database, clock)
    see(journal, *(document(str(n)) for n in range(50)))
    await journal.flush()
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.sqlite*"))
    assert b"alice" not in everything
    assert b"10.1.2.3" not in everything


async def test_another_secret_opens_nothing(database, clock):
    journal = journal_on(database, clock)
    see(journal, document())
    await journal.flush()
    other = Journal(database, sealer_on(database, b"x" * 32), clock, keep_days=14, keeps_for=lambda _: 30)
    with pytest.raises(PageUnreadable, match="2026-11-20"):
        await read(other)


async def test_a_page_moved_to_another_day_does_not_open(database, clock):
    journal = journal_on(database, clock)
    see(journal, document())
    await journal.flush()
    clock.pass_(1)
    see(journal, document())
    await journal.flush()
    async with database.transaction() as tx:
        today = clock().date()
        await tx.execute(delete(replay_pages).where(replay_pages.c.day == today))
        await tx.execute(update(replay_pages).values(day=today))
    with pytest.raises(PageUnreadable):
        await read(journal)


def test_a_wrapped_key_moved_to_another_day_does_not_open(clock, tmp_path):
    sealer, day = Sealer(b"k" * 32, tmp_path), clock().date()
    sealer.make_key(day)
    other = day.replace(day=1)
    (tmp_path / f"{day}.key").rename(tmp_path / f"{other}.key")
    with pytest.raises(PageUnreadable):
        sealer.key(other)


def test_gateways_that_make_the_key_of_a_day_together_have_one(clock, tmp_path):
    day = clock().date()
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: Sealer(b"k" * 32, tmp_path).make_key(day), range(32)))
    sealed = Sealer.seal(keys[0], day, b"page")
    assert {Sealer.open(key, day, sealed) for key in keys} == {b"page"}
    assert [path.name for path in tmp_path.iterdir()] == [f"{day}.key"]
    assert (tmp_path / f"{day}.key").stat().st_mode & 0o077 == 0


async def test_pages_whose_key_is_destroyed_are_passed_over(database, clock, tmp_path):
    journal = journal_on(database, clock)
    see(journal, document("a"))
    await journal.flush()
    assert sealer_on(database).destroy_before(clock().date()) == 0
    assert sealer_on(database).destroy_before(clock().date() + timedelta(days=1)) == 1
    assert await read(journal) == []
    assert await journal.forget("idp|alice") == 0


async def test_a_database_that_is_away_costs_no_decision_and_loses_none_while_there_is_room(database, clock, tmp_path):
    journal = journal_on(database, clock)
    see(journal, document("a"))
    async with database.transaction() as tx:
        await tx.run_sync(lambda connection: replay_pages.drop(connection))
    await journal.flush()
    see(journal, document("b"))
    async with database.transaction() as tx:
        await tx.run_sync(lambda connection: replay_pages.create(connection))
    await journal.flush()
    assert [one["document"]["request_id"] for one in await read(journal)] == ["a", "b"]
    assert journal.lost == 0


async def test_beyond_the_room_the_newest_are_lost_and_counted(database, clock, monkeypatch):
    monkeypatch.setattr(journals, "MAX_WAITING", 3)
    journal = journal_on(database, clock)
    see(journal, *(document(str(n)) for n in range(5)))
    assert journal.lost == 2


async def test_a_request_is_found_again_at_the_stage_asked_for(database, clock):
    journal = journal_on(database, clock)
    see(journal, document("a", "request"), document("a", "prompt"), document("b"))
    await journal.flush()
    assert (await journal.find("a"))["document"]["stage"] == "prompt"
    assert (await journal.find("a", "request"))["document"]["stage"] == "request"
    assert await journal.find("a", "output") is None
    assert await journal.find("c") is None


def test_a_short_secret_is_refused(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="at least 32"):
        Sealer.from_file(path, tmp_path)
    with pytest.raises(ValueError, match="nowhere"):
        Sealer.from_file(tmp_path / "nowhere", tmp_path)
