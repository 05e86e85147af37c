from __future__ import annotations

import json
import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from audit.errors import ContentDestroyed, KeyRefused
from audit.keys.destroyed import DestroyedDays, PurgeStep, Scope
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService
from audit.keys.signing import create_signer, load_signer
from audit.store.disk import Disk

DAY, NEXT = date(2026, 11, 22), date(2026, 11, 23)
AT = datetime(2026, 12, 23, tzinfo=UTC)


@pytest.fixture
def kek(tmp_path: Path) -> FileKeyService:
    return FileKeyService.create(tmp_path / "secrets" / "kek", Disk())


@pytest.fixture
def ring(tmp_path: Path, kek: FileKeyService) -> KeyRing:
    return KeyRing(tmp_path / "keys", kek, Disk())


def again(tmp_path: Path) -> KeyRing:
    """As after a restart."""
    return KeyRing(tmp_path / "keys", FileKeyService(tmp_path / "secrets" / "kek"), Disk())


def test_key_files_are_for_their_owner_only(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "standard")
    create_signer(tmp_path / "secrets" / "signing.pem", "example.com/audit", Disk())
    for path in [*(tmp_path / "keys").iterdir(), *(tmp_path / "secrets").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert len((tmp_path / "secrets" / "kek").read_bytes()) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, kek: FileKeyService, mode: int) -> None:
    create_signer(tmp_path / "secrets" / "signing.pem", "example.com/audit", Disk())
    for path in (tmp_path / "secrets").iterdir():
        path.chmod(mode)
    with pytest.raises(KeyRefused, match=f"{mode:04o}"):
        FileKeyService(tmp_path / "secrets" / "kek")
    with pytest.raises(KeyRefused, match=f"{mode:04o}"):
        load_signer(tmp_path / "secrets" / "signing.pem", "example.com/audit")


def test_a_day_key_that_others_may_touch_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "standard")
    next((tmp_path / "keys").glob("*.json")).chmod(0o644)
    with pytest.raises(KeyRefused, match="0644"):
        again(tmp_path).get(DAY, "default", "standard")


@pytest.mark.parametrize("length", [0, 31, 33, 20_000])
def test_a_key_encryption_key_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "kek"
    path.touch(mode=0o600)
    path.write_bytes(b"k" * length)
    with pytest.raises(KeyRefused):
        FileKeyService(path)


def test_a_missing_key_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)  # or opening it would wait for a writer
    try:
        for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
            with pytest.raises(KeyRefused):
                FileKeyService(path)
    finally:
        os.close(descriptor)


def test_keys_are_never_overwritten(tmp_path: Path, kek: FileKeyService) -> None:
    before = (tmp_path / "secrets" / "kek").read_bytes()
    with pytest.raises(FileExistsError):
        FileKeyService.create(tmp_path / "secrets" / "kek", Disk())
    assert (tmp_path / "secrets" / "kek").read_bytes() == before


def test_a_signing_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    for data in (other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), b"not a key"):
        path = tmp_path / "signing.pem"
        path.touch(mode=0o600)
        path.write_bytes(data)
        with pytest.raises(KeyRefused):
            load_signer(path, "example.com/audit")


def test_day_keys_come_back_after_a_restart_and_differ_by_scope(tmp_path: Path, ring: KeyRing) -> None:
    scopes = [
        (DAY, "default", "standard"),
        (DAY, "default", "abuse"),
        (DAY, "other", "standard"),
        (NEXT, "default", "standard"),
    ]
    made = [bytes(ring.get_or_create(*scope).dek) for scope in scopes]
    assert len(set(made)) == 4
    assert [bytes(again(tmp_path).get(*scope).dek) for scope in scopes] == made
    assert ring.scopes(DAY, "default") == ["abuse", "standard"]
    assert ring.scopes(DAY, "nobody") == []


def test_reading_never_makes_a_key(tmp_path: Path, ring: KeyRing) -> None:
    with pytest.raises(KeyRefused):
        ring.get(DAY, "default", "standard")
    assert list((tmp_path / "keys").glob("*.json")) == []


def test_a_key_file_renamed_to_another_day_tenant_or_class_does_not_open(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "standard")
    source = next((tmp_path / "keys").glob("*.json"))
    for scope in ((NEXT, "default", "standard"), (DAY, "other", "standard"), (DAY, "default", "abuse")):
        target = tmp_path / "keys" / f"{scope[0]}.{scope[1]}.{scope[2]}.json"
        target.touch(mode=0o600)
        target.write_bytes(source.read_bytes())
        with pytest.raises(KeyRefused, match="does not open"):
            ring.get(*scope)


