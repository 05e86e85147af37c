from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import ContentDestroyed, KeyRefused, KeyServiceUnavailable, StoreInUse
from audit.keys.day_key_file import load
from audit.keys.rewrap import rewrap
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService, key_id_of, read_key, siblings
from audit.keys.services.rotation import rotate_file_key
from audit.store.disk import Disk

DAYS = [date(2026, 11, day) for day in (20, 21, 22)]
SCOPES = [(day, "default", "standard") for day in DAYS] + [
    (DAYS[0], "default", "abuse"),
    (DAYS[0], "other", "standard"),
]
AT = datetime(2026, 12, 23, tzinfo=UTC)


class Place:
    """A key folder with some days in it."""

    def __init__(self, folder: Path) -> None:
        self.kek = folder / "kek"
        self.keys = folder / "keys"
        FileKeyService.create(self.kek, Disk())
        ring = self.ring()
        self.deks = {scope: bytes(ring.get_or_create(*scope).dek) for scope in SCOPES}

    def ring(self) -> KeyRing:
        return KeyRing(self.keys, FileKeyService(self.kek), Disk())

    def opens(self) -> dict[Any, bytes]:
        ring = self.ring()
        return {scope: bytes(ring.get(*scope).dek) for scope in self.deks}

    def wrapped_by(self) -> set[str]:
        return {load(path).kek_id for path in self.keys.glob("*.json")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class MortalDisk(Disk):
    """Ends the work at one of its operations, before or after it is done."""

    def __init__(self, lives: int, *, after: bool) -> None:
        self._lives = lives
        self._after = after

    def _work(self, work: Callable[[], None]) -> None:
        self._lives -= 1
        if self._lives == 0 and not self._after:
            raise Killed
        work()
        if self._lives == 0:
            raise Killed

    def create(self, path: Path, data: bytes, mode: int) -> None:
        self._work(lambda: Disk().create(path, data, mode))

    def write_whole(self, path: Path, data: bytes, mode: int) -> None:
        self._work(lambda: Disk().write_whole(path, data, mode))

    def replace(self, fresh: Path, path: Path) -> None:
        self._work(lambda: Disk().replace(fresh, path))

    def erase(self, path: Path) -> None:
        self._work(lambda: Disk().erase(path))


def test_after_a_rotation_every_key_is_wrapped_anew_and_is_the_same_key(place: Place) -> None:
    rotation = rotate_file_key(place.kek, Disk())
    assert place.opens() == place.deks  # before the rewrap too
    report = rewrap(place.keys, FileKeyService(place.kek))
    assert (len(report.rewrapped), report.already_current, report.problems) == (len(SCOPES), 0, [])
    assert place.wrapped_by() == {rotation.new_key_id} == {report.key_id}
    rotation.old_path.unlink()
    assert place.opens() == place.deks


def test_a_second_rewrap_changes_nothing(place: Place) -> None:
    rotate_file_key(place.kek, Disk())
    rewrap(place.keys, FileKeyService(place.kek))
    before = {path.name: path.read_bytes() for path in place.keys.glob("*.json")}
    report = rewrap(place.keys, FileKeyService(place.kek))
    assert (report.rewrapped, report.already_current) == ([], len(SCOPES))
    assert {path.name: path.read_bytes() for path in place.keys.glob("*.json")} == before


def test_everything_is_wrapped_anew_if_asked(place: Place) -> None:
    before = {path.name: path.read_bytes() for path in place.keys.glob("*.json")}
    report = rewrap(place.keys, FileKeyService(place.kek), everything=True)
    assert len(report.rewrapped) == len(SCOPES)
    assert all(path.read_bytes() != before[path.name] for path in place.keys.glob("*.json"))
    assert place.opens() == place.deks


@pytest.mark.parametrize("after", [False, True])
def test_a_rotation_and_rewrap_killed_at_any_step_lose_nothing_and_can_be_done_again(
    tmp_path: Path, after: bool
) -> None:
    finished = False
    for lives in range(1, 40):
        place = Place(tmp_path / f"{lives}")
        disk = MortalDisk(lives, after=after)
        try:
            rotate_file_key(place.kek, disk)
            rewrap(place.keys, FileKeyService(place.kek), disk)
            finished = True
        except Killed:
            pass
        assert place.opens() == place.deks
        if finished:
            break
        rotate_file_key(place.kek, Disk())
        assert rewrap(place.keys, FileKeyService(place.kek)).is_complete
        for old in siblings(place.kek):
            if key_id_of(read_key(old)) != FileKeyService(place.kek).key_id:
                old.unlink()
        assert place.opens() == place.deks
        assert not [path.name for path in place.keys.iterdir() if path.suffix not in (".json", ".lock", "")]
    assert finished


def test_a_rewrap_killed_for_real_leaves_whole_files(place: Place) -> None:
    rotate_file_key(place.kek, Disk())
    program = (
        "import sys\nfrom pathlib import Path\nfrom audit.keys.rewrap import rewrap\n"
        "from audit.keys.services.file import FileKeyService\nprint('ready', flush=True)\n"
        "while True: rewrap(Path(sys.argv[1]), FileKeyService(Path(sys.argv[2])), everything=True)\n"
    )
    for _ in range(3):
        command = [sys.executable, "-c", program, str(place.keys), str(place.kek)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            child.stdout.close()
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.05 + os.urandom(1)[0] / 1000)
            child.send_signal(signal.SIGKILL)
        assert place.opens() == place.deks
    assert rewrap(place.keys, FileKeyService(place.kek)).is_complete
    assert place.opens() == place.deks


def test_destroyed_days_are_passed_over_and_stay_destroyed(place: Place) -> None:
    kept = next(place.keys.glob("2026-11-20.other*")).read_bytes()
    place.ring().destroy(DAYS[0], AT)
    back = place.keys / "2026-11-20.other.standard.json"  # as from a backup
    back.touch(0o600)
    back.write_bytes(kept)
    rotate_file_key(place.kek, Disk())
    report = rewrap(place.keys, FileKeyService(place.kek))
    assert (len(report.rewrapped), report.destroyed) == (2, 1)
    assert back.read_bytes() == kept
    with pytest.raises(ContentDestroyed):
        place.ring().get(DAYS[0], "other", "standard")


def test_a_day_destroyed_while_its_file_is_rewrapped_does_not_come_back(place: Place) -> None:
    class Slow(FileKeyService):
        def wrap(self, secret: bytes, context: bytes) -> bytes:
            if b"2026-11-20" in context:
                place.ring().destroy(DAYS[0], AT)  # another process, in the worst moment
            return super().wrap(secret, context)

    rotate_file_key(place.kek, Disk())
    report = rewrap(place.keys, Slow(place.kek))
    assert report.is_complete
    assert list(place.keys.glob("2026-11-20.*")) == []


def test_a_file_that_does_not_open_is_named_and_left_as_it_is(place: Place) -> None:
    spoiled = place.keys / "2026-11-21.default.standard.json"
    other = place.keys / "2026-11-22.default.standard.json"
    spoiled.write_bytes(other.read_bytes())
    rotate_file_key(place.kek, Disk())
    report = rewrap(place.keys, FileKeyService(place.kek))
    assert [problem.file for problem in report.problems] == [spoiled.name]
    assert spoiled.read_bytes() != b""
    assert len(report.rewrapped) == len(SCOPES) - 1


def test_a_key_service_that_does_not_give_back_what_it_wraps_replaces_nothing(place: Place) -> None:
    class Lossy(FileKeyService):
        def check(self) -> None:
            """Nothing to find yet."""

        def wrap(self, secret: bytes, context: bytes) -> bytes:
            return super().wrap(bytes(len(secret)), context)

    rotate_file_key(place.kek, Disk())
    report = rewrap(place.keys, Lossy(place.kek))
    assert len(report.problems) == len(SCOPES)
    assert place.opens() == place.deks


def test_a_service_that_goes_away_in_the_middle_ends_the_rewrap_and_what_is_done_stays_done(place: Place) -> None:
    class Leaving(FileKeyService):
        wraps = 0

        def wrap(self, secret: bytes, context: bytes) -> bytes:
            self.wraps += 1
            if self.wraps > 3:  # the check is the first
                raise KeyServiceUnavailable("gone")
            return super().wrap(secret, context)

    rotation = rotate_file_key(place.kek, Disk())
    with pytest.raises(KeyServiceUnavailable):
        rewrap(place.keys, Leaving(place.kek))
    assert place.wrapped_by() == {rotation.old_key_id, rotation.new_key_id}
    assert len(rewrap(place.keys, FileKeyService(place.kek)).rewrapped) == len(SCOPES) - 2
    assert place.opens() == place.deks


def test_two_rewraps_at_once_are_one_too_many(place: Place) -> None:
    class Nested(FileKeyService):
        def wrap(self, secret: bytes, context: bytes) -> bytes:
            if b"2026-11-20" in context:
                with pytest.raises(StoreInUse):
                    rewrap(place.keys, FileKeyService(place.kek))
            return super().wrap(secret, context)

    rotate_file_key(place.kek, Disk())
    assert len(rewrap(place.keys, Nested(place.kek)).rewrapped) == len(SCOPES)


def test_a_gateway_that_runs_follows_a_rotation(place: Place) -> None:
    running = place.ring()
    rotation = rotate_file_key(place.kek, Disk())
    rewrap(place.keys, FileKeyService(place.kek))
    rotation.old_path.unlink()
    assert bytes(running.get(*SCOPES[0]).dek) == place.deks[SCOPES[0]]
    running.get_or_create(date(2026, 11, 23), "default", "standard")
    assert place.wrapped_by() == {rotation.new_key_id}


def test_a_rotation_never_takes_a_key_that_others_may_read(place: Place) -> None:
    place.kek.chmod(0o644)
    with pytest.raises(KeyRefused, match="0644"):
        rotate_file_key(place.kek, Disk())
    assert siblings(place.kek) == []
