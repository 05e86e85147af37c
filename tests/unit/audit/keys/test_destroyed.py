"""The list of destroyed days: by day and by class, shared by processes, and never believed when it forgets."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import KeyRefused, StoreDamaged
from audit.keys.destroyed import DestroyedDays, PurgeStep, Scope
from audit.store.disk import Disk

DAY, NEXT = date(2026, 11, 22), date(2026, 11, 23)
AT = datetime(2026, 12, 23, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "destroyed-days"


def open_list(path: Path) -> DestroyedDays:
    return DestroyedDays(path, Disk())


def test_a_class_goes_without_the_others_of_its_day(path: Path) -> None:
    days = open_list(path)
    days.add([Scope(DAY, "standard")], PurgeStep.DESTROYED, AT)
    for one in (days, open_list(path)):
        assert one.is_destroyed(DAY, "standard")
        assert not one.is_destroyed(DAY, "abuse")
        assert not one.is_destroyed(DAY)
        assert DAY not in one
    days.add([Scope(DAY)], PurgeStep.DESTROYED, AT)
    for one in (days, open_list(path)):
        assert one.is_destroyed(DAY, "abuse")
        assert one.is_destroyed(DAY, "a class nobody thought of")
        assert not one.is_destroyed(NEXT, "standard")


def test_a_list_of_an_earlier_version_is_read(path: Path) -> None:
    """Its lines know no class and no details."""
    path.write_text(
        '{"day": "2026-11-22", "event": "destroyed", "at": "2026-12-23T00:00:00+00:00"}\n'
        '{"day": "2026-11-22", "event": "recorded", "at": "2026-12-23T00:00:00+00:00"}\n'
        '{"day": "2026-11-22", "event": "freed", "at": "2026-12-23T00:00:01+00:00"}\n'
    )
    days = open_list(path)
    assert days.is_destroyed(DAY, "standard")
    assert days.state(Scope(DAY)).is_finished
    assert days.unfinished() == []


def test_the_list_keeps_what_a_receipt_needs_of_earlier_calls(path: Path) -> None:
    days = open_list(path)
    days.add([Scope(DAY)], PurgeStep.DESTROYED, AT, keys=3)
    days.add([Scope(DAY)], PurgeStep.RECORDED, AT, event_id="an-id", seq=17)
    days.add([Scope(DAY)], PurgeStep.FREED, AT, held=2)
    days.add([Scope(DAY)], PurgeStep.FREED, AT, held=0)  # the hold was released
    state = open_list(path).state(Scope(DAY))
    assert (state.keys, state.event_id, state.seq, state.held) == (3, "an-id", 17, 0)
    assert state.destroyed_at == AT


def test_what_another_process_appends_is_seen_at_the_next_look(path: Path) -> None:
    mine, other = open_list(path), open_list(path)
    assert not mine.refresh()
    other.add([Scope(DAY)], PurgeStep.DESTROYED, AT)
    assert mine.refresh()
    assert DAY in mine
    mine.add([Scope(NEXT)], PurgeStep.DESTROYED, AT)
    other.refresh()
    assert NEXT in other
    assert len(path.read_text().splitlines()) == 2


def test_a_list_put_back_under_a_running_process_revives_nothing(path: Path) -> None:
    days = open_list(path)
    days.add([Scope(DAY)], PurgeStep.DESTROYED, AT)
    before = path.read_bytes()
    days.add([Scope(NEXT, "abuse")], PurgeStep.DESTROYED, AT)
    for content in (before, None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert days.refresh()
        assert days.is_rolled_back
        assert days.is_destroyed(NEXT, "abuse")
    assert DAY in days


def test_what_could_not_be_written_is_destroyed_for_this_process_and_still_to_be_written(path: Path) -> None:
    days = open_list(path)
    days.give_up([Scope(DAY)])
    assert DAY in days
    assert days.steps(DAY) == frozenset()
    assert days.unfinished() == [Scope(DAY)]
    assert DAY not in open_list(path)


@pytest.mark.parametrize("tail", ['{"day": "2026-11-2', "{", '{"day": "2026-11-23", "class": "abuse", "eve'])
def test_a_torn_line_is_closed_by_the_next(path: Path, tail: str) -> None:
    days = open_list(path)
    days.add([Scope(DAY)], PurgeStep.DESTROYED, AT)
    with path.open("a") as file:
        file.write(tail)
    days = open_list(path)
    days.add([Scope(NEXT)], PurgeStep.DESTROYED, AT)
    days = open_list(path)
    assert DAY in days
    assert NEXT in days


@pytest.mark.parametrize("change", [{"class": 7}, {"at": None}, {"at": "yesterday"}, {"day": "2026-11-31"}])
def test_a_whole_line_that_is_wrong_refuses_the_list(path: Path, change: dict[str, Any]) -> None:
    entry = {"day": "2026-11-22", "event": "destroyed", "at": AT.isoformat(), **change}
    path.write_text(json.dumps(entry) + "\n")
    with pytest.raises(KeyRefused, match="restore"):
        open_list(path)


def test_a_purge_on_record_that_the_list_does_not_know_is_refused_and_the_list_named(path: Path) -> None:
    days = open_list(path)
    days.add([Scope(DAY, "standard")], PurgeStep.DESTROYED, AT)
    days.add([Scope(NEXT)], PurgeStep.DESTROYED, AT)
    days.require([("2026-11-22/standard", 1), ("2026-11-23", 2), ("2026-11-23/standard", 3), ("no day", 4)])
    for about in ("2026-11-22", "2026-11-22/abuse", "2026-11-24"):
        with pytest.raises(StoreDamaged, match=f"record 5 .*{about}.*destroyed-days"):
            days.require([(about, 5)])


def test_a_scope_reads_as_it_is_written() -> None:
    for scope in (Scope(DAY), Scope(DAY, "abuse")):
        assert Scope.parse(str(scope)) == scope
    assert str(Scope(DAY, "abuse")) == "2026-11-22/abuse"
