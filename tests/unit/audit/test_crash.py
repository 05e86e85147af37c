"""kill -9 at random and at every touch of the disk: nothing acknowledged is lost, the sequence has no hole."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import AuditLog
from audit.retention import RetentionRules
from audit.retention.receipts import read_receipts
from audit.verify import verify_store

DRIVER = Path(__file__).with_name("crash_driver.py")
ROOT = Path(__file__).parents[3]


def drive(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def stored(folder: Path) -> tuple[list[int], set[str]]:
    """Sequence numbers, and "phase event-id" of every record."""
    seqs: list[int] = []
    records: set[str] = set()
    for path in sorted((folder / "log" / "days").glob("*.sqlite")):
        connection = sqlite3.connect(path)
        for seq, phase, event_id in connection.execute("select seq, phase, event_id from record"):
            seqs.append(seq)
            records.add(f"{phase} {uuid.UUID(bytes=event_id)}")
        connection.close()
    return sorted(seqs), records


async def check(house: Any, told: list[str]) -> None:
    house.with_settings(kek_path=house.folder / "kek", signing_key_path=house.folder / "signing.pem")
    witness = house.witness if house.witness.exists() else None
    before = verify_store(house.store, None, witness)  # as the crash left it
    assert before.ok, before.findings
    seqs, records = stored(house.folder)
    assert seqs == list(range(len(seqs)))
    assert set(told) <= records
    house.clock.forward(minutes=10)
    log: AuditLog
    async with house.open() as log:
        open_ids = {one.ticket.event_id for one in await log.open_tickets(timedelta(minutes=1))}
    intents, outcomes = (
        {line.split()[1] for line in records if line.startswith(phase)} for phase in ("intent", "outcome")
    )
    assert open_ids == intents - outcomes
    after = verify_store(house.store, None, house.witness)
    assert after.ok, after.findings
    assert after.covered_size == after.records >= len(seqs)


async def test_forty_kills_at_random_moments_lose_nothing(house: Any) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")  # shown when it fails
    result = drive(house.folder, "random", "40", str(seed))
    assert result["killed"] == 40
    told = result["told"][house.folder.name]
    assert len(told) > 40
    await check(house, told)


async def test_a_kill_at_every_touch_of_the_disk_loses_nothing(house: Any) -> None:
    result = drive(house.folder, "operation")
    assert result["killed"] > 30
    assert any(result["told"].values())
    for name, told in result["told"].items():
        if (house.folder / name / "log" / "log.json").exists():  # else it was killed before there was a store
            await check(type(house)(house.folder / name), told)
        else:
            assert told == []


async def test_a_purge_killed_at_every_touch_of_the_disk_is_finished_by_the_next(house: Any, make: Any) -> None:
    result = drive(house.folder, "purge")
    assert result["killed"] > 12
    folders = sorted((path for path in house.folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    purged = 0
    for folder in folders:
        assert verify_store(folder / "log", None, None).ok
        one = type(house)(folder)
        one.with_settings(kek_path=folder / "kek", signing_key_path=folder / "signing.pem")
        one.clock.forward(days=31)
        async with one.open() as log:
            await log.purge()
            assert log.health().records_past_retention == 0
        purged += 1
        assert not list((folder / "log" / "keys").glob("2026-11-22*"))
        report = verify_store(folder / "log", None, one.witness)
        assert report.ok, (folder.name, report.findings)
        connection = sqlite3.connect(folder / "log" / "days" / "2026-11-22.sqlite")
        assert connection.execute("select count(*) from sealed").fetchone() == (0,)
        connection.close()
    assert purged == result["killed"] + 1


@pytest.mark.parametrize(("mode", "least"), [("class", 12), ("release", 6)])
async def test_a_purge_of_a_class_killed_at_every_touch_of_the_disk_is_finished_by_the_next(
    house: Any, mode: str, least: int
) -> None:
    result = drive(house.folder, mode)
    assert result["killed"] > least
    held = [1] if mode == "class" else []
    rules = RetentionRules(30, {"abuse": 90})
    for folder in sorted(path for path in house.folder.iterdir() if path.name.isdigit()):
        assert verify_store(folder / "log", None, None).ok, folder.name
        one = type(house)(folder)
        one.with_settings(kek_path=folder / "kek", signing_key_path=folder / "signing.pem")
        one.clock.forward(days=31)
        async with one.open(rules=lambda: rules) as log:
            log.retention.escrow = lambda _day, class_: frozenset(held if class_ == "standard" else ())
            await log.purge()
            assert log.health().records_past_retention == 0
            assert log.health().held_records == len(held)
            assert await log.purge() == []
        names = [path.name for path in (folder / "log" / "keys").glob("2026-11-22*")]
        assert names == ["2026-11-22.default.abuse.json"], folder.name
        report = verify_store(folder / "log", None, one.witness)
        assert report.ok, (folder.name, report.findings)
        connection = sqlite3.connect(folder / "log" / "days" / "2026-11-22.sqlite")
        assert [seq for (seq,) in connection.execute("select seq from sealed order by seq")] == [*held, 4, 5, 6, 7]
        connection.close()
        assert not list((folder / "log" / "days").glob("*.purged*")), folder.name
        assert list(read_receipts(folder / "log" / "keys" / "receipts.jsonl"))[-1]["space_freed"] is True


def test_the_driver_says_when_a_child_fails_by_itself(house: Any) -> None:
    (house.folder / "1").mkdir()
    (house.folder / "1" / "kek").write_bytes(b"too short")
    with pytest.raises(AssertionError, match="failed by itself"):
        drive(house.folder, "operation")
