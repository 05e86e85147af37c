"""The quick pass says yes to what is in order, however many processes help, and never where the careful one says no."""

from __future__ import annotations

import sqlite3
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.row import COLUMNS, Row, leaf_of
from audit.store.moment import open_moment
from audit.verify import store as verify_module
from audit.verify import verify_store
from audit.verify.leaves import LeafMaker
from audit.verify.pool import quick_pass
from audit.verify.quick import Facts, NotInOrder, check_day, check_order


@pytest.fixture
async def busy(house: Any, make: Any) -> Any:
    """A closed log of three days and 600 records; requests of one day end on the next."""
    async with house.open() as log:
        for day in range(3):
            late = await log.intend(make.intent(f"late-{day}"))
            for number in range(99):  # one after the other: heads and outcomes alternate
                effect, reasons = ("deny", ("dlp.payment-card", "dlp.iban")) if number % 3 else ("allow", ())
                await make.request(log, f"user-{number % 7}", effect, reasons=reasons)
            house.clock.forward(days=1)
            await log.conclude(late, make.outcome(f"late-{day}"))
    return house


def quick(place: Any, processes: int) -> Any:
    with open_moment(place.store) as moment:
        leaves = b"".join(row.leaf for row in moment.rows())
        return quick_pass(str(place.store), moment, leaves, 0, lambda _done, _all: None, processes)


def test_a_log_in_order_needs_no_careful_pass(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "careful_pass", None)
    report = verify_store(busy.store, None, busy.witness)
    assert report.ok
    assert (report.records, report.covered_size) == (600, 600)


def test_several_processes_find_what_one_finds(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.verify.pool.CHUNK_RECORDS", 50)
    one, several = quick(busy, 1), quick(busy, 3)
    assert one is not None
    assert several is not None
    assert (one.records, one.beyond, one.gone) == (several.records, several.beyond, several.gone)


def test_a_report_is_the_same_however_many_processes_help(busy: Any) -> None:
    connection = sqlite3.connect(busy.day_file("2026-11-23"), isolation_level=None)
    connection.execute("update sealed set content = zeroblob(10) where seq = 333")
    connection.close()
    reports = [verify_store(busy.store, None, None, processes=count).to_json() for count in (1, 3)]
    assert reports[0] == reports[1]
    assert reports[0]["first_bad_seq"] == 333


def row(**changes: Any) -> Row:
    values = dict.fromkeys(COLUMNS, "x")
    values |= dict.fromkeys(("seq", "head_seq", "recorded_at", "credits", "schema", "counter"), 7)
    values |= {"latency_bucket_ms": None, "event_id": b"e" * 16, "envelope_salt": b"s" * 16}
    values |= dict.fromkeys(("subject_digest", "content_digest", "index_commitment", "leaf"), b"d" * 32)
    return Row(**{**values, **changes})


words = st.text(max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1)
rows = st.builds(
    row,
    **dict.fromkeys(("phase", "tenant", "day", "class_", "action", "effect", "reasons", "about", "model"), words),
    **dict.fromkeys(("seq", "head_seq", "recorded_at", "credits", "schema", "counter"), numbers),
    latency_bucket_ms=st.none() | numbers,
    event_id=st.binary(min_size=16, max_size=16),
    subject_digest=st.binary(min_size=32, max_size=32),
)
MAKER = LeafMaker()  # one for all examples: what it remembers must not change what it says


@given(rows)
def test_the_fast_leaf_is_the_leaf(found: Row) -> None:
    assert MAKER(found) == leaf_of(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": b"short"},
        {"subject_digest": b""},
        {"content_digest": "text"},
        {"phase": None},
        {"phase": 7},
        {"credits": None},
        {"seq": "7"},
        {"credits": 7.0},
        {"model": b"x"},
        {"latency_bucket_ms": "x"},
        {"latency_bucket_ms": 7.0},
        {"tenant": 1.0},
        {"counter": True},
        {"about": True},
    ],
)
def test_values_of_other_types_are_what_the_leaf_makes_of_them(changes: dict[str, Any]) -> None:
    """SQLite lets any type stand in any column; nothing may pass for something it is not."""
    MAKER(row())  # so that "x" and 7 are remembered
    found = row(**changes)
    try:
        expected = leaf_of(found)
    except TypeError:
        with pytest.raises(TypeError):
            MAKER(found)
        return
    try:
        made = MAKER(found)
    except TypeError:
        return  # the careful pass looks
    assert made == expected


def part(*pairs: tuple[int, int]) -> Facts:
    return Facts(runs={"boot": array("Q", [number for pair in pairs for number in pair])})


def test_counters_that_rise_over_chunks_and_days_are_in_order() -> None:
    check_order([part((0, 1), (1, 2)), part((4, 4), (5, 6)), part((2, 3))])
    check_order([part((0, 1), (3, 4)), part((1, 2), (2, 3))])  # two day files around midnight


@pytest.mark.parametrize(
    "parts",
    [
        [part((0, 0))],
        [part((0, 2), (1, 2))],
        [part((0, 1), (1, 3)), part((2, 2))],
        [part((2, 1)), part((0, 5), (1, 6))],
        [part((0, 1), (3, 3)), part((1, 4), (2, 5))],
    ],
)
def test_counters_that_do_not_rise_are_not(parts: list[Facts]) -> None:
    with pytest.raises(NotInOrder):
        check_order(parts)


