"""What may be missing from a log, and what excuses it: nothing but a record in the tree."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from audit import Entry, Phase, VerifierKey
from audit.governance.coverage import FileErasureLists, canonical_list, digest_of
from audit.store.disk import Disk
from audit.store.files.tree_file import TreeFile
from audit.store.moment import open_moment
from audit.tiles import TileTree
from audit.tree import verify_consistency, verify_inclusion
from audit.verify import Attack, Report, verify_store
from audit.vocabulary import LogEvent
from audit.witness import read_witness


async def write(log: Any, make: Any, phase: Phase, action: LogEvent, about: str) -> Any:
    """A record of the log's own work, as retention, erasure and pruning write it."""
    entry = Entry(action=action, subject=make.subject("system:test"), effect="allow")
    return await log._write(phase, entry, about=about)


async def fill(log: Any, make: Any, requests: int, **fields: Any) -> None:
    """A few requests come one after the other, intent and outcome in turn; many come at once."""
    if requests < 10:
        for number in range(requests):
            await make.request(log, f"user-{number}", **fields)
        return
    await asyncio.gather(*(make.request(log, f"user-{number % 7}", **fields) for number in range(requests)))


def strip(place: Any, where: str, day: str = "2026-11-22") -> None:
    """Take out all that a purge takes out."""
    connection = sqlite3.connect(place.day_file(day), isolation_level=None)
    connection.execute(f"delete from term where head_seq in (select seq from record where {where})")
    connection.execute(f"delete from sealed where seq in (select seq from record where {where})")
    connection.execute(f"update record set index_salt = null, terms = null, authenticator = null where {where}")
    connection.close()


def attacks(report: Report) -> list[tuple[Attack, int | None, int | None]]:
    return [(finding.attack, finding.seq, finding.through) for finding in report.findings]


def both(place: Any) -> Report:
    """Verify, and see that the careful pass finds exactly what the quick one let pass."""
    report = verify_store(place.store, None, place.witness)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.verify.store.quick_pass", lambda *_: None)
        careful = verify_store(place.store, None, place.witness)
    assert careful.to_json() == report.to_json()
    return report


@pytest.mark.parametrize(
    ("about", "explains"),
    [
        ("2026-11-22", True),
        ("2026-11-22/standard", True),
        ("2026-11-22/abuse", False),
        ("2026-11-21", False),
        ("2026-11-2", False),
        ("", False),
    ],
)
async def test_a_stripped_day_needs_its_purge_on_record(house: Any, make: Any, about: str, explains: bool) -> None:
    async with house.open() as log:
        await fill(log, make, 5)
        house.clock.forward(days=40)
        await write(log, make, Phase.PURGE, LogEvent.PURGE, about)
    strip(house, "seq < 10")
    report = both(house)
    assert attacks(report) == ([] if explains else [(Attack.CONTENT_REMOVED, 0, 9)])
    assert report.purged_days == ["2026-11-22"]


async def test_a_record_that_only_says_purge_in_its_action_excuses_nothing(house: Any, make: Any) -> None:
    """Anybody who may have records written could name an action."""
    async with house.open() as log:
        await fill(log, make, 5)
        house.clock.forward(days=40)
        await write(log, make, Phase.ADMIN, LogEvent.PURGE, "2026-11-22")
    strip(house, "seq < 10")
    assert attacks(both(house)) == [(Attack.CONTENT_REMOVED, 0, 9)]


async def test_a_forged_purge_record_excuses_nothing(house: Any, make: Any) -> None:
    """One that is not in the tree, written into the table by hand."""
    async with house.open() as log:
        await fill(log, make, 5)
        house.clock.forward(days=40)
        await write(log, make, Phase.ADMIN, LogEvent.SEARCH, "2026-11-22")
    strip(house, "seq < 10")
    connection = sqlite3.connect(house.day_file("2027-01-01"), isolation_level=None)
    connection.execute("update record set phase = 'purge', action = 'audit:day:purge'")
    connection.close()
    found = [attack for attack, _, _ in attacks(verify_store(house.store, None, house.witness))]
    assert Attack.CONTENT_REMOVED in found
    assert Attack.ENVELOPE_CHANGED in found


async def test_held_records_among_stripped_ones_are_checked_as_ever(house: Any, make: Any) -> None:
    async with house.open() as log:
        await fill(log, make, 5)
        house.clock.forward(days=40)
        await write(log, make, Phase.PURGE, LogEvent.PURGE, "2026-11-22")
    strip(house, "seq < 10 and head_seq <> 4")
    assert both(house).ok
    connection = sqlite3.connect(house.day_file(), isolation_level=None)
    connection.execute("update sealed set content = zeroblob(20) where seq = 4")
    connection.close()
    assert attacks(both(house)) == [(Attack.CIPHERTEXT_CHANGED, 4, None)]


