"""What a database administrator can do to the files of SQLite in particular: trees, day files, records not yet signed.

What they can do to either store is in the catalogue ``tests/dba``, which ``tests/contract/audit/test_dba.py`` tries.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit import AuditUnavailable, Query, StoreDamaged, StoreRolledBack
from audit.keys.signing import create_signer
from audit.row import COLUMNS, Row, leaf_of
from audit.store.disk import Disk
from audit.store.files.day_file import DayReader
from audit.verify import Attack, Report, verify_store
from tests.support.cases import open_content

REQUESTS = 20  # two records each
RECORD_COLUMNS = COLUMNS[: COLUMNS.index("subject")]


@pytest.fixture
async def attacked(house: Any, make: Any) -> Any:
    """A closed log of 40 records with a checkpoint each ten, of two tenants and two outcomes."""
    async with house.open() as log:
        for number in range(REQUESTS):
            tenant = "other" if number % 3 == 0 else "default"
            ticket = await log.intend(make.intent(f"user-{number}", tenant=tenant))
            effect, reasons = ("deny", ("dlp.payment-card",)) if number % 2 else ("allow", ())
            await log.conclude(ticket, make.outcome(f"user-{number}", effect=effect, reasons=reasons, tenant=tenant))
            if number % 5 == 4:
                await log.proof(ticket.event_id, tenant=tenant)  # signs a checkpoint
    return house


def database(house: Any) -> sqlite3.Connection:
    return sqlite3.connect(house.day_file(), isolation_level=None)


def rows(house: Any) -> list[Row]:
    reader = DayReader(house.day_file(), date(2026, 11, 22))
    found = list(reader.rows())
    reader.close()
    return found


def rewrite(house: Any, changed: list[Row]) -> None:
    """Put these rows in the place of all others."""
    connection = database(house)
    connection.execute("delete from record")
    connection.execute("delete from sealed")
    width = len(RECORD_COLUMNS)
    connection.executemany(f"insert into record values ({','.join('?' * width)})", [row[:width] for row in changed])
    connection.executemany(
        "insert into sealed values (?, ?, ?)", [(row.seq, row.subject, row.content) for row in changed]
    )
    connection.close()


def recompute(changed: list[Row]) -> list[Row]:
    """Number rows anew and recompute their leaves, as an attacker who knows the format can."""
    places = {row.seq: place for place, row in enumerate(changed)}
    renumbered = []
    for place, row in enumerate(changed):
        row = row._replace(seq=place, head_seq=places.get(row.head_seq, row.head_seq))
        renumbered.append(row._replace(leaf=leaf_of(row)))
    return renumbered


def verify(house: Any, *, with_witness: bool = False) -> Report:
    return verify_store(house.store, None, house.witness if with_witness else None)


async def test_a_removed_store_does_not_start_anew_under_its_name(attacked: Any) -> None:
    shutil.rmtree(attacked.store)
    with pytest.raises(StoreRolledBack):
        async with attacked.open():
            pass
    assert not (attacked.store / "log.json").exists()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update checkpoint set signature = zeroblob(64) where size = 40", "not signed"),
        ("update tile set hashes = zeroblob(length(hashes)) where level = 0", "root of its checkpoint"),
        ("update meta set value = 39 where key = 'size'", "ends at 39, below its checkpoint of 40"),
        ("delete from checkpoint", "no checkpoint"),
        ("update meta set value = 9 where key = 'format'", "format"),
    ],
)
async def test_a_log_does_not_go_on_from_a_tree_that_contradicts_itself(
    attacked: Any, statement: str, says: str
) -> None:
    connection = sqlite3.connect(attacked.store / "tree.sqlite", isolation_level=None)
    connection.execute(statement)
    connection.close()
    attacked.with_settings(witness_path=None)  # found without one
    with pytest.raises(StoreDamaged, match=says):
        async with attacked.open():
            pass


async def test_a_forged_checkpoint_is_not_believed(attacked: Any) -> None:
    connection = sqlite3.connect(attacked.store / "tree.sqlite", isolation_level=None)
    connection.execute("update checkpoint set root = zeroblob(32) where size = 30")
    connection.close()
    assert [finding.attack for finding in verify(attacked).findings] == [Attack.CHECKPOINT_FORGED]


async def test_a_forged_line_in_the_witness_is_not_believed(attacked: Any) -> None:
    text = attacked.witness.read_text()
    attacked.witness.write_text(text.replace("\n30\n", "\n31\n"))
    assert Attack.CHECKPOINT_FORGED in {finding.attack for finding in verify(attacked, with_witness=True).findings}


@pytest.mark.parametrize("statement", [
    "update tile set hashes = zeroblob(length(hashes)) where level = 0",
    "update tile set hashes = substr(hashes, 1, 64) where level = 0",
    "delete from tile",
])  # fmt: skip
async def test_a_changed_tree_is_found(attacked: Any, statement: str) -> None:
    connection = sqlite3.connect(attacked.store / "tree.sqlite", isolation_level=None)
    connection.execute(statement)
    connection.close()
    report = verify(attacked)
    assert not report.ok
    with pytest.raises(StoreDamaged):
        async with attacked.open():
            pass


async def test_an_upper_tile_that_contradicts_the_ones_below_is_found(house: Any, make: Any) -> None:
    async with house.open() as log:
        for _ in range(150):
            await make.request(log)
    connection = sqlite3.connect(house.store / "tree.sqlite", isolation_level=None)
    connection.execute("update tile set hashes = zeroblob(32) where level = 1")
    connection.close()
    first = verify(house).first_bad
    assert first is not None
    assert (first.attack, first.seq) == (Attack.TREE_CHANGED, 0)


async def test_a_row_added_behind_the_logs_back_is_never_signed(attacked: Any, make: Any) -> None:
    """It is not covered by a checkpoint yet, so only the authenticator can tell: the log refuses to go on."""
    found = rows(attacked)
    extra = found[38]._replace(seq=40, head_seq=40, event_id=uuid.uuid4().bytes, counter=41)
    rewrite(attacked, [*found, extra._replace(leaf=leaf_of(extra))])
    report = verify(attacked)
    assert report.uncovered == 1  # shown, but a crash looks the same without the day's key
    with pytest.raises(StoreDamaged, match="behind the log's back"):
        async with attacked.open():
            pass


async def test_a_record_removed_before_it_was_signed_leaves_a_gap_that_stops_the_log(
    house: Any, make: Any, tmp_path: Path
) -> None:
    async with house.open() as log:
        for _ in range(3):
            await make.request(log)
        shutil.copytree(house.store, tmp_path / "crashed")  # what a crash leaves: records that the tree lacks
    house.with_settings(directory=tmp_path / "crashed", witness_path=None)
    house.store = tmp_path / "crashed"
    connection = database(house)
    connection.execute("delete from record where seq = 2")
    connection.close()
    first = verify(house).first_bad
    assert first is not None
    assert (first.attack, first.seq) == (Attack.ROW_MISSING, 2)
    with pytest.raises(StoreDamaged, match="record 2 is missing"):
        async with house.open():
            pass


async def crashed(house: Any, make: Any, folder: Path) -> Any:
    """What a crash leaves: six records that no checkpoint covers, so that an attacker can recompute their leaves."""
    async with house.open() as log:
        for _ in range(3):
            await make.request(log)
        shutil.copytree(house.store, folder)
    house.with_settings(directory=folder, witness_path=None)
    house.store = folder
    return house


async def test_unsigned_records_whose_order_was_changed_are_found(house: Any, make: Any, tmp_path: Path) -> None:
    await crashed(house, make, tmp_path / "crashed")
    found = rows(house)
    first, second = found[:2], found[2:4]
    rewrite(house, recompute([*second, *first, *found[4:]]))
    first_bad = verify(house).first_bad
    assert first_bad is not None
    assert (first_bad.attack, first_bad.seq) == (Attack.ORDER_CHANGED, 2)


async def test_an_unsigned_outcome_that_was_replayed_is_found(house: Any, make: Any, tmp_path: Path) -> None:
    await crashed(house, make, tmp_path / "crashed")
    connection = database(house)
    connection.execute("drop index outcome_of_head")
    connection.close()
    found = rows(house)
    copy = found[1]._replace(seq=6, counter=99)
    rewrite(house, [*found, copy._replace(leaf=leaf_of(copy))])
    assert (Attack.REPLAYED, 6) in [(finding.attack, finding.seq) for finding in verify(house).findings]


async def test_a_record_moved_to_another_days_file_is_found(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        house.clock.forward(days=1)
        await make.request(log)
    connection = database(house)
    connection.execute("attach ? as other", (str(house.day_file("2026-11-23")),))
    for table in ("record", "sealed"):
        connection.execute(f"insert into other.{table} select * from {table} where seq = 1")
        connection.execute(f"delete from {table} where seq = 1")
    connection.close()
    findings = verify(house).findings
    assert any(finding.seq == 1 and "is in the file of" in finding.detail for finding in findings), findings


async def test_a_record_number_that_is_used_twice_is_found(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        house.clock.forward(days=1)
        await make.request(log)
    connection = database(house)
    connection.execute("attach ? as other", (str(house.day_file("2026-11-23")),))
    for table in ("record", "sealed"):
        connection.execute(f"insert into other.{table} select * from {table} where seq = 1")
    connection.close()
    assert any(finding.seq == 1 and "used twice" in finding.detail for finding in verify(house).findings)


async def test_an_extra_entry_in_the_search_index_is_found(attacked: Any) -> None:
    connection = database(attacked)
    connection.execute("insert into term values (zeroblob(16), 4)")
    connection.close()
    assert [finding.attack for finding in verify(attacked).findings] == [Attack.INDEX_CHANGED]


async def test_a_running_log_does_not_adopt_a_row_added_behind_its_back(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log)
        connection = database(house)
        placeholders = ", ".join("2 as seq" if name == "seq" else name for name in RECORD_COLUMNS)
        connection.execute("drop index outcome_of_head")
        connection.execute(f"insert into record select {placeholders} from record where seq = 1")
        connection.execute("insert into sealed select 2, subject, content from sealed where seq = 1")
        connection.close()
        for _ in range(2):
            with pytest.raises(AuditUnavailable):
                await log.intend(make.intent())
        assert not log.health().writable
        assert log.health().write_failures >= 1


async def test_a_missing_tree_is_not_built_anew(attacked: Any) -> None:
    for path in attacked.store.glob("tree.sqlite*"):
        path.unlink()
    with pytest.raises(StoreDamaged):
        async with attacked.open():
            pass
    with pytest.raises(StoreDamaged):
        verify(attacked)
    assert not (attacked.store / "tree.sqlite").exists()


async def test_a_damaged_day_file_is_named(attacked: Any) -> None:
    path = attacked.day_file()
    data = bytearray(path.read_bytes())
    data[0:16] = b"not a database.."
    path.write_bytes(data)
    findings = verify(attacked).findings
    assert {Attack.UNREADABLE, Attack.TRUNCATED} <= {finding.attack for finding in findings}
    with pytest.raises(StoreDamaged):
        async with attacked.open():
            pass


async def test_a_day_file_under_another_days_name_is_found(attacked: Any) -> None:
    attacked.day_file().rename(attacked.day_file("2026-11-21"))
    assert {finding.attack for finding in verify(attacked).findings} >= {Attack.UNREADABLE}


async def test_the_public_key_of_somebody_else_finds_everything_wrong(attacked: Any, tmp_path: Path) -> None:
    other = create_signer(tmp_path / "other.pem", "example.com/audit", Disk()).verifier_key
    report = verify_store(attacked.store, other, None)
    assert report.vkey_was_given
    assert {finding.attack for finding in report.findings} == {Attack.CHECKPOINT_FORGED}
    assert report.covered_size == 0


async def test_ciphertexts_swapped_in_the_database_do_not_open(attacked: Any, make: Any) -> None:
    """Even whoever holds the keys is not shown one person's prompt under another's record."""
    event_id = str(uuid.UUID(bytes=rows(attacked)[14].event_id))
    connection = database(attacked)
    one, two = (connection.execute("select content from sealed where seq = ?", (seq,)).fetchone() for seq in (12, 14))
    connection.execute("update sealed set content = ? where seq = 12", two)
    connection.execute("update sealed set content = ? where seq = 14", one)
    connection.close()
    async with attacked.open() as log:
        with pytest.raises(StoreDamaged):
            await open_content(log, event_id, by="dana", purpose="case 1")


async def test_verification_works_beside_a_live_writer(attacked: Any, make: Any) -> None:
    attacked.with_settings(checkpoint_interval_seconds=0.01)
    async with attacked.open() as log:
        stop = asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                await make.request(log)

        writing = asyncio.create_task(write())
        try:
            for _ in range(10):
                report = await asyncio.to_thread(verify_store, attacked.store, None, None)
                assert report.ok, report.findings
                assert report.notes
        finally:
            stop.set()
            await writing
        assert len((await log.search(Query(), searched_by=make.subject("dana"))).rows) > 0
