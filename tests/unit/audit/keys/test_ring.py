"""The key ring among many: threads, processes, key services that fail, classes that go apart."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import AuditUnavailable, ContentDestroyed
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService
from audit.record import Phase
from audit.seal import Part, SealContext, blind_token, seal
from audit.store.disk import Disk

DAY, NEXT = date(2026, 11, 22), date(2026, 11, 23)
AT = datetime(2026, 12, 23, tzinfo=UTC)
ROOT = Path(__file__).parents[4]

# Holds a day's keys unwrapped, ticks as a log's retention worker does, and says when they are wiped.
HOLDER = """
import sys, time
from datetime import date
from pathlib import Path
from audit.errors import ContentDestroyed
from audit.keys.services.file import FileKeyService
from audit.keys.ring import KeyRing
from audit.store.disk import Disk
folder = Path(sys.argv[1])
ring = KeyRing(folder / "keys", FileKeyService(folder / "kek"), Disk())
keys = ring.get(date(2026, 11, 22), "default", "standard")
print(keys.key_id, flush=True)
sys.stdin.readline()
try:
    ring.get(date(2026, 11, 22), "default", "standard")
except ContentDestroyed:
    print("refused", any(keys.dek) or any(keys.index_key) or any(keys.row_key), flush=True)
"""

# Makes one key the moment it is told to, and says which one it holds then.
MAKER = """
import sys
from datetime import date
from pathlib import Path
from audit.keys.services.file import FileKeyService
from audit.keys.ring import KeyRing
from audit.store.disk import Disk
folder = Path(sys.argv[1])
ring = KeyRing(folder / "keys", FileKeyService(folder / "kek"), Disk())
print("ready", flush=True)
for line in sys.stdin:
    day = date.fromisoformat(line.strip())
    print(bytes(ring.get_or_create(day, "default", "standard").dek).hex(), flush=True)