async def test_a_part_taken_out_of_a_purged_day_is_no_purge(house: Any, make: Any) -> None:
    async with house.open() as log:
        await fill(log, make, 5)
        house.clock.forward(days=40)
        await write(log, make, Phase.PURGE, LogEvent.PURGE, "2026-11-22")
    connection = sqlite3.connect(house.day_file(), isolation_level=None)
    connection.execute("delete from sealed where seq = 3")
    connection.close()
    assert (Attack.CIPHERTEXT_CHANGED, 3, None) in attacks(both(house))


def lists_of(place: Any) -> FileErasureLists:
    return FileErasureLists(place.store / "erasures")


async def erase(house: Any, make: Any, seqs: list[int]) -> str:
    async with house.open() as log:
        await fill(log, make, 5)
        canonical = canonical_list(seqs)
        record = await write(log, make, Phase.ERASURE, LogEvent.ERASURE_DONE, digest_of(canonical))
    lists_of(house).put(record.event_id, canonical)
    return str(record.event_id)


async def test_an_erasure_covers_what_its_list_names(house: Any, make: Any) -> None:
    await erase(house, make, [0, 1, 4, 5])
    strip(house, "seq in (0, 1, 4, 5)")
    report = both(house)
    assert (report.ok, report.erased, report.purged_days) == (True, 4, [])


async def test_what_an_erasure_does_not_name_is_an_attack(house: Any, make: Any) -> None:
    await erase(house, make, [0, 1])
    strip(house, "seq in (0, 1, 4, 5, 8, 9)")
    report = both(house)
    assert attacks(report) == [(Attack.CONTENT_REMOVED, 4, 5), (Attack.CONTENT_REMOVED, 8, 9)]


async def test_a_list_that_was_lengthened_or_lost_excuses_nothing(house: Any, make: Any) -> None:
    event_id = await erase(house, make, [0, 1])
    strip(house, "seq in (0, 1, 4, 5)")
    path = house.store / "erasures" / f"{event_id}.json"
    path.write_bytes(canonical_list([0, 1, 4, 5]))
    report = both(house)
    assert attacks(report) == [(Attack.CONTENT_REMOVED, 0, 1), (Attack.CONTENT_REMOVED, 4, 5)]
    assert any("not the one its record announced" in note for note in report.notes)
    path.unlink()
    assert any("is missing: restore it" in note for note in both(house).notes)


MINIMUM = 600


async def pruned(house: Any, make: Any, *, about: str | None = str(MINIMUM), minimum: int = MINIMUM) -> None:
    """A log of 900 records, pruned to ``minimum``; ``about`` is what its record says of that."""
    async with house.open() as log:
        await fill(log, make, 300)
        house.clock.forward(days=400)
        await fill(log, make, 150)
        if about is not None:
            await write(log, make, Phase.PURGE, LogEvent.PRUNE, about)
    for path in house.store.glob("days/*.sqlite"):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("delete from sealed where seq < ?", (minimum,))
        connection.execute("delete from term where head_seq < ?", (minimum,))
        connection.execute("delete from reason where head_seq < ?", (minimum,))
        connection.execute("delete from record where seq < ?", (minimum,))
        connection.close()
    tree = TreeFile(house.store / "tree.sqlite", Disk(), create=False)
    assert tree.prune(minimum) == minimum // 256
    assert tree.prune(minimum) == 0
    assert tree.prune(0) == 0
    assert tree.minimum_index() == minimum
    tree.close()


async def test_a_pruned_log_is_in_order_and_says_where_it_begins(house: Any, make: Any) -> None:
    await pruned(house, make)
    report = both(house)
    assert (report.ok, report.first_record, report.records, report.covered_size) == (True, 600, 301, 901)


async def test_a_pruned_log_gives_every_proof_from_there_on(house: Any, make: Any) -> None:
    await pruned(house, make)
    with open_moment(house.store) as moment:
        tree = TileTree(moment.tree.read_tile, moment.tree.size)
        rows = list(moment.rows())
        for row in (rows[0], rows[100], rows[-1]):
            path = tree.inclusion_path(row.seq, 901)
            assert verify_inclusion(row.seq, 901, row.leaf, path, tree.root())
        for old in (600, 601, 767, 768, 900, 256, 512):  # and from whole tiles before
            path = tree.consistency_path(old, 901)
            assert verify_consistency(old, 901, tree.root(old), tree.root(), path)


