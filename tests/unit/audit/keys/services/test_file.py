from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.errors import KeyRefused
from audit.keys.services.file import FileKeyService, key_id_of
from audit.keys.services.rotation import rotate_file_key
from audit.store.disk import Disk


@pytest.fixture
def service(tmp_path: Path) -> FileKeyService:
    return FileKeyService.create(tmp_path / "kek", Disk())


def test_what_the_first_release_wrapped_opens(tmp_path: Path) -> None:
    key, nonce = bytes(range(32)), bytes(12)
    (tmp_path / "kek").touch(0o600)
    (tmp_path / "kek").write_bytes(key)
    service = FileKeyService(tmp_path / "kek")
    assert service.unwrap(nonce + AESGCM(key).encrypt(nonce, b"day key", b"context"), b"context") == b"day key"
    assert service.key_id == "9c7f39643d58dec5"


def test_a_rotation_is_followed_and_the_old_key_opens_until_erased(tmp_path: Path, service: FileKeyService) -> None:
    old = service.wrap(b"secret", b"context")
    rotation = rotate_file_key(tmp_path / "kek", Disk())
    assert service.key_id == rotation.new_key_id
    assert service.unwrap(old, b"context") == b"secret"
    rotation.old_path.unlink()
    with pytest.raises(KeyRefused, match="does not open"):
        service.unwrap(old, b"context")
    assert not service.can_unwrap(rotation.old_key_id)


def test_an_old_key_that_others_may_read_is_refused_like_a_current_one(tmp_path: Path, service: FileKeyService) -> None:
    rotation = rotate_file_key(tmp_path / "kek", Disk())
    rotation.old_path.chmod(0o604)
    with pytest.raises(KeyRefused, match="0604"):
        service.wrap(b"secret", b"context")


def test_a_rotation_stops_at_a_key_kept_under_a_false_name(tmp_path: Path, service: FileKeyService) -> None:
    before = (tmp_path / "kek").read_bytes()
    false = tmp_path / f"kek.previous-{service.key_id}"
    false.touch(0o600)
    false.write_bytes(b"k" * 32)
    with pytest.raises(KeyRefused, match="than its name says"):
        rotate_file_key(tmp_path / "kek", Disk())
    assert (tmp_path / "kek").read_bytes() == before


def test_the_name_of_a_key_tells_nothing_of_it() -> None:
    assert key_id_of(bytes(32)) != key_id_of(bytes(31) + b"\1")
    assert bytes(32).hex()[:16] not in key_id_of(bytes(32))
    with pytest.raises(KeyRefused, match="expected 32 bytes, got 31"):
        key_id_of(bytes(31))


def test_a_named_previous_key_that_is_missing_is_refused(tmp_path: Path, service: FileKeyService) -> None:
    with pytest.raises(KeyRefused, match="does not exist"):
        FileKeyService(tmp_path / "kek", [tmp_path / "old"])