"""


@pytest.fixture
def kek(tmp_path: Path) -> FileKeyService:
    return FileKeyService.create(tmp_path / "kek", Disk())


@pytest.fixture
def ring(tmp_path: Path, kek: FileKeyService) -> KeyRing:
    return KeyRing(tmp_path / "keys", kek, Disk())


def start(program: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def ask(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return answer(process)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_keys_that_one_process_destroys_are_wiped_and_refused_in_another(tmp_path: Path, ring: KeyRing) -> None:
    key_id = ring.get_or_create(DAY, "default", "standard").key_id
    other = start(HOLDER, tmp_path)
    try:
        assert answer(other) == key_id
        ring.destroy(DAY, AT)
        assert ask(other) == "refused False"
    finally:
        end(other)


def test_a_tick_wipes_what_was_destroyed_elsewhere_without_anybody_asking(tmp_path: Path, kek: FileKeyService) -> None:
    mine, other = (KeyRing(tmp_path / "keys", kek, Disk()) for _ in range(2))
    held = mine.get_or_create(DAY, "default", "standard")
    kept = mine.get_or_create(DAY, "default", "abuse")
    assert not mine.refresh()
    other.destroy(DAY, AT, {"standard"})
    assert any(held.dek)
    assert mine.refresh()
    assert not any(held.dek)
    assert held.is_wiped
    assert any(kept.dek)


def test_processes_that_make_a_days_key_at_the_same_time_all_hold_the_same_one(
    tmp_path: Path, kek: FileKeyService
) -> None:
    (tmp_path / "keys").mkdir(mode=0o700)
    makers = [start(MAKER, tmp_path) for _ in range(4)]
    try:
        assert [answer(maker) for maker in makers] == ["ready"] * 4
        for number in range(1, 16):
            day = f"2026-12-{number:02}"
            for maker in makers:
                assert maker.stdin is not None
                maker.stdin.write(day + "\n")
            for maker in makers:
                maker.stdin.flush()  # type: ignore[union-attr]
            assert len({answer(maker) for maker in makers}) == 1, day
    finally:
        for maker in makers:
            end(maker)
    assert len(list((tmp_path / "keys").iterdir())) == 15  # and no file is left of those that came late


def test_a_key_is_never_made_over_another(tmp_path: Path, kek: FileKeyService) -> None:
    class Late(Disk):
        """Finds that another process was faster, in the last moment."""

        def create(self, path: Path, data: bytes, mode: int) -> None:
            KeyRing(tmp_path / "keys", kek, Disk()).get_or_create(DAY, "default", "standard")
            super().create(path, data, mode)

    mine = KeyRing(tmp_path / "keys", kek, Late()).get_or_create(DAY, "default", "standard")
    theirs = KeyRing(tmp_path / "keys", kek, Disk()).get(DAY, "default", "standard")
    assert bytes(mine.dek) == bytes(theirs.dek)


def test_threads_that_want_the_same_key_ask_the_key_service_once(tmp_path: Path, kek: FileKeyService) -> None:
    KeyRing(tmp_path / "keys", kek, Disk()).get_or_create(DAY, "default", "standard")
    service = Service(kek, seconds=0.05)
    ring = KeyRing(tmp_path / "keys", service, Disk())
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ring.get(DAY, "default", "standard"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(keys) for keys in found}) == 1
    assert service.unwrapped == 1


class Service:
    """A key service that takes its time, or fails."""

    def __init__(self, kek: FileKeyService, seconds: float = 0.0) -> None:
        self._kek = kek
        self._seconds = seconds
        self.key_id = kek.key_id
        self.fails = False
        self.unwrapped = 0
        self.meanwhile: Any = lambda: None

    def can_unwrap(self, key_id: str) -> bool:
        return self._kek.can_unwrap(key_id)

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        if self.fails:
            raise AuditUnavailable("the key service does not answer")
        return self._kek.wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if self.fails:
            raise AuditUnavailable("the key service does not answer")
        self.unwrapped += 1
        time.sleep(self._seconds)
        self.meanwhile()
        return self._kek.unwrap(wrapped, context)


def test_a_key_service_that_does_not_answer_is_not_taken_for_a_destroyed_key(
    tmp_path: Path, kek: FileKeyService
) -> None:
    KeyRing(tmp_path / "keys", kek, Disk()).get_or_create(DAY, "default", "standard")
    service = Service(kek)
    service.fails = True
    ring = KeyRing(tmp_path / "keys", service, Disk())
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            ring.get(DAY, "default", "standard")
        with pytest.raises(AuditUnavailable):
            ring.get_or_create(NEXT, "default", "standard")
    assert not ring.is_destroyed(DAY, "standard")
    assert ring.scopes(DAY, "default") == ["standard"]
    assert len(list((tmp_path / "keys").iterdir())) == 1  # nothing half made
    service.fails = False
    assert ring.get(DAY, "default", "standard").key_id
    assert ring.get_or_create(NEXT, "default", "standard").key_id


def test_keys_destroyed_while_the_key_service_works_are_not_handed_out(tmp_path: Path, kek: FileKeyService) -> None:
    other = KeyRing(tmp_path / "keys", kek, Disk())
    other.get_or_create(DAY, "default", "standard")
    service = Service(kek)
    service.meanwhile = lambda: other.destroy(DAY, AT)
    ring = KeyRing(tmp_path / "keys", service, Disk())
    with pytest.raises(ContentDestroyed):
        ring.get(DAY, "default", "standard")


def test_nothing_is_sealed_under_keys_wiped_in_the_same_moment(ring: KeyRing) -> None:
    """Their bytes are zeros then, and everybody can compute what is derived from zeros."""
    keys = ring.get_or_create(DAY, "default", "standard")
    ring.destroy(DAY, AT)
    context = SealContext("default", DAY, b"e" * 16, Phase.INTENT, "standard", 1)
    with pytest.raises(ContentDestroyed):
        seal(keys, context, Part.CONTENT, b"a fox")
    with pytest.raises(ContentDestroyed):
        blind_token(keys, "actor", "alice")


def test_classes_of_a_day_are_destroyed_apart(tmp_path: Path, ring: KeyRing, kek: FileKeyService) -> None:
    gone = [ring.get_or_create(DAY, tenant, "standard") for tenant in ("default", "other")]
    kept = ring.get_or_create(DAY, "default", "abuse")
    assert ring.destroy(DAY, AT, {"standard"}) == 2
    assert not any(any(keys.dek) for keys in gone)
    for one in (ring, KeyRing(tmp_path / "keys", kek, Disk())):
        with pytest.raises(ContentDestroyed):
            one.get(DAY, "other", "standard")
        with pytest.raises(ContentDestroyed):
            one.get_or_create(DAY, "third", "standard")
        assert one.get(DAY, "default", "abuse").key_id == kept.key_id
        assert one.scopes(DAY, "default") == ["abuse"]


def test_a_class_whose_name_begins_like_another_stays(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "abuse-reports")
    ring.get_or_create(DAY, "abuse", "standard")  # a tenant of that name
    ring.get_or_create(DAY, "default", "abuse")
    assert ring.destroy(DAY, AT, {"abuse"}) == 1
    assert ring.get(DAY, "default", "abuse-reports")
    assert ring.get(DAY, "abuse", "standard")


def test_a_list_that_could_not_be_written_is_written_by_the_next_try(tmp_path: Path, kek: FileKeyService) -> None:
    class Full(Disk):
        is_full = True

        def append(self, path: Path, data: bytes, mode: int) -> None:
            if self.is_full:
                raise OSError(28, "No space left on device")
            super().append(path, data, mode)

    disk = Full()
    ring = KeyRing(tmp_path / "keys", kek, disk)
    ring.get_or_create(DAY, "default", "standard")
    with pytest.raises(OSError, match="No space"):
        ring.destroy(DAY, AT)
    assert not list((tmp_path / "keys").glob("*.json"))
    disk.is_full = False
    assert ring.destroy(DAY, AT) == 0
    assert KeyRing(tmp_path / "keys", kek, Disk()).is_destroyed(DAY)


def test_a_crash_leaves_no_half_key_that_counts(tmp_path: Path, ring: KeyRing, kek: FileKeyService) -> None:
    (tmp_path / "keys" / f"{DAY}.default.standard.json.77-abcd.new").write_bytes(b"half")
    (tmp_path / "keys" / "2026-02-31.default.standard.json").write_bytes(b"no day at all")
    assert ring.get_or_create(DAY, "default", "standard").key_id
    assert ring.destroy(DAY, AT) == 2
    assert not list((tmp_path / "keys").glob(f"{DAY}*"))
