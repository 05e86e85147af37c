"""The lists outside the database: shared by processes, never shorter, torn only where a crash tears."""

from __future__ import annotations

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.errors import StoreDamaged
from audit.governance.erased import ErasedEvents
from audit.governance.lines import LineFile
from audit.store.disk import Disk
from tests.support.governed import START


class FullDisk(Disk):
    """Has no room to append."""

    def append(self, path: Path, data: bytes, mode: int) -> None:
        raise OSError("no space left")


def test_what_another_process_erases_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "erased"
    mine = ErasedEvents(path, Disk())
    event = uuid.uuid4()
    assert event.bytes not in mine
    program = (
        "import sys, uuid; from datetime import datetime, UTC; from pathlib import Path;"
        "from audit.governance.erased import ErasedEvents; from audit.store.disk import Disk;"
        "ErasedEvents(Path(sys.argv[1]), Disk()).add([uuid.UUID(sys.argv[2]).bytes], datetime.now(UTC))"
    )
    subprocess.run([sys.executable, "-c", program, str(path), str(event)], check=True, timeout=60)
    assert event.bytes in mine
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_event_is_erased_for_this_process_even_if_the_disk_is_full(tmp_path: Path) -> None:
    erased = ErasedEvents(tmp_path / "erased", FullDisk())
    event = uuid.uuid4().bytes
    with pytest.raises(OSError, match="space"):
        erased.add([event], START)
    assert event in erased


def test_a_line_cut_short_by_a_crash_is_closed_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "list"
    LineFile(path, Disk()).append([{"a": 1}])
    with path.open("ab") as file:
        file.write(b'{"a":2')
    reader = LineFile(path, Disk())
    assert reader.news() == [{"a": 1}]
    LineFile(path, Disk()).append([{"a": 3}])
    assert reader.news() == [{"a": 3}]
    assert LineFile(path, Disk()).news() == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"a" 1}\n'])
def test_a_line_that_is_no_entry_is_refused_each_time(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(line)
    reader = LineFile(path, Disk())
    for _ in range(2):
        with pytest.raises(StoreDamaged):
            reader.news()


@pytest.mark.parametrize("line", [b'{"event":"x","at":""}\n', b'{"at":""}\n', b'{"event":7}\n'])
def test_an_entry_that_is_no_event_is_refused(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "erased"
    path.write_bytes(line)
    with pytest.raises(StoreDamaged):
        _ = uuid.uuid4().bytes in ErasedEvents(path, Disk())


def test_a_list_that_shrank_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list"
    reader = LineFile(path, Disk())
    reader.append([{"a": 1}, {"a": 2}])
    assert len(reader.news()) == 2
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(StoreDamaged, match="shorter"):
        reader.news()


def test_many_who_append_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list"

    def work(worker: int) -> None:
        file = LineFile(path, Disk())
        for number in range(20):
            file.append([{"worker": worker, "number": number}])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    lines = LineFile(path, Disk()).news()
    assert len({(line["worker"], line["number"]) for line in lines}) == len(lines) == 160
