"""Following: in order, covered only, without a gap, and suspicious of the store."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import AuditUnavailable, ConsumerBusy, QueryInvalid, StoreDamaged, StoreRolledBack
from audit.export.cursor import Cursor
from audit.export.follow import Batch, Follow
from audit.export.positions import ConsumerPosition, Position
from audit.export.record import ring_opener
from audit.export.source import FolderSource, FollowSource, StoreSource
from audit.log import AuditLog
from audit.row import Row, leaf_of
from audit.store.disk import Disk
from audit.store.opening import open_store

ORIGIN = "example.com/audit"


async def read_all(follow: Follow, limit: int = 3) -> list[Batch]:
    batches = []
    while (batch := await follow.next_batch(limit)) is not None:
        batches.append(batch)
        follow.accept(batch)
    return batches


def follow_folder(house: Any, position: int = 0, **options: Any) -> Follow:
    return Follow(FolderSource(house.store), Cursor(ORIGIN, position), clock=house.clock, **options)


def uids(batches: list[Batch]) -> list[str]:
    return [record.uid for batch in batches for record in batch.records]


def seqs(batches: list[Batch]) -> list[int]:
    return [record.envelope.seq for batch in batches for record in batch.records]


# -- cursors


def test_a_cursor_is_text_that_comes_back() -> None:
    cursor = Cursor(ORIGIN, 12)
    assert Cursor.parse(str(cursor), ORIGIN) == cursor
    assert str(cursor).startswith("v1.12.")


@pytest.mark.parametrize(
    "text",
    ["", "12", "v1.12", "v2.12.0000000000000000", "v1.012.0000000000000000", "v1.-1.0000000000000000", "v1.１.0"],
)
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid, match="malformed"):
        Cursor.parse(text, ORIGIN)


def test_the_cursor_of_another_log_or_a_mistyped_one_is_refused() -> None:
    with pytest.raises(QueryInvalid, match="another log, or mistyped"):
        Cursor.parse(str(Cursor("example.org/audit", 12)), ORIGIN)
    with pytest.raises(QueryInvalid, match="another log, or mistyped"):
        Cursor.parse(str(Cursor(ORIGIN, 12)).replace("v1.12.", "v1.13."), ORIGIN)


# -- reading


async def test_records_come_in_order_over_midnight_and_outcomes_lie_in_the_day_of_their_intent(
    house: Any, make: Any
) -> None:
    async with house.open() as log:
        late = await log.intend(make.intent("alice"))
        house.clock.forward(days=1)
        await make.request(log, "bob")
        await log.conclude(late, make.outcome("alice"))
        await make.request(log, "carol")
    batches = await read_all(follow_folder(house), limit=2)
    assert seqs(batches) == [0, 1, 2, 3, 4, 5]
    assert [len(batch.records) for batch in batches] == [2, 2, 2]
    assert batches[1].records[1].envelope.day.isoformat() == "2026-11-22"
    assert str(batches[-1].cursor).startswith("v1.6.")


async def test_only_covered_records_are_handed_out(house: Any, make: Any) -> None:
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)
    try:
        follow = Follow(StoreSource(store), Cursor(ORIGIN, 0), clock=house.clock)
        ticket = await make.request(log, "alice")
        assert await read_all(follow) == []  # the next checkpoint is an hour away
        await log.proof(ticket.event_id)  # asks for one now
        batches = await read_all(follow)
        assert seqs(batches) == [0, 1]
        assert all(record.covered_by_size >= 2 for record in batches[0].records)
        await make.request(log, "bob")
        assert await read_all(follow) == []
    finally:
        await log.aclose()


async def test_a_batch_ends_at_the_checkpoint_even_where_more_is_asked_for(house: Any, make: Any) -> None:
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)
    try:
        ticket = await make.request(log, "alice")
        await log.proof(ticket.event_id)
        await make.request(log, "bob")  # durable, and not covered for an hour
        follow = Follow(StoreSource(store), Cursor(ORIGIN, 0), clock=house.clock)
        assert seqs(await read_all(follow, limit=100)) == [0, 1]
    finally:
        await log.aclose()


async def test_the_same_batch_comes_again_until_it_is_accepted(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    follow = follow_folder(house)
    first = await follow.next_batch(1)
    assert first is not None
    assert (await follow.next_batch(1)) == first
    follow.accept(first)
    assert uids([first]) != uids([(await follow.next_batch(1)) or first])


async def test_a_reader_with_the_keys_tells_persons_and_one_without_does_not(house: Any, make: Any) -> None:
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)
    try:
        ticket = await make.request(log, "alice")
        await log.proof(ticket.event_id)
        sealed = await read_all(Follow(StoreSource(store), Cursor(ORIGIN, 0), clock=house.clock))
        opened = await read_all(
            Follow(StoreSource(store, ring_opener(store.ring)), Cursor(ORIGIN, 0), clock=house.clock)
        )
    finally:
        await log.aclose()
    assert [record.subject for batch in sealed for record in batch.records] == [None, None]
    assert [record.subject.actor if record.subject else None for record in opened[0].records] == ["alice", "alice"]


async def test_zero_retention_tells_nobody_even_with_the_keys(house: Any, make: Any) -> None:
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)
    try:
        reference = await log.note(make.outcome("zoe", class_="zero", action="image:vary"))
        await log.proof(reference.event_id)
        (batch,) = await read_all(
            Follow(StoreSource(store, ring_opener(store.ring)), Cursor(ORIGIN, 0), clock=house.clock)
        )
    finally:
        await log.aclose()
    assert batch.records[0].subject is None


async def test_a_purged_record_is_handed_out_without_its_person(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log, "alice")
    house.clock.forward(days=31)
    async with house.open() as log:
        assert len(await log.purge()) == 1
    store = open_store(house.settings, house.clock, house.disk)
    log = AuditLog(house.settings, house.clock, store)
    try:
        follow = Follow(StoreSource(store, ring_opener(store.ring)), Cursor(ORIGIN, 0), clock=house.clock)
        batches = await read_all(follow)
    finally:
        await log.aclose()
    assert seqs(batches)[:2] == [0, 1]
    assert batches[0].records[0].subject is None
    assert batches[0].records[0].envelope.action == "image:generate"
    assert [record.envelope.phase for batch in batches for record in batch.records][2] == "purge"


async def test_lag_is_records_and_the_age_of_the_oldest(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        house.clock.forward(seconds=90)
        await make.request(log)
    follow = follow_folder(house)
    house.clock.forward(seconds=10)
    lag = await follow.lag()
    assert (lag.records, lag.seconds) == (4, 100)
    await read_all(follow)
    lag = await follow.lag()
    assert (lag.records, lag.seconds) == (0, 0)


async def test_following_is_recorded_once_a_start_and_a_day_and_before_anything_is_read(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    asked: list[str] = []

    async def record_access(cursor: Cursor) -> None:
        asked.append(str(cursor))

    follow = follow_folder(house, record_access=record_access)
    await read_all(follow)
    await read_all(follow)
    assert asked == [str(Cursor(ORIGIN, 0))]
    house.clock.forward(days=1)
    await read_all(follow)
    assert asked[1:] == [str(Cursor(ORIGIN, 2))]

    async def fail(_: Cursor) -> None:
        raise AuditUnavailable("the disk is full")

    with pytest.raises(AuditUnavailable):
        await follow_folder(house, record_access=fail).next_batch(1)


# -- a store that is not what it was


def change(house: Any, *statements: str) -> None:
    connection = sqlite3.connect(house.day_file(), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.fixture
async def four(house: Any, make: Any) -> Any:
    async with house.open() as log:
        await make.request(log, "alice", "deny")
        await make.request(log, "bob")
    return house


async def test_a_record_that_was_removed_stops_the_feed_instead_of_leaving_a_gap(four: Any) -> None:
    change(four, "delete from record where seq = 1")
    with pytest.raises(StoreDamaged, match="record 1 is missing"):
        await read_all(follow_folder(four))
    assert seqs(await read_all(follow_folder(four, 2))) == [2, 3]


async def test_a_record_removed_at_the_end_is_missed_too(four: Any) -> None:
    change(four, "delete from record where seq = 3")
    with pytest.raises(StoreDamaged, match="record 3 is missing"):
        await read_all(follow_folder(four))


async def test_a_changed_record_is_not_handed_out(four: Any) -> None:
    change(four, "update record set effect = 'allow' where seq = 1")
    with pytest.raises(StoreDamaged, match="record 1 is not the one"):
        await read_all(follow_folder(four))


async def test_a_changed_record_with_a_leaf_to_match_is_not_handed_out(four: Any) -> None:
    source = FolderSource(four.store)
    row = (await source.read_after(0, 1)).rows[0]._replace(effect="allow")
    change(four, f"update record set effect = 'allow', leaf = x'{leaf_of(row).hex()}' where seq = 1")
    with pytest.raises(StoreDamaged, match="record 1 is not the one"):
        await read_all(follow_folder(four))


async def test_a_log_rolled_back_behind_the_cursor_is_found(four: Any) -> None:
    with pytest.raises(StoreRolledBack, match=r"5 records of example\.com/audit were taken"):
        await follow_folder(four, 5).next_batch(1)


async def test_a_log_rewritten_while_the_follower_was_away_is_found(four: Any, house: Any, make: Any) -> None:
    batches = await read_all(follow_folder(four))
    assert await read_all(follow_folder(four, 4, last_leaf=batches[-1].last_leaf)) == []
    with pytest.raises(StoreDamaged, match="record 3 is not the one that was taken"):
        await follow_folder(four, 4, last_leaf=bytes(32)).next_batch(1)


async def test_a_pruned_tree_does_not_stop_the_feed(four: Any) -> None:
    class Pruned:
        def __init__(self, inner: FollowSource) -> None:
            self._inner = inner
            self.origin = inner.origin
            self.covered = inner.covered
            self.open_subject = inner.open_subject

        async def read_after(self, seq: int, limit: int) -> Any:
            from dataclasses import replace

            stretch = await self._inner.read_after(seq, limit)
            return replace(stretch, leaves=(None,) * len(stretch.rows))

    follow = Follow(Pruned(FolderSource(four.store)), Cursor(ORIGIN, 0), clock=four.clock)
    assert seqs(await read_all(follow)) == [0, 1, 2, 3]


# -- positions

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_a_position_is_kept_and_a_new_consumer_begins_at_the_beginning(tmp_path: Path) -> None:
    with ConsumerPosition(tmp_path, "siem", ORIGIN, Disk()) as place:
        assert place.load().cursor.position == 0
        place.store(Position(cursor=Cursor(ORIGIN, 7), last_leaf=bytes(32), parked_reason="answered 401"), AT)
    with ConsumerPosition(tmp_path, "siem", ORIGIN, Disk()) as place:
        found = place.load()
    assert (found.cursor.position, found.last_leaf, found.stored_at) == (7, bytes(32), AT)
    assert found.parked_reason == "answered 401"
    assert (tmp_path / "siem.json").stat().st_mode & 0o777 == 0o600


def test_two_processes_do_not_serve_one_consumer(tmp_path: Path) -> None:
    with (
        ConsumerPosition(tmp_path, "siem", ORIGIN, Disk()),
        ConsumerPosition(tmp_path, "lake", ORIGIN, Disk()),
        pytest.raises(ConsumerBusy, match="siem is served"),
    ):
        ConsumerPosition(tmp_path, "siem", ORIGIN, Disk())
    ConsumerPosition(tmp_path, "siem", ORIGIN, Disk()).close()


def test_the_position_of_another_log_is_refused(tmp_path: Path) -> None:
    with ConsumerPosition(tmp_path, "siem", "example.org/audit", Disk()) as place:
        place.store(Position(cursor=Cursor("example.org/audit", 7)), AT)
    with ConsumerPosition(tmp_path, "siem", ORIGIN, Disk()) as place, pytest.raises(QueryInvalid, match="another log"):
        place.load()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', "\x00"])
def test_a_malformed_position_is_not_taken_for_the_beginning(tmp_path: Path, text: str) -> None:
    (tmp_path / "siem.json").write_text(text)
    with ConsumerPosition(tmp_path, "siem", ORIGIN, Disk()) as place, pytest.raises(StoreDamaged, match="malformed"):
        place.load()


@pytest.mark.parametrize("name", ["", "../x", "SIEM", "a/b", "a" * 64, "siem\n"])
def test_a_consumer_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        ConsumerPosition(tmp_path, name, ORIGIN, Disk())


# -- tenants


async def _request(log: AuditLog, make: Any, tenant: str) -> None:
    ticket = await log.intend(make.intent("alice", tenant=tenant))
    await log.conclude(ticket, make.outcome("alice", tenant=tenant))


async def test_of_other_tenants_nothing_is_handed_out_or_opened_and_the_cursor_goes_past(house: Any, make: Any) -> None:
    opened: list[int] = []

    class Watched(FolderSource):
        def open_subject(self, row: Row) -> None:
            opened.append(row.seq)

    async with house.open() as log:
        for tenant in ("press", "default", "default", "default", "press", "legal", "default"):
            await _request(log, make, tenant)
    everything = await read_all(follow_folder(house))
    mine = {"press", "legal"}
    follow = Follow(Watched(house.store), Cursor(ORIGIN, 0), clock=house.clock, tenants=mine)
    batches = await read_all(follow)
    assert [record.envelope.tenant for batch in batches for record in batch.records] == ["press"] * 4 + ["legal"] * 2
    envelopes = [record.envelope for batch in everything for record in batch.records]
    assert opened == seqs(batches) == [envelope.seq for envelope in envelopes if envelope.tenant in mine]
    assert any(batch.records == () for batch in batches)
    assert follow.cursor.position == everything[-1].cursor.position == 14


async def test_a_record_of_another_tenant_is_checked_all_the_same(house: Any, make: Any) -> None:
    async with house.open() as log:
        await _request(log, make, "default")
        await _request(log, make, "press")
    connection = sqlite3.connect(house.day_file(), isolation_level=None)
    connection.execute("update record set effect = 'deny' where seq = 1")
    connection.close()
    with pytest.raises(StoreDamaged, match="record 1 is not the one"):
        await read_all(follow_folder(house, tenants=("press",)))
