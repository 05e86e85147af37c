from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from model_server.errors import ModelRefused
from model_server.manifest import MANIFEST, check_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    write_manifest(tmp_path)
    return tmp_path


def test_an_untouched_folder_passes_with_a_stable_digest(folder: Path) -> None:
    digest = check_manifest(folder)
    assert digest.startswith("sha256:")
    assert digest == write_manifest(folder) == check_manifest(folder, digest)


def test_the_list_can_be_checked_by_sha256sum(folder: Path) -> None:
    subprocess.run(["sha256sum", "--strict", "--check", MANIFEST], cwd=folder, check=True, capture_output=True)


def test_a_changed_byte_is_refused_and_the_file_named(folder: Path) -> None:
    (folder / "unet" / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(ModelRefused, match=r"unet/model\.safetensors"):
        check_manifest(folder)


def test_a_file_that_the_list_does_not_know_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelRefused, match=r"tokenizer\.json is not in"):
        check_manifest(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelRefused, match=r"config\.json"):
        check_manifest(folder)


def test_a_folder_without_a_list_is_refused_and_told_how_to_make_one(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(ModelRefused, match="manifest"):
        check_manifest(folder)


def test_weights_changed_together_with_their_list_miss_the_pinned_digest(folder: Path) -> None:
    pinned = check_manifest(folder)
    (folder / "unet" / "model.safetensors").write_bytes(b"evil")
    write_manifest(folder)
    check_manifest(folder)
    with pytest.raises(ModelRefused, match="pinned"):
        check_manifest(folder, pinned)


@pytest.mark.parametrize("name", ["../outside", "unet/../../outside", "/etc/passwd", "..", "a\\b"])
def test_a_list_that_points_out_of_its_folder_is_refused(folder: Path, name: str) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text() + f"{'0' * 64}  {name}\n")
    with pytest.raises(ModelRefused, match="line 3"):
        check_manifest(folder)


def test_papers_for_people_need_no_digest(folder: Path) -> None:
    (folder / "MODEL_CARD.md").write_text("about")
    (folder / "NOTICE").write_text("thanks")
    check_manifest(folder)