def test_another_key_encryption_key_is_named_as_the_cause(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "standard")
    other = KeyRing(tmp_path / "keys", FileKeyService.create(tmp_path / "other-kek", Disk()), Disk())
    with pytest.raises(KeyRefused, match="is wrapped by"):
        other.get(DAY, "default", "standard")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: "nothing",
        lambda stored: json.dumps({**stored, "format": 2}),
        lambda stored: json.dumps({**stored, "wrapped": "!"}),
        lambda stored: json.dumps({**stored, "key_id": "00" * 8}),
        lambda stored: json.dumps({key: stored[key] for key in stored if key != "wrapped"}),
        lambda stored: json.dumps({**stored, "wrapped": ""}),
    ],
)
def test_a_changed_key_file_is_refused(tmp_path: Path, ring: KeyRing, spoil: Any) -> None:
    ring.get_or_create(DAY, "default", "standard")
    path = next((tmp_path / "keys").glob("*.json"))
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(KeyRefused):
        again(tmp_path).get(DAY, "default", "standard")


def test_destroying_a_day_takes_every_key_of_it_and_no_other(tmp_path: Path, ring: KeyRing) -> None:
    kept = ring.get_or_create(NEXT, "default", "standard")
    gone = [ring.get_or_create(DAY, "default", class_) for class_ in ("standard", "abuse")]
    (tmp_path / "keys" / f"{DAY}.default.standard.json.new").write_bytes(b"left by a crash")
    assert ring.destroy(DAY, AT) == 3
    assert not list((tmp_path / "keys").glob(f"{DAY}*"))
    assert all(not any(keys.dek) and not any(keys.index_key) for keys in gone)  # wiped in memory too
    assert any(kept.dek)
    for one in (ring, again(tmp_path)):
        with pytest.raises(ContentDestroyed):
            one.get(DAY, "default", "standard")
        with pytest.raises(ContentDestroyed):
            one.get_or_create(DAY, "default", "new-class")
        assert one.get(NEXT, "default", "standard").key_id == kept.key_id
    assert ring.destroy(DAY, AT) == 0


def test_a_destroyed_days_key_restored_from_a_backup_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "standard")
    path = next((tmp_path / "keys").glob("*.json"))
    backup = path.read_bytes()
    ring.destroy(DAY, AT)
    path.touch(mode=0o600)
    path.write_bytes(backup)
    for one in (ring, again(tmp_path)):
        with pytest.raises(ContentDestroyed):
            one.get(DAY, "default", "standard")
        assert one.scopes(DAY, "default") == []
    assert ring.destroy(DAY, AT) == 1  # and the next purge takes it away again


def test_key_bytes_are_overwritten_before_the_file_goes(tmp_path: Path, ring: KeyRing) -> None:
    ring.get_or_create(DAY, "default", "standard")
    path = next((tmp_path / "keys").glob("*.json"))
    before = path.read_bytes()
    os.link(path, tmp_path / "same-inode")
    ring.destroy(DAY, AT)
    after = (tmp_path / "same-inode").read_bytes()
    assert len(after) == len(before)
    assert after != before
    assert json.loads(before)["wrapped"].encode() not in after


def test_keys_go_even_when_the_list_cannot_be_written(tmp_path: Path, kek: FileKeyService) -> None:
    class FullDisk(Disk):
        def append(self, path: Path, data: bytes, mode: int) -> None:
            raise OSError(28, "No space left on device")

    ring = KeyRing(tmp_path / "keys", kek, FullDisk())
    ring.get_or_create(DAY, "default", "standard")
    with pytest.raises(OSError, match="No space"):
        ring.destroy(DAY, AT)
    assert not list((tmp_path / "keys").glob("*.json"))
    with pytest.raises(ContentDestroyed):
        ring.get(DAY, "default", "standard")


def test_the_list_survives_a_torn_append(tmp_path: Path) -> None:
    path = tmp_path / "destroyed-days"
    days = DestroyedDays(path, Disk())
    days.add([Scope(DAY)], PurgeStep.DESTROYED, AT)
    with path.open("a") as file:
        file.write('{"day": "2026-11-23", "ev')
    days = DestroyedDays(path, Disk())
    assert DAY in days
    assert NEXT not in days
    days.add([Scope(NEXT)], PurgeStep.DESTROYED, AT)
    days = DestroyedDays(path, Disk())
    assert DAY in days
    assert NEXT in days
    assert days.unfinished() == [Scope(DAY), Scope(NEXT)]


@pytest.mark.parametrize(
    "line", ["nonsense\n", '{"day": "2026-11-22", "event": "revived"}\n', '{"event": "destroyed"}\n', "[]\n"]
)
def test_an_unreadable_list_refuses_everything(tmp_path: Path, line: str) -> None:
    """Or emptying it with garbage would make destroyed days readable again."""
    path = tmp_path / "destroyed-days"
    path.write_text(line)
    with pytest.raises(KeyRefused):
        DestroyedDays(path, Disk())
