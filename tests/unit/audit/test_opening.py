"""What must agree before a store is opened, and who may open it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audit import AuditSettings, AuditUnavailable, KeyRefused, Query, SnapshotRefused, StoreDamaged, StoreInUse
from audit.keys.signing import create_signer
from audit.snapshot import take_snapshot
from audit.store.disk import Disk
from audit.verify import verify_store
from tests.support.cases import open_content


async def test_a_second_log_on_the_same_directory_is_refused(house: Any) -> None:
    async with house.open():
        with pytest.raises(StoreInUse, match="another process"):
            async with house.open():
                pass
    async with house.open():
        pass


async def test_another_process_is_refused_too(house: Any) -> None:
    program = "import sys; from pathlib import Path; from audit.store.files.layout import StoreLock; "
    program += "StoreLock(Path(sys.argv[1]))"
    arguments = [sys.executable, "-c", program, str(house.store / "LOCK")]
    async with house.open():
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "StoreInUse" in done.stderr
    assert subprocess.run(arguments, check=False).returncode == 0


async def test_a_failed_opening_releases_the_directory(house: Any) -> None:
    house.with_settings(create_keys=False)
    with pytest.raises(KeyRefused):
        async with house.open():
            pass
    house.with_settings(create_keys=True)
    async with house.open():
        pass


async def test_keys_are_not_made_unless_asked_for(house: Any) -> None:
    house.with_settings(create_keys=False)
    with pytest.raises(KeyRefused, match="does not exist"):
        async with house.open():
            pass
    assert not house.settings.kek_path.exists()


@pytest.mark.parametrize("lost", ["kek_path", "signing_key_path"])
async def test_lost_keys_of_an_existing_store_are_never_made_anew(house: Any, make: Any, lost: str) -> None:
    async with house.open() as log:
        await make.request(log)
    getattr(house.settings, lost).unlink()
    with pytest.raises(KeyRefused, match="does not exist"):
        async with house.open():
            pass
    assert not getattr(house.settings, lost).exists()


async def test_another_origin_or_signing_key_is_refused(house: Any, make: Any, tmp_path: Path) -> None:
    async with house.open() as log:
        await make.request(log)
    create_signer(tmp_path / "other.pem", "example.com/audit", Disk())
    before = house.settings
    for changes in ({"origin": "example.com/other"}, {"signing_key_path": tmp_path / "other.pem"}):
        house.settings = before
        house.with_settings(witness_path=None, **changes)
        with pytest.raises(KeyRefused, match="belongs to another"):
            async with house.open():
                pass


async def test_another_key_encryption_key_is_refused_before_anything_is_written(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    house.settings.kek_path.unlink()
    house.settings.kek_path.touch(mode=0o600)
    house.settings.kek_path.write_bytes(b"k" * 32)
    async with house.open() as log:
        with pytest.raises(AuditUnavailable):
            await log.intend(make.intent())


async def test_day_files_without_the_stores_own_file_are_not_taken_for_a_new_store(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    (house.store / "log.json").unlink()
    with pytest.raises(StoreDamaged, match=r"no log\.json"):
        async with house.open():
            pass


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": 99}', '{"format": 1, "origin": "x", "vkey": "x", "created_at": "x"}']
)
async def test_a_malformed_store_file_is_refused(house: Any, text: str) -> None:
    async with house.open():
        pass
    (house.store / "log.json").write_text(text)
    with pytest.raises(StoreDamaged):
        async with house.open():
            pass


async def test_rows_lost_below_the_tree_stop_the_log(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    for path in house.day_file().parent.glob("*"):
        path.unlink()
    with pytest.raises(StoreDamaged, match="day files end at record -1"):
        async with house.open():
            pass


async def test_folders_are_for_their_owner_only(house: Any) -> None:
    async with house.open():
        pass
    for folder in (house.store, house.store / "days", house.store / "keys"):
        assert folder.stat().st_mode & 0o077 == 0
    for path in house.store.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path.name


async def test_the_newest_checkpoint_is_in_a_file_and_with_the_witness(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
    note = (house.store / "checkpoint").read_text()
    assert note.startswith("example.com/audit\n2\n")
    assert house.witness.read_text().endswith(note + "\n")


async def test_an_idle_log_signs_nothing_new(house: Any) -> None:
    house.with_settings(checkpoint_interval_seconds=0.01)
    async with house.open():
        await asyncio.sleep(0.1)
    async with house.open():
        pass
    assert house.witness.read_text().count("\u2014") == 1


async def test_a_moved_log_is_signed_within_the_interval(house: Any, make: Any) -> None:
    house.with_settings(checkpoint_interval_seconds=0.05)
    async with house.open() as log:
        await make.request(log)
        for _ in range(200):
            if log.health().checkpoint_size == 2:
                break
            await asyncio.sleep(0.01)
        assert log.health().checkpoint_size == 2
        house.clock.forward(seconds=5)
        assert log.health().checkpoint_age_seconds == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": ""},
        {"origin": "has space"},
        {"origin": "has+plus"},
        {"retention_days": 0},
        {"node": "Node!"},
        {"checkpoint_interval_seconds": 0},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    values = {
        "directory": tmp_path / "log",
        "kek_path": tmp_path / "kek",
        "signing_key_path": tmp_path / "sign",
        "origin": "example.com/audit",
    }
    AuditSettings(**values)
    with pytest.raises(ValidationError):
        AuditSettings(**{**values, **wrong})


def test_a_witness_inside_the_store_is_no_witness(house: Any) -> None:
    with pytest.raises(ValidationError, match="outside"):
        house.with_settings(witness_path=house.store / "witness")


async def test_a_snapshot_is_read_and_never_written_on(house: Any, make: Any, tmp_path: Path) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
        await log.proof(ticket.event_id)
        late = await log.intend(make.intent("bob"))  # not in the tree yet
        assert take_snapshot(house.store, tmp_path / "copy", house.clock()) == 3
    report = verify_store(tmp_path / "copy", None, None)
    assert report.ok, report.findings
    house.with_settings(directory=tmp_path / "copy", witness_path=None)
    with pytest.raises(SnapshotRefused, match="fork"):
        async with house.open():
            pass
    house.with_settings(signing_key_path=None)
    async with house.open(read_snapshot=True) as copy:
        page = await copy.search(Query(actor="alice"), searched_by=make.subject("dana"))
        assert [row.event_id for row in page.rows] == [ticket.event_id]
        opened = await open_content(copy, late.event_id, by="dana", purpose="case 1")
        assert opened.contents == ({"prompt": "a fox"},)
        with pytest.raises(AuditUnavailable):
            await copy.intend(make.intent())
        assert copy.checkpoint().startswith("example.com/audit\n2\n")  # signed by the log, before the copy
    assert verify_store(tmp_path / "copy", None, None).ok
    assert json.loads((tmp_path / "copy" / "log.json").read_text())["snapshot_taken_at"]


async def test_a_log_is_not_opened_as_a_snapshot(house: Any) -> None:
    async with house.open():
        pass
    with pytest.raises(SnapshotRefused, match="no snapshot"):
        async with house.open(read_snapshot=True):
            pass


async def test_snapshots_taken_beside_a_busy_writer_are_whole(house: Any, make: Any, tmp_path: Path) -> None:
    house.with_settings(checkpoint_interval_seconds=0.01)
    async with house.open() as log:
        stop = asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                ticket = await log.intend(make.intent())
                house.clock.forward(hours=5)  # over midnight again and again: two day files at a time
                await log.conclude(ticket, make.outcome())

        writing = asyncio.create_task(write())
        try:
            for number in range(5):
                await asyncio.to_thread(take_snapshot, house.store, tmp_path / f"copy-{number}", house.clock())
                report = verify_store(tmp_path / f"copy-{number}", None, None)
                assert report.ok, report.findings
        finally:
            stop.set()
            await writing