async def test_a_pruned_log_goes_on(house: Any, make: Any) -> None:
    await pruned(house, make)
    async with house.open() as log:
        ticket = await make.request(log)
        (proof, _) = await log.proof(ticket.event_id)
        assert proof.verify(log.verifier_key)
    assert both(house).ok


@pytest.mark.parametrize(
    ("about", "unseen"),
    [
        (None, 0),
        ("0", 0),
        ("599", 599),
        ("512", 512),
        ("601", None),
        ("99999", 0),
        ("-1", 0),
        ("600 ", 0),
        ("\u0666", 0),
    ],
)
async def test_pruning_without_its_record_is_an_attack(
    house: Any, make: Any, about: str | None, unseen: int | None
) -> None:
    await pruned(house, make, about=about)
    report = both(house)
    if unseen is None:
        assert report.ok
        return
    assert (Attack.PRUNED_UNSEEN, unseen, 599) in attacks(report)
    assert (Attack.ROW_MISSING, unseen, 599) in attacks(report)


async def test_records_gone_beyond_what_was_pruned_are_missing(house: Any, make: Any) -> None:
    await pruned(house, make)
    connection = sqlite3.connect(house.day_file("2027-12-27"), isolation_level=None)
    connection.execute("delete from record where seq between 600 and 609")
    connection.close()
    assert (Attack.ROW_MISSING, 600, 609) in attacks(both(house))


async def test_a_pruned_log_whose_kept_hashes_were_changed_is_found(house: Any, make: Any) -> None:
    await pruned(house, make)
    connection = sqlite3.connect(house.store / "tree.sqlite", isolation_level=None)
    connection.execute("update tile set hashes = cast(zeroblob(32) || substr(hashes, 33) as blob) where level = 1")
    connection.close()
    assert Attack.HISTORY_REWRITTEN in {attack for attack, _, _ in attacks(both(house))}


async def test_pruning_cut_short_is_in_order(house: Any, make: Any) -> None:
    """The record first, then the records, then the tree: a crash in between leaves more than need be, not less."""
    async with house.open() as log:
        await fill(log, make, 300)
        await write(log, make, Phase.PURGE, LogEvent.PRUNE, "512")
    assert both(house).ok
    tree = TreeFile(house.store / "tree.sqlite", Disk(), create=False)
    tree.prune(512)
    tree.close()
    report = verify_store(house.store, None, house.witness)
    assert (report.ok, report.first_record) == (True, 512)


async def test_beyond_the_tree_nothing_can_be_pruned(house: Any, make: Any) -> None:
    async with house.open() as log:
        await fill(log, make, 5)
    tree = TreeFile(house.store / "tree.sqlite", Disk(), create=False)
    for wrong in (11, -1):
        with pytest.raises(ValueError, match="out of range"):
            tree.prune(wrong)
    tree.close()


async def test_checkpoints_before_the_pruned_part_are_counted_not_trusted(house: Any, make: Any) -> None:
    async with house.open() as log:
        for _ in range(3):
            await fill(log, make, 100)
            ticket = await make.request(log)
            await log.proof(ticket.event_id)  # signs
        await write(log, make, Phase.PURGE, LogEvent.PRUNE, "512")
    sizes = {checkpoint.size for checkpoint in read_witness(house.witness, VerifierKey.parse(house.vkey))}
    assert {202, 404} <= sizes
    connection = sqlite3.connect(house.day_file(), isolation_level=None)
    for table, column in (("sealed", "seq"), ("term", "head_seq"), ("reason", "head_seq"), ("record", "seq")):
        connection.execute(f"delete from {table} where {column} < 512")
    connection.close()
    tree = TreeFile(house.store / "tree.sqlite", Disk(), create=False)
    tree.prune(512)
    tree.close()
    report = both(house)
    assert report.ok
    assert any("could not be compared" in note for note in report.notes)


async def test_outcomes_whose_intents_were_pruned_stand_alone(house: Any, make: Any) -> None:
    async with house.open() as log:
        late = await log.intend(make.intent("late"))
        await fill(log, make, 300)
        await log.conclude(late, make.outcome("late"))
        await write(log, make, Phase.PURGE, LogEvent.PRUNE, "512")
    connection = sqlite3.connect(house.day_file(), isolation_level=None)
    for table, column in (("sealed", "seq"), ("term", "head_seq"), ("reason", "head_seq"), ("record", "seq")):
        connection.execute(f"delete from {table} where {column} < 512")
    connection.close()
    tree = TreeFile(house.store / "tree.sqlite", Disk(), create=False)
    tree.prune(512)
    tree.close()
    assert both(house).ok
