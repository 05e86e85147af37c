"""Whatever a database administrator does to either store is found, and the first record concerned is named.

The attacks are data: ``tests/dba/catalogue.py``. ``python -m tests.dba`` prints them all with what found them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from audit.verify import Attack
from tests.dba.__main__ import main
from tests.dba.catalogue import CASES, Case, Guard
from tests.dba.examine import Found, database_original, examine, files_original, fresh_copy
from tests.dba.victim import CHECKPOINTS, RECORDS, Victim
from tests.support.postgres import shared_server

STORES = ("SQLite", "PostgreSQL")


@pytest.fixture(scope="module")
def sqlite_original() -> Iterator[Victim]:
    with files_original() as original:
        yield original


@pytest.fixture(scope="module")
def postgres_original() -> Iterator[Victim]:
    with database_original(shared_server()) as original:
        yield original


@pytest.fixture
def victim(request: pytest.FixtureRequest) -> Iterator[Victim]:
    original = request.getfixturevalue("sqlite_original" if request.param == "SQLite" else "postgres_original")
    with fresh_copy(original) as copy:
        yield copy


def _named(pair: tuple[str, Case]) -> str:
    return f"{pair[0]}-{pair[1].name.replace(' ', '-').replace(',', '')}"


_PAIRS = [(store, case) for case in CASES for store in STORES if store in case.stores]


@pytest.mark.parametrize("victim", STORES, indirect=True)
def test_an_untouched_log_is_in_order_and_opens(victim: Victim) -> None:
    nothing = Case(name="nothing", deed=lambda _: None, found_as=None, first_bad=None, guard=Guard.LEAF)
    found = examine(victim, nothing)
    assert (found.guards, found.refused) == ([], None)
    for report in (found.alone, found.witnessed):
        assert (report.ok, report.records, report.covered_size) == (True, RECORDS, RECORDS)
        assert report.checkpoints == len(CHECKPOINTS)
        assert report.notes == []
    assert found.witnessed.witnessed == len(CHECKPOINTS)


@pytest.mark.parametrize(
    ("victim", "case"), _PAIRS, ids=[_named(pair) for pair in _PAIRS], indirect=["victim"]
)  # the fixture takes the store's name
def test_an_attack_is_found_and_the_first_record_named(victim: Victim, case: Case) -> None:
    found = examine(victim, case)
    assert found.guards, "nothing found it"
    assert found.guards[0] is case.guard, found
    _check_named(found, case)


def _check_named(found: Found, case: Case) -> None:
    if case.guard is Guard.OPENING:
        assert found.alone.ok, found.alone.findings
        expected = None if case.first_bad is None else (case.first_bad, case.first_bad)
        assert found.first_bad == expected, found.refused
        return
    if case.guard is Guard.WITNESS:
        # The design says so: nothing inside the store contradicts this. The log, which asks the witness, goes on with
        # none of it.
        assert found.alone.ok, found.alone.findings
        assert found.refused is not None
    first = (found.witnessed if case.guard is Guard.WITNESS else found.alone).first_bad
    assert first is not None
    assert (first.attack, first.seq) == (case.found_as, case.first_bad)
    if case.through is not None:
        assert first.through == case.through
    if case.found_as in (Attack.CIPHERTEXT_CHANGED, Attack.ENVELOPE_CHANGED) and "trigger" not in case.name:
        assert first.event_id is not None


@pytest.mark.parametrize("victim", STORES, indirect=True)
def test_what_a_witness_contradicts_is_not_gone_on_with(victim: Victim) -> None:
    case = next(case for case in CASES if case.name == "second history, signed by the log")
    found = examine(victim, case)
    assert type(found.refused).__name__ == "StoreRolledBack"


def test_the_names_are_all_different() -> None:
    for store in STORES:
        names = [case.name for case in CASES if store in case.stores]
        assert len(set(names)) == len(names)


def test_the_report_names_every_attack_with_its_first_record() -> None:
    said: list[str] = []
    assert main(["--store", "sqlite"], said.append) == 0
    count = sum("SQLite" in case.stores for case in CASES)
    assert said[-1] == f"{count} attacks, {count} found, 0 not."
    lines = said[0].splitlines()
    assert [text.strip() for text in lines[0].strip("|").split("|")] == [
        "store", "attack", "found as", "first bad", "found by",
    ]  # fmt: skip
    cells = {row[1]: row for row in ([text.strip() for text in line.strip("|").split("|")] for line in lines[2:])}
    assert cells["bit flip"] == ["SQLite", "bit flip", "ciphertext changed", "17", "leaf"]
    assert cells["bit flip, recomputed"][2:4] == ["history rewritten", "10 to 19"]
    assert cells["bit flip, recomputed, checkpoints dropped"][2:] == [
        "rolled back before witnessed checkpoint", "10 to 19", "witness, opening",
    ]  # fmt: skip
