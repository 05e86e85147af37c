"""A disk that is full, or lies, at any step of a purge: keys go all the same, and the next purge finishes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit import AuditError, ContentDestroyed
from audit.keys.destroyed import DestroyedDays, Scope
from audit.retention import RetentionRules
from audit.retention.receipts import read_receipts
from audit.store.disk import Disk
from audit.verify import verify_store

DAY = date(2026, 11, 22)
RULES = RetentionRules(30, {"abuse": 90})


class FailingDisk(Disk):
    """Fails at one touch, or from one touch on: before the work is done or after it."""

    def __init__(self) -> None:
        self.touches: list[str] | None = None  # counts from the moment that this is a list
        self.fail_at = 0
        self.stays_full = False
        self.form = "before"

    def _touch(self, name: str, work: Callable[[], None]) -> None:
        if self.touches is None:
            work()
            return
        self.touches.append(name)
        now = len(self.touches)
        fails = now == self.fail_at or (self.stays_full and self.fail_at and now > self.fail_at)
        # To overwrite and unlink needs no space: a full disk does not stop it.
        if fails and not (self.stays_full and name == "erase"):
            if self.form == "after":
                work()
            raise OSError(28, "No space left on device")
        work()

    def commit(self, connection: sqlite3.Connection) -> None:
        self._touch("commit", lambda: super(FailingDisk, self).commit(connection))

    def append(self, path: Path, data: bytes, mode: int) -> None:
        self._touch(f"append {path.name}", lambda: super(FailingDisk, self).append(path, data, mode))

    def erase(self, path: Path) -> None:
        self._touch("erase", lambda: super(FailingDisk, self).erase(path))

    def replace(self, fresh: Path, path: Path) -> None:
        self._touch("replace", lambda: super(FailingDisk, self).replace(fresh, path))

    def write_whole(self, path: Path, data: bytes, mode: int) -> None:
        self._touch("write_whole", lambda: super(FailingDisk, self).write_whole(path, data, mode))

    def create(self, path: Path, data: bytes, mode: int) -> None:
        self._touch("create", lambda: super(FailingDisk, self).create(path, data, mode))


def escrow(_day: date, class_: str) -> frozenset[int]:
    return frozenset({1} if class_ == "standard" else ())


async def purge_failing_at(house: Any, make: Any, number: int, form: str, *, stays_full: bool) -> list[str]:
    """Purge with a failure at the given touch of the disk; check what must hold right after, and after the next."""
    one = type(house)(house.folder / f"{number}-{form}")
    one.disk = FailingDisk()
    async with one.open(rules=lambda: RULES) as log:
        ticket = await make.request(log)  # records 0 and 1
        kept = await log.intend(make.intent(class_="abuse"))
        one.clock.forward(days=31)
        # Today's keys and file exist, and every record is in the tree, as it is a second after it was written.
        await log.proof((await make.request(log)).event_id)
        log.retention.escrow = escrow
        one.disk.fail_at, one.disk.form, one.disk.stays_full = number, form, stays_full
        one.disk.touches = []
        with suppress(OSError, AuditError):
            await log.purge()
        touches = one.disk.touches
        one.disk.touches = None
        destroyed = not list((one.store / "keys").glob("2026-11-22.default.standard*"))
        if stays_full or "erase" in touches[: number - 1]:
            assert destroyed, touches
        if destroyed:
            with pytest.raises(ContentDestroyed):
                log._ring.get(DAY, "default", "standard")
        assert log._ring.get(DAY, "default", "abuse").key_id
        await log.purge()
        assert log.health().records_past_retention == log.health().days_past_retention == 0
        assert await log.purge() == []
    async with one.open(rules=lambda: RULES) as log:  # the list is not behind the log
        log.retention.escrow = escrow
        assert (await log.get(ticket.event_id, looked_by=make.subject("dana"))).content_destroyed
        assert not (await log.get(kept.event_id, looked_by=make.subject("dana"))).content_destroyed
    state = DestroyedDays(one.store / "keys" / "destroyed-days", Disk()).state(Scope(DAY, "standard"))
    assert (state.is_finished, state.held) == (True, 1)
    last = list(read_receipts(one.store / "keys" / "receipts.jsonl"))[-1]
    assert (last["space_freed"], last["event_id"], last["keys_destroyed"]) == (True, state.event_id, 1)
    connection = sqlite3.connect(one.day_file())
    assert [seq for (seq,) in connection.execute("select seq from sealed order by seq")] == [1, 2]
    connection.close()
    assert not list((one.store / "days").glob("*.purged*"))
    report = verify_store(one.store, None, one.witness)
    assert report.ok, (touches, report.findings)
    return touches


async def at_each_touch(house: Any, make: Any, form: str, *, stays_full: bool) -> list[str]:
    """One round for each touch, and one in which nothing fails, whose touches are returned."""
    for number in range(1, 100):
        touches = await purge_failing_at(house, make, number, form, stays_full=stays_full)
        if len(touches) < number:
            return touches
    raise AssertionError("a purge touches the disk more often than anybody thought")


@pytest.mark.parametrize("form", ["before", "after"])
async def test_one_failure_at_each_touch_of_the_disk(house: Any, make: Any, form: str) -> None:
    touches = await at_each_touch(house, make, form, stays_full=False)
    assert touches[:2] == ["append destroyed-days", "erase"]
    assert {"commit", "replace", "append receipts.jsonl"} <= set(touches)


async def test_a_disk_that_is_full_from_any_touch_on(house: Any, make: Any) -> None:
    assert len(await at_each_touch(house, make, "before", stays_full=True)) > 7
