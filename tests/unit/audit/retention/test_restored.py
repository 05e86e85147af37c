"""Backups that come back: nothing that was destroyed is readable again, and a list that forgot is refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit import ContentDestroyed, StoreDamaged, StoreRolledBack
from audit.cli import app
from audit.drill import RestoreDrill
from audit.verify import verify_store
from tests.support.cases import open_content

LIST = Path("keys") / "destroyed-days"


@pytest.fixture
async def purged(house: Any, make: Any) -> Any:
    """A log that purged a day, and a copy of its directory from before."""
    async with house.open() as log:
        house.ticket = await make.request(log)
    house.backup = house.folder / "backup"
    shutil.copytree(house.store, house.backup)
    house.clock.forward(days=31)
    async with house.open() as log:
        await log.purge()
    return house


@pytest.mark.parametrize("kind", ["older list", "no list", "empty list", "list of another day"])
async def test_a_list_that_does_not_know_a_purge_on_record_refuses_the_log(purged: Any, kind: str) -> None:
    path = purged.store / LIST
    newest = path.read_bytes()
    path.unlink()
    if kind == "empty list":
        path.write_bytes(b"")
    if kind == "list of another day":
        path.write_bytes(newest.replace(b"2026-11-22", b"2026-11-21"))
    with pytest.raises(StoreDamaged, match=r"record 2 tells of the purge of 2026-11-22, .* Put back the newest copy"):
        async with purged.open():
            pass
    path.write_bytes(newest)
    async with purged.open() as log:
        assert log.health().destroyed_list_intact


async def test_the_list_of_a_class_is_asked_for_that_class(house: Any, make: Any) -> None:
    from audit.retention import RetentionRules

    async with house.open(rules=lambda: RetentionRules(30, {"abuse": 90})) as log:
        await make.request(log)
        house.clock.forward(days=31)
        await log.purge()
    path = house.store / LIST
    newest = path.read_bytes()
    path.write_bytes(newest.replace(b'"class": "standard"', b'"class": "abuse"'))
    with pytest.raises(StoreDamaged, match="2026-11-22/standard"):
        async with house.open():
            pass


async def test_old_keys_and_records_that_reappear_are_refused_and_go_again(purged: Any, make: Any) -> None:
    for path in (purged.backup / "keys").glob("*.json"):
        shutil.copy(path, purged.store / "keys")
    shutil.copy(purged.backup / "days" / "2026-11-22.sqlite", purged.day_file())
    async with purged.open() as log:
        with pytest.raises(ContentDestroyed):
            await open_content(log, purged.ticket.event_id, by="dana")
        health = log.health()
        assert (health.days_past_retention, health.records_past_retention) == (1, 2)
        (receipt,) = await log.purge()
        assert (receipt.keys_destroyed, receipt.space_freed, receipt.record) == (1, True, None)
        health = log.health()
        assert (health.days_past_retention, health.records_past_retention) == (0, 0)
        assert await log.purge() == []
    assert not list((purged.store / "keys").glob("2026-11-22*"))
    connection = sqlite3.connect(purged.day_file())
    assert connection.execute("select count(*) from sealed").fetchone() == (0,)
    connection.close()
    assert verify_store(purged.store, None, purged.witness).ok


async def test_records_that_reappear_under_a_running_log_go_within_a_round(purged: Any) -> None:
    async with purged.open() as log:
        assert await log.purge() == []
        shutil.copy(purged.backup / "days" / "2026-11-22.sqlite", purged.day_file())
        shutil.copy(purged.backup / "keys" / "2026-11-22.default.standard.json", purged.store / "keys")
        (receipt,) = await log.purge()
        assert (receipt.keys_destroyed, receipt.space_freed) == (1, True)
        assert log.health().records_past_retention == 0


async def test_a_whole_log_from_before_the_purge_is_refused_by_the_witness(purged: Any) -> None:
    shutil.rmtree(purged.store)
    shutil.copytree(purged.backup, purged.store)
    with pytest.raises(StoreRolledBack):
        async with purged.open():
            pass


async def test_without_a_witness_the_purge_of_a_log_from_before_it_is_done_and_recorded_again(
    purged: Any, make: Any
) -> None:
    newest = (purged.store / LIST).read_bytes()
    shutil.rmtree(purged.store)
    shutil.copytree(purged.backup, purged.store)
    (purged.store / LIST).write_bytes(newest)
    purged.with_settings(witness_path=None)
    async with purged.open() as log:
        with pytest.raises(ContentDestroyed):
            await open_content(log, purged.ticket.event_id, by="dana")
        (receipt,) = await log.purge()
        assert receipt.record is not None  # the list says it was recorded; this log does not know it
        assert await log.purge() == []
    assert verify_store(purged.store, None, None).ok


async def test_a_snapshot_brings_its_own_list_and_opens(purged: Any) -> None:
    from audit.snapshot import take_snapshot

    copy = purged.folder / "copy"
    take_snapshot(purged.store, copy, purged.clock())
    bare = purged.folder / "bare"
    take_snapshot(purged.store, bare, purged.clock(), with_keys=False)
    assert list((bare / "keys").iterdir()) == []
    assert verify_store(bare, None, purged.witness).ok
    purged.with_settings(directory=copy, signing_key_path=None, witness_path=None, create_keys=False)
    async with purged.open(read_snapshot=True) as log:
        assert log.health().records_past_retention == 0


async def test_every_step_of_the_restore_drill_comes_out_as_it_must(tmp_path: Path) -> None:
    steps = await RestoreDrill(tmp_path / "drill").run()
    assert [(step.done, step.found) for step in steps if not step.passed] == []
    assert [step.expected for step in steps] == [
        "records without keys; an image; a key folder",
        "the first day's keys are gone",
        "refused: StoreRolledBack",
        "refused: StoreDamaged",
        "unreadable; gone again",
        "unreadable; gone again",
        "verified; younger day opens; purged day shut",
    ]


async def test_the_drill_tells_a_refusal_that_did_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would pass on a log that no longer refuses anything."""
    monkeypatch.setattr("audit.keys.destroyed.DestroyedDays.require", lambda self, purged: None)
    steps = await RestoreDrill(tmp_path / "drill").run()
    wrong = [step for step in steps if not step.passed]
    assert [step.expected for step in wrong] == ["refused: StoreDamaged"]
    assert wrong[0].found == "it opened"


def test_the_drill_is_a_command_that_needs_a_folder_of_its_own(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["drill", str(tmp_path / "drill")])
    assert done.exit_code == 0, done.output
    assert done.output.count("as it must") == 7
    assert "Put back the newest copy of that list" in done.output
    again = CliRunner().invoke(app, ["drill", str(tmp_path / "drill")])
    assert again.exit_code == 2
    assert "is not empty" in again.output


def test_the_page_about_the_drill_tells_what_the_drill_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "restore-drill.md").read_text()
    told = page.split("```text\n")[1].split("```")[0]
    said = CliRunner().invoke(app, ["drill", str(tmp_path / "drill")]).output
    for line, real in zip(told.splitlines(), said.splitlines(), strict=True):
        place = 0
        for piece in line.split("…"):
            place = real.find(piece.strip(), place)
            assert place >= 0, (line, real)
