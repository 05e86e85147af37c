from __future__ import annotations

import json
import multiprocessing
import stat
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit.errors import KeyRefused
from audit.keys.day_key_file import StoredDayKey, context_of, load, replace, store_new
from audit.store.disk import Disk

NAME = "2026-11-22.default.standard.json"
ONE = StoredDayKey(key_id="00" * 8, kek_id="11" * 8, wrapped=b"\x00\xffone")
TWO = StoredDayKey(key_id="00" * 8, kek_id="transit:transit/kek:v2", wrapped=b"two")


def test_what_is_stored_comes_back_and_is_for_its_owner_only(tmp_path: Path) -> None:
    store_new(tmp_path / NAME, ONE, Disk())
    assert load(tmp_path / NAME) == ONE
    replace(tmp_path / NAME, TWO, Disk())
    assert load(tmp_path / NAME) == TWO
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_files_of_the_first_release_are_read(tmp_path: Path) -> None:
    (tmp_path / NAME).touch(0o600)
    (tmp_path / NAME).write_text('{"format": 1, "key_id": "ab", "kek_id": "cd", "wrapped": "AP9vbmU="}')
    assert load(tmp_path / NAME) == StoredDayKey(key_id="ab", kek_id="cd", wrapped=ONE.wrapped)


def _store(path: Path, number: int, start: Any, results: Any) -> None:
    start.wait(20)
    try:
        store_new(path, StoredDayKey(key_id=f"{number:016x}", kek_id="11" * 8, wrapped=bytes([number])), Disk())
    except FileExistsError:
        results.put(None)
    else:
        results.put(number)


def test_of_many_processes_that_make_a_key_one_wins_and_all_find_its_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_store, args=(tmp_path / NAME, n, start, results)) for n in range(4)]
    for process in processes:
        process.start()
    won = [found for found in (results.get(timeout=60) for _ in processes) if found is not None]
    for process in processes:
        process.join(30)
    assert len(won) == 1
    assert load(tmp_path / NAME).wrapped == bytes(won)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"wrapped": "!"},
        {"wrapped": 7},
        {"key_id": 7},
        {"kek_id": None},
        {"kek_id": ""},
        {"kek_id": "a\nb"},
        {"kek_id": "x" * 513},
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / NAME).touch(0o600)
    (tmp_path / NAME).write_text(json.dumps({"format": 1, "key_id": "ab", "kek_id": "cd", "wrapped": "AA==", **change}))
    with pytest.raises(KeyRefused, match=r"malformed|unknown format"):
        load(tmp_path / NAME)


@pytest.mark.parametrize("text", ["", "nothing", "[]", "null", "{}", "[" * 10_000])
def test_what_is_no_key_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).touch(0o600)
    (tmp_path / NAME).write_text(text)
    with pytest.raises(KeyRefused):
        load(tmp_path / NAME)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    store_new(tmp_path / NAME, ONE, Disk())
    (tmp_path / NAME).chmod(0o640)
    with pytest.raises(KeyRefused, match="0640"):
        load(tmp_path / NAME)


def test_a_stored_key_does_not_show_what_is_wrapped() -> None:
    assert "one" not in repr(ONE)


def test_contexts_of_different_keys_differ_however_their_parts_are_cut() -> None:
    day = date(2026, 11, 22)
    parts = [("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("abc", "", "d")]
    assert len({context_of(day, *three) for three in parts}) == len(parts)
