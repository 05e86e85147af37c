"""A log's day keys move from a file to each of the other services, rotate there, and stay the same keys."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.rewrap import rewrap
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService
from audit.keys.services.succession import Succession
from audit.store.disk import Disk

if TYPE_CHECKING:  # a conftest is no module to import from
    Bed = FarBed = Any

DAYS = [date(2026, 11, day) for day in range(1, 6)]


def deks(ring: KeyRing) -> list[bytes]:
    return [bytes(ring.get(day, "default", "standard").dek) for day in DAYS]


def test_day_keys_move_to_a_service_and_through_its_rotations(bed: Bed, tmp_path: Path) -> None:
    former, folder = FileKeyService.create(tmp_path / "former", Disk()), tmp_path / "keys"
    ring = KeyRing(folder, former, Disk())
    for day in DAYS:
        ring.get_or_create(day, "default", "standard")
    before = deks(ring)

    report = rewrap(folder, Succession(bed.open(), former))
    assert (len(report.rewrapped), report.problems) == (len(DAYS), [])
    (tmp_path / "former").unlink()
    assert deks(KeyRing(folder, bed.open(), Disk())) == before

    bed.rotate()
    service = bed.open()
    report = rewrap(folder, service)
    assert (len(report.rewrapped), report.key_id) == (len(DAYS), service.key_id)
    assert deks(KeyRing(folder, bed.open(), Disk())) == before
    assert rewrap(folder, bed.open()).already_current == len(DAYS)

    bed.destroy()  # of everything at once: the day keys are left, and open nothing
    with pytest.raises(KeyRefused):
        KeyRing(folder, service, Disk()).get(DAYS[0], "default", "standard")


def test_a_rewrap_while_the_service_is_down_changes_nothing(
    far_bed: FarBed, tmp_path: Path, timeout_seconds: float
) -> None:
    folder = tmp_path / "keys"
    KeyRing(folder, far_bed.open(), Disk()).get_or_create(DAYS[0], "default", "standard")
    (before,) = [path.read_bytes() for path in folder.glob("*.json")]
    with far_bed.down() as changes, pytest.raises(KeyServiceUnavailable):
        rewrap(folder, far_bed.open(timeout_seconds=timeout_seconds, **changes), everything=True)
    assert [path.read_bytes() for path in folder.glob("*.json")] == [before]