ATTACKS = {
    "two heads": "update record set event_id = (select event_id from record where seq = 0) where seq = 20",
    "an entry too many": "insert into term values (zeroblob(16), 5)",
    "a reason too many": "insert into reason values ('dlp.payment-card', 2)",
    "an entry moved": "update term set head_seq = 1 where head_seq = 0",
    "a changed day": "update record set day = '2026-11-23' where seq = 8",
    "a text number": "update record set credits = '7' where seq = 8",
    "a real number": "update record set credits = 7.5 where seq = 8",
    "a number for an event": "update record set event_id = 8 where seq = 8",
    "a text for a ciphertext": "update sealed set content = 'x' where seq = 8",
    "a text for a digest": "update record set content_digest = 'x' where seq = 8",
    "a number for tokens": "update record set terms = 7 where seq = 8",
    "a blob for a text": "update record set action = cast(action as blob) where seq = 8",
    "a stripped part": "update record set terms = null where seq = 8",
    "a shifted outcome": "update record set head_seq = head_seq + 2 where seq = 9",
    "a missing row": "delete from record where seq = 8",
    "a row beyond": "insert into record select 900, 900, zeroblob(16), phase, tenant, day, class_, recorded_at, action,"
    " effect, reasons, about, bundle_revision, model, model_digest, credits, latency_bucket_ms, schema, key_id, node,"
    " boot, counter, envelope_salt, subject_digest, content_digest, index_commitment, leaf, index_salt, terms,"
    " authenticator from record where seq = 8",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_changed_is_left_to_the_careful_pass(busy: Any, attack: str) -> None:
    connection = sqlite3.connect(busy.day_file(), isolation_level=None)
    connection.execute("drop index head_of_event")
    connection.execute("drop index outcome_of_head")
    with open_moment(busy.store) as moment:
        leaves = b"".join(found.leaf for found in moment.rows())
    connection.execute(ATTACKS[attack])
    connection.close()
    with open_moment(busy.store) as moment:
        assert quick_pass(str(busy.store), moment, leaves, 0, lambda _done, _all: None, 1) is None
    report = verify_store(busy.store, None, busy.witness)
    assert not report.ok


def test_an_index_that_hides_a_record_is_found(busy: Any, tmp_path: Path) -> None:
    """Searches go through indexes; one whose pages somebody edited shows less than there is."""
    path = busy.day_file()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma writable_schema = on")
    # An index built over a condition that is then taken out of its definition: entries are missing from it.
    connection.execute("drop index record_by_effect")
    connection.execute("create index record_by_effect on record (effect, head_seq) where effect = 'allow'")
    connection.execute(
        "update sqlite_master set sql = replace(sql, 'effect = ''allow''', 'effect <> ''''')"
        " where name = 'record_by_effect'"
    )
    connection.close()
    report = verify_store(busy.store, None, busy.witness)
    assert [finding.attack.value for finding in report.findings] == ["search index changed"]


def test_a_record_in_another_days_file_is_found(busy: Any) -> None:
    """Its leaf is right and none is missing, but nobody who searches its day sees it, and its day's purge misses it."""
    connection = sqlite3.connect(busy.day_file("2026-11-23"), isolation_level=None)
    connection.execute("attach ? as other", (str(busy.day_file()),))
    for table, column in (("record", "seq"), ("sealed", "seq"), ("term", "head_seq"), ("reason", "head_seq")):
        connection.execute(f"insert into {table} select * from other.{table} where {column} in (11, 12)")
        connection.execute(f"delete from other.{table} where {column} in (11, 12)")
    connection.close()
    assert quick(busy, 1) is None
    report = verify_store(busy.store, None, busy.witness)
    assert {finding.seq for finding in report.findings} == {11, 12}


def test_what_only_a_log_that_signed_it_could_hold_is_left_to_the_careful_pass() -> None:
    """Each record may be in the tree as it is, and still be one too many."""
    once = Facts(heads=b"a" * 16 + b"b" * 16, outcomes=array("Q", [0, 1]), terms=3, reasons=1)
    check_day([once], 3, 1)
    check_day([once, Facts(heads=b"c" * 16, outcomes=array("Q", [4]))], 3, 1)
    for wrong in (
        [once, Facts(heads=b"b" * 16)],  # an event with two heads
        [once, Facts(outcomes=array("Q", [1]))],  # an intent with two outcomes
    ):
        with pytest.raises(NotInOrder):
            check_day(wrong, 3, 1)
    for terms, reasons in ((4, 1), (3, 2)):
        with pytest.raises(NotInOrder):
            check_day([once], terms, reasons)


async def test_of_very_many_checkpoints_each_that_differs_is_still_asked_for_its_signature(
    house: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.open() as log:
        for _ in range(4):
            await log.proof((await make.request(log)).event_id)
    monkeypatch.setattr("audit.verify.heads.SIGNATURES_CHECKED", 1)
    assert verify_store(house.store, None, house.witness).ok
    connection = sqlite3.connect(house.store / "tree.sqlite", isolation_level=None)
    connection.execute("update checkpoint set root = zeroblob(32) where size = 4")
    connection.close()
    findings = verify_store(house.store, None, house.witness).findings
    assert [finding.attack.value for finding in findings] == ["checkpoint not signed by the key"]
