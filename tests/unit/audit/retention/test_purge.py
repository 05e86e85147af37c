"""Day 30 when things go wrong in the middle of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from audit import AuditUnavailable, ContentDestroyed
from audit.verify import verify_store
from tests.support.cases import open_content

NO_SPACE = OSError(28, "No space left on device")


@pytest.fixture
async def due(house: Any, make: Any) -> Any:
    """A log with a day that is past retention."""
    async with house.open() as log:
        house.ticket = await make.request(log)
    house.clock.forward(days=31)
    return house


def sealed(house: Any) -> int:
    connection = sqlite3.connect(house.day_file())
    count = int(connection.execute("select count(*) from sealed").fetchone()[0])
    connection.close()
    return count


async def test_keys_go_first(due: Any, make: Any) -> None:
    async with due.open() as log:
        due.disk.calls.clear()
        await log.purge()
        calls = due.disk.calls
    assert calls.index("append") < calls.index("erase") < calls.index("commit") < calls.index("replace")


async def test_space_that_could_not_be_freed_is_freed_by_the_next_purge(due: Any, make: Any) -> None:
    async with due.open() as log:
        reader = sqlite3.connect(due.day_file())
        reader.execute("begin")
        reader.execute("select count(*) from record").fetchone()  # an auditor in the middle of a long read
        (receipt,) = await log.purge()
        assert receipt.keys_destroyed == 1
        assert not receipt.space_freed
        with pytest.raises(ContentDestroyed):
            await open_content(log, due.ticket.event_id, by="dana", purpose="case 1")
        reader.close()
        (receipt,) = await log.purge()
        assert (receipt.keys_destroyed, receipt.space_freed, receipt.record) == (0, True, None)
        assert await log.purge() == []
    assert sealed(due) == 0
    assert verify_store(due.store, None, due.witness).ok


async def test_a_purge_that_could_not_be_recorded_frees_space_first_and_records_then(due: Any, make: Any) -> None:
    async with due.open() as log:
        await make.request(log)  # the new day's file exists
        due.disk.before_commit = [NO_SPACE]
        (receipt,) = await log.purge()
        assert receipt.space_freed
        assert receipt.record is not None
    assert sealed(due) == 0
    assert verify_store(due.store, None, due.witness).ok


async def test_a_purge_record_that_fails_twice_is_written_by_the_next_purge(due: Any, make: Any) -> None:
    async with due.open() as log:
        await make.request(log)
        due.disk.before_commit = [NO_SPACE] * 3  # the record, the housekeeping of checkpoints, the record again
        (receipt,) = await log.purge()
        assert receipt.record is None
        (receipt,) = await log.purge()
        assert receipt.record is not None
        assert await log.purge() == []
    assert verify_store(due.store, None, due.witness).ok


async def test_keys_go_even_when_the_disk_is_full(due: Any, make: Any) -> None:
    async with due.open() as log:
        due.disk.fail["append"] = [NO_SPACE]
        with pytest.raises(OSError, match="No space"):
            await log.purge()
        assert not list((due.store / "keys").glob("2026-11-22*"))
        with pytest.raises(ContentDestroyed):
            await open_content(log, due.ticket.event_id, by="dana", purpose="case 1")


async def test_nothing_of_content_person_or_index_is_left_in_the_day_file(due: Any, make: Any) -> None:
    connection = sqlite3.connect(due.day_file())
    before = connection.execute("select terms, index_salt, authenticator from record").fetchall()
    ciphertexts = connection.execute("select subject, content from sealed").fetchall()
    connection.close()
    async with due.open() as log:
        await log.purge()
    for path in due.day_file().parent.glob("2026-11-22*"):
        data = path.read_bytes()
        for secret in [value for row in [*before, *ciphertexts] for value in row]:
            assert secret not in data
    connection = sqlite3.connect(due.day_file())
    assert connection.execute("select count(*) from term").fetchone() == (0,)
    assert connection.execute("select count(*), count(envelope_salt), count(terms) from record").fetchone() == (2, 2, 0)
    connection.close()


async def test_a_restored_backup_with_its_keys_stays_unreadable(due: Any, make: Any, tmp_path: Path) -> None:
    """The database, its WAL and its key files come back from a backup; the list of destroyed days does not."""
    shutil.copytree(due.store, tmp_path / "backup")
    async with due.open() as log:
        await log.purge()
    for path in (tmp_path / "backup" / "keys").glob("*.json"):
        shutil.copy(path, due.store / "keys" / path.name)
    shutil.copy(tmp_path / "backup" / "days" / "2026-11-22.sqlite", due.day_file())
    async with due.open() as log:
        with pytest.raises(ContentDestroyed):
            await open_content(log, due.ticket.event_id, by="dana", purpose="case 1")
        assert (await log.get(due.ticket.event_id, looked_by=make.subject("dana"))).subject is None
        assert log.health().days_past_retention == 1  # it shows, and the next purge takes the key away again
        (receipt,) = await log.purge()
        assert receipt.keys_destroyed == 1
    assert not list((due.store / "keys").glob("2026-11-22*"))


async def test_the_list_tells_the_steps_of_each_day(due: Any) -> None:
    async with due.open() as log:
        await log.purge()
    lines = [json.loads(line) for line in (due.store / "keys" / "destroyed-days").read_text().splitlines()]
    assert [(line["day"], line["event"]) for line in lines] == [
        ("2026-11-22", "destroyed"),
        ("2026-11-22", "recorded"),
        ("2026-11-22", "freed"),
    ]


async def test_checkpoints_of_purged_days_are_thinned_and_the_witness_still_fits(house: Any, make: Any) -> None:
    async with house.open() as log:
        for _ in range(5):
            await log.proof((await make.request(log)).event_id)
        house.clock.forward(days=31)
        await log.purge()
        await log.proof((await make.request(log)).event_id)
    connection = sqlite3.connect(house.store / "tree.sqlite")
    sizes = [row[0] for row in connection.execute("select size from checkpoint order by size")]
    connection.close()
    assert sizes == [0, 10, 11, 13]  # 11: the purge record, signed before the day's parts went
    report = verify_store(house.store, None, house.witness)
    assert report.ok, report.findings
    assert report.witnessed > 6


async def test_a_clock_that_jumps_back_writes_nothing_into_a_destroyed_day(due: Any, make: Any) -> None:
    async with due.open() as log:
        await log.purge()
        due.clock.forward(days=-31)
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent())
        due.clock.forward(days=31)
        await log.intend(make.intent())
